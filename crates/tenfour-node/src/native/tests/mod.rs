//! A server with real sessions on both ends of each connection, driven by hand in virtual time.

extern crate std;

mod admission;
mod delivery;
mod identity;
mod limits;
mod log;
mod model;
mod requests;
mod value;
mod world;

use super::*;
use alloc::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    vec,
    vec::Vec,
};
use bytestring::ByteString;
use core::time::Duration;
use tenfour_broker::{Body, Message, channel::Publication as Broadcast};
use tenfour_delivery::{
    entry::Producer,
    number::{Offset, ProducerEpoch, ProducerId, ProducerSequence, Sequence},
    resume::Position,
    time::{Instant, Now, WallTime},
};
use tenfour_session::native::{
    ClientEvent, ClientSession, Closed, Decision, Delivered, Input, Publication, Receipt, Resumption, Start,
    Transmit, Transport,
};
use tenfour_wire::native::{self as wire, CloseCode, RefusalReason};
use world::{Client, World};

const SECOND: Duration = Duration::from_secs(1);

fn text(text: &str) -> wire::Message {
    wire::Message { name: None, body: wire::Body::Text(text.into()) }
}

fn broadcast(channel: &str, says: &str) -> Broadcast {
    let message = Message { name: None, body: Body::Text(says.into()) };
    Broadcast::to_channel(channel, message)
}

fn publication(channel: &str, says: &str) -> Publication {
    Publication { channel: channel.into(), producer: None, ttl: None, message: text(says) }
}

/// With a producer's number, so that a repetition is recognised.
fn numbered(channel: &str, says: &str, number: u64) -> Publication {
    numbered_by(7, channel, says, number)
}

fn numbered_by(id: u128, channel: &str, says: &str, number: u64) -> Publication {
    let producer = Producer {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(0),
        sequence: ProducerSequence::new(number),
    };
    Publication { producer: Some(producer), ..publication(channel, says) }
}
