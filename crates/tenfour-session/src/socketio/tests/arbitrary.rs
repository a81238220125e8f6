use super::*;
use crate::driver::arbitrary::{Op, Trial, ops};
use proptest::prelude::*;

/// Those at which a session ends are few.
const TEXTS: [&str; 40] = [
    "42[\"x\"]",
    "42/a,[\"x\"]",
    "42[\"x\"]",
    "42/a,[\"x\"]",
    "3",
    "3",
    "6",
    "42/b,[\"x\"]",
    "40",
    "40",
    "40{}",
    "40/a,",
    "40/a,",
    "40/b",
    "40/c,{\"x\":1}",
    "41",
    "41/a,",
    "42[\"x\"]",
    "42[\"x\",1]",
    "421[\"x\",{}]",
    "42/a,[\"x\"]",
    "42/a,3[\"x\"]",
    "42",
    "431[]",
    "43/a,0[1]",
    "44",
    "451-[\"x\",{\"_placeholder\":true,\"num\":0}]",
    "452-/a,[\"x\",{\"_placeholder\":true,\"num\":1}]",
    "461-1[{\"_placeholder\":true,\"num\":0}]",
    "bAQID",
    "bAQID",
    "2probe",
    "2probe",
    "5",
    "5",
    "3",
    "3",
    "1",
    "4abc",
    "x",
];

const QUEUE: usize = 300;
const INBOUND: usize = 300;
const NAMESPACES: [&str; 4] = ["/", "/a", "/b", "/nowhere"];

fn config() -> Config {
    let config = super::config(|engine| {
        engine.send_queue_bytes = QUEUE;
        engine.inbound_bytes = INBOUND;
    });
    Config { namespaces: 2, ..config }
}

/// What the application does: answers, takes out, sends.
fn act(session: &mut Session, which: usize, size: usize) {
    let namespace = NAMESPACES[size % NAMESPACES.len()];
    match which % 8 {
        0..=2 => _ = session.call(|session, _| session.accept(namespace, "id")),
        3 => session.call(|session, _| session.refuse(namespace, &ConnectError::invalid_namespace())),
        4 => _ = session.call(|session, _| session.disconnect(namespace)),
        _ => {
            let packet = outgoing("x", &format!("{:?}", "m".repeat(size)));
            let (open, room) = (session.session.is_open(), session.session.has_capacity());
            let sent = session.call(|session, _| session.send(&packet));
            assert_eq!(sent.is_ok(), open && room);
        }
    }
}

fn run(session: Session, ops: Vec<Op>) {
    let mut trial = Trial::new(session, INBOUND);
    for op in ops {
        trial.apply(op, act);
        let session = &trial.driver.session;
        assert!(session.queued_bytes() < QUEUE + 600 + 120 * 150, "{} bytes", session.queued_bytes());
        assert!(!trial.driver.is_settled() || session.is_open() == trial.driver.end().is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn anything_may_happen_to_a_connection_that_polls(ops in ops(&TEXTS, 120)) {
        run(Session::socketio_polling(config()), ops);
    }

    #[test]
    fn anything_may_happen_to_a_connection_on_a_websocket(ops in ops(&TEXTS, 120)) {
        run(Session::socketio(config()), ops);
    }

    #[test]
    fn anything_may_happen_to_a_connection_in_messagepack(ops in ops(&TEXTS, 60)) {
        run(Session::socketio(Config { encoding: Encoding::MessagePack, ..config() }), ops);
    }

    #[test]
    fn anything_may_happen_at_once(ops in ops(&TEXTS, 120), calls in 2..6_usize) {
        run(Session::socketio_polling(config()).in_batches_of(calls), ops);
    }
}
