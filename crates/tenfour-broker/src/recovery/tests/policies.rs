//! What a client gets of its time away, by how it is in a room.

use alloc::{vec, vec::Vec};

use bytestring::ByteString;
use tenfour_delivery::loss::{Lost, Reason};

use super::super::*;
use crate::{
    Body, Message,
    channel::{Entry, Envelope, Taken},
};

/// One client, which says what it got.
struct World {
    recovery: Recovery,
    members: Namespace<()>,
    log: tenfour_log::Memory,
    now: Now,
    got: Vec<ByteString>,
    lost: Vec<Lost>,
}

impl World {
    fn new(rooms: &[(&str, Away)], config: Config) -> Self {
        use tenfour_log::{Memory, Retention};

        let epoch = Epoch::new(1);
        let log = Memory::new(epoch, Retention::default());
        let members = Namespace::new("/".into(), crate::Limits::default(), 0);
        let recovery = Recovery::new(config, epoch);
        let mut world = Self { recovery, members, log, now: Now::default(), got: vec![], lost: vec![] };
        world.connect(1, None);
        for (room, away) in rooms {
            let room = ByteString::from(*room);
            world.recovery.join(world.now, id(), &room, *away, &mut world.members).expect("it may");
        }
        world.recovery.ready(world.now, id());
        world.settle();
        world
    }

    fn connect(&mut self, visit: u64, at: Option<Position>) {
        let fresh = (SocketId::from_bytes([visit as u8; 15]), Pid::from_bytes([visit as u8; 15]));
        let claim = (visit > 1).then_some(Claim { pid: Pid::from_bytes([1; 15]), at });
        let arrival = Arrival { claim, ..Arrival::new(fresh) };
        self.recovery.connect(self.now, Visit(visit), arrival, &mut self.members).expect("there is room");
        self.settle();
    }

    fn publish(&mut self, rooms: &[&'static str], text: &'static str, key: Option<&'static str>) {
        use tenfour_log::Log as _;

        let message = Message { name: None, body: Body::Text(text.into()) };
        let envelope = Envelope { conflate: key.map(ByteString::from), ..Envelope::of(message) };
        let channels = rooms.iter().map(|room| ByteString::from(*room)).collect();
        let payload = envelope.to_stored();
        let record = Record { channels, producer: None, ingested: self.now.wall, expires: None, payload };
        self.log.append(Ticket(0), vec![record]);
        let entry: Entry =
            self.log.poll().and_then(|done| done.result.ok()).expect("memory commits").remove(0);
        let Self { recovery, members, got, lost, .. } = self;
        recovery.fan_out(&entry, Some(&envelope), members, &mut outbox(got, lost));
    }

    fn settle(&mut self) {
        use tenfour_log::Log as _;

        let Self { recovery, members, log, now, got, lost } = self;
        loop {
            while let Some(event) = recovery.poll_event() {
                if let Event::Admitted { visit, .. } = event {
                    recovery.admitted(*now, visit, (), members, &mut outbox(got, lost));
                }
            }
            match recovery.poll_effect() {
                None => return,
                Some(Effect::Append { ticket, records }) => log.append(ticket, records),
                Some(Effect::Read { ticket, query }) => {
                    recovery.page(*now, ticket, log.read(&query), members, &mut outbox(got, lost));
                }
                Some(Effect::Release { channel, through }) => log.release(&channel, through),
            }
            while let Some(done) = log.poll() {
                recovery.committed(*now, done.ticket, done.result, members);
            }
        }
    }

    /// The client is away for a while, and then back.
    fn away(&mut self, meanwhile: impl FnOnce(&mut Self)) -> Vec<ByteString> {
        let at = self.recovery.head();
        self.recovery.depart(self.now, Visit(1), Departure::Lost, &mut self.members);
        meanwhile(self);
        self.got.clear();
        self.connect(2, Some(at));
        core::mem::take(&mut self.got)
    }
}

fn id() -> SocketId {
    SocketId::from_bytes([1; 15])
}

fn outbox(got: &mut Vec<ByteString>, lost: &mut Vec<Lost>) -> impl FnMut(SocketId, &(), Item<'_>) -> Taken {
    |_, (), item| {
        match item {
            Item::Committed { message, .. } | Item::Replayed { message, .. } => {
                let Body::Text(text) = &message.body else { panic!("it is a text") };
                got.push(text.clone());
            }
            Item::Lost { lost: told, .. } => lost.push(told),
        }
        Taken::Yes
    }
}

const EACH: [(&str, Away); 4] = [
    ("everything", Away::Everything),
    ("latest", Away::Latest),
    ("keys", Away::LatestPerKey),
    ("nothing", Away::Nothing),
];

#[test]
fn each_room_has_its_policy_and_all_are_in_one_order() {
    let mut world = World::new(&EACH, Config::default());
    let got = world.away(|world| {
        world.publish(&["latest"], "l1", None);
        world.publish(&["keys"], "x1", Some("x"));
        world.publish(&["everything"], "e1", None);
        world.publish(&["keys"], "y1", Some("y"));
        world.publish(&["nothing"], "n1", None);
        world.publish(&["latest"], "l2", None);
        world.publish(&["keys"], "x2", Some("x"));
        world.publish(&["everything"], "e2", None);
        world.publish(&["keys"], "-1", None);
        world.publish(&["keys"], "-2", None);
    });
    assert_eq!(got, ["e1", "y1", "l2", "x2", "e2", "-2"]);
    assert_eq!(world.lost, [], "nothing of that was owed");
    // Who is there gets everything.
    for (room, _) in EACH {
        world.publish(&[room], "now", None);
    }
    world.settle();
    assert_eq!(world.got.len(), 4);
}

#[test]
fn a_message_of_two_rooms_comes_if_one_of_them_owes_it() {
    let mut world = World::new(&EACH, Config::default());
    let got = world.away(|world| {
        world.publish(&["nothing", "everything"], "both", None);
        world.publish(&["latest", "nothing"], "old", None);
        world.publish(&["latest", "keys"], "new", None);
    });
    assert_eq!(got, ["both", "new"]);
}

#[test]
fn the_policy_counts_from_the_join_to_the_return() {
    let mut world = World::new(&[("latest", Away::Latest)], Config::default());
    world.publish(&["latest"], "had", None);
    let got = world.away(|_| {});
    assert!(got.is_empty(), "it has the latest");
    world.publish(&["latest"], "a", None);
    world.publish(&["latest"], "b", None);
    assert_eq!(world.got, ["a", "b"]);
}

#[test]
fn too_many_keys_are_told() {
    let config = Config { latest_keys: 2, ..Config::default() };
    let mut world = World::new(&[("keys", Away::LatestPerKey)], config);
    let got = world.away(|world| {
        for (text, key) in [("x1", "x"), ("y1", "y"), ("z1", "z"), ("y2", "y")] {
            world.publish(&["keys"], text, Some(key));
        }
    });
    assert_eq!(got, ["z1", "y2"]);
    assert_eq!(world.lost.iter().map(|lost| lost.reason).collect::<Vec<_>>(), [Reason::Conflated]);
}
