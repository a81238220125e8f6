//! Whatever happens in whatever order, each client gets what it is owed, once and in order, or is told.

use alloc::{vec, vec::Vec};

use bytestring::ByteString;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    super::Away,
    world::{CLIENTS, ROOMS, World},
};
use crate::{Target, channel::EVERYONE};

#[derive(Clone, Debug)]
enum Step {
    Publish { rooms: u8, everyone: bool, to: Option<usize>, except: Option<usize>, ttl: Option<u64> },
    Connect(usize),
    Cut(usize, usize, bool),
    Leave(usize),
    Ready(usize),
    JoinRoom(usize, usize),
    LeaveRoom(usize, usize),
    MakeRoom(usize, usize),
    Effect,
    Append(bool),
    Read(usize),
    HandIn(usize, bool),
    Wait(u64),
    JoinAll(usize),
    LeaveAll(usize),
    Disconnect(usize),
    Checkpoint,
    Restart,
    Settle,
}

fn publish() -> impl Strategy<Value = Step> {
    let to = prop::option::weighted(0.1, 0..CLIENTS);
    let except = prop::option::weighted(0.2, 0..ROOMS.len());
    let ttl = prop::option::weighted(0.1, 1..50_u64);
    (1_u8..8, prop::bool::weighted(0.1), to, except, ttl)
        .prop_map(|(rooms, everyone, to, except, ttl)| Step::Publish { rooms, everyone, to, except, ttl })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS;
    let room = || 0..ROOMS.len();
    let step = prop_oneof![
        10 => publish(),
        8 => client().prop_map(Step::Connect),
        4 => (client(), 0..3_usize, any::<bool>()).prop_map(|(client, lost, seen)| Step::Cut(client, lost, seen)),
        1 => client().prop_map(Step::Leave),
        6 => client().prop_map(Step::Ready),
        6 => (client(), room()).prop_map(|(client, room)| Step::JoinRoom(client, room)),
        2 => (client(), room()).prop_map(|(client, room)| Step::LeaveRoom(client, room)),
        4 => (client(), 0..5_usize).prop_map(|(client, items)| Step::MakeRoom(client, items)),
        10 => Just(Step::Effect),
        10 => prop::bool::weighted(0.1).prop_map(Step::Append),
        8 => (0..4_usize).prop_map(Step::Read),
        8 => (0..4_usize, prop::bool::weighted(0.1)).prop_map(|(which, fails)| Step::HandIn(which, fails)),
        2 => prop_oneof![1..40_u64, 100_000..200_000_u64].prop_map(Step::Wait),
        1 => room().prop_map(Step::JoinAll),
        1 => room().prop_map(Step::LeaveAll),
        1 => room().prop_map(Step::Disconnect),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
        4 => Just(Step::Settle),
    ];
    prop::collection::vec(step, 1..150)
}

fn run(world: &mut World, step: &Step) {
    match *step {
        Step::Publish { rooms, everyone, to, except, ttl } => {
            let named = ROOMS.iter().enumerate().filter(|(place, _)| rooms & (1 << place) != 0);
            let mut channels: Vec<ByteString> = named.map(|(_, room)| ByteString::from(*room)).collect();
            channels.extend(everyone.then_some(EVERYONE));
            channels.extend(to.and_then(|client| world.id(client)).map(ByteString::from));
            let except: Vec<_> = except.map(|room| ByteString::from(ROOMS[room])).into_iter().collect();
            world.publish(&channels, &except, ttl);
        }
        Step::Connect(client) => world.connect(client),
        Step::Cut(client, lost, is_seen) => world.cut(client, lost, is_seen),
        Step::Leave(client) => world.leave_for_good(client),
        Step::Ready(client) => world.ready(client),
        Step::JoinRoom(client, room) => _ = world.join(client, ROOMS[room], Away::Everything),
        Step::LeaveRoom(client, room) => world.leave(client, ROOMS[room]),
        Step::MakeRoom(client, items) => world.make_room(client, items),
        Step::Effect => _ = world.take_effect(),
        Step::Append(fails) => _ = world.append(fails),
        Step::Read(which) => _ = world.read(which),
        Step::HandIn(which, fails) => _ = world.hand_in(which, fails),
        Step::Wait(millis) => world.wait(millis),
        Step::JoinAll(room) => world.join_all(ROOMS[room]),
        Step::LeaveAll(room) => world.leave_all(ROOMS[room]),
        Step::Disconnect(room) => world.disconnect(&Target::room(ROOMS[room])),
        Step::Checkpoint => world.recovery.checkpoint(),
        Step::Restart => world.restart(),
        Step::Settle => world.settle(),
    }
}

/// Everyone is in, each in two rooms.
fn begin(world: &mut World) {
    for client in 0..CLIENTS {
        world.connect(client);
        for room in [client, client + 1] {
            world.join(client, ROOMS[room % ROOMS.len()], Away::Everything);
        }
        world.ready(client);
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn everyone_gets_what_it_is_owed(
        steps in steps(),
        per_channel in prop_oneof![Just(2_usize), Just(6), Just(1_000)],
        begun in any::<bool>(),
    ) {
        let mut world = World::new(per_channel);
        if begun {
            begin(&mut world);
        }
        steps.iter().for_each(|step| run(&mut world, step));
        world.heal();
    }
}

/// What some worlds have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    recovered: usize,
    lost: usize,
    delivered: usize,
    told: usize,
}

/// Runs so many worlds, always the same.
pub(super) fn run_worlds(count: usize) -> Seen {
    let mut runner = TestRunner::deterministic();
    let mut seen = Seen::default();
    for number in 0..count {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let mut world = World::new([12, 2, 6][number % 3]);
        begin(&mut world);
        steps.iter().for_each(|step| run(&mut world, step));
        world.heal();
        seen.recovered += world.account.clients.iter().map(|client| client.recovered).sum::<usize>();
        seen.lost += world.account.clients.iter().map(|client| client.lost.len()).sum::<usize>();
        seen.delivered += world.account.delivered;
        seen.told += world.account.told;
    }
    seen
}

/// A check that never sees a thing proves nothing.
#[test]
fn the_model_sees_what_it_is_about() {
    let seen = run_worlds(100);
    let sees_all = seen.recovered > 200 && seen.lost > 50 && seen.delivered > 500 && seen.told > 50;
    assert!(sees_all, "{seen:?}");
}
