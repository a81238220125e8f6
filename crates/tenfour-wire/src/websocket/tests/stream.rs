//! However the bytes arrive, the messages are the same, and so is the error.

use std::{vec, vec::Vec};

use proptest::{collection::vec as vec_of, prelude::*, sample::Index};

use super::{
    super::{Decoder, ErrorKind, Message, Opcode, Role},
    MAX_MESSAGE, RawFrame, decode_all, decode_pieces,
    roundtrip::{any_message, parts},
    std,
};

/// Frames, and the messages that they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) frames: Vec<RawFrame>,
    messages: Vec<Message>,
}

impl Stream {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flat_map(RawFrame::bytes).collect()
    }
}

/// A message, where it is cut into fragments, and the pings that come after some of them.
type Plan = (Message, Vec<Index>, Vec<Option<Vec<u8>>>);

fn plan() -> impl Strategy<Value = Plan> {
    (
        any_message(),
        prop_oneof![Just(vec![]), vec_of(any::<Index>(), 1..5)],
        vec_of(proptest::option::weighted(0.3, vec_of(any::<u8>(), 0..9)), 5),
    )
}

/// Valid frames, as a server sees them or a client.
pub(super) fn stream(role: Role) -> impl Strategy<Value = Stream> {
    vec_of((plan(), any::<[u8; 4]>()), 0..6).prop_map(move |plans| {
        let mut stream = Stream::default();
        for ((message, cuts, pings), mask) in plans {
            append(&mut stream, message, &cuts, &pings, (role == Role::Server).then_some(mask));
        }
        stream
    })
}

fn append(
    stream: &mut Stream,
    message: Message,
    cuts: &[Index],
    pings: &[Option<Vec<u8>>],
    mask: Option<[u8; 4]>,
) {
    let (opcode, payload) = parts(&message);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    if opcode.is_control() {
        cuts.clear();
    }
    cuts.sort_unstable();
    let starts = [&[0], &cuts[..]].concat();
    let ends = [&cuts[..], &[payload.len()]].concat();
    for (index, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let is_last = index == cuts.len();
        stream.frames.push(RawFrame::new(is_last, opcode, mask, &payload[start..end]));
        if let (false, Some(ping)) = (is_last, &pings[index]) {
            stream.frames.push(RawFrame::new(true, Opcode::Ping, mask, ping));
            stream.messages.push(Message::Ping(ping.clone().into()));
        }
    }
    stream.messages.push(message);
}

/// What may happen to bytes on the way, or in a peer that attacks.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Truncate(Index),
    /// To a frame's first two bytes, where most of the meaning is.
    Header(Index, u8),
}

pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let mutation = prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        any::<Index>().prop_map(Mutation::Remove),
        any::<(Index, u8)>().prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<Index>().prop_map(Mutation::Truncate),
        (any::<Index>(), 0..16_u8).prop_map(|(at, bit)| Mutation::Header(at, bit)),
    ];
    vec_of(mutation, 1..4)
}

pub(super) fn mutate(stream: &Stream, mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = stream.bytes();
    let mut starts = vec![0];
    starts.extend(stream.frames.iter().scan(0, |at, frame| {
        *at += frame.bytes().len();
        Some(*at)
    }));
    for mutation in mutations {
        let len = bytes.len();
        if len == 0 {
            break;
        }
        match mutation {
            Mutation::Set(at, byte) => bytes[at.index(len)] = *byte,
            Mutation::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Mutation::Remove(at) => drop(bytes.remove(at.index(len))),
            Mutation::Insert(at, byte) => bytes.insert(at.index(len + 1), *byte),
            Mutation::Truncate(at) => bytes.truncate(at.index(len + 1)),
            Mutation::Header(at, bit) => {
                let byte = at.get(&starts) + usize::from(bit / 8);
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }
    bytes
}

fn assert_same_however_split(role: Role, bytes: &[u8], expected: &(Vec<Message>, Option<super::Error>)) {
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        let split = decode_pieces(&mut Decoder::new(role, MAX_MESSAGE), [front, back]);
        assert_eq!(&split, expected, "split at {at}");
    }
    let single = decode_pieces(&mut Decoder::new(role, MAX_MESSAGE), bytes.chunks(1));
    assert_eq!(&single, expected, "byte by byte");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_split_point_gives_the_same_messages(
        (role, stream) in prop_oneof![
            stream(Role::Server).prop_map(|stream| (Role::Server, stream)),
            stream(Role::Client).prop_map(|stream| (Role::Client, stream)),
        ],
    ) {
        let (messages, bytes) = (&stream.messages, stream.bytes());
        let expected = (messages.clone(), None);
        prop_assert_eq!(&decode_all(role, &bytes), &expected);
        assert_same_however_split(role, &bytes, &expected);
    }

    #[test]
    fn every_split_point_of_broken_streams_gives_the_same_messages_and_error(
        stream in stream(Role::Server),
        mutations in mutations(),
    ) {
        let bytes = mutate(&stream, &mutations);
        // To the end of whatever frame is cut off: an error in text may be seen before its frame ends, or then.
        let bytes = [bytes, vec![0; 2 * MAX_MESSAGE]].concat();
        let expected = decode_all(Role::Server, &bytes);
        prop_assert!(expected.1.is_some() || matches!(expected.0.last(), Some(Message::Close(_))));
        let end = bytes.len() - 2 * MAX_MESSAGE;
        for at in (0..end).chain((end..bytes.len()).step_by(97)) {
            let (front, back) = bytes.split_at(at);
            let split = decode_pieces(&mut Decoder::new(Role::Server, MAX_MESSAGE), [front, back]);
            prop_assert_eq!(&split, &expected, "split at {}", at);
        }
        let pieces = bytes.chunks(3);
        prop_assert_eq!(&decode_pieces(&mut Decoder::new(Role::Server, MAX_MESSAGE), pieces), &expected);
    }

    #[test]
    fn any_pieces_give_the_same(stream in stream(Role::Server), cuts in vec_of(any::<Index>(), 0..9)) {
        let bytes = stream.bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let starts = [&[0], &cuts[..]].concat();
        let ends = [&cuts[..], &[bytes.len()]].concat();
        let pieces = starts.iter().zip(&ends).map(|(&start, &end)| &bytes[start..end]);
        let whole = decode_all(Role::Server, &bytes);
        prop_assert_eq!(decode_pieces(&mut Decoder::new(Role::Server, MAX_MESSAGE), pieces), whole);
    }
}

#[test]
fn a_character_may_be_cut_anywhere() {
    let text = "aé€😀z";
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let [a, b, c] =
                [&text.as_bytes()[..first], &text.as_bytes()[first..second], &text.as_bytes()[second..]];
            let bytes = [
                RawFrame::new(false, Opcode::Text, None, a).bytes(),
                RawFrame::new(false, Opcode::Continuation, None, b).bytes(),
                RawFrame::new(true, Opcode::Continuation, None, c).bytes(),
            ]
            .concat();
            let expected = (vec![Message::Text(text.into())], None);
            assert_eq!(decode_all(Role::Client, &bytes), expected);
            assert_same_however_split(Role::Client, &bytes, &expected);
        }
    }
}

#[test]
fn an_errors_offset_counts_the_frames_before_it_however_they_came() {
    let good = RawFrame::new(true, Opcode::Binary, Some([1, 2, 3, 4]), &[9; 300]).bytes();
    let bytes = [&good[..], &good, &[0x80]].concat();
    for size in 1..bytes.len() {
        let (_, error) = decode_pieces(&mut Decoder::new(Role::Server, MAX_MESSAGE), bytes.chunks(size));
        let error = error.map(|error| (error.kind(), error.offset()));
        // The header's second byte never comes, so nothing is wrong yet.
        assert_eq!(error, None);
        let bytes = [&bytes[..], &[0x80, 0, 0, 0, 0]].concat();
        let (_, error) = decode_pieces(&mut Decoder::new(Role::Server, MAX_MESSAGE), bytes.chunks(size));
        let error = error.map(|error| (error.kind(), error.offset()));
        assert_eq!(error, Some((ErrorKind::UnexpectedContinuation, 2 * good.len() as u64)), "{size}");
    }
}
