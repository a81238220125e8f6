//! The namespace beside a model of it, and what the model does not say.

extern crate std;

use alloc::{collections::BTreeSet, sync::Arc, vec, vec::Vec};
use core::time::Duration;

use bytestring::ByteString;
use proptest::{prelude::*, sample::Index};
use tenfour_delivery::time::Instant;

use super::*;
use crate::{Message, Outcome};
use model::Model;

mod model;

const ROOMS: [&str; 5] = ["a", "b", "c", "d", "a name too long"];
const SOCKETS: u8 = 6;

/// So narrow that runs of a few dozen calls meet every bound.
fn narrow() -> Limits {
    Limits {
        sockets: 5,
        rooms: 4,
        rooms_per_socket: 3,
        room_name_bytes: 20,
        data_bytes: 8,
        pending_requests: 4,
        pending_requests_per_socket: 2,
        held_answer_bytes: 10,
        kept_request_bytes: 30,
    }
}

fn id(number: u8) -> SocketId {
    SocketId::from_bytes([number; 15])
}

#[derive(Clone, Debug)]
enum Call {
    Insert(SocketId),
    Remove(SocketId),
    Join(SocketId, ByteString),
    Leave(SocketId, ByteString),
    SetData(SocketId, ByteString),
    Select(Target),
    JoinSelected(Target, ByteString),
    LeaveSelected(Target, ByteString),
    OpenRequest(Target, Instant),
    OpenRequestTo(SocketId, Instant),
    Answer(SocketId, RequestId, Body),
    Refuse(RequestId, SocketId),
    Cancel(RequestId),
    HandleTimeout(Instant),
    PollEvent,
}

/// What a call says; in no stated order where the documentation states none.
#[derive(Debug, PartialEq)]
enum Reply {
    Inserted(Result<(), InsertError>),
    Removed(Option<(SocketId, BTreeSet<ByteString>, Option<ByteString>)>),
    Joined(Result<bool, JoinError>),
    DataSet(Result<(), DataError>),
    Selected(BTreeSet<SocketId>),
    JoinedSelected(Result<Joined, JoinError>),
    LeftSelected(usize),
    Opened(Result<RequestId, RequestError>),
    Is(bool),
    Event(Option<(RequestId, Outcome)>),
    Nothing,
}

fn call(namespace: &mut Namespace<SocketId>, call: &Call) -> Reply {
    match call {
        Call::Insert(id) => Reply::Inserted(namespace.insert(*id, *id)),
        Call::Remove(id) => Reply::Removed(namespace.remove(*id).map(|departed| {
            let rooms = departed.rooms.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(rooms.len(), departed.rooms.len(), "a room is named once");
            (departed.peer, rooms, departed.data)
        })),
        Call::Join(id, room) => Reply::Joined(namespace.join(*id, room)),
        Call::Leave(id, room) => Reply::Is(namespace.leave(*id, room)),
        Call::SetData(id, data) => Reply::DataSet(namespace.set_data(*id, data.clone())),
        Call::Select(target) => Reply::Selected(select(namespace, target).into_iter().collect()),
        Call::JoinSelected(target, room) => Reply::JoinedSelected(namespace.join_selected(target, room)),
        Call::LeaveSelected(target, room) => Reply::LeftSelected(namespace.leave_selected(target, room)),
        Call::OpenRequest(target, deadline) => Reply::Opened(namespace.open_request(target, *deadline)),
        Call::OpenRequestTo(id, deadline) => Reply::Opened(namespace.open_request_to(*id, *deadline)),
        Call::Answer(from, request, answer) => Reply::Is(namespace.answer(*from, *request, answer.clone())),
        Call::Refuse(request, socket) => Reply::Is(namespace.refuse(*request, *socket)),
        Call::Cancel(request) => Reply::Is(namespace.cancel(*request)),
        Call::HandleTimeout(now) => {
            namespace.handle_timeout(*now);
            Reply::Nothing
        }
        Call::PollEvent => Reply::Event(namespace.poll_event().map(|event| {
            let Event::RequestDone { request, mut outcome } = event;
            outcome.missing.sort_by_key(|(socket, _)| *socket);
            (request, outcome)
        })),
    }
}

/// The selected sockets in their order, each checked to be met once and with its own peer.
fn select(namespace: &mut Namespace<SocketId>, target: &Target) -> Vec<SocketId> {
    let mut selected = Vec::new();
    let count = namespace.select(target, |id, peer| {
        assert_eq!(id, *peer);
        assert!(!selected.contains(&id), "{id} is selected once");
        selected.push(id);
    });
    assert_eq!(count, selected.len());
    selected
}

fn any_id() -> impl Strategy<Value = SocketId> {
    (0..SOCKETS).prop_map(id)
}

fn any_room() -> impl Strategy<Value = ByteString> {
    prop_oneof![
        4 => any::<Index>().prop_map(|index| ByteString::from(*index.get(&ROOMS))),
        1 => any_id().prop_map(ByteString::from),
        1 => Just("more than twenty bytes".into()),
    ]
}

fn any_target() -> impl Strategy<Value = Target> {
    let rooms = prop::option::weighted(0.7, prop::collection::vec(any_room(), 0..4));
    let except = prop::collection::vec(any_room(), 0..3);
    (rooms, except).prop_map(|(rooms, except)| {
        let target = rooms.map_or_else(Target::all, Target::rooms);
        except.into_iter().fold(target, Target::except)
    })
}

fn any_request() -> impl Strategy<Value = RequestId> {
    (0u64..12).prop_map(RequestId::new)
}

fn any_instant() -> impl Strategy<Value = Instant> {
    (0u64..20).prop_map(Instant::from_micros)
}

fn any_call() -> impl Strategy<Value = Call> {
    let body = "[0-9]{0,7}".prop_map(Body::json);
    let data = "[0-9]{0,10}".prop_map(ByteString::from);
    prop_oneof![
        4 => any_id().prop_map(Call::Insert),
        2 => any_id().prop_map(Call::Remove),
        5 => (any_id(), any_room()).prop_map(|(id, room)| Call::Join(id, room)),
        2 => (any_id(), any_room()).prop_map(|(id, room)| Call::Leave(id, room)),
        1 => (any_id(), data).prop_map(|(id, data)| Call::SetData(id, data)),
        3 => any_target().prop_map(Call::Select),
        1 => (any_target(), any_room()).prop_map(|(target, room)| Call::JoinSelected(target, room)),
        1 => (any_target(), any_room()).prop_map(|(target, room)| Call::LeaveSelected(target, room)),
        2 => (any_target(), any_instant()).prop_map(|(target, at)| Call::OpenRequest(target, at)),
        2 => (any_id(), any_instant()).prop_map(|(id, at)| Call::OpenRequestTo(id, at)),
        8 => (any_id(), any_request(), body).prop_map(|(id, request, body)| Call::Answer(id, request, body)),
        1 => (any_request(), any_id()).prop_map(|(request, id)| Call::Refuse(request, id)),
        1 => any_request().prop_map(Call::Cancel),
        1 => any_instant().prop_map(Call::HandleTimeout),
        4 => Just(Call::PollEvent),
    ]
}

/// Whatever can be read of a namespace agrees with the model.
fn compare(namespace: &mut Namespace<SocketId>, model: &Model) {
    namespace.members.check_links();
    for id in (0..SOCKETS).map(id) {
        let member = namespace.get(id);
        assert_eq!(member.is_some(), model.sockets.contains_key(&id));
        let (Some(member), Some(expected)) = (member, model.sockets.get(&id)) else { continue };
        assert_eq!((member.id(), *member.peer(), member.data()), (id, id, expected.data.as_ref()));
        let mut rooms = member.rooms();
        assert_eq!(rooms.next(), Some(id.as_str()), "its own room comes first");
        let rooms: Vec<_> = rooms.map(ByteString::from).collect();
        assert_eq!(rooms.len(), expected.rooms.len());
        assert_eq!(rooms.into_iter().collect::<BTreeSet<_>>(), expected.rooms);
    }
    for request in (0..namespace.requests.next_id().get() + 1).map(RequestId::new) {
        let mut waiting = BTreeSet::new();
        namespace.select_expected(request, |id, _| assert!(waiting.insert(id)));
        assert_eq!(waiting, model.open.get(&request).map(|open| open.waiting.clone()).unwrap_or_default());
    }
    assert_eq!(namespace.poll_timeout(), model.open.values().map(|open| open.deadline).min());
    assert_eq!(namespace.counters(), model.counters());
    assert_eq!((namespace.len(), namespace.is_empty()), (model.sockets.len(), model.sockets.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn does_as_the_model_does(calls in prop::collection::vec(any_call(), 1..120)) {
        let mut namespace = Namespace::new("/".into(), narrow(), 1);
        let mut model = Model::new(narrow());
        for step in &calls {
            let reply = call(&mut namespace, step);
            prop_assert_eq!(reply, model.call(step), "{:?}", step);
            compare(&mut namespace, &model);
        }
    }

    #[test]
    fn neither_results_nor_order_depend_on_the_hash_seed(
        calls in prop::collection::vec(any_call(), 1..120),
        seeds: [u64; 2],
    ) {
        let mut both = seeds.map(|seed| Namespace::new("/".into(), narrow(), seed));
        for step in &calls {
            let [left, right] = both.each_mut();
            if let Call::Select(target) = step {
                prop_assert_eq!(select(left, target), select(right, target));
            } else if let Call::PollEvent = step {
                prop_assert_eq!(left.poll_event(), right.poll_event());
            } else {
                prop_assert_eq!(call(left, step), call(right, step));
            }
        }
    }

    #[test]
    fn nothing_is_left_when_all_have_left(calls in prop::collection::vec(any_call(), 1..120)) {
        let mut namespace = Namespace::new("/".into(), narrow(), 1);
        for step in &calls {
            call(&mut namespace, step);
        }
        for id in (0..SOCKETS).map(id) {
            namespace.remove(id);
        }
        while namespace.poll_event().is_some() {}
        prop_assert_eq!(namespace.poll_timeout(), None);
        prop_assert_eq!(namespace.requests.pending(), 0);
        prop_assert!(namespace.members.is_clean());
    }
}

fn lobby(sockets: u8) -> Namespace<SocketId> {
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    for id in (0..sockets).map(id) {
        namespace.insert(id, id).expect("a new id");
    }
    namespace
}

fn at(micros: u64) -> Instant {
    Instant::ZERO + Duration::from_micros(micros)
}

#[test]
fn peers_are_dropped_with_their_sockets() {
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    let peer = Arc::new(());
    for round in 0..100 {
        for id in (0..10).map(id) {
            namespace.insert(id, peer.clone()).expect("a new id");
            namespace.join(id, std::format!("room {round}").as_str()).expect("within the limits");
        }
        namespace.open_request(&Target::all(), at(1)).expect("within the limits");
        for id in (0..10).map(id) {
            namespace.remove(id);
        }
        while namespace.poll_event().is_some() {}
    }
    assert_eq!(Arc::strong_count(&peer), 1);
    assert!(namespace.members.is_clean());
    assert!(namespace.members.capacity() < 20, "the places of those that left are used again");
}

#[test]
fn everyone_is_selected_in_the_order_of_their_coming() {
    let mut namespace = lobby(4);
    assert_eq!(select(&mut namespace, &Target::all()), [0, 1, 2, 3].map(id));
    assert_eq!(select(&mut namespace, &Target::all().except_socket(id(2))), [0, 1, 3].map(id));
}

#[test]
fn no_rooms_are_nobody_and_not_everybody() {
    let mut namespace = lobby(2);
    assert_eq!(select(&mut namespace, &Target::rooms(Vec::<ByteString>::new())), []);
    assert_eq!(select(&mut namespace, &Target::rooms(Vec::<ByteString>::new()).to("nowhere")), []);
    assert_eq!(select(&mut namespace, &Target::all()).len(), 2);
}

#[test]
fn a_socket_id_is_a_room_that_others_may_join() {
    let mut namespace = lobby(3);
    namespace.join(id(1), id(0).as_str()).expect("a room like any other");
    assert_eq!(select(&mut namespace, &Target::socket(id(0))), [id(0), id(1)]);
    assert_eq!(select(&mut namespace, &Target::all().except_socket(id(0))), [id(2)]);
    namespace.remove(id(0));
    assert_eq!(select(&mut namespace, &Target::socket(id(0))), [id(1)]);

    let request = namespace.open_request_to(id(2), at(9)).expect("it is there");
    namespace.join(id(1), id(2).as_str()).expect("a room like any other");
    assert!(!namespace.answer(id(1), request, Body::json("1")), "only the one that was asked");
}

#[test]
fn a_request_to_nobody_is_done_at_once() {
    let mut namespace = lobby(0);
    let request = namespace.open_request(&Target::all(), at(9)).expect("none is pending");
    let outcome = Outcome::default();
    assert_eq!(namespace.poll_event(), Some(Event::RequestDone { request, outcome }));
    assert_eq!(namespace.poll_timeout(), None);
}

#[test]
fn a_deadline_is_kept_to_the_microsecond() {
    let mut namespace = lobby(1);
    let later = namespace.open_request_to(id(0), at(20)).expect("it is there");
    let sooner = namespace.open_request_to(id(0), at(10)).expect("it is there");
    assert_eq!(namespace.poll_timeout(), Some(at(10)));
    namespace.handle_timeout(at(9));
    assert_eq!(namespace.poll_event(), None);
    namespace.handle_timeout(at(10));
    let timed_out = Outcome { answers: vec![], missing: vec![(id(0), Why::TimedOut)] };
    let done = Event::RequestDone { request: sooner, outcome: timed_out };
    assert_eq!((namespace.poll_event(), namespace.poll_event()), (Some(done), None));
    assert_eq!(namespace.poll_timeout(), Some(at(20)));
    assert!(!namespace.answer(id(0), sooner, Body::json("")), "too late");
    assert!(namespace.answer(id(0), later, Body::json("")));
    assert_eq!(namespace.poll_timeout(), None);
}

#[test]
fn answers_that_are_held_are_bounded_and_the_last_is_not_held() {
    let limits = Limits { held_answer_bytes: 3, ..Limits::default() };
    let mut namespace = Namespace::new("/".into(), limits, 1);
    for id in (0..3).map(id) {
        namespace.insert(id, ()).expect("a new id");
    }
    let request = namespace.open_request(&Target::all(), at(9)).expect("none is pending");
    for (number, answer) in [(0, "123"), (1, "4"), (2, "56789")] {
        assert!(namespace.answer(id(number), request, Body::json(answer)));
    }
    let answers = vec![(id(0), Body::json("123")), (id(2), Body::json("56789"))];
    let outcome = Outcome { answers, missing: vec![(id(1), Why::NoRoom)] };
    assert_eq!(namespace.poll_event(), Some(Event::RequestDone { request, outcome }));

    let request = namespace.open_request(&Target::all(), at(9)).expect("none is pending");
    namespace.answer(id(0), request, Body::json("123"));
    assert_eq!(namespace.counters().answers, 3, "what was held before is given free");
}

#[test]
fn a_room_name_keeps_no_larger_buffer() {
    let packet = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let mut namespace = lobby(1);
    let name = ByteString::try_from(packet.slice(..1)).expect("it is UTF-8");
    namespace.join(id(0), &name).expect("a short name");
    drop(name);
    assert!(packet.is_unique());
}

#[test]
fn marks_survive_the_end_of_their_numbers() {
    let mut namespace = lobby(3);
    namespace.marks = Marks::at_round(u32::MAX - 1);
    for _ in 0..4 {
        assert_eq!(select(&mut namespace, &Target::all().except_socket(id(1))), [0, 2].map(id));
        assert_eq!(select(&mut namespace, &Target::all()), [0, 1, 2].map(id));
    }
}

/// The requests that a socket is to be asked again.
fn owed(namespace: &Namespace<SocketId>, socket: SocketId) -> Vec<(u64, Message)> {
    let mut owed = Vec::new();
    namespace.select_owed(socket, |request, message| owed.push((request.get(), message.clone())));
    owed
}

#[test]
fn a_lasting_request_is_owed_over_absences_until_it_is_answered() {
    let mut namespace = Namespace::new("/".into(), narrow(), 0);
    let (here, gone) = (id(1), id(2));
    namespace.insert(here, here).unwrap();
    namespace.insert_away(gone).unwrap();
    let message = Message::new("question", Body::json("1"));
    let deadline = Instant::from_micros(10);
    let request = namespace.open_lasting_request(&Target::all(), deadline).unwrap();
    namespace.keep_request(request, message.clone()).unwrap();
    let plain = namespace.open_request(&Target::all(), deadline).unwrap();
    assert_eq!(namespace.select_expected(plain, |socket, _| assert_eq!(socket, here)), 1);
    assert_eq!(namespace.select_expected(request, |socket, _| assert_eq!(socket, here)), 1);

    let expected = vec![(request.get(), message)];
    assert_eq!(owed(&namespace, here), expected, "what is not kept is not asked again");
    assert_eq!(owed(&namespace, gone), expected);
    assert_eq!(namespace.park(here), Some(here));
    assert_eq!(namespace.attach(here, here), Ok(()));
    assert_eq!(owed(&namespace, here), expected);
    assert!(namespace.answer(here, request, Body::json("2")));
    assert_eq!(owed(&namespace, here), []);

    assert!(namespace.remove_away(gone));
    let Some(Event::RequestDone { outcome, .. }) = namespace.poll_event() else { panic!("nobody is left") };
    assert_eq!(outcome.answers, [(here, Body::json("2"))]);
    assert_eq!(outcome.missing, [(gone, Why::Disconnected)]);
}

#[test]
fn what_is_kept_to_be_asked_again_is_bounded_and_let_go() {
    let mut namespace = Namespace::new("/".into(), narrow(), 0);
    namespace.insert(id(1), id(1)).unwrap();
    let message = Message::new("12345", Body::json("1234567890"));
    for turn in 0..10 {
        let deadline = Instant::from_micros(turn);
        let requests = [(); 2].map(|()| namespace.open_lasting_request(&Target::all(), deadline).unwrap());
        for request in requests {
            namespace.keep_request(request, message.clone()).unwrap();
        }
        namespace.cancel(requests[0]);
        let large = Message::new("", Body::json("1234567890123456"));
        let request = namespace.open_lasting_request(&Target::all(), deadline).unwrap();
        assert_eq!(namespace.keep_request(request, large), Err(RequestError::TooLarge { limit: 30 }));
        assert_eq!(owed(&namespace, id(1)).len(), 1, "and the request is forgotten");
        namespace.handle_timeout(deadline);
        assert!(matches!(namespace.poll_event(), Some(Event::RequestDone { .. })));
    }
}
