//! A hub on a log in memory, with connections that write down what they get.

extern crate std;

use std::{
    string::String,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{Delivery, Dialect, Urgency, native::PeerId};
use alloc::vec;
use bytestring::ByteString;
use tenfour_broker::{
    Body, Message,
    channel::{Destination, Envelope, MessageKey},
    idempotency::{Begin, Key, Waiter},
    recovery::{Away, Change, Claim, How, Pid},
};
use tenfour_delivery::{dedup::Fingerprint, resume::Position, time::WallTime};
use tenfour_log::{Log as _, Memory, Retention};
use tenfour_session::{
    Frame,
    native::ServerSession,
    socketio::{Encoded, Encoding},
};

struct Port(Memory);

impl LogPort for Port {
    fn epoch(&self) -> Epoch {
        self.0.epoch()
    }

    fn head(&self) -> Offset {
        self.0.head()
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.0.append(ticket, records);
    }

    fn poll(&mut self) -> Option<(Ticket, Result<Vec<Entry>, AppendError>)> {
        self.0.poll().map(|done| (done.ticket, done.result))
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        self.0.read(query)
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.0.release(channel, through);
    }
}

/// A connection: what was written to it, and how much more it takes.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<(Vec<String>, Option<usize>)>>);

impl Peer for Wire {
    fn dialect(&self) -> Dialect {
        Dialect::SocketIo(Encoding::Json)
    }

    fn deliver(&self, packet: &Encoded, _: Urgency) -> Delivery {
        let (written, room) = &mut *self.0.lock().expect("it is not poisoned");
        if let Some(left) = room {
            let Some(less) = left.checked_sub(1) else { return Delivery::Refused };
            *left = less;
        }
        let [Frame::Text(text)] = packet.frames() else { panic!("it is one text") };
        written.push(String::from_utf8_lossy(text).into_owned());
        Delivery::Queued
    }
}

impl Wire {
    fn take(&self) -> Vec<String> {
        core::mem::take(&mut self.0.lock().expect("it is not poisoned").0)
    }

    fn set_room(&self, room: usize) {
        self.0.lock().expect("it is not poisoned").1 = Some(room);
    }
}

struct Nobody;

impl Peers for Nobody {
    fn with<R>(&mut self, _: PeerId, _: impl FnOnce(&mut ServerSession) -> R) -> Option<R> {
        None
    }
}

struct World {
    hub: Hub,
    members: Namespace<Wire>,
    log: Port,
    now: Now,
    events: Vec<Event>,
    visits: u64,
}

fn config(recovers: bool) -> Config {
    Config {
        recovery: recovers.then(recovery::Config::default),
        idempotency: Some(idempotency::Config::default()),
        ..Config::default()
    }
}

fn members() -> Namespace<Wire> {
    Namespace::new("/".into(), tenfour_broker::Limits::default(), 0).recoverable()
}

impl World {
    fn new(recovers: bool) -> Self {
        Self::on(Memory::new(Epoch::new(3), Retention::default()), recovers).expect("the log is empty")
    }

    fn on(log: Memory, recovers: bool) -> Result<Self, OpenError> {
        let (log, mut members) = (Port(log), members());
        let now = Now { wall: WallTime::from_unix_millis(1_000_000), ..Now::default() };
        let hub = Hub::open(&config(recovers), "/".into(), 7, now, &log, &mut members)?;
        Ok(Self { hub, members, log, now, events: Vec::new(), visits: 0 })
    }

    /// The process ends, and another one takes over the log.
    fn restart(self) -> Self {
        Self { visits: self.visits, ..Self::on(self.log.0, true).expect("it was written by this version") }
    }

    fn settle(&mut self) {
        self.hub.settle(self.now, &mut self.log, &mut Nobody, &mut self.members);
        self.events.extend(core::iter::from_fn(|| self.hub.poll_event()));
    }

    fn connect(&mut self, claim: Option<Claim>) -> (SocketId, Pid, How, Wire) {
        self.visits += 1;
        let (visit, random) = (Visit(self.visits), [self.visits as u8; 15]);
        let mut arrival = Arrival::new((SocketId::from_bytes(random), Pid::from_bytes(random)));
        arrival.claim = claim;
        self.hub.connect(self.now, visit, arrival, &mut self.members).expect("there is room");
        self.settle();
        let admitted = self.events.iter().rev().find_map(|event| match event {
            Event::Recovery(recovery::Event::Admitted { id, pid, how, .. }) => Some((*id, *pid, *how)),
            _ => None,
        });
        let ((id, pid, how), wire) = (admitted.expect("the log has answered"), Wire::default());
        assert!(self.hub.admitted(self.now, visit, wire.clone(), &mut self.members));
        self.settle();
        (id, pid, how, wire)
    }

    fn join(&mut self, id: SocketId, room: &str) {
        let recovery = self.hub.recovery.as_mut().expect("sessions outlive connections here");
        recovery.join(self.now, id, &room.into(), Away::Everything, &mut self.members).expect("it may");
        recovery.ready(self.now, id);
        self.settle();
    }

    fn publish(&mut self, to: Destination, name: &'static str) {
        self.publish_as(Publication::new(to, Message::new(name, Body::json("1"))));
    }

    fn publish_as(&mut self, publication: Publication) {
        self.hub.publish(self.now, publication, &mut Nobody).expect("it may be published");
        self.settle();
    }

    fn receipts(&mut self) -> Vec<(u64, bool)> {
        let events = core::mem::take(&mut self.events).into_iter();
        let receipts = events.filter_map(|event| match event {
            Event::Native(native::Event::Published { result, .. }) => result.ok(),
            _ => None,
        });
        receipts.map(|receipt| (receipt.offset.get(), receipt.duplicate)).collect()
    }
}

fn names(packets: &[String]) -> Vec<&str> {
    packets.iter().filter_map(|packet| packet.split('"').nth(1)).collect()
}

#[test]
fn a_commit_goes_to_those_it_is_for_and_ends_in_its_cursor() {
    let mut world = World::new(true);
    let (one, _, _, wire) = world.connect(None);
    let (two, _, _, other) = world.connect(None);
    world.join(one, "lobby");
    world.join(two, "lobby");
    world.publish(Destination::everyone(), "all");
    world.publish(Destination::to("lobby").except(one.as_str()), "others");
    world.publish(Destination::to(one.as_str()), "own");
    let head = world.hub.recovery().expect("there is one").head();
    let cursor = crate::cursor::encode(head.epoch, head.offset);
    let written = wire.take();
    assert_eq!(names(&written), ["all", "own"]);
    assert_eq!(written[1], std::format!(r#"42["own",1,"{cursor}"]"#));
    assert_eq!(names(&other.take()), ["all", "others"]);
}

#[test]
fn without_sessions_a_commit_goes_to_who_is_there() {
    let mut world = World::new(false);
    let (id, wire) = (SocketId::from_bytes([1; 15]), Wire::default());
    world.members.insert(id, wire.clone()).expect("it is free");
    world.publish(Destination::everyone(), "all");
    world.publish(Destination::everyone().except(id.as_str()), "others");
    assert_eq!(names(&wire.take()), ["all"]);
    let arrival = Arrival::new((id, Pid::from_bytes([1; 15])));
    let refused = world.hub.connect(world.now, Visit(1), arrival, &mut world.members);
    assert_eq!(refused, Err(ConnectError::Full { limit: 0 }));
}

/// Whoever waits for the receipt finds the message delivered.
#[test]
fn it_is_delivered_before_its_publisher_is_told() {
    let mut world = World::new(true);
    let (_, _, _, wire) = world.connect(None);
    let message = Publication::new(Destination::everyone(), Message::new("m", Body::json("")));
    world.hub.publish(world.now, message, &mut Nobody).expect("it may be published");
    let Some(Effect::Append { ticket, records }) = world.hub.poll_effect() else { panic!("it is appended") };
    world.log.append(ticket, records);
    let (ticket, result) = world.log.poll().expect("memory answers at once");
    world.hub.committed(world.now, ticket, result, &mut Nobody, &mut world.members);
    assert_eq!(names(&wire.take()), ["m"]);
    let is_told = |event| matches!(event, Event::Native(native::Event::Published { result: Ok(_), .. }));
    assert!(core::iter::from_fn(|| world.hub.poll_event()).any(is_told));
}

#[test]
fn a_connection_that_is_full_is_read_for_when_it_has_room() {
    let mut world = World::new(true);
    let (id, _, _, wire) = world.connect(None);
    wire.set_room(1);
    for name in ["a", "b", "c", "d"] {
        world.publish(Destination::everyone(), name);
    }
    assert_eq!((names(&wire.take()), world.hub.recovery().map(Recovery::behind)), (vec!["a"], Some(1)));
    for name in ["b", "c", "d"] {
        wire.set_room(1);
        world.hub.resume_reading(world.now, id, &mut world.members);
        world.settle();
        assert_eq!(names(&wire.take()), [name]);
    }
    wire.set_room(1);
    world.publish(Destination::everyone(), "e");
    assert_eq!((names(&wire.take()), world.hub.recovery().map(Recovery::behind)), (vec!["e"], Some(0)));
}

#[test]
fn a_restart_loses_nothing_that_is_noted() {
    let mut world = World::new(true);
    let (id, pid, _, wire) = world.connect(None);
    world.join(id, "lobby");
    let key = MessageKey::new("order-7").expect("a key");
    let keyed = Publication {
        key: Some(key),
        ..Publication::new(Destination::to("lobby"), Message::new("order", Body::json("7")))
    };
    world.publish_as(keyed.clone());
    let at = Some(world.hub.recovery().expect("there is one").head());
    let receipt = world.receipts();
    let (event, asked) = (Key::new("asked").expect("a key"), Fingerprint::new(5));
    let idempotency = world.hub.idempotency_mut().expect("there is one");
    assert_eq!(idempotency.begin(world.now, &event, asked, Waiter(1)), Begin::Run);
    idempotency.finish(world.now, &event, Some(Body::json("\"done\"")));
    world.settle();
    drop(wire);

    let mut world = world.restart();
    assert_eq!((world.members.away(), world.members.len()), (1, 0));
    world.publish_as(keyed);
    assert_eq!(world.receipts(), [(receipt[0].0, true)], "the original's, once");
    let idempotency = world.hub.idempotency_mut().expect("there is one");
    let again = idempotency.begin(world.now, &event, asked, Waiter(2));
    assert_eq!(again, Begin::Answered(Some(Body::json("\"done\""))));
    world.publish(Destination::to("lobby"), "meanwhile");
    let (same, _, how, wire) = world.connect(Some(Claim { pid, at }));
    assert_eq!((same, how), (id, How::Recovered));
    assert_eq!(names(&wire.take()), ["meanwhile"]);
}

#[test]
fn what_was_lost_is_told_first() {
    let mut world = World::new(true);
    let (id, _, _, _) = world.connect(None);
    world.join(id, "lobby");
    world.publish(Destination::everyone(), "m");
    let at = Some(Position { epoch: Epoch::new(3), offset: Offset::START });
    let (_, pid, how, wire) = world.connect(Some(Claim { pid: Pid::from_bytes([99; 15]), at }));
    assert!(matches!(how, How::Lost(_)) && pid == Pid::from_bytes([2; 15]));
    world.publish(Destination::everyone(), "then");
    assert_eq!(names(&wire.take()), [&*crate::LOST, "then"]);
}

/// Whoever waits for a change is told at once, also where nothing is appended for it.
#[test]
fn a_change_after_the_log_has_failed_is_answered_without_another_call() {
    let mut world = World::new(true);
    let (id, _, _, _) = world.connect(None);
    world.join(id, "lobby");
    let join = |world: &mut World, room: &str| {
        let recovery = world.hub.recovery.as_mut().expect("sessions outlive connections here");
        recovery.join(world.now, id, &room.into(), Away::Everything, &mut world.members).expect("it may")
    };
    let refused = join(&mut world, "first");
    let Some(Effect::Append { ticket, .. }) = world.hub.poll_effect() else { panic!("it is appended") };
    let failed = AppendError::Failed { reason: "no disk".into() };
    world.hub.committed(world.now, ticket, Err(failed), &mut Nobody, &mut world.members);
    world.settle();
    let after = join(&mut world, "second");
    world.settle();
    let answered = |change: Change| {
        world.events.iter().any(|event| {
            let Event::Recovery(recovery::Event::Changed { change: told, result }) = event else {
                return false;
            };
            change == Change::Pending(*told) && result.is_err()
        })
    };
    assert!(answered(refused));
    assert!(answered(after));
}

/// Notes of sessions go with a checkpoint, but for those since the oldest answer that is remembered.
#[test]
fn notes_go_as_far_as_nobody_needs_them() {
    let mut world = World::new(true);
    let (id, _, _, _) = world.connect(None);
    world.join(id, "lobby");
    for _ in 0..20 {
        world.hub.recovery_mut().expect("there is one").checkpoint();
        world.join(id, "a");
        let recovery = world.hub.recovery.as_mut().expect("there is one");
        let left = recovery.leave(world.now, id, &"a".into(), &mut world.members);
        assert!(matches!(left, Ok(Change::Pending(_))));
        world.settle();
    }
    let notes = |world: &World| {
        let query = Query { messages: usize::MAX, ..Query::of(NOTES, Offset::START) };
        world.log.read(&query).expect("memory can be read").entries.len()
    };
    assert!(notes(&world) < 8, "{} notes", notes(&world));
    let (key, asked) = (Key::new("k").expect("a key"), Fingerprint::new(5));
    let idempotency = world.hub.idempotency_mut().expect("there is one");
    assert_eq!(idempotency.begin(world.now, &key, asked, Waiter(1)), Begin::Run);
    idempotency.finish(world.now, &key, None);
    world.settle();
    for _ in 0..20 {
        world.hub.checkpoint();
        world.join(id, "b");
        let recovery = world.hub.recovery.as_mut().expect("there is one");
        _ = recovery.leave(world.now, id, &"b".into(), &mut world.members);
        world.settle();
    }
    assert!(notes(&world) > 40, "the answer, and what came after it");
    let mut world = world.restart();
    let idempotency = world.hub.idempotency_mut().expect("there is one");
    assert_eq!(idempotency.begin(world.now, &key, asked, Waiter(2)), Begin::Answered(None));
}

#[test]
fn a_note_of_a_later_version_is_refused() {
    let mut log = Memory::new(Epoch::new(3), Retention::default());
    let record = Record {
        channels: vec![NOTES],
        producer: None,
        ingested: WallTime::default(),
        expires: None,
        payload: (&b"\xff\x01"[..]).into(),
    };
    log.append(Ticket(0), vec![record]);
    log.poll();
    let Err(OpenError::Note { offset, .. }) = World::on(log, true).map(drop) else { panic!("it is refused") };
    assert_eq!(offset, Offset::new(1));
}

/// A message that is known by its key is remembered for its time, however many others came since.
#[test]
fn what_is_remembered_by_time_is_read_back() {
    let mut log = Memory::new(Epoch::new(3), Retention::default());
    for (wall, name) in [(1, "old"), (900_000, "key")].into_iter().chain([(999_000, "x"); 9]) {
        let message = Envelope::of(Message::new(name, Body::json(""))).to_stored();
        let record = Record {
            channels: vec![ByteString::from(name)],
            producer: None,
            ingested: WallTime::from_unix_millis(wall),
            expires: None,
            payload: message,
        };
        log.append(Ticket(0), vec![record]);
        log.poll();
    }
    let log = Port(log);
    let since = |millis| {
        restore::first_since(&log, WallTime::from_unix_millis(millis), Offset::new(9))
            .expect("it can be read")
    };
    assert_eq!([since(0), since(2), since(900_000), since(900_001)].map(Offset::get), [0, 1, 1, 2]);
    assert_eq!(since(2_000_000).get(), 9, "as many as are to be read in any case");
}
