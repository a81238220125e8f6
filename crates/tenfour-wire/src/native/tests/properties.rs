//! Arbitrary frames, and arbitrary bytes.

use std::{string::String, vec, vec::Vec};

use bytes::Bytes;
use proptest::{collection::vec as vec_of, option, prelude::*, result, sample::Index};

use super::{
    super::{Ack, AckRange, ChannelOffset, Subscription},
    *,
};

/// Numbers of every length, and those at the edges.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..200u64, 1 => any::<u64>(), 1 => (0..64u32).prop_map(|bits| 1 << bits), 1 => Just(u64::MAX)]
}

fn number_u32() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..200u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn string() -> impl Strategy<Value = ByteString> {
    prop_oneof![3 => "[a-z]{0,12}", 1 => "\\PC{0,60}", 1 => "[a-z]{120,140}"].prop_map(ByteString::from)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => vec_of(any::<u8>(), 0..40), 1 => vec_of(any::<u8>(), 100..300)].prop_map(Bytes::from)
}

fn json_value() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("null".into()),
        Just("true".into()),
        any::<i32>().prop_map(|number| std::format!("{number}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap_or_default()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec_of(inner.clone(), 0..4).prop_map(|values| std::format!("[{}]", values.join(","))),
            inner.prop_map(|value| std::format!("{{\"key\": {value}}}")),
        ]
    })
    .boxed()
}

fn body() -> BoxedStrategy<Body> {
    prop_oneof![
        string().prop_map(Body::Text),
        bytes().prop_map(Body::Binary),
        (vec_of(json_value(), 0..4), vec_of(bytes(), 0..4)).prop_map(|(mut values, attachments)| {
            let placeholders = 0..attachments.len();
            values.extend(placeholders.map(|num| std::format!("{{\"_placeholder\":true,\"num\":{num}}}")));
            Body::Json { args: values.join(",").into(), attachments }
        }),
    ]
    .boxed()
}

fn message() -> BoxedStrategy<Message> {
    (option::of(string()), body()).prop_map(|(name, body)| Message { name, body }).boxed()
}

fn close_code() -> impl Strategy<Value = CloseCode> {
    number_u32().prop_map(CloseCode::from_number)
}

fn credit() -> impl Strategy<Value = Credit> {
    (number(), number()).prop_map(|(messages, bytes)| Credit { messages, bytes })
}

fn token() -> impl Strategy<Value = Token> {
    any::<[u8; 30]>().prop_map(Token)
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    proptest::collection::btree_map(number(), bytes(), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(tag, value)| Field { tag, value }).collect())
}

fn hello() -> BoxedStrategy<Hello> {
    let resume = (token(), number_u32(), number(), number())
        .prop_map(|(token, generation, next, first_held)| Resume { token, generation, next, first_held });
    let versions = (number_u32(), number_u32()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    (versions, number(), number(), string(), bytes(), option::of(resume), credit(), fields())
        .prop_map(|(versions, features, max_frame_bytes, namespace, credentials, resume, credit, fields)| {
            Hello {
                min_version: versions.0,
                max_version: versions.1,
                features,
                max_frame_bytes,
                namespace,
                credentials,
                credit,
                resume,
                fields,
            }
        })
        .boxed()
}

fn welcome() -> BoxedStrategy<Welcome> {
    let outcome = prop_oneof![
        Just(Outcome::Fresh),
        Just(Outcome::Rebased),
        (number(), number()).prop_map(|(next, first_held)| Outcome::Exact { next, first_held }),
    ];
    let times = (number_u32(), number());
    (
        number_u32(),
        (number(), number()),
        (token(), number_u32()),
        number(),
        outcome,
        credit(),
        times,
        fields(),
    )
        .prop_map(
            |(
                version,
                (features, max_frame_bytes),
                (token, generation),
                epoch,
                outcome,
                credit,
                times,
                fields,
            )| {
                Welcome {
                    version,
                    features,
                    max_frame_bytes,
                    token,
                    generation,
                    epoch,
                    outcome,
                    credit,
                    heartbeat_ms: times.0,
                    dedup_window_ms: times.1,
                    fields,
                }
            },
        )
        .boxed()
}

fn places() -> impl Strategy<Value = Vec<ChannelOffset>> {
    vec_of((number_u32(), number()).prop_map(|(channel, offset)| ChannelOffset { channel, offset }), 0..5)
}

fn ack() -> impl Strategy<Value = Ack> {
    let range = (1..1000u64, 1..1u64 << 40).prop_map(|(gap, len)| AckRange { gap, len });
    (0..u64::MAX / 2, vec_of(range, 0..=32), places()).prop_map(|(next, ranges, processed)| Ack {
        next,
        ranges,
        processed,
    })
}

fn control() -> BoxedStrategy<Frame> {
    let target = prop_oneof![
        Just(Target::Peer),
        number_u32().prop_map(Target::Number),
        string().prop_map(Target::Name),
    ];
    prop_oneof![
        hello().prop_map(Frame::Hello),
        welcome().prop_map(Frame::Welcome),
        (close_code(), option::of(any::<u32>()), string()).prop_map(|(code, retry_after_ms, reason)| {
            Frame::Reject(Reject { code, retry_after_ms, reason })
        }),
        (close_code(), string()).prop_map(|(code, reason)| Frame::Close(Close { code, reason })),
        (number_u32(), number_u32())
            .prop_map(|(drain_ms, jitter_ms)| Frame::GoAway(GoAway { drain_ms, jitter_ms })),
        (number(), number(), places()).prop_map(|(nonce, next, heads)| Frame::Ping(Ping {
            nonce,
            next,
            heads
        })),
        number().prop_map(|nonce| Frame::Pong(Pong { nonce })),
        ack().prop_map(Frame::Ack),
        credit().prop_map(Frame::Credit),
        (option::of(number()), target, message()).prop_map(|(number, target, message)| Frame::Emit(Emit {
            number,
            target,
            message
        })),
        (number(), bytes()).prop_map(|(kind, body)| Frame::Unknown { kind: kind & !1, body }),
    ]
    .boxed()
}

fn refusal() -> BoxedStrategy<Refusal> {
    use RefusalReason::*;
    let reason = prop_oneof![
        prop::sample::select(vec![
            Forbidden,
            BadChannel,
            RateLimited,
            Overloaded,
            Unavailable,
            TooLarge,
            TooMany,
            Expired,
            Conflict,
            Indeterminate,
            Ahead,
            Unsupported,
            Internal,
        ]),
        number_u32().prop_map(|epoch| Fenced { epoch }),
        number().prop_map(|expected| Gap { expected }),
        (15..1000u64, number()).prop_map(|(number, detail)| Unknown { number, detail }),
    ];
    (reason, option::of(any::<u32>()))
        .prop_map(|(reason, retry_after_ms)| Refusal { reason, retry_after_ms })
        .boxed()
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    (number(), number()).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn loss() -> BoxedStrategy<Loss> {
    use LossReason::*;
    let reason = prop_oneof![
        prop::sample::select(vec![
            Retention,
            Ttl,
            SlowConsumer,
            RateLimit,
            Conflated,
            EpochReset,
            Unsubscribed,
            Unknown,
        ]),
        (8..1000u64).prop_map(Other),
    ];
    let count = prop_oneof![number().prop_map(Count::Exact), number().prop_map(Count::AtLeast)];
    (range(), count, reason)
        .prop_map(|((after, through), count, reason)| Loss { after, through, count, reason })
        .boxed()
}

fn subscriptions() -> BoxedStrategy<Reliable> {
    let start = prop_oneof![
        Just(Start::Live),
        Just(Start::Earliest),
        (number(), number()).prop_map(|(epoch, offset)| Start::After { epoch, offset }),
    ];
    let decision = prop_oneof![
        Just(Decision::Continue),
        loss().prop_map(Decision::Gap),
        loss().prop_map(Decision::Reset)
    ];
    let subscription = (number_u32(), number(), decision, number(), number()).prop_map(
        |(channel, epoch, decision, after, head)| Subscription { channel, epoch, decision, after, head },
    );
    prop_oneof![
        (number(), string(), start).prop_map(|(request, channel, start)| Reliable::Subscribe(Subscribe {
            request,
            channel,
            start
        })),
        (number(), result::maybe_err(subscription, refusal()))
            .prop_map(|(request, outcome)| Reliable::Subscribed(Subscribed { request, outcome })),
        number_u32().prop_map(|channel| Reliable::Unsubscribe(Unsubscribe { channel })),
        (number_u32(), option::of(refusal()))
            .prop_map(|(channel, refusal)| Reliable::Unsubscribed(Unsubscribed { channel, refusal })),
    ]
    .boxed()
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        number_u32().prop_map(Place::next),
        (number_u32(), option::of(0..u64::MAX / 2), prop_oneof![Just(1), 1..300u64, 1..u64::MAX / 2])
            .prop_map(|(channel, previous, advance)| Place { channel, previous, advance }),
    ]
}

fn entries() -> BoxedStrategy<Reliable> {
    prop_oneof![
        3 => (place(), message()).prop_map(|(place, message)| Reliable::Deliver(Deliver { place, message })),
        1 => (number_u32(), number(), loss())
            .prop_map(|(channel, charge, loss)| Reliable::Lost(Lost { channel, charge, loss })),
        1 => (number_u32(), range())
            .prop_map(|(channel, (after, through))| Reliable::Skip(Skip { channel, after, through })),
        1 => (number_u32(), number()).prop_map(|(channel, offset)| Reliable::CaughtUp(CaughtUp { channel, offset })),
        1 => number().prop_map(|charge| Reliable::Void { charge }),
    ]
    .boxed()
}

fn publications() -> BoxedStrategy<Reliable> {
    let producer = prop_oneof![
        Just(ProducerRef::Next),
        (any::<u128>(), number_u32(), number())
            .prop_map(|(id, epoch, sequence)| ProducerRef::Explicit(Producer { id, epoch, sequence })),
    ];
    let receipt = (number(), number(), any::<bool>()).prop_map(|(epoch, offset, duplicate)| Receipt {
        epoch,
        offset,
        duplicate,
    });
    prop_oneof![
        (string(), option::of(producer), option::of(number()), message()).prop_map(
            |(channel, producer, ttl_ms, message)| Reliable::Publish(Publish {
                channel,
                producer,
                ttl_ms,
                message
            })
        ),
        (number(), result::maybe_err(receipt, refusal()))
            .prop_map(|(publish, result)| Reliable::Published(Published { publish, result })),
        (number(), message()).prop_map(|(request, message)| Reliable::Request(Request { request, message })),
        (number(), result::maybe_err(message(), string()))
            .prop_map(|(request, result)| Reliable::Reply(Reply { request, result })),
    ]
    .boxed()
}

fn frame() -> BoxedStrategy<Frame> {
    let reliable = prop_oneof![subscriptions(), entries(), publications()];
    prop_oneof![
        control(),
        (option::of(number()), reliable).prop_map(|(sequence, body)| Frame::Reliable { sequence, body }),
    ]
    .boxed()
}

/// Limits that let any frame of [`frame`] pass.
fn wide() -> Limits {
    Limits { channel_bytes: 1 << 16, name_bytes: 1 << 16, ..Limits::default() }
}

/// The bytes of frames, some of them altered.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let altered = (vec_of(frame(), 1..4), vec_of((any::<Index>(), any::<u8>()), 0..4), any::<Index>())
        .prop_map(|(frames, changes, end)| {
            let mut bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(2 * bytes.len()) + 1);
            bytes
        });
    prop_oneof![3 => altered, 1 => vec_of(any::<u8>(), 1..100)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        frames in vec_of(frame(), 1..5),
        cuts in vec_of(any::<Index>(), 0..4),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let starts = [&[0], &cuts[..]].concat();
        let ends = [&cuts[..], &[bytes.len()]].concat();
        let pieces = starts.iter().zip(&ends).map(|(&start, &end)| &bytes[start..end]);
        let (decoded, error) = decode_pieces(pieces, &wide());
        prop_assert_eq!(error, None);
        prop_assert_eq!(&decoded, &frames);
        let datagram: Result<Vec<Frame>, _> = decode_datagram(bytes.into(), &wide()).collect();
        prop_assert_eq!(datagram, Ok(frames));
    }

    #[test]
    fn what_is_accepted_has_one_form(bytes in hostile(), size in 1..40usize) {
        let whole = decode_pieces([&bytes[..]], &Limits::default());
        let again: Vec<u8> = whole.0.iter().flat_map(bytes_of).collect();
        prop_assert_eq!(&again[..], &bytes[..again.len()]);
        prop_assert_eq!(decode_pieces(bytes.chunks(size), &Limits::default()), whole);
    }

    #[test]
    fn pieces_are_the_same_bytes(
        frames in vec_of(frame(), 1..6),
        deliveries in vec_of((option::of(number()), place(), message()), 0..3),
        share_from in 0..150usize,
    ) {
        let mut pieces = Pieces::new(share_from);
        let mut expected = BytesMut::new();
        for frame in &frames {
            pieces.push(frame);
            encode(frame, &mut expected);
        }
        for (sequence, place, message) in deliveries {
            let shared = SharedMessage::new(&message);
            pieces.push_deliver(sequence, &place, &shared);
            pieces.push_emit(None, &Target::Peer, &shared);
            encode(&Frame::Reliable { sequence, body: Reliable::Deliver(Deliver { place, message: message.clone() }) }, &mut expected);
            encode(&Frame::Emit(Emit { number: None, target: Target::Peer, message }), &mut expected);
        }
        let mut written = BytesMut::new();
        while let Some(piece) = pieces.pop() {
            prop_assert!(!piece.is_empty());
            prop_assert_eq!(pieces.byte_len() + piece.len() + written.len(), expected.len());
            written.extend_from_slice(&piece);
        }
        prop_assert_eq!(written, expected);
        prop_assert!(pieces.is_empty());
    }
}
