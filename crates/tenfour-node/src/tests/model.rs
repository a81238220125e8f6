//! Connections in a namespace beside a model of them: who hears what and in which order, what is dropped or refused,
//! and what becomes of requests.

use super::*;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use proptest::{collection::vec as list, prelude::*, sample::select};
use tenfour_broker::{self as broker, Outcome, Why};

const CLIENTS: usize = 4;
const ROOMS: [&str; 3] = ["a", "b", "c"];
const QUEUE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
enum Op {
    Join(usize),
    Leave(usize),
    Kick(usize),
    Lose(usize),
    Enter(usize, &'static str),
    Exit(usize, &'static str),
    Emit(To, Urgency, usize),
    Request(To),
    Answer(usize, u64),
    Expire,
    Read(usize),
    Block(usize),
    Clear(usize),
}

/// Everyone, or the rooms; without those in the other rooms.
#[derive(Clone, Debug)]
struct To(Option<Vec<&'static str>>, Vec<&'static str>);

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = || 0..CLIENTS;
    let room = || select(&ROOMS[..]);
    let to = || {
        let rooms = prop_oneof![Just(None), list(room(), 0..3).prop_map(Some)];
        (rooms, list(room(), 0..2)).prop_map(|(rooms, except)| To(rooms, except))
    };
    let urgency = prop_oneof![3 => Just(Urgency::Queued), 1 => Just(Urgency::Volatile)];
    let op = prop_oneof![
        8 => client().prop_map(Op::Join),
        1 => client().prop_map(Op::Leave),
        1 => client().prop_map(Op::Kick),
        1 => client().prop_map(Op::Lose),
        6 => (client(), room()).prop_map(|(client, room)| Op::Enter(client, room)),
        2 => (client(), room()).prop_map(|(client, room)| Op::Exit(client, room)),
        12 => (to(), urgency, 0..60_usize).prop_map(|(to, urgency, size)| Op::Emit(to, urgency, size)),
        4 => to().prop_map(Op::Request),
        12 => (client(), 0..6_u64).prop_map(|(client, back)| Op::Answer(client, back)),
        1 => Just(Op::Expire),
        8 => client().prop_map(Op::Read),
        2 => client().prop_map(Op::Block),
        2 => client().prop_map(Op::Clear),
    ];
    list(op, 0..150)
}

#[derive(Clone)]
struct Link(Rc<RefCell<Connection>>);

impl Peer for Link {
    fn dialect(&self) -> Dialect {
        self.0.borrow().dialect()
    }

    fn deliver(&self, packet: &Encoded, urgency: Urgency) -> Delivery {
        self.0.borrow_mut().offer(packet, urgency)
    }
}

/// A client: its connection, and what the model knows of it.
struct Client {
    link: Link,
    member: Option<SocketId>,
    rooms: BTreeSet<&'static str>,
    waiting: VecDeque<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Writable,
    Blocked,
    Over,
}

impl Client {
    fn new(overflow: Overflow) -> Self {
        let session = engineio_config(|engine| engine.send_queue_bytes = QUEUE);
        let connection = connection_with(Config { session, overflow, ..Config::default() });
        Self {
            link: Link(Rc::new(RefCell::new(connection))),
            member: None,
            rooms: BTreeSet::new(),
            waiting: VecDeque::new(),
            state: State::Writable,
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.iter().map(|text| text.len() + size_of::<Frame>()).sum::<usize>() >= QUEUE
    }

    fn is_selected(&self, To(rooms, except): &To) -> bool {
        let within = |rooms: &[&str]| rooms.iter().any(|room| self.rooms.contains(room));
        self.member.is_some() && rooms.as_deref().is_none_or(within) && !within(except)
    }

    fn say(&self, text: &str) {
        say(&mut self.link.0.borrow_mut(), text);
    }
}

struct World {
    lobby: Namespace<Link>,
    clients: Vec<Client>,
    overflow: Overflow,
    now: Instant,
    ids: u8,
    requests: BTreeMap<u64, (BTreeSet<SocketId>, Outcome)>,
    asked: u64,
    counted: Reach,
}

impl World {
    fn new(overflow: Overflow) -> Self {
        Self {
            lobby: Namespace::new("/".into(), Limits::default(), 0),
            clients: (0..CLIENTS).map(|_| Client::new(overflow)).collect(),
            overflow,
            now: START,
            ids: 0,
            requests: BTreeMap::new(),
            asked: 0,
            counted: Reach::default(),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Emit(to, urgency, size) => self.emit(&to, urgency, size),
            Op::Request(to) => self.request(&to),
            Op::Expire => {
                self.now = self.now + PATIENCE;
                self.lobby.handle_timeout(self.now);
                for (waiting, outcome) in self.requests.values_mut() {
                    let late = core::mem::take(waiting);
                    outcome.missing.extend(late.into_iter().map(|id| (id, Why::TimedOut)));
                }
            }
            Op::Join(client)
            | Op::Leave(client)
            | Op::Kick(client)
            | Op::Lose(client)
            | Op::Enter(client, _)
            | Op::Exit(client, _)
            | Op::Answer(client, _)
            | Op::Read(client)
            | Op::Block(client)
            | Op::Clear(client) => self.apply_to(client, op),
        }
        (0..CLIENTS).for_each(|client| self.drain(client));
        for client in &self.clients {
            assert_eq!(client.link.0.borrow().is_finished(), client.state == State::Over);
        }
        self.check_requests();
        let counters = self.lobby.counters();
        let reach = self.counted;
        assert_eq!(
            (counters.deliveries, counters.volatile_dropped),
            (reach.queued as u64, reach.dropped as u64)
        );
        assert_eq!(counters.refused, reach.refused as u64);
    }

    fn apply_to(&mut self, place: usize, op: Op) {
        let client = &mut self.clients[place];
        let connection = client.link.0.clone();
        match (op, client.member, client.state) {
            (Op::Join(_), None, State::Writable | State::Blocked) => client.say("40"),
            (Op::Leave(_), Some(_), _) => client.say("41"),
            (Op::Kick(_), Some(id), _) => {
                assert!(connection.borrow_mut().disconnect(self.now, "/"));
                client.waiting.push_back("41".into());
                self.remove(place, id);
            }
            (Op::Lose(_), _, _) => {
                connection.borrow_mut().handle_input(self.now, Input::SocketClosed { socket: SOCKET });
            }
            (Op::Enter(_, room), Some(id), _) => {
                assert_eq!(self.lobby.join(id, room), Ok(client.rooms.insert(room)));
            }
            (Op::Exit(_, room), Some(id), _) => {
                assert_eq!(self.lobby.leave(id, room), client.rooms.remove(room));
            }
            (Op::Answer(_, back), Some(id), _) => {
                let number = self.asked.saturating_sub(back + 1);
                client.say(&format!("43{number}[]"));
                if let Some((waiting, outcome)) = self.requests.get_mut(&number)
                    && waiting.remove(&id)
                {
                    outcome.answers.push((id, body("", &[])));
                }
            }
            (Op::Read(_), _, _) => {
                assert_eq!(heard(&mut connection.borrow_mut()), client.waiting.drain(..).collect::<Vec<_>>());
            }
            (Op::Block(_), _, State::Writable) => {
                client.state = State::Blocked;
                connection.borrow_mut().handle_input(self.now, Input::WriteBlocked { socket: SOCKET });
            }
            (Op::Clear(_), _, State::Blocked) => {
                client.state = State::Writable;
                connection.borrow_mut().handle_input(self.now, Input::WriteReady { socket: SOCKET });
            }
            _ => {}
        }
    }

    /// What a driver does about a connection's events.
    fn drain(&mut self, place: usize) {
        let connection = self.clients[place].link.0.clone();
        let events = events(&mut connection.borrow_mut());
        for event in events {
            let client = &mut self.clients[place];
            match event {
                Event::Connect { .. } => {
                    self.ids += 1;
                    let id = id(self.ids);
                    self.lobby.insert(id, client.link.clone()).unwrap();
                    assert!(connection.borrow_mut().accept("/", id.as_str()));
                    client.member = Some(id);
                    client.waiting.push_back(format!(r#"40{{"sid":"{id}"}}"#));
                }
                Event::Leave { .. } => {
                    let id = client.member.unwrap();
                    self.remove(place, id);
                }
                Event::Answer { request, answer, .. } => {
                    _ = self.lobby.answer(client.member.unwrap(), request, answer);
                }
                Event::Closed(_) => {
                    client.state = State::Over;
                    client.waiting.clear();
                    if let Some(id) = client.member {
                        self.remove(place, id);
                    }
                }
                Event::Message { .. } => panic!("nobody says anything"),
            }
        }
    }

    fn remove(&mut self, place: usize, id: SocketId) {
        assert!(self.lobby.remove(id).is_some());
        let client = &mut self.clients[place];
        client.member = None;
        client.rooms.clear();
        for (waiting, outcome) in self.requests.values_mut() {
            if waiting.remove(&id) {
                outcome.missing.push((id, Why::Disconnected));
            }
        }
    }

    /// What the model expects of a text for one client, or `None` where it is not concerned.
    fn expect(&mut self, place: usize, to: &To, text: &str, urgency: Urgency) -> Option<Delivery> {
        let client = &mut self.clients[place];
        if !client.is_selected(to) {
            return None;
        }
        Some(match (urgency, client.is_full(), client.state) {
            (Urgency::Volatile, true, _) | (Urgency::Volatile, _, State::Blocked) => Delivery::Dropped,
            (Urgency::Queued, true, _) => {
                if self.overflow == Overflow::Disconnect {
                    client.state = State::Over;
                }
                Delivery::Refused
            }
            _ => {
                client.waiting.push_back(text.into());
                Delivery::Queued
            }
        })
    }

    fn emit(&mut self, to: &To, urgency: Urgency, size: usize) {
        let text = format!(r#"42["news","{}"]"#, "x".repeat(size));
        let mut expected = Reach::default();
        for place in 0..CLIENTS {
            match self.expect(place, to, &text, urgency) {
                Some(Delivery::Queued) => expected.queued += 1,
                Some(Delivery::Dropped) => expected.dropped += 1,
                Some(Delivery::Refused) => expected.refused += 1,
                None => {}
            }
        }
        let message = Message::new("news", Body::Text("x".repeat(size).into()));
        assert_eq!(self.lobby.emit(&target(to), &message, urgency), expected);
        self.counted.queued += expected.queued;
        self.counted.dropped += expected.dropped;
        self.counted.refused += expected.refused;
    }

    fn request(&mut self, to: &To) {
        let text = format!(r#"42{}["ask"]"#, self.asked);
        let (mut waiting, mut outcome) = (BTreeSet::new(), Outcome::default());
        for place in 0..CLIENTS {
            let id = self.clients[place].member;
            match self.expect(place, to, &text, Urgency::Queued) {
                Some(Delivery::Queued) => {
                    waiting.insert(id.unwrap());
                    self.counted.queued += 1;
                }
                Some(_) => {
                    outcome.missing.push((id.unwrap(), Why::Refused));
                    self.counted.refused += 1;
                }
                None => {}
            }
        }
        let request =
            self.lobby.request(&target(to), &Message::new("ask", body("", &[])), self.now + PATIENCE);
        assert_eq!(request, Ok(RequestId::new(self.asked)));
        self.requests.insert(self.asked, (waiting, outcome));
        self.asked += 1;
    }

    /// The requests that the model holds for done are those that the namespace tells of, once.
    fn check_requests(&mut self) {
        let mut done = BTreeMap::new();
        while let Some(event) = self.lobby.poll_event() {
            let broker::Event::RequestDone { request, mut outcome } = event else { panic!("{event:?}") };
            outcome.missing.sort_by_key(|(id, _)| *id);
            assert_eq!(done.insert(request.get(), outcome), None);
        }
        let expected = self.requests.extract_if(.., |_, (waiting, _)| waiting.is_empty());
        let expected = expected.map(|(number, (_, mut outcome))| {
            outcome.missing.sort_by_key(|(id, _)| *id);
            (number, outcome)
        });
        assert_eq!(done, expected.collect::<BTreeMap<_, _>>());
    }
}

fn target(To(rooms, except): &To) -> Target {
    let target = rooms.as_ref().map_or(Target::all(), |rooms| Target::rooms(rooms.iter().copied()));
    except.iter().fold(target, |target, room| target.except(*room))
}

proptest! {
    #[test]
    fn everyone_hears_what_the_model_says(
        ops in ops(),
        overflow in select(&[Overflow::Disconnect, Overflow::Refuse][..]),
    ) {
        let mut world = World::new(overflow);
        for op in ops {
            world.apply(op);
        }
        for client in 0..CLIENTS {
            world.apply(Op::Read(client));
        }
    }
}
