//! Every message once, in order, whatever becomes of the connections.

use super::{
    super::Transport,
    pipe::Faults,
    world::{Plan, World},
};
use proptest::prelude::*;

const DATAGRAM: Transport = Transport::Datagram { mtu: 400 };

fn run(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.run();
    world
}

#[test]
fn a_stream_that_breaks() {
    let faults = Faults::NONE;
    let plan = Plan {
        seed: 1,
        transport: Transport::Stream,
        faults,
        cuts: 3,
        amnesia: 0,
        messages: 500,
        window: 32,
    };
    let world = run(plan);
    assert!(world.resumed > 5 && world.rebased == 0, "{} resumed", world.resumed);
}

#[test]
fn a_server_that_forgets() {
    let faults = Faults::NONE;
    let plan = Plan {
        seed: 2,
        transport: Transport::Stream,
        faults,
        cuts: 3,
        amnesia: 50,
        messages: 500,
        window: 32,
    };
    let world = run(plan);
    assert!(world.resumed > 0 && world.rebased > 0, "{} resumed, {} rebased", world.resumed, world.rebased);
}

#[test]
fn a_pipe_that_loses_repeats_and_reorders() {
    let faults = Faults { loss: 20, repetition: 5, reordering: 20 };
    let plan = Plan { seed: 3, transport: DATAGRAM, faults, cuts: 0, amnesia: 0, messages: 500, window: 256 };
    run(plan);
}

#[test]
fn a_pipe_that_also_breaks() {
    let faults = Faults { loss: 20, repetition: 5, reordering: 20 };
    let plan = Plan { seed: 4, transport: DATAGRAM, faults, cuts: 1, amnesia: 20, messages: 200, window: 32 };
    run(plan);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn over_streams(seed: u64, cuts in 0_u64..10, amnesia in 0_u64..60, window in 1_usize..70) {
        let faults = Faults::NONE;
        let transport = Transport::Stream;
        run(Plan { seed, transport, faults, cuts, amnesia, messages: 60, window });
    }

    #[test]
    fn over_datagrams(
        seed: u64,
        loss in 0_u64..40,
        repetition in 0_u64..20,
        reordering in 0_u64..50,
        cuts in 0_u64..3,
        amnesia in 0_u64..60,
        window in 1_usize..70,
    ) {
        let faults = Faults { loss, repetition, reordering };
        run(Plan { seed, transport: DATAGRAM, faults, cuts, amnesia, messages: 60, window });
    }
}
