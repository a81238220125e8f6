extern crate std;

use alloc::{format, string::String, vec::Vec};

use super::{slot::Slot, *};

mod model;
mod pipe;

const NOW: Instant = Instant::ZERO;

fn granted(config: Config) -> Window<u32> {
    let mut window = Window::new(config);
    window.grant(Credit::UNLIMITED);
    window
}

/// A window that has transmitted `count` messages at one-millisecond steps.
fn flying(count: u32) -> Window<u32> {
    let mut window = granted(Config::default());
    for number in 0..count {
        window.push(number, 1, None).expect("room");
        window.next_transmit(at(u64::from(number))).expect("one is pending");
    }
    window
}

fn at(millis: u64) -> Instant {
    NOW + Duration::from_millis(millis)
}

fn seq(number: u64) -> Sequence {
    Sequence::new(number)
}

fn ack(next: u64, ranges: &[(u64, u64)]) -> Ack {
    let mut ack = Ack::new(seq(next));
    for &(first, last) in ranges {
        ack.push(seq(first), seq(last)).expect("ascending");
    }
    ack
}

fn transmitted(window: &mut Window<u32>, now: Instant) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(transmit) = window.next_transmit(now) {
        numbers.push(transmit.sequence.get());
    }
    numbers
}

#[test]
fn a_window_without_a_bound_in_bytes_does_not_overflow() {
    let mut window = Window::new(Config { messages: 4, bytes: usize::MAX });
    window.grant(Credit::UNLIMITED);
    window.push('a', usize::MAX, None).expect("there is room");
    assert!(!window.has_capacity(1));
    assert_eq!(window.push('b', 1, None).map_err(|full| full.cause), Err(Cause::Window));
}

#[test]
fn what_a_peer_says_of_the_future_changes_nothing() {
    let mut window = flying(3);
    window.push(3, 1, None).expect("room");
    let before = window.clone();
    for from_future in [ack(4, &[]), ack(0, &[(2, 3)]), ack(0, &[(1, 1), (7, 9)])] {
        let error = window.acknowledge(&from_future, NOW).expect_err("3 was never transmitted");
        assert_eq!(error, AckError::FromFuture { acknowledged: from_future.end(), transmitted: seq(3) });
        assert_eq!(window, before);
    }
    assert_eq!(
        window.rewind(seq(4)),
        Err(AckError::FromFuture { acknowledged: seq(4), transmitted: seq(3) })
    );
    assert_eq!(window, before);
    // Also after a rewind, with 0 to 2 waiting: these were transmitted once.
    window.rewind(seq(0)).expect("held");
    assert!(window.acknowledge(&ack(4, &[]), NOW).is_err());
    assert_eq!(window.acknowledge(&ack(3, &[]), NOW).map(|done| done.messages), Ok(3));
    assert_eq!(transmitted(&mut window, NOW), [3]);
}

#[test]
fn what_was_acknowledged_cannot_be_wanted_again() {
    let mut window = flying(3);
    window.acknowledge(&ack(2, &[]), NOW).expect("transmitted");
    assert_eq!(window.rewind(seq(1)), Err(AckError::Gone { needed: seq(1), first_held: seq(2) }));
    assert_eq!(window.rewind(seq(2)).map(|done| done.messages), Ok(0));
}

#[test]
fn a_full_window_says_what_to_wait_for_and_gives_the_message_back() {
    let mut window = Window::new(Config { messages: 2, bytes: 10 });
    assert_eq!(window.push(1, 4, None), Err(Full { payload: 1, cause: Cause::Credit }));
    window.grant(Credit { messages: 9, bytes: 12 });
    assert_eq!(window.push(1, 11, None), Err(Full { payload: 1, cause: Cause::TooLarge }));
    assert_eq!(window.push(1, 6, None), Ok(seq(0)));
    assert_eq!(window.push(2, 5, None), Err(Full { payload: 2, cause: Cause::Window }));
    assert_eq!(window.push(2, 4, None), Ok(seq(1)));
    assert_eq!(window.push(3, 0, None), Err(Full { payload: 3, cause: Cause::Window }));

    assert_eq!(transmitted(&mut window, NOW), [0, 1]);
    window.acknowledge(&ack(2, &[]), NOW).expect("transmitted");
    // There is room, but 10 of the 12 bytes that the peer takes are used.
    assert_eq!(window.push(3, 3, None), Err(Full { payload: 3, cause: Cause::Credit }));
    window.grant(Credit { messages: 1, bytes: 1 });
    assert!(!window.has_capacity(3), "a grant that was overtaken takes nothing back");
    window.grant(Credit { messages: 0, bytes: 13 });
    assert_eq!(window.push(3, 3, None), Ok(seq(2)));
}

#[test]
fn messages_acknowledged_ahead_of_one_that_is_missing_take_room_until_it_comes() {
    let mut window = granted(Config { messages: 3, bytes: 100 });
    for payload in 0..3 {
        window.push(payload, 10, None).expect("room");
    }
    transmitted(&mut window, NOW);
    let done = window.acknowledge(&ack(0, &[(1, 2)]), NOW).expect("transmitted");
    assert_eq!((done.messages, done.bytes, window.bytes(), window.len()), (2, 20, 10, 3));
    assert_eq!(window.push(9, 1, None).map_err(|full| full.cause), Err(Cause::Window));
    let done = window.acknowledge(&ack(3, &[]), NOW).expect("transmitted");
    assert_eq!((done.messages, done.bytes, window.bytes(), window.len()), (1, 10, 0, 0));
}

#[test]
fn a_message_that_expires_is_a_skip_of_the_same_number_and_cost() {
    let mut window = granted(Config::default());
    for payload in 0..3 {
        window.push(payload, 7, (payload != 1).then(|| at(5))).expect("room");
    }
    let first = window.next_transmit(at(4)).expect("pending");
    assert_eq!((first.sequence, first.bytes, first.content), (seq(0), 7, Content::Payload(&0)));
    window.rewind(seq(0)).expect("held");
    let again: Vec<_> =
        core::iter::from_fn(|| window.next_transmit(at(5)).map(|t| format!("{t:?}"))).collect();
    let expected = [Content::Skip(&0), Content::Payload(&1), Content::Skip(&2)]
        .into_iter()
        .enumerate()
        .map(|(number, content)| {
            format!("{:?}", Transmit { sequence: seq(number as u64), bytes: 7, content })
        })
        .collect::<Vec<_>>();
    assert_eq!(again, expected);
    assert_eq!(window.bytes(), 21, "what stands for the skip is held as it was");
    assert_eq!(window.acknowledge(&ack(3, &[]), NOW).map(|done| (done.messages, done.bytes)), Ok((3, 21)));
}

#[test]
fn the_round_trip_is_that_of_the_newest_unless_it_went_twice() {
    let mut window = flying(5);
    let done = window.acknowledge(&ack(1, &[(3, 3)]), at(23)).expect("transmitted");
    assert_eq!(done.round_trip, Some(Duration::from_millis(20)));
    assert_eq!(
        window.acknowledge(&ack(1, &[(3, 3)]), at(90)).map(|done| done.round_trip),
        Ok(None),
        "nothing new"
    );
    assert_eq!(window.probe(), Some(seq(1)));
    assert_eq!(transmitted(&mut window, at(100)), [1]);
    let done = window.acknowledge(&ack(5, &[]), at(101)).expect("transmitted");
    assert_eq!((done.messages, done.round_trip), (3, None), "which of the two transmissions of 1 arrived?");
}

/// A run knows when its last message was transmitted, and no other.
#[test]
fn a_part_of_a_run_has_no_round_trip_but_its_end() {
    let mut window = granted(Config::default());
    for number in 0..4 {
        window.push_log(1, Offset::new(number), Offset::new(number + 1), 1).expect("room");
        transmitted(&mut window, at(number));
    }
    assert_eq!(window.acknowledge(&ack(1, &[]), at(9)).map(|done| done.round_trip), Ok(None));
    assert_eq!(window.acknowledge(&ack(1, &[(2, 2)]), at(9)).map(|done| done.round_trip), Ok(None));
    let done = window.acknowledge(&ack(4, &[]), at(9)).expect("transmitted");
    assert_eq!(done.round_trip, Some(Duration::from_millis(6)), "the end is among what arrived");
}

/// Nor does it know that the last has arrived when another has.
#[test]
fn a_part_of_a_run_overtakes_nothing_but_its_end() {
    for (end, lost) in [(2, 0), (4, 0), (5, 1)] {
        let mut window = flying(2);
        window.acknowledge(&ack(1, &[]), at(10)).expect("transmitted"); // a round trip of 10 ms
        for number in 0..4 {
            window.push_log(1, Offset::new(number), Offset::new(number + 1), 1).expect("room");
            transmitted(&mut window, at(20));
        }
        window.acknowledge(&ack(1, &[(2, end)]), at(100)).expect("transmitted");
        assert_eq!(window.mark_lost(), lost, "1 was overtaken by {}", end - 1);
    }
}

#[test]
fn what_three_later_ones_overtook_is_lost() {
    let mut window = flying(6);
    window.acknowledge(&ack(0, &[(2, 2)]), at(10)).expect("transmitted");
    assert_eq!(window.mark_lost(), 0, "2 overtook it by two");
    window.acknowledge(&ack(0, &[(2, 3)]), at(10)).expect("transmitted");
    assert_eq!(window.mark_lost(), 1);
    assert_eq!(transmitted(&mut window, at(11)), [0], "1 was overtaken by two only");
    window.acknowledge(&ack(0, &[(2, 5)]), at(12)).expect("transmitted");
    assert_eq!(window.mark_lost(), 1);
    assert_eq!(window.mark_lost(), 0, "said once");
    assert_eq!(transmitted(&mut window, at(12)), [1], "0 went again after 5 did");
}

/// The retransmission of 0 arrives, a round trip after it left: the others, which went before it, are lost. Were it
/// acknowledged sooner, that would be for the first transmission.
#[test]
fn a_retransmission_overtakes_only_if_its_own_acknowledgement_can_have_come() {
    for (acknowledged_at, lost) in [(at(109), 0), (at(110), 4)] {
        let mut window = flying(6);
        window.acknowledge(&ack(0, &[(1, 1)]), at(11)).expect("transmitted"); // a round trip of 10 ms
        for probed in [100, 100, 100] {
            window.probe();
            transmitted(&mut window, at(probed));
        }
        window.acknowledge(&ack(2, &[]), acknowledged_at).expect("transmitted");
        assert_eq!(window.mark_lost(), lost);
    }
}

#[test]
fn a_probe_takes_the_oldest_in_flight() {
    let mut window = granted(Config::default());
    assert_eq!((window.probe(), window.last_transmit()), (None, None));
    for payload in 0..3 {
        window.push(payload, 1, None).expect("room");
    }
    assert_eq!((window.probe(), window.last_transmit()), (None, None), "nothing is in flight yet");
    transmitted(&mut window, at(7));
    window.acknowledge(&ack(1, &[]), at(8)).expect("transmitted");
    assert_eq!((window.probe(), window.last_transmit()), (Some(seq(1)), Some(at(7))));
    assert_eq!(window.probe(), Some(seq(2)), "1 waits for its transmission");
    assert_eq!(window.last_transmit(), None);
    assert_eq!(transmitted(&mut window, at(9)), [1, 2]);
    window.acknowledge(&ack(3, &[]), at(10)).expect("transmitted");
    assert_eq!(window.last_transmit(), None);
}

#[test]
fn consecutive_entries_of_a_log_are_one_run() {
    let mut window = granted(Config::default());
    let entry = |window: &mut Window<u32>, previous, offset| {
        window.push_log(1, Offset::new(previous), Offset::new(offset), 100).expect("room");
    };
    entry(&mut window, 3, 4);
    assert_eq!(transmitted(&mut window, NOW), [0], "each is transmitted by itself where nothing waits");
    entry(&mut window, 4, 9);
    assert_eq!(transmitted(&mut window, NOW), [1]);
    for (previous, offset) in [(9, 10), (10, 12), (12, 15)] {
        entry(&mut window, previous, offset);
    }
    let run = |after, through, skip, count| Run {
        log: 1,
        after: Offset::new(after),
        through: Offset::new(through),
        skip,
        count,
    };
    let three = window.next_transmit(NOW).expect("pending");
    assert_eq!((three.sequence, three.content), (seq(2), Content::Run(run(9, 15, 0, 3))));
    assert_eq!((window.slots.len(), window.len(), window.bytes()), (1, 5, 0));

    window.acknowledge(&ack(2, &[(4, 4)]), NOW).expect("transmitted");
    window.rewind(seq(2)).expect("held");
    let again = window.next_transmit(NOW).expect("pending");
    assert_eq!((again.sequence, again.content), (seq(2), Content::Run(run(3, 15, 2, 2))));
    assert_eq!(window.next_transmit(NOW), None);
    let (_, charged) = window.credit();
    assert_eq!(charged, Credit { messages: 5, bytes: 500 });
}

#[test]
fn other_logs_holes_and_messages_part_runs() {
    let mut window = granted(Config::default());
    let entry = |window: &mut Window<u32>, log, previous, offset| {
        window.push_log(log, Offset::new(previous), Offset::new(offset), 1).expect("room");
    };
    entry(&mut window, 1, 0, 1);
    entry(&mut window, 2, 1, 2); // another log
    entry(&mut window, 2, 3, 4); // not the entry after
    window.push(0, 1, None).expect("room");
    entry(&mut window, 2, 4, 5); // not the number after
    entry(&mut window, 2, 5, 6);
    assert_eq!(transmitted(&mut window, NOW), [0, 1, 2, 3, 4]);
}

/// Else a run that is acknowledged at its beginning as it grows at its end would be re-read from ever further back.
#[test]
fn a_run_is_no_longer_than_the_window() {
    let mut window = granted(Config { messages: 4, bytes: 0 });
    for number in 0..100 {
        window.push_log(1, Offset::new(number), Offset::new(number + 1), 1).expect("room");
        transmitted(&mut window, NOW);
        window.acknowledge(&ack(number, &[]), NOW).expect("transmitted");
        assert!(window.slots.iter().filter_map(Slot::as_run).all(|run| run.skip + run.count <= 4));
    }
}

#[test]
fn what_is_unacknowledged_can_be_taken_out_in_order() {
    let mut window = granted(Config::default());
    window.push(0, 1, None).expect("room");
    window.push(1, 1, Some(at(1))).expect("room");
    window.push(2, 1, None).expect("room");
    window.push_log(1, Offset::START, Offset::new(1), 1).expect("room");
    assert_eq!(transmitted(&mut window, at(1)).len(), 4);
    window.acknowledge(&ack(0, &[(2, 2)]), NOW).expect("transmitted");
    let run = Run { log: 1, after: Offset::START, through: Offset::new(1), skip: 0, count: 1 };
    let held: Vec<_> = window.into_unacknowledged().collect();
    assert_eq!(
        held,
        [(seq(0), Content::Payload(0)), (seq(1), Content::Skip(1)), (seq(3), Content::Run(run))]
    );
}

#[test]
fn every_state_of_a_slot_and_every_event() {
    let fresh = || Slot::payload(seq(0), 'x', 5, Some(at(10)));
    let flown = || with(fresh(), |slot| slot.transmit(at(1), 7));
    let states = [
        ("pending", fresh()),
        ("flying", flown()),
        ("pending again", with(flown(), Slot::put_back)),
        ("flying again", with(with(flown(), Slot::put_back), |slot| slot.transmit(at(2), 8))),
        ("settled", with(flown(), |slot| _ = slot.settle())),
    ];
    type Event = fn(&mut Slot<char>);
    let events: [(&str, Event); 4] = [
        ("transmit in time", |slot| slot.transmit(at(9), 9)),
        ("transmit expired", |slot| slot.transmit(at(10), 9)),
        ("put back", Slot::put_back),
        ("settle", |slot| _ = slot.settle()),
    ];
    let mut table = String::new();
    for (state, slot) in &states {
        for (event, apply) in events {
            let after = with(slot.clone(), apply);
            table += &format!("{state:13} + {event:16} -> {}\n", after.describe());
        }
    }
    insta::assert_snapshot!(table);
}

fn with<P>(mut slot: Slot<P>, event: impl FnOnce(&mut Slot<P>)) -> Slot<P> {
    event(&mut slot);
    slot
}
