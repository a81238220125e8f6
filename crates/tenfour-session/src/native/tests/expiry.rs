//! What waits for too long, and what was lost where nothing follows.

use super::{
    super::*,
    support::{NOW, pair, shared},
};
use alloc::vec::Vec;
use core::time::Duration;
use tenfour_delivery::{
    loss::{Count, Reason},
    number::Offset,
    time::Instant,
};

fn deliver(
    server: &mut ServerSession,
    now: Instant,
    number: u64,
    expires: Option<Instant>,
) -> Result<(), SendError> {
    let (previous, offset) = (Offset::new(number - 1), Offset::new(number));
    server.deliver(now, Delivery { channel: 3, previous, offset, expires, message: &shared(&"x".repeat(99)) })
}

fn carry_at(client: &mut ClientSession, server: &mut ServerSession, now: Instant) -> Vec<ClientEvent> {
    let mut events = Vec::new();
    loop {
        let mut silent = true;
        while let Some(Transmit::Bytes(bytes)) = server.poll_transmit(now) {
            silent = false;
            client.handle_input(now, Input::Bytes(bytes));
        }
        while let Some(event) = client.poll_event() {
            client.consumed(now, event.cost());
            events.push(event);
        }
        while let Some(Transmit::Bytes(bytes)) = client.poll_transmit(now) {
            silent = false;
            server.handle_input(now, Input::Bytes(bytes));
        }
        if silent {
            return events;
        }
    }
}

#[test]
fn what_expires_before_it_is_sent_is_told_as_lost_and_costs_no_credit() {
    // Three times the credit of 1 MiB, and far more than 256 messages, expire.
    let (mut client, mut server) = pair(Transport::Stream);
    let (mut now, mut number, mut lost, mut came) = (NOW, 4, 0, 0);
    for _ in 0..40_000 / 50 {
        server.handle_input(now, Input::WriteBlocked);
        for _ in 0..50 {
            number += 1;
            let expires = (number % 4 != 0).then_some(now + Duration::from_millis(100));
            deliver(&mut server, now, number, expires).expect("credit does not leak");
        }
        now = now + Duration::from_millis(100);
        server.handle_timeout(now);
        client.handle_timeout(now);
        server.handle_input(now, Input::WriteReady);
        for event in carry_at(&mut client, &mut server, now) {
            match event {
                ClientEvent::Message(delivered) => {
                    assert_eq!(delivered.offset.get() % 4, 0, "only what does not expire");
                    came += 1;
                }
                ClientEvent::Lost { lost: told, .. } => {
                    assert_eq!((told.count, told.reason), (Count::Exact(1), Reason::Ttl));
                    lost += 1;
                }
                event => panic!("{event:?}"),
            }
        }
    }
    assert_eq!((came, lost), (10_000, 30_000));
}

#[test]
fn what_expires_while_the_client_is_away_is_not_sent_again() {
    let (mut client, mut server) = pair(Transport::Stream);
    deliver(&mut server, NOW, 5, Some(NOW + Duration::from_secs(1))).unwrap();
    deliver(&mut server, NOW, 6, None).unwrap();
    while server.poll_transmit(NOW).is_some() {}
    let later = NOW + Duration::from_secs(2);
    let (kept, parked) = (client.take_journal(), server.take_journal().unwrap());
    let mut client = ClientSession::new(Default::default(), Transport::Stream, Hello::default(), kept, later);
    let mut server = ServerSession::new(Default::default(), Transport::Stream, later);
    carry_at(&mut client, &mut server, later);
    server
        .resume(later, parked, super::support::token(), tenfour_delivery::number::Generation::new(1))
        .unwrap();
    let events = carry_at(&mut client, &mut server, later);
    let [ClientEvent::Welcomed(_), ClientEvent::Lost { lost, .. }, ClientEvent::Message(message)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((lost.range.through, message.previous), (Offset::new(5), Offset::new(5)));
}

#[test]
fn a_head_that_was_not_reached_is_told_after_a_silence() {
    let (mut client, mut server) = pair(Transport::Stream);
    server.heads(&[(3, Offset::new(4)), (9, Offset::new(9))]);
    let silence = client.poll_timeout().expect("a heartbeat");
    client.handle_timeout(silence);
    let events = carry_at(&mut client, &mut server, silence);
    assert_eq!(events, [], "it has come this far, and channel 9 is none of its own");

    server.heads(&[(3, Offset::new(7))]);
    let silence = client.poll_timeout().expect("a heartbeat");
    client.handle_timeout(silence);
    let events = carry_at(&mut client, &mut server, silence);
    let (received, head) = (Offset::new(4), Offset::new(7));
    assert_eq!(events, [ClientEvent::Behind { channel: "c".into(), received, head }]);

    client.forget_session();
    let kept = client.take_journal();
    let mut client = ClientSession::new(Default::default(), Transport::Stream, Hello::default(), kept, NOW);
    let mut server = ServerSession::new(Default::default(), Transport::Stream, NOW);
    carry_at(&mut client, &mut server, NOW);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Hello { resume: None, .. })));
}

#[test]
fn a_peer_that_is_gone_is_pinged_and_given_up() {
    for transport in [Transport::Stream, Transport::Datagram { mtu: 1200 }] {
        let (_, mut server) = pair(transport);
        let mut pings = 0;
        while let Some(deadline) = server.poll_timeout() {
            assert!(deadline <= NOW + Duration::from_secs(60), "it is given up");
            server.handle_timeout(deadline);
            pings += core::iter::from_fn(|| server.poll_transmit(deadline)).count();
        }
        assert!(pings >= 2, "{pings}");
        let last = core::iter::from_fn(|| server.poll_event()).last();
        let code = tenfour_wire::native::CloseCode::IdleTimeout;
        assert_eq!(last, Some(ServerEvent::Closed(Closed::Fault(code))));
    }
}
