//! Sending, receiving and dropping.

use std::sync::Arc;

use tenfour_delivery::{
    ack::Ack,
    at_most_once::{self, Queue},
    number::{Offset, Sequence},
    receive::{self, Receiver},
    time::Instant,
    window::{Config, Content, Credit, Window},
};

use crate::allocations_when_warm;

const NOW: Instant = Instant::ZERO;

/// In the second half of twenty thousand calls, `step` allocates nothing.
fn settles(mut step: impl FnMut(u64)) {
    let mut round = 0..;
    let ten = |_| (0..10).for_each(|_| step(round.next().expect("it is open")));
    assert_eq!(allocations_when_warm(ten), 0);
}

#[test]
fn sending_and_its_acknowledgement() {
    let payload: Arc<[u8]> = Arc::from([0; 32]);
    let mut window = Window::new(Config::default());
    window.grant(Credit::UNLIMITED);
    settles(|round| {
        window.push(payload.clone(), 32, None).expect("room");
        assert!(window.next_transmit(NOW).is_some());
        if round % 32 == 31 {
            window.acknowledge(&Ack::new(window.next()), NOW).expect("transmitted");
        }
    });
}

#[test]
fn references_to_a_log_that_are_acknowledged_in_ranges() {
    let mut window: Window<()> = Window::new(Config::default());
    window.grant(Credit::UNLIMITED);
    settles(|round| {
        window.push_log(1, Offset::new(round), Offset::new(round + 1), 32).expect("room");
        assert!(window.next_transmit(NOW).is_some());
        // One of each 50 is late by 20.
        let late = (round / 50 * 50).max(round.saturating_sub(20) / 50 * 50);
        let mut ack = Ack::new(Sequence::new(if round - late < 20 { late } else { round + 1 }));
        if ack.next().get() == late && round > late {
            ack.push(Sequence::new(late + 1), Sequence::new(round)).expect("above");
        }
        window.acknowledge(&ack, NOW).expect("transmitted");
    });
}

#[test]
fn loss_and_retransmission() {
    let mut window = Window::new(Config::default());
    window.grant(Credit::UNLIMITED);
    settles(|round| {
        window.push(round, 32, None).expect("room");
        while let Some(transmit) = window.next_transmit(NOW) {
            assert!(matches!(transmit.content, Content::Payload(_)));
        }
        if round % 16 == 15 {
            window.rewind(Sequence::new(round - 7)).expect("held");
        }
        if round % 16 == 5 {
            let mut ack = Ack::new(window.first_held());
            ack.push(Sequence::new(round - 2), Sequence::new(round)).expect("above");
            window.acknowledge(&ack, NOW).expect("transmitted");
            window.mark_lost();
        }
    });
}

#[test]
fn receiving_in_order_and_early() {
    let mut receiver = Receiver::new(receive::Config::default());
    settles(|round| {
        // Each ten come in reverse.
        let number = round / 10 * 10 + 9 - round % 10;
        receiver.accept(Sequence::new(number), number, 32).expect("granted");
        while let Some((_, item)) = receiver.pop() {
            std::hint::black_box(item);
            receiver.consumed(32);
        }
        assert!(receiver.ack().next() <= Sequence::new(round + 1));
    });
}

#[test]
fn a_queue_that_drops() {
    let mut queue = Queue::new(at_most_once::Config { messages: 16, ..Default::default() });
    settles(|round| {
        queue.push(round, 8);
        if round % 3 == 0 {
            queue.pop();
        }
    });
}
