extern crate std;

use proptest::prelude::*;

use super::*;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// RFC 9002 §5.3, with numbers worked out by hand.
#[test]
fn the_estimate_is_that_of_rfc_9002() {
    let mut probe = Probe::new(Config::default());
    probe.acknowledged(Some(millis(80)), millis(20));
    let first = probe.round_trip();
    // The first sample counts as it is, whatever the delay.
    assert_eq!(
        (first.smoothed(), first.variation(), first.shortest()),
        (millis(80), millis(40), Some(millis(80)))
    );

    // 120 − 16 = 104: variation = 3/4·40 + 1/4·|80 − 104|, smoothed = 7/8·80 + 1/8·104.
    probe.acknowledged(Some(millis(120)), millis(16));
    let second = probe.round_trip();
    assert_eq!((second.smoothed(), second.variation()), (millis(83), millis(36)));

    // 90 − 24 would be shorter than the shortest: the delay is not believed.
    probe.acknowledged(Some(millis(90)), millis(24));
    let third = probe.round_trip();
    assert_eq!(
        (third.smoothed(), third.variation()),
        (Duration::from_micros(83_875), Duration::from_micros(28_750))
    );

    // A delay beyond what the peer may take counts for that.
    let mut other = probe;
    probe.acknowledged(Some(millis(300)), millis(25));
    other.acknowledged(Some(millis(300)), millis(200));
    assert_eq!(probe, other);
}

#[test]
fn a_sample_that_nobody_knows_changes_the_count_alone() {
    let mut probe = Probe::new(Config::default());
    let before = probe;
    probe.timed_out();
    probe.timed_out();
    assert_eq!(probe.timeout(), before.timeout() * 4);
    probe.acknowledged(None, Duration::ZERO);
    assert_eq!(probe, before);
}

#[test]
fn a_steady_pipe_still_leaves_the_timer_its_granularity() {
    let mut probe = Probe::new(Config::default());
    for _ in 0..200 {
        probe.acknowledged(Some(millis(10)), Duration::ZERO);
    }
    assert_eq!(probe.timeout(), millis(10 + 1 + 25));
}

proptest! {
    /// No sample and no silence makes it overflow, fall below the delay that the peer may take, or wait for ever.
    #[test]
    fn a_timeout_stays_within_its_bounds(steps in proptest::collection::vec(proptest::option::of((any::<u64>(), any::<u64>())), 0..100)) {
        let config = Config::default();
        let mut probe = Probe::new(config);
        for step in steps {
            match step {
                Some((sample, delay)) => probe.acknowledged(Some(Duration::from_micros(sample)), Duration::from_micros(delay)),
                None => probe.timed_out(),
            }
            prop_assert!(probe.timeout() >= config.ack_delay + config.granularity);
            prop_assert!(probe.timeout() <= config.longest);
            prop_assert!(probe.round_trip().shortest().is_none_or(|shortest| shortest <= probe.round_trip().smoothed() + Duration::from_micros(1)));
        }
    }
}
