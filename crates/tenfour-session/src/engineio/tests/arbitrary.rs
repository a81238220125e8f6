use super::*;
use crate::driver::arbitrary::{Op, Trial, ops};
use proptest::prelude::*;

const TEXTS: [&str; 16] =
    ["4m", "4", "2", "2probe", "2probe", "3", "3probe", "5", "5", "6", "1", "0{}", "bAQID", "b!", "", "x"];

const QUEUE: usize = 300;
const INBOUND: usize = 150;

fn config() -> Config {
    let mut config = Config { send_queue_bytes: QUEUE, inbound_bytes: INBOUND, ..Config::default() };
    config.limits.payload_bytes = 200;
    config
}

fn run(session: Session, ops: Vec<Op>) {
    let mut trial = Trial::new(session, INBOUND);
    for op in ops {
        trial.apply(op, |session, _, size| {
            let (open, room) = (session.session.is_open(), session.session.has_capacity());
            let sent = session.send(&"m".repeat(size));
            let expected = match (open, room) {
                (false, _) => Err(SendError::Closed),
                (true, false) => Err(SendError::Full),
                (true, true) => Ok(()),
            };
            assert_eq!(sent, expected);
        });
        let session = &trial.driver.session;
        // One message of 400 bytes over the bound, a few pings and the close packet.
        assert!(session.queued_bytes() < QUEUE + 500 + 40 * 100, "{} bytes", session.queued_bytes());
        assert!(!trial.driver.is_settled() || session.is_open() == trial.driver.end().is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn anything_may_happen_to_a_session_that_polls(ops in ops(&TEXTS, 120)) {
        run(Session::polling(config()), ops);
    }

    #[test]
    fn anything_may_happen_to_a_session_on_a_websocket(ops in ops(&TEXTS, 120)) {
        run(Session::websocket(config()), ops);
    }

    #[test]
    fn anything_may_happen_at_once(ops in ops(&TEXTS, 120), calls in 2..6_usize) {
        run(Session::polling(config()).in_batches_of(calls), ops);
    }
}
