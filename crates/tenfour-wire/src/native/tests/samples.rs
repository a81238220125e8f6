//! A frame of each kind, with each of its flags.

use std::{borrow::ToOwned, string::String, vec, vec::Vec};

use bytes::Bytes;

use super::{
    super::{Ack, AckRange, ChannelOffset, Subscription},
    *,
};

pub(super) type Sample = (&'static str, Frame);

pub(super) fn all() -> Vec<Sample> {
    [handshake(), control(), emits(), subscriptions(), entries(), publications(), requests()].concat()
}

const TOKEN: Token = Token(*b"fifteen id bytefifteen secrets");

fn handshake() -> Vec<Sample> {
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        max_frame_bytes: 1 << 20,
        namespace: "/".into(),
        credentials: Bytes::from_static(b"secret"),
        credit: Credit { messages: 256, bytes: 1 << 20 },
        resume: None,
        fields: vec![],
    };
    let resume = Resume { token: TOKEN, generation: 2, next: 300, first_held: 17 };
    let welcome = Welcome {
        version: 1,
        features: 0,
        max_frame_bytes: 1 << 20,
        token: TOKEN,
        generation: 1,
        epoch: 7,
        outcome: Outcome::Fresh,
        credit: Credit { messages: 256, bytes: 1 << 20 },
        heartbeat_ms: 5000,
        dedup_window_ms: 120_000,
        fields: vec![],
    };
    let exact = Outcome::Exact { next: 20, first_held: 290 };
    let fields =
        vec![Field { tag: 1, value: Bytes::from_static(b"later") }, Field { tag: 200, value: Bytes::new() }];
    let reject =
        Reject { code: CloseCode::Unauthorized, retry_after_ms: None, reason: "token expired".into() };
    let busy = Reject { code: CloseCode::Overloaded, retry_after_ms: Some(1500), reason: "".into() };
    vec![
        ("HELLO", Frame::Hello(hello.clone())),
        ("HELLO that resumes", Frame::Hello(Hello { resume: Some(resume), ..hello.clone() })),
        (
            "HELLO of versions 1 to 3, with fields of a later one",
            Frame::Hello(Hello { max_version: 3, features: 5, fields: fields.clone(), ..hello }),
        ),
        ("WELCOME to a new session", Frame::Welcome(welcome.clone())),
        (
            "WELCOME back, nothing lost",
            Frame::Welcome(Welcome { outcome: exact, generation: 3, ..welcome.clone() }),
        ),
        (
            "WELCOME where the session was gone, with fields of a later version",
            Frame::Welcome(Welcome { outcome: Outcome::Rebased, fields, ..welcome }),
        ),
        ("REJECT for good", Frame::Reject(reject)),
        ("REJECT for now", Frame::Reject(busy)),
    ]
}

fn control() -> Vec<Sample> {
    let ranges = vec![AckRange { gap: 1, len: 4 }, AckRange { gap: 2, len: 1 }];
    let processed =
        vec![ChannelOffset { channel: 3, offset: 41 }, ChannelOffset { channel: 130, offset: 1000 }];
    vec![
        ("CLOSE", Frame::Close(Close { code: CloseCode::Normal, reason: "".into() })),
        (
            "CLOSE with a reason",
            Frame::Close(Close { code: CloseCode::Conflict, reason: "taken over".into() }),
        ),
        (
            "CLOSE with a code that this version does not know",
            Frame::Close(Close { code: CloseCode::Unknown(63), reason: "".into() }),
        ),
        ("GOAWAY", Frame::GoAway(GoAway { drain_ms: 10_000, jitter_ms: 5000 })),
        ("PING", Frame::Ping(Ping { nonce: 9, next: 300, heads: vec![] })),
        ("PING with heads", Frame::Ping(Ping { nonce: 10, next: 300, heads: processed.clone() })),
        ("PONG", Frame::Pong(Pong { nonce: 9 })),
        ("ACK of all below 300", Frame::Ack(Ack { next: 300, ..Ack::default() })),
        (
            "ACK of all below 300, of 301 to 304, and of 307",
            Frame::Ack(Ack { next: 300, ranges: ranges.clone(), processed: vec![] }),
        ),
        (
            "ACK of all below 300, and of what was processed",
            Frame::Ack(Ack { next: 300, ranges: vec![], processed: processed.clone() }),
        ),
        ("ACK of everything that it can hold", Frame::Ack(Ack { next: 300, ranges, processed })),
        ("CREDIT", Frame::Credit(Credit { messages: 512, bytes: 1_500_000 })),
        ("EXTENSION that may be skipped", Frame::Unknown { kind: 1000, body: Bytes::from_static(b"new") }),
    ]
}

fn text(name: &'static str, body: &'static str) -> Message {
    Message { name: (!name.is_empty()).then(|| name.into()), body: Body::Text(body.into()) }
}

fn json(name: &'static str, args: &'static str, attachments: &[&'static [u8]]) -> Message {
    let attachments = attachments.iter().map(|bytes| Bytes::from_static(bytes)).collect();
    Message { name: Some(name.into()), body: Body::Json { args: args.into(), attachments } }
}

fn emits() -> Vec<Sample> {
    let binary = Message { name: None, body: Body::Binary(Bytes::from_static(&[0, 255])) };
    vec![
        (
            "EMIT to the peer",
            Frame::Emit(Emit { number: None, target: Target::Peer, message: text("typing", "alice") }),
        ),
        (
            "EMIT on a channel by its number",
            Frame::Emit(Emit { number: None, target: Target::Number(3), message: binary }),
        ),
        (
            "EMIT on a channel by its name",
            Frame::Emit(Emit {
                number: None,
                target: Target::Name("lobby".into()),
                message: json("at", "1.5,{\"y\":2}", &[]),
            }),
        ),
        (
            "EMIT in a datagram",
            Frame::Emit(Emit { number: Some(300), target: Target::Peer, message: text("typing", "alice") }),
        ),
    ]
}

fn in_sequence(body: Reliable) -> Frame {
    Frame::Reliable { sequence: None, body }
}

const LOSS: Loss = Loss { after: 12, through: 40, count: Count::Exact(20), reason: LossReason::Retention };

fn subscriptions() -> Vec<Sample> {
    let subscribe = |start| Reliable::Subscribe(Subscribe { request: 1, channel: "lobby".into(), start });
    let subscribed = |decision, after| {
        let subscription = Subscription { channel: 3, epoch: 7, decision, after, head: 52 };
        in_sequence(Reliable::Subscribed(Subscribed { request: 1, outcome: Ok(subscription) }))
    };
    let refused = Refusal { reason: RefusalReason::Forbidden, retry_after_ms: None };
    let reset = Loss { after: 12, through: 12, count: Count::AtLeast(0), reason: LossReason::EpochReset };
    let unsubscribed = |refusal| in_sequence(Reliable::Unsubscribed(Unsubscribed { channel: 3, refusal }));
    vec![
        (
            "SUBSCRIBE from now on, the first reliable frame of its connection",
            Frame::Reliable { sequence: Some(0), body: subscribe(Start::Live) },
        ),
        ("SUBSCRIBE from the beginning", in_sequence(subscribe(Start::Earliest))),
        ("SUBSCRIBE behind a cursor", in_sequence(subscribe(Start::After { epoch: 7, offset: 12 }))),
        ("SUBSCRIBED, and it goes on", subscribed(Decision::Continue, 12)),
        ("SUBSCRIBED, with a gap", subscribed(Decision::Gap(LOSS), 40)),
        ("SUBSCRIBED, in a log that began anew", subscribed(Decision::Reset(reset), 0)),
        (
            "SUBSCRIBED: refused",
            in_sequence(Reliable::Subscribed(Subscribed { request: 1, outcome: Err(refused) })),
        ),
        ("UNSUBSCRIBE", in_sequence(Reliable::Unsubscribe(Unsubscribe { channel: 3 }))),
        ("UNSUBSCRIBED, as asked", unsubscribed(None)),
        ("UNSUBSCRIBED, since it is not allowed any more", unsubscribed(Some(refused))),
    ]
}

fn entries() -> Vec<Sample> {
    let deliver = |place, message| Reliable::Deliver(Deliver { place, message });
    let behind = |previous, advance| Place { channel: 3, previous, advance };
    let attachments: &[&[u8]] = &[b"\x89PNG", b""];
    let args = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    let expired = Loss { after: 40, through: 41, count: Count::Exact(1), reason: LossReason::Ttl };
    let unknown = Loss { after: 41, through: 42, count: Count::AtLeast(1), reason: LossReason::Other(100) };
    vec![
        (
            "DELIVER of 32 bytes in sequence: four bytes more",
            in_sequence(deliver(Place::next(3), text("", "a body of exactly thirty-two byt"))),
        ),
        ("DELIVER with a name", in_sequence(deliver(Place::next(3), text("chat", "10-4")))),
        (
            "DELIVER sent again, after others were acknowledged",
            Frame::Reliable { sequence: Some(300), body: deliver(behind(Some(40), 1), text("chat", "10-4")) },
        ),
        ("DELIVER of an entry three places on", in_sequence(deliver(behind(None, 3), text("chat", "10-4")))),
        (
            "DELIVER of JSON",
            in_sequence(deliver(Place::next(200), json("chat", r#""alice",{"text":"10-4"}"#, &[]))),
        ),
        (
            "DELIVER of JSON with attachments",
            in_sequence(deliver(behind(Some(128), 2), json("file", args, attachments))),
        ),
        ("LOST", in_sequence(Reliable::Lost(Lost { channel: 3, charge: 0, loss: LOSS }))),
        (
            "LOST in place of an entry that expired on the way",
            Frame::Reliable {
                sequence: Some(300),
                body: Reliable::Lost(Lost { channel: 3, charge: 9, loss: expired }),
            },
        ),
        (
            "LOST, for a reason that this version does not know",
            in_sequence(Reliable::Lost(Lost { channel: 3, charge: 0, loss: unknown })),
        ),
        ("SKIP", in_sequence(Reliable::Skip(Skip { channel: 3, after: 42, through: 50 }))),
        ("CAUGHT_UP", in_sequence(Reliable::CaughtUp(CaughtUp { channel: 3, offset: 52 }))),
        ("VOID", Frame::Reliable { sequence: Some(17), body: Reliable::Void { charge: 10 } }),
    ]
}

fn publications() -> Vec<Sample> {
    let producer = Producer { id: 0x0123_4567_89ab_cdef_0011_2233_4455_6677, epoch: 1, sequence: 500 };
    let publish = |producer, ttl_ms| {
        let message = text("chat", "10-4");
        in_sequence(Reliable::Publish(Publish { channel: "lobby".into(), producer, ttl_ms, message }))
    };
    let published = |result| in_sequence(Reliable::Published(Published { publish: 21, result }));
    let refused = |reason, retry_after_ms| published(Err(Refusal { reason, retry_after_ms }));
    let receipt = |duplicate| published(Ok(Receipt { epoch: 7, offset: 53, duplicate }));
    vec![
        ("PUBLISH without a producer", publish(None, None)),
        ("PUBLISH with its producer", publish(Some(ProducerRef::Explicit(producer)), None)),
        ("PUBLISH with the producer's next number", publish(Some(ProducerRef::Next), None)),
        ("PUBLISH with a time to live", publish(None, Some(30_000))),
        ("PUBLISH with both", publish(Some(ProducerRef::Explicit(producer)), Some(0))),
        ("PUBLISHED", receipt(false)),
        ("PUBLISHED: it was committed before", receipt(true)),
        ("PUBLISHED: refused for now", refused(RefusalReason::RateLimited, Some(250))),
        ("PUBLISHED: a number is missing", refused(RefusalReason::Gap { expected: 499 }, None)),
        ("PUBLISHED: a newer life has published", refused(RefusalReason::Fenced { epoch: 2 }, None)),
        (
            "PUBLISHED: refused for a reason that this version does not know",
            refused(RefusalReason::Unknown { number: 90, detail: 4 }, None),
        ),
    ]
}

fn requests() -> Vec<Sample> {
    let reply = |result| in_sequence(Reliable::Reply(Reply { request: 5, result }));
    let ask = json("sum", "1,2", &[]);
    let nothing = Message { name: None, body: Body::Json { args: "".into(), attachments: vec![] } };
    let long = Body::Text(String::from_utf8(vec![b'x'; 200]).unwrap_or_default().into());
    vec![
        ("REQUEST", in_sequence(Reliable::Request(Request { request: 5, message: ask }))),
        ("REPLY", reply(Ok(nothing))),
        ("REPLY of more than 127 bytes", reply(Ok(Message { name: None, body: long }))),
        ("REPLY: it failed", reply(Err("no such method".to_owned().into()))),
    ]
}
