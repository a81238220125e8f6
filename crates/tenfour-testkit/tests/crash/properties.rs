//! Random scripts.

use proptest::prelude::*;
use tenfour_log::{
    Disk,
    disk::{Commit, Sync},
};

use crate::{
    script::{setups, steps},
    world::World,
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_keeps_what_it_acknowledged(seed: u64, setup in setups(Commit::Manual), steps in steps()) {
        let mut world = World::<Disk>::new(seed, &setup, Sync::Always)?;
        world.run(&steps)?;
        world.finish()?;
    }

    /// With its threads: which call fails is not always the same.
    #[test]
    fn a_log_with_threads_keeps_what_it_acknowledged(
        seed: u64, setup in setups(Commit::Thread), steps in steps()
    ) {
        let mut world = World::<Disk>::new(seed, &setup, Sync::Always)?;
        world.run(&steps)?;
        world.finish()?;
    }
}
