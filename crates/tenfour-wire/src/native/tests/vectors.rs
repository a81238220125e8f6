//! tests/native-vectors.txt: what other implementations are checked against, and what docs/PROTOCOL.md quotes.

use core::fmt::Write;
use std::{collections::BTreeSet, format, fs, string::String, vec::Vec};

use super::{super::frame::write_frame, super::write::Sink, errors, samples, *};
use crate::DecodeErrorKind;

const VECTORS: &str = include_str!("../../../tests/native-vectors.txt");
const HEAD: &str = "\
# Frames of the native protocol and their bytes in hexadecimal, in groups as the fields are written.
# `frame` is what the bytes say; `error` is why they are refused: what is wrong, at which byte, and the code to close with.
# This file is written by the crate's tests: TENFOUR_BLESS=1 cargo test -p tenfour-wire vectors
";

/// Fields in hexadecimal, each a group.
#[derive(Default)]
struct Groups(String);

impl Sink for Groups {
    fn put(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.push(' ');
        }
        for byte in bytes {
            write!(self.0, "{byte:02x}").expect("a string takes it");
        }
    }
}

fn render() -> String {
    let mut text = String::from(HEAD);
    for (title, frame) in samples::all() {
        let mut groups = Groups::default();
        write_frame(&frame, &mut groups);
        write!(text, "\n# {title}\nbytes{}\nframe {frame:?}\n", groups.0).expect("a string takes it");
    }
    for errors::Refused { title, bytes, kind, offset } in errors::refused() {
        let code = CloseCode::from(kind);
        write!(text, "\n# {title}\nbytes {bytes}\nerror {kind:?} at {offset}: {code}\n")
            .expect("a string takes it");
    }
    text
}

#[test]
fn vectors_are_what_the_encoder_writes() {
    let text = render();
    if std::env::var_os("TENFOUR_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/native-vectors.txt");
        fs::write(path, &text).expect("the file is ours");
    }
    for (line, (expected, actual)) in VECTORS.lines().zip(text.lines()).enumerate() {
        assert_eq!(expected, actual, "line {}", line + 1);
    }
    assert_eq!(VECTORS.len(), text.len());
}

pub(super) fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|char| char.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The vectors: title, bytes, and the line that says what they are.
fn parsed() -> impl Iterator<Item = (&'static str, Vec<u8>, &'static str)> {
    VECTORS.split("\n\n").skip(1).map(|block| {
        let mut lines = block.lines();
        let title = lines.next().and_then(|line| line.strip_prefix("# ")).expect("a title");
        let bytes = lines.next().and_then(|line| line.strip_prefix("bytes ")).expect("bytes");
        (title, from_hex(bytes), lines.next().expect("a meaning"))
    })
}

#[test]
fn vectors_are_read_as_they_say_and_written_as_they_were() {
    let mut count = 0;
    for (title, bytes, meaning) in parsed() {
        count += 1;
        match decode_one(&bytes, &Limits::default()) {
            Ok(frame) => {
                assert_eq!(format!("frame {frame:?}"), meaning, "{title}");
                assert_eq!(bytes_of(&frame), bytes, "{title}");
            }
            Err(error) => {
                let (kind, offset, code) = (error.kind(), error.offset(), CloseCode::from(error.kind()));
                assert_eq!(format!("error {kind:?} at {offset}: {code}"), meaning, "{title}");
            }
        }
    }
    assert_eq!(count, samples::all().len() + errors::refused().len());
}

#[test]
fn every_kind_of_frame_and_every_error_has_a_vector() {
    let kinds: BTreeSet<u8> = samples::all()
        .iter()
        .map(|(_, frame)| {
            let bytes = bytes_of(frame);
            let start = bytes.iter().position(|&byte| byte < 0x80).expect("the length ends");
            bytes[start + 1] >> 3
        })
        .collect();
    assert_eq!(kinds, (1..=10).chain(15..=28).collect());
    let errors: Vec<DecodeErrorKind> = errors::refused().iter().map(|refused| refused.kind).collect();
    for kind in errors::KINDS {
        assert!(errors.contains(kind), "{kind:?}");
    }
}

fn specification() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROTOCOL.md");
    fs::read_to_string(path).expect("the specification is there")
}

#[test]
fn the_tables_of_the_specification_are_those_of_the_code() {
    let document = specification();
    let assert_row = |row: String| assert!(document.contains(&row), "no row begins with {row}");
    for &code in CloseCode::ALL {
        let verdict = if code.is_final() { "final" } else { "retry" };
        assert_row(format!("\n| {} | {code:?} | {verdict} |", code.number()));
    }
    for number in 0..=14 {
        let reason = RefusalReason::from_wire(number, 0).expect("the number is assigned");
        let debug = format!("{reason:?}");
        let name = debug.split(' ').next().expect("it has a name");
        assert_row(format!("\n| {number} | {name} |"));
    }
    let limits = Limits::default();
    for (what, limit) in [
        ("name of a channel or a namespace", format!("{} bytes", limits.channel_bytes)),
        ("name of a message", format!("{} bytes", limits.name_bytes)),
        ("content of a frame", format!("{} MiB", limits.frame_bytes >> 20)),
        ("content of HELLO", format!("{} KiB", limits.hello_bytes() >> 10)),
        ("credentials", format!("{} KiB", limits.credential_bytes >> 10)),
        ("text for people (CLOSE, REJECT, REPLY)", format!("{} KiB", limits.text_bytes >> 10)),
        ("fields of later versions in HELLO, in WELCOME", format!("{}", limits.fields)),
        ("ranges of an ACK", format!("{}", limits.ack_ranges)),
        ("processed positions of an ACK", format!("{}", limits.processed)),
        ("heads of a PING", format!("{}", limits.heads)),
        ("attachments of a JSON body", format!("{}", limits.attachments)),
        ("depth of JSON, the unwritten array counted", format!("{}", limits.json_depth)),
    ] {
        assert_row(format!("\n| {what} | {limit} |"));
    }
    for number in 0..=7 {
        assert_row(format!("\n| {number} | {:?} |", LossReason::from_number(number)));
    }
}

#[test]
fn the_specification_quotes_vectors_and_every_kind_of_them() {
    let document = specification();
    let mut quoted = BTreeSet::new();
    for block in document.split("```vector\n").skip(1) {
        let block = block.split("```").next().expect("a block ends");
        for (title, bytes) in block.lines().zip(block.lines().skip(1)).step_by(2) {
            let vector = format!("\n{title}\nbytes {bytes}\n");
            assert!(VECTORS.contains(&vector), "no vector reads{vector}");
            quoted.extend(title.split([' ', ':', ',']).nth(1));
        }
    }
    for (title, _) in samples::all() {
        let name = title.split([' ', ':', ',']).next().expect("a name");
        assert!(quoted.contains(name), "{name} has no example in the specification");
    }
}

/// The bar: four bytes beside name and body, for channels below 128 and names of up to 30 bytes.
#[test]
fn a_message_of_32_bytes_in_sequence_costs_four_more() {
    let name = "a name of exactly thirty bytes";
    assert_eq!(name.len(), 30);
    for name in [None, Some("chat"), Some(name)] {
        let body = Body::Text("a body of exactly thirty-two byt".into());
        let message = Message { name: name.map(ByteString::from_static), body };
        let deliver = Deliver { place: Place::next(127), message };
        let frame = Frame::Reliable { sequence: None, body: Reliable::Deliver(deliver) };
        assert_eq!(encoded_len(&frame), 4 + name.map_or(0, str::len) + 32, "{name:?}");
    }
}

#[test]
fn however_a_vector_arrives_it_is_the_same() {
    for (title, bytes, _) in parsed() {
        let whole = decode_pieces([&bytes[..]], &Limits::default());
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            assert_eq!(decode_pieces([front, back], &Limits::default()), whole, "{title} cut at {at}");
        }
        assert_eq!(decode_pieces(bytes.chunks(1), &Limits::default()), whole, "{title} byte by byte");
    }
}

#[test]
fn a_vector_that_ends_early_waits_in_a_stream_and_is_refused_in_a_datagram() {
    let limits = Limits::default();
    for (title, frame) in samples::all() {
        let bytes = bytes_of(&frame);
        for end in 1..bytes.len() {
            assert_eq!(decode_pieces([&bytes[..end]], &limits), (Vec::new(), None), "{title} until {end}");
            let mut datagram = decode_datagram(bytes.slice(..end), &limits);
            let error = datagram.next().expect("there are bytes").expect_err("the end is missing");
            assert_eq!(
                (error.kind(), error.offset()),
                (DecodeErrorKind::Truncated, end),
                "{title} until {end}"
            );
        }
    }
}

#[test]
fn all_vectors_are_one_stream_and_one_datagram() {
    let frames: Vec<Frame> = samples::all().into_iter().map(|(_, frame)| frame).collect();
    let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
    for size in [1, 2, 3, 7, 64, 1000, bytes.len()] {
        let (decoded, error) = decode_pieces(bytes.chunks(size), &Limits::default());
        assert_eq!((&decoded, error), (&frames, None), "in pieces of {size}");
    }
    let decoded: Result<Vec<Frame>, DecodeError> =
        decode_datagram(bytes.into(), &Limits::default()).collect();
    assert_eq!(decoded, Ok(frames));
}
