use super::*;
use tenfour_broker::{self as broker, RequestError, Why};

/// A peer that keeps what it gets, and says of it what it is told to.
#[derive(Clone)]
struct Recorder {
    dialect: Dialect,
    says: Delivery,
    got: Rc<RefCell<Vec<(Encoded, Urgency)>>>,
}

impl Recorder {
    fn new(dialect: Dialect, says: Delivery) -> Self {
        Self { dialect, says, got: Rc::default() }
    }

    fn texts(&self) -> Vec<String> {
        self.got.borrow().iter().flat_map(|(packet, _)| frames(packet)).collect()
    }
}

impl Peer for Recorder {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn deliver(&self, packet: &Encoded, urgency: Urgency) -> Delivery {
        self.got.borrow_mut().push((packet.clone(), urgency));
        self.says
    }
}

/// A namespace of these peers, numbered from 0.
fn lobby(peers: &[Recorder]) -> Namespace<Recorder> {
    let mut lobby = Namespace::new("/lobby".into(), Limits::default(), 0);
    for (number, peer) in peers.iter().enumerate() {
        lobby.insert(id(number as u8), peer.clone()).unwrap();
    }
    lobby
}

fn news() -> Message {
    Message::new("news", body("1", &[]))
}

#[test]
fn a_message_is_written_once_for_each_dialect_and_shared() {
    let peers: Vec<_> = [JSON, MSGPACK, Dialect::EngineIo]
        .into_iter()
        .cycle()
        .take(30)
        .map(|dialect| Recorder::new(dialect, Delivery::Queued))
        .collect();
    let mut lobby = lobby(&peers);
    assert_eq!(lobby.emit(&Target::all(), &news(), Urgency::Queued).queued, 30);
    for dialect in 0..3 {
        let addresses = peers.iter().skip(dialect).step_by(3).map(|peer| {
            let got = peer.got.borrow();
            assert_eq!(got.len(), 1);
            let (Frame::Text(bytes) | Frame::Binary(bytes)) = &got[0].0.frames()[0] else { panic!() };
            bytes.as_ptr()
        });
        let addresses: Vec<_> = addresses.collect();
        assert!(addresses.windows(2).all(|pair| pair[0] == pair[1]), "the bytes are shared");
    }
    assert_eq!(peers[0].texts(), [r#"42/lobby,["news",1]"#]);
    assert_eq!(peers[2].texts(), [r#"4["news",1]"#]);
}

#[test]
fn where_clients_are_recovered_nothing_uncommitted_looks_like_a_cursor() {
    let peer = Recorder::new(JSON, Delivery::Queued);
    let mut lobby = Namespace::new("/lobby".into(), Limits::default(), 0).recoverable();
    lobby.insert(id(0), peer.clone()).unwrap();
    lobby.emit(&Target::all(), &Message::new("news", body(r#""x""#, &[])), Urgency::Queued);
    lobby.emit(&Target::all(), &news(), Urgency::Volatile);
    lobby.request(&Target::all(), &Message::new("ask", body(r#""x""#, &[])), START + SECOND).unwrap();
    let expected = [r#"42/lobby,["news","x",null]"#, r#"42/lobby,["news",1]"#, r#"42/lobby,0["ask","x"]"#];
    assert_eq!(peer.texts(), expected);
}

#[test]
fn only_whom_the_target_selects() {
    let peers: Vec<_> = (0..3).map(|_| Recorder::new(JSON, Delivery::Queued)).collect();
    let mut lobby = lobby(&peers);
    lobby.join(id(0), "garden").unwrap();
    lobby.join(id(1), "garden").unwrap();
    let reach = lobby.emit(&Target::room("garden").except_socket(id(0)), &news(), Urgency::Queued);
    assert_eq!(reach, Reach { queued: 1, dropped: 0, refused: 0 });
    assert_eq!(peers.iter().map(|peer| peer.got.borrow().len()).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(lobby.emit(&Target::room("nobody"), &news(), Urgency::Queued), Reach::default());
}

#[test]
fn what_became_of_it_is_counted() {
    let says = [Delivery::Queued, Delivery::Dropped, Delivery::Refused, Delivery::Queued];
    let peers = says.map(|says| Recorder::new(JSON, says));
    let mut lobby = lobby(&peers);
    let reach = lobby.emit(&Target::all(), &news(), Urgency::Volatile);
    assert_eq!(reach, Reach { queued: 2, dropped: 1, refused: 1 });
    assert!(peers.iter().all(|peer| peer.got.borrow()[0].1 == Urgency::Volatile));
    let counters = lobby.counters();
    assert_eq!((counters.broadcasts, counters.deliveries), (1, 2));
    assert_eq!((counters.volatile_dropped, counters.refused), (1, 1));
}

#[test]
fn a_request_carries_its_number_and_ends_with_its_last_answer() {
    let peers: Vec<_> = (0..2).map(|_| Recorder::new(JSON, Delivery::Queued)).collect();
    let mut lobby = lobby(&peers);
    for number in 0..3 {
        let request = lobby.request(&Target::all(), &news(), START + SECOND).unwrap();
        assert_eq!(request.get(), number);
        for peer in &peers {
            let expected = format!(r#"42/lobby,{number}["news",1]"#);
            assert_eq!(peer.texts().last(), Some(&expected));
        }
        assert!(lobby.answer(id(0), request, body("0", &[])));
        assert_eq!(lobby.poll_event(), None);
        assert!(lobby.answer(id(1), request, body("1", &[])));
        let Some(broker::Event::RequestDone { request: done, outcome }) = lobby.poll_event() else {
            panic!()
        };
        assert_eq!(done, request);
        assert_eq!(outcome.answers, [(id(0), body("0", &[])), (id(1), body("1", &[]))]);
        assert_eq!(outcome.missing, []);
    }
}

#[test]
fn who_could_not_be_asked_is_missing() {
    let says = [Delivery::Queued, Delivery::Refused, Delivery::Refused];
    let mut lobby = lobby(&says.map(|says| Recorder::new(JSON, says)));
    let request = lobby.request(&Target::all(), &news(), START + SECOND).unwrap();
    assert!(!lobby.answer(id(1), request, body("1", &[])), "it was not asked");
    assert!(lobby.answer(id(0), request, body("0", &[])));
    let Some(broker::Event::RequestDone { outcome, .. }) = lobby.poll_event() else { panic!() };
    assert_eq!(outcome.answers, [(id(0), body("0", &[]))]);
    assert_eq!(outcome.missing, [(id(1), Why::Refused), (id(2), Why::Refused)]);
    let counters = lobby.counters();
    assert_eq!((counters.broadcasts, counters.deliveries, counters.refused), (1, 1, 2));
}

#[test]
fn a_request_that_reaches_nobody_is_done_at_once() {
    for peers in [vec![], vec![Recorder::new(JSON, Delivery::Refused)]] {
        let mut lobby = lobby(&peers);
        let request = lobby.request(&Target::all(), &news(), START + SECOND).unwrap();
        let Some(broker::Event::RequestDone { request: done, outcome }) = lobby.poll_event() else {
            panic!()
        };
        assert_eq!((done, outcome.missing.len()), (request, peers.len()));
        assert_eq!(lobby.poll_timeout(), None);
    }
}

#[test]
fn one_alone_is_asked() {
    let peers: Vec<_> = (0..2).map(|_| Recorder::new(JSON, Delivery::Queued)).collect();
    let mut lobby = lobby(&peers);
    lobby.join(id(1), id(0).as_str()).unwrap();
    let request = lobby.request_from(id(0), &news(), START + SECOND).unwrap();
    assert_eq!(peers[0].texts(), [r#"42/lobby,0["news",1]"#]);
    assert_eq!(peers[1].texts(), [""; 0], "though it is in the room of that name");
    lobby.handle_timeout(START + SECOND);
    let Some(broker::Event::RequestDone { request: done, outcome }) = lobby.poll_event() else { panic!() };
    assert_eq!((done, outcome.missing), (request, vec![(id(0), Why::TimedOut)]));
    let unknown = lobby.request_from(id(9), &news(), START + SECOND);
    assert_eq!(unknown, Err(RequestError::Unknown { id: id(9) }));
}
