//! Credit, answers that wait, and what goes before what.

use super::{
    super::*,
    support::{NOW, carry, message, names, pair, shared},
};
use alloc::{format, sync::Arc, vec::Vec};
use core::time::Duration;
use tenfour_delivery::number::{Epoch, Offset};
use tenfour_wire::native::{CloseCode, Target};

fn deliver(server: &mut ServerSession, number: u64) -> Result<(), SendError> {
    let (previous, offset) = (Offset::new(number - 1), Offset::new(number));
    server.deliver(NOW, Delivery { channel: 3, previous, offset, expires: None, message: &shared("m") })
}

#[test]
fn a_reader_that_is_not_done_holds_the_server_back_until_it_is() {
    let (mut client, mut server) = pair(Transport::Stream);
    let mut number = 4;
    while deliver(&mut server, number + 1).is_ok() {
        number += 1;
        carry(&mut client, &mut server);
    }
    assert_eq!((number - 4, server.has_capacity()), (256, false));
    assert_eq!(server.poll_event(), None, "there is no room yet");

    let events: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
    client.consumed(NOW, events[0].cost());
    client.handle_timeout(NOW + Duration::from_millis(25));
    carry(&mut client, &mut server);
    assert_eq!(server.poll_event(), Some(ServerEvent::Writable), "said once");
    assert_eq!(server.poll_event(), None);
    deliver(&mut server, number + 1).expect("there is room for one");
    assert_eq!(deliver(&mut server, number + 2), Err(SendError::Full));
}

#[test]
fn answers_go_before_anything_new_and_do_not_wait_for_the_application() {
    let (mut client, mut server) = pair(Transport::Stream);
    let request = client.request(NOW, message("?")).unwrap();
    carry(&mut client, &mut server);
    let mut number = 4;
    while deliver(&mut server, number + 1).is_ok() {
        number += 1;
    }
    let Some(ServerEvent::Request { request: asked, .. }) = server.poll_event() else { panic!() };
    server.reply(NOW, asked, Ok(message("!"))).unwrap();
    assert_eq!(deliver(&mut server, number + 1), Err(SendError::Full), "an answer waits");
    carry(&mut client, &mut server);
    let events: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
    assert_eq!(events.len(), 256, "all that there was credit for");
    client.consumed(NOW, events.iter().map(ClientEvent::cost).sum());
    carry(&mut client, &mut server);
    let answer = ClientEvent::Reply { request, result: Ok(message("!")) };
    assert_eq!(client.poll_event(), Some(answer), "the first when there is credit");
}

#[test]
fn a_small_message_does_not_overtake_a_large_answer() {
    let mut config = Config::default();
    config.window.bytes = 1_000;
    let mut server = ServerSession::new(Arc::new(config), Transport::Stream, NOW);
    let mut client = super::support::client(Transport::Stream);
    carry(&mut client, &mut server);
    server.welcome(NOW, &super::support::welcomed(Beginning::Fresh));
    carry(&mut client, &mut server);
    client.request(NOW, message("?")).unwrap();
    carry(&mut client, &mut server);
    let asked = core::iter::from_fn(|| server.poll_event()).find_map(|event| match event {
        ServerEvent::Request { request, .. } => Some(request),
        _ => None,
    });
    server.request(NOW, message(&"x".repeat(500))).unwrap();
    server.reply(NOW, asked.expect("it came"), Ok(message(&"x".repeat(600)))).unwrap();
    assert_eq!(server.request(NOW, message("small")), Err(SendError::Full), "there would be room for it");
    assert!(!server.has_capacity());
}

/// Both ask as much as they may, and only then answer.
#[test]
fn two_sides_that_ask_first_do_not_wait_for_each_other() {
    let (mut client, mut server) = pair(Transport::Stream);
    let asked = (
        core::iter::from_fn(|| client.request(NOW, message("?")).ok()).count(),
        core::iter::from_fn(|| server.request(NOW, message("?")).ok()).count(),
    );
    assert!(asked.0 >= 255 && asked.1 >= 255, "{asked:?}");
    let (mut client_answers, mut server_answers) = (0, 0);
    for _ in 0..20 {
        carry(&mut client, &mut server);
        while let Some(event) = client.poll_event() {
            client.consumed(NOW, event.cost());
            match event {
                ClientEvent::Request { request, .. } => client.reply(NOW, request, Ok(message("!"))).unwrap(),
                ClientEvent::Reply { .. } => client_answers += 1,
                _ => {}
            }
        }
        while let Some(event) = server.poll_event() {
            server.consumed(NOW, event.cost());
            match event {
                ServerEvent::Request { request, .. } => server.reply(NOW, request, Ok(message("!"))).unwrap(),
                ServerEvent::Reply { .. } => server_answers += 1,
                _ => {}
            }
        }
    }
    assert_eq!((client_answers, server_answers), asked);
}

#[test]
fn answers_beyond_what_may_wait_become_errors_and_their_giver_is_told() {
    let (mut client, mut server) = pair(Transport::Stream);
    let asked = (0..200).map(|_| client.request(NOW, message("?")).unwrap()).collect::<Vec<_>>();
    while let Some(Transmit::Bytes(bytes)) = client.poll_transmit(NOW) {
        server.handle_input(NOW, Input::Bytes(bytes));
    }
    let large = "x".repeat(100_000);
    let mut given = Vec::new();
    while let Some(event) = server.poll_event() {
        server.consumed(NOW, event.cost());
        let ServerEvent::Request { request, .. } = event else { panic!("{event:?}") };
        given.push(server.reply(NOW, request, Ok(message(&large))));
    }
    let limit = Config::default().waiting_bytes;
    let held = server.take_journal().unwrap().byte_len();
    assert!((limit..limit + (2 << 20)).contains(&held), "{held} bytes are held");
    let taken = given.iter().filter(|given| given.is_ok()).count();
    assert_eq!(taken, ((1 << 20) / 100_000) + limit / 100_001, "the window, and as many as may wait");
    assert!(given[taken..].iter().all(|given| *given == Err(SendError::TooMuchWaits { limit })));
    assert_eq!(given.len(), asked.len());
}

#[test]
fn whoever_asked_gets_an_error_for_an_answer_that_could_not_wait() {
    let (mut client, mut server) = pair(Transport::Stream);
    let asked = (0..200).map(|_| client.request(NOW, message("?")).unwrap()).collect::<Vec<_>>();
    let (mut given, mut got) = (Vec::new(), Vec::new());
    let large = "x".repeat(100_000);
    while got.len() < asked.len() {
        carry(&mut client, &mut server);
        while let Some(event) = server.poll_event() {
            server.consumed(NOW, event.cost());
            if let ServerEvent::Request { request, .. } = event {
                given.push(server.reply(NOW, request, Ok(message(&large))).is_ok());
            }
        }
        carry(&mut client, &mut server);
        while let Some(event) = client.poll_event() {
            client.consumed(NOW, event.cost());
            let ClientEvent::Reply { request, result } = event else { panic!("{event:?}") };
            assert_eq!(request, asked[got.len()], "in order");
            got.push(result.map_err(|why| assert!(why.contains("wait"), "{why}")).is_ok());
        }
    }
    assert!(given.contains(&false));
    assert_eq!(given, got, "as the giver was told, each once");
}

#[test]
fn a_text_that_says_why_there_is_no_answer_is_cut_to_what_the_peer_takes() {
    let (mut client, mut server) = pair(Transport::Stream);
    client.request(NOW, message("?")).unwrap();
    carry(&mut client, &mut server);
    let Some(ServerEvent::Request { request: asked, .. }) = server.poll_event() else { panic!() };
    server.reply(NOW, asked, Err("\u{e9}".repeat(1000).into())).unwrap();
    carry(&mut client, &mut server);
    let Some(ClientEvent::Reply { result: Err(why), .. }) = client.poll_event() else { panic!() };
    assert_eq!(&*why, "\u{e9}".repeat(512));
}

#[test]
fn an_acknowledgement_goes_with_whatever_goes_and_before_a_goodbye() {
    let (mut client, mut server) = pair(Transport::Stream);
    deliver(&mut server, 5).unwrap();
    while let Some(Transmit::Bytes(bytes)) = server.poll_transmit(NOW) {
        client.handle_input(NOW, Input::Bytes(bytes));
    }
    let mut leaving = client.clone();
    assert_eq!(
        names(core::iter::from_fn(|| client.poll_transmit(NOW))).len(),
        0,
        "not by itself, and not yet"
    );
    client.request(NOW, message("?")).unwrap();
    assert_eq!(names(core::iter::from_fn(|| client.poll_transmit(NOW))), ["REQUEST", "ACK", "CREDIT"]);
    leaving.request(NOW, message("?")).unwrap();
    leaving.close(NOW, CloseCode::Normal);
    let said = names(core::iter::from_fn(|| leaving.poll_transmit(NOW)));
    assert_eq!(said, ["REQUEST", "ACK", "CREDIT", "CLOSE(Normal)", "(hang up)"]);
}

#[test]
fn a_message_that_is_sent_at_most_once_is_dropped_where_it_would_have_to_wait() {
    let (mut client, mut server) = pair(Transport::Stream);
    assert!(server.emit(Target::Number(3), &shared("seen")));
    server.handle_input(NOW, Input::WriteBlocked);
    assert!(!server.emit(Target::Number(3), &shared("dropped")));
    assert_eq!(server.emits_dropped(), 2, "what waited when the transport stopped, too");
    server.handle_input(NOW, Input::WriteReady);
    assert!(server.emit(Target::Peer, &shared("seen")));
    carry(&mut client, &mut server);
    let emitted = ClientEvent::Emitted { channel: None, message: message("seen") };
    assert_eq!(client.poll_event(), Some(emitted));

    // And never on the next connection.
    assert!(server.emit(Target::Peer, &shared("lost")));
    let (kept, parked) = (client.take_journal(), server.take_journal().unwrap());
    let mut client = ClientSession::new(Default::default(), Transport::Stream, Hello::default(), kept, NOW);
    let mut server = ServerSession::new(Default::default(), Transport::Stream, NOW);
    carry(&mut client, &mut server);
    let generation = tenfour_delivery::number::Generation::new(1);
    server.resume(NOW, parked, super::support::token(), generation).unwrap();
    carry(&mut client, &mut server);
    let events: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
    assert!(matches!(events[..], [ClientEvent::Welcomed(_)]), "{events:?}");
}

#[test]
fn what_has_no_room_in_a_datagram_is_refused_to_its_sender() {
    let (mut client, mut server) = pair(Transport::Datagram { mtu: 300 });
    let long = "x".repeat(300);
    let refused = client.request(NOW, message(&long));
    assert!(matches!(refused, Err(SendError::TooLarge { limit: 300, .. })), "{refused:?}");
    let (previous, offset) = (Offset::new(4), Offset::new(5));
    let large = shared(&long);
    let delivery = Delivery { channel: 3, previous, offset, expires: None, message: &large };
    let refused = server.deliver(NOW, delivery);
    assert!(matches!(refused, Err(SendError::TooLarge { .. })), "{refused:?}");
    assert!(!server.emit(Target::Peer, &large));
    let long_name = client.subscribe(NOW, &"c".repeat(250), Start::Live);
    assert_eq!(long_name, Err(SubscribeError::Name { limit: 236 }));

    // An answer becomes an error that says so, so that whoever asked does not wait for ever.
    let request = client.request(NOW, message("?")).unwrap();
    carry(&mut client, &mut server);
    let Some(ServerEvent::Request { request: asked, .. }) = server.poll_event() else { panic!() };
    let refused = server.reply(NOW, asked, Ok(message(&long)));
    assert!(matches!(refused, Err(SendError::TooLarge { .. })), "{refused:?}");
    carry(&mut client, &mut server);
    let Some(ClientEvent::Reply { request: answered, result: Err(why) }) = client.poll_event() else {
        panic!()
    };
    assert_eq!(answered, request);
    assert!(why.contains("does not fit"), "{why}");
}

#[test]
fn bounds_of_a_client_are_kept_and_lifted_by_answers() {
    let mut config = Config::default();
    (config.unanswered, config.subscriptions) = (2, 1);
    let mut client = ClientSession::new(Arc::new(config), Transport::Stream, Hello::default(), None, NOW);
    let (_, mut server) = (0, super::support::server(Transport::Stream));
    client.subscribe(NOW, "a", Start::Live).unwrap();
    assert_eq!(client.subscribe(NOW, "b", Start::Live), Err(SubscribeError::TooMany));
    client.subscribe(NOW, "a", Start::Live).expect("it is there already");
    carry(&mut client, &mut server);
    server.welcome(NOW, &super::support::welcomed(Beginning::Fresh));
    carry(&mut client, &mut server);
    let publish = |client: &mut ClientSession, number: u64| {
        let message = message(&format!("{number}"));
        client.publish(NOW, Publication { channel: "a".into(), producer: None, ttl: None, message })
    };
    let first = publish(&mut client, 1).unwrap();
    publish(&mut client, 2).unwrap();
    assert_eq!(publish(&mut client, 3), Err(SendError::TooManyUnanswered));
    carry(&mut client, &mut server);
    let receipt = Receipt { epoch: Epoch::new(1), offset: Offset::new(1), duplicate: false };
    server.published(NOW, first, Ok(receipt));
    server.published(NOW, first, Ok(receipt));
    carry(&mut client, &mut server);
    let answers = core::iter::from_fn(|| client.poll_event())
        .filter(|event| matches!(event, ClientEvent::Published { .. }));
    assert_eq!(answers.count(), 1, "answered once, whatever the server says");
    publish(&mut client, 3).expect("one has been answered");
}
