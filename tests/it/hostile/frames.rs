//! Broken, huge and countless WebSocket frames.

use super::still_serves;
use crate::server::{TestServer, echo, quiet};
use bytes::BytesMut;
use tenfour::wire::websocket::{CloseFrame, Message, Opcode, encode_masked};
use tenfour_testkit::client::Client;

async fn server() -> TestServer {
    TestServer::start(quiet().namespace(echo("/"))).await
}

/// Sends bytes, and answers the code with which the server then closes.
async fn closed_with(server: &TestServer, bytes: &[u8]) -> Option<u16> {
    let mut client = server.joined().await;
    // The server may hang up before it has read everything.
    let sent = client.connection().send_bytes(bytes).await;
    let close = client.connection().expect_close().await;
    let close = close.unwrap_or_else(|error| panic!("{error} (sent: {sent:?})"));
    client.connection().expect_end().await.unwrap();
    close.map(|CloseFrame { code, .. }| code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_by_its_header_alone() {
    let server = server().await;
    for length in [1_000_001, u64::from(u32::MAX), i64::MAX.cast_unsigned()] {
        let header = [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(closed_with(&server, &header).await, Some(1009), "{length}");
    }
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_that_grow_over_the_limit_are_refused() {
    let server = server().await;
    let piece = vec![b'x'; 60_000];
    let mut bytes = BytesMut::new();
    for index in 0..17 {
        let start = bytes.len();
        encode_masked(
            if index == 0 { Opcode::Text } else { Opcode::Continuation },
            &piece,
            [0; 4],
            &mut bytes,
        );
        bytes[start] &= 0x7f;
    }
    assert_eq!(closed_with(&server, &bytes).await, Some(1009));
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_is_refused() {
    let server = server().await;
    for text in [&b"42[\"message\",\"\xff\"]"[..], b"4\xed\xa0\x80", b"4\xc0\x80", b"4\xf0\x9f"] {
        let mut frame = BytesMut::new();
        encode_masked(Opcode::Text, text, [5, 6, 7, 8], &mut frame);
        assert_eq!(closed_with(&server, &frame).await, Some(1007), "{text:?}");
    }
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_against_the_protocol_are_refused() {
    let server = server().await;
    for (what, frame) in [
        ("unmasked", &b"\x81\x01\x33"[..]),
        ("reserved bit", b"\xc1\x81\0\0\0\0\x33"),
        ("reserved opcode", b"\x83\x81\0\0\0\0\x33"),
        ("continuation of nothing", b"\x80\x81\0\0\0\0\x33"),
        ("fragmented ping", b"\x09\x80\0\0\0\0"),
        ("long ping", b"\x89\xfe\0\x7e\0\0\0\0"),
        ("length in too many bytes", b"\x81\xfe\0\x01\0\0\0\0\x33"),
        ("message within a message", b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0"),
    ] {
        assert_eq!(closed_with(&server, frame).await, Some(1002), "{what}");
    }
    still_serves(&server).await;
}

/// ws's CVE-2026-48779: fragments that cost more than they carry.
#[tokio::test(flavor = "multi_thread")]
async fn countless_fragments_are_refused() {
    let server = server().await;
    for (what, fragment) in [("empty", &b"\0\x80\0\0\0\0"[..]), ("tiny", b"\0\x81\0\0\0\0x")] {
        let flood = [b"\x01\x81\0\0\0\x004", &*fragment.repeat(150_000)].concat();
        assert_eq!(closed_with(&server, &flood).await, Some(1009), "{what}");
    }
    still_serves(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_messages_are_no_packets() {
    let server = server().await;
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut flood = BytesMut::new();
        (0..1000).for_each(|_| encode_masked(opcode, b"", [0; 4], &mut flood));
        assert_eq!(closed_with(&server, &flood).await, None, "{opcode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_is_answered_with_what_the_client_reads() {
    const PINGS: usize = 100_000;
    let server = server().await;
    let mut client = server.joined().await;
    let pings: Vec<_> = (0..PINGS).map(|number| Message::Ping(number.to_string().into())).collect();
    client.connection().send_all(&pings).await.unwrap();
    let mut pongs = 0;
    let mut last = client.connection().receive().await.unwrap();
    while last != Message::Pong((PINGS - 1).to_string().into()) {
        assert!(matches!(last, Message::Pong(_)), "{last:?}");
        pongs += 1;
        last = client.connection().receive().await.unwrap();
    }
    assert!(pongs < PINGS);
    echoes(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_may_stand_between_fragments() {
    let server = server().await;
    let mut client = server.joined().await;
    let mut bytes = BytesMut::new();
    let text = b"42[\"message\",\"\xc3\xa9\"]";
    for (index, byte) in text.iter().enumerate() {
        let start = bytes.len();
        let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
        encode_masked(opcode, &[*byte], [1, 2, 3, 4], &mut bytes);
        if index + 1 < text.len() {
            bytes[start] &= 0x7f;
        }
        encode_masked(Opcode::Pong, b"unasked", [4, 3, 2, 1], &mut bytes);
    }
    client.connection().send_bytes(&bytes).await.unwrap();
    client.expect_text("42[\"message-back\",\"é\"]").await.unwrap();
}

async fn echoes(client: &mut Client) {
    client.send_text("42[\"message\",1]").await.unwrap();
    client.expect_text("42[\"message-back\",1]").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_through_a_conversation_is_understood() {
    let server = server().await;
    let mut bytes = BytesMut::new();
    for (opcode, payload) in [
        (Opcode::Text, &b"451-[\"message\",{\"_placeholder\":true,\"num\":0}]"[..]),
        (Opcode::Binary, b"\0\xff"),
        (Opcode::Text, b"42[\"message\",2]"),
    ] {
        encode_masked(opcode, payload, [9, 8, 7, 6], &mut bytes);
    }
    let mut client = server.joined().await;
    for cut in 0..bytes.len() {
        client.connection().send_bytes(&bytes[..cut]).await.unwrap();
        tokio::task::yield_now().await;
        client.connection().send_bytes(&bytes[cut..]).await.unwrap();
        let packet = client.receive().await.unwrap();
        assert_eq!(packet.attachments(), [&b"\0\xff"[..]], "cut at {cut}");
        client.expect_text("42[\"message-back\",2]").await.unwrap();
    }
}
