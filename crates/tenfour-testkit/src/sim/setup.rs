//! How a world's code is configured.

use core::time::Duration;
use std::sync::Arc;

use tenfour_log::{Bound, Retention};
use tenfour_session::native::Config as SessionConfig;

use super::{
    Rules,
    options::{Plan, Tightness},
    server::Settings,
    sockets,
};

/// How long a session is kept for a client that is away.
pub(crate) const PARKING: Duration = Duration::from_secs(8);

pub(crate) fn rules(plan: &Plan, settings: &Settings) -> Rules {
    let parking = settings.hub.native.parking;
    let history = settings.retention.channel.messages;
    Rules { parking, away: PARKING, history, ..Rules::new(plan.clients.len() as u8, plan.channels) }
}

pub(crate) fn settings(plan: &Plan) -> Settings {
    let mut node = tenfour_node::native::Config::default();
    node.parking = PARKING;
    let mut retention = Retention::default();
    let mut channels = tenfour_broker::channel::Config::default();
    if plan.tight == Tightness::Tight {
        channels.page_messages = 4;
        channels.page_bytes = 400;
        channels.append_messages = 8;
        channels.reads = 2;
        retention.channel = Bound { messages: 60, ..Bound::default() };
    }
    node.channels = channels;
    retention.age = Some(Duration::from_secs(10));
    let mut hub = tenfour_node::hub::Config::default();
    hub.native = node.into();
    hub.idempotency = plan.remembers.then(Default::default);
    hub.recovery = plan.recovers.then(|| {
        let mut recovery = tenfour_broker::recovery::Config::default();
        recovery.away = PARKING;
        if plan.tight == Tightness::Tight {
            recovery.page_messages = 4;
            recovery.page_bytes = 400;
            recovery.reads = 2;
            recovery.append_notes = 4;
            recovery.checkpoint_notes = 12;
        }
        recovery
    });
    Settings {
        hub,
        clients: plan.clients.len(),
        channels: plan.channels,
        session: session(plan).into(),
        retention,
    }
}

pub(crate) fn client_session(plan: &Plan) -> Arc<SessionConfig> {
    session(plan).into()
}

pub(crate) fn sockets(plan: &Plan) -> Arc<tenfour_node::Config> {
    sockets::config(|config| {
        let mut engine = (*config.engine).clone();
        engine.ping_interval = Duration::from_secs(4);
        engine.ping_timeout = Duration::from_secs(3);
        engine.close_timeout = Duration::from_secs(2);
        if plan.tight == Tightness::Tight {
            engine.send_queue_bytes = 4 * 1024;
        }
        config.engine = engine.into();
    })
}

/// Short of patience, so that much happens in a short life.
fn session(plan: &Plan) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.heartbeat = Duration::from_secs(1);
    config.idle_timeout = Duration::from_secs(4);
    config.hello_timeout = Duration::from_secs(3);
    config.close_timeout = Duration::from_secs(2);
    if plan.tight == Tightness::Tight {
        config.window.messages = 8;
        config.window.bytes = 1_400;
        config.receive.messages = 6;
        config.receive.bytes = 1_400;
        config.ack_every = 4;
        config.emit.messages = 4;
    }
    config
}
