//! A session that is to go on where what it holds has no room.

use super::{
    super::*,
    support::{NOW, carry, message, pair, server, shared, token, welcomed},
};
use alloc::{format, sync::Arc, vec::Vec};
use tenfour_delivery::number::{Generation, Offset};

const WIDE: Transport = Transport::Stream;
const NARROW: Transport = Transport::Datagram { mtu: 300 };

/// A client that comes back with smaller frames, and the server's side of its connection, which has heard its HELLO.
fn back(
    journal: Option<ClientJournal>,
    transport: Transport,
    frame_bytes: usize,
) -> (ClientSession, ServerSession) {
    let mut config = Config::default();
    config.limits.frame_bytes = frame_bytes;
    let mut client = ClientSession::new(Arc::new(config), transport, Hello::default(), journal, NOW);
    let mut server = server(transport);
    carry(&mut client, &mut server);
    (client, server)
}

fn resumed(server: &mut ServerSession, journal: ServerJournal) -> Result<(), ResumeError> {
    server.resume(NOW, journal, token(), Generation::new(1)).map_err(|(_, error)| error)
}

fn events(client: &mut ClientSession) -> Vec<ClientEvent> {
    core::iter::from_fn(|| client.poll_event()).collect()
}

#[test]
fn the_server_holds_what_the_client_takes_no_more() {
    for (transport, frame_bytes) in [(NARROW, 1 << 20), (WIDE, 500)] {
        for (text, outcome) in [("m".repeat(600), Err(ResumeError::TooNarrow)), ("m".repeat(100), Ok(()))] {
            let (mut client, mut server) = pair(WIDE);
            let (previous, offset) = (Offset::new(4), Offset::new(5));
            let message = &shared(&text);
            server.deliver(NOW, Delivery { channel: 3, previous, offset, expires: None, message }).unwrap();
            let (kept, parked) = (client.take_journal(), server.take_journal().unwrap());
            let (mut client, mut server) = back(kept, transport, frame_bytes);
            assert_eq!(resumed(&mut server, parked), outcome, "{transport:?}");
            server.welcome(NOW, &welcomed(Beginning::Rebased));
            carry(&mut client, &mut server);
            let resumption = if outcome.is_ok() { Resumption::Exact } else { Resumption::Rebased };
            let events = events(&mut client);
            assert!(
                matches!(&events[0], ClientEvent::Welcomed(welcome) if welcome.resumption == resumption),
                "{events:?}"
            );
            assert!(client.is_open() && server.is_open());
        }
    }
}

/// A message that was taken back is large no more: what is in its place has room everywhere.
#[test]
fn what_was_taken_back_has_room() {
    let (mut client, mut server) = pair(WIDE);
    let (previous, offset) = (Offset::new(4), Offset::new(5));
    let message = &shared(&"m".repeat(600));
    server.deliver(NOW, Delivery { channel: 3, previous, offset, expires: None, message }).unwrap();
    let forbidden = tenfour_wire::native::Refusal {
        reason: tenfour_wire::native::RefusalReason::Forbidden,
        retry_after_ms: None,
    };
    server.revoke(NOW, 3, forbidden);
    let (kept, parked) = (client.take_journal(), server.take_journal().unwrap());
    let (_, mut server) = back(kept, NARROW, 1 << 20);
    assert_eq!(resumed(&mut server, parked), Ok(()));
}

#[test]
fn a_client_whose_datagrams_have_no_room_for_what_it_holds_begins_anew() {
    for (text, is_claimed) in [("m".repeat(600), false), ("m".repeat(100), true)] {
        let (mut client, _) = pair(WIDE);
        let request = client.request(NOW, message(&text)).unwrap();
        let (mut client, mut server) = back(client.take_journal(), NARROW, 1 << 20);
        let Some(ServerEvent::Hello { resume, .. }) = server.poll_event() else { panic!() };
        assert_eq!(resume.is_some(), is_claimed);
        if is_claimed {
            continue;
        }
        server.welcome(NOW, &welcomed(Beginning::Fresh));
        carry(&mut client, &mut server);
        let events = events(&mut client);
        let ClientEvent::Welcomed(welcome) = &events[0] else { panic!("{events:?}") };
        assert_eq!(welcome.resumption, Resumption::Rebased);
        assert!(events.contains(&ClientEvent::Unanswered(Unanswered::Request(request))), "{events:?}");
    }
}

#[test]
fn a_server_that_takes_less_than_a_client_holds_is_asked_for_a_new_session() {
    let (mut client, mut server) = pair(WIDE);
    client.request(NOW, message(&"m".repeat(600))).unwrap();
    let (kept, parked) = (client.take_journal(), server.take_journal().unwrap());
    let mut client = ClientSession::new(Arc::new(Config::default()), WIDE, Hello::default(), kept, NOW);
    let mut config = Config::default();
    config.limits.frame_bytes = 500;
    let mut server = ServerSession::new(Arc::new(config), WIDE, NOW);
    carry(&mut client, &mut server);
    resumed(&mut server, parked).unwrap();
    carry(&mut client, &mut server);
    let closed = events(&mut client).pop();
    let Some(ClientEvent::Closed(closed)) = closed else { panic!("{closed:?}") };
    assert!(!closed.is_final(), "{}", format!("{closed:?}"));
    assert!(!client.take_journal().unwrap().is_resumable());
}
