//! What the log on a disk promises beyond every log.

use super::*;

mod store;

use store::Store;

/// Segments so small that every few entries there is a new one.
fn small(epoch: Epoch, retention: Retention) -> Config {
    Config { retention, segment_bytes: 2_048, tail_bytes: 500, ..Config::new(epoch) }
}

#[test]
fn it_is_a_log() {
    let open = |epoch, retention| {
        let config = Config { commit: Commit::Manual, ..small(epoch, retention) };
        Disk::open_on(Arc::new(Store::default()), config).expect("an empty directory is a log").0
    };
    crate::conformance::check(open, Disk::wait);
}

#[test]
fn it_is_a_log_with_its_threads() {
    let open = |epoch, retention| {
        Disk::open_on(Arc::new(Store::default()), small(epoch, retention))
            .expect("an empty directory is a log")
            .0
    };
    crate::conformance::check(open, Disk::wait);
}
