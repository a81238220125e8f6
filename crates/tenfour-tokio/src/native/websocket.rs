//! A byte stream in a WebSocket's binary messages.

use bytes::{Buf, Bytes, BytesMut};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tenfour_wire::websocket::{
    CloseFrame, Decoder, Message, Opcode, Role, encode_close, encode_masked, header,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest message that is read: it is cut into pieces by whoever sends it, so it bounds no frame of the protocol inside.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// How much waits to be written before no more is taken.
const BACKLOG_BYTES: usize = 64 << 10;

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// The bytes in a WebSocket's binary messages, in order; where one message ends means nothing. Pings are answered, a close
/// frame is the stream's end, and a text message an error.
#[derive(Debug)]
pub struct WebSocketStream<S> {
    stream: S,
    role: Role,
    decoder: Decoder,
    /// Came, and is not decoded yet: what stood behind the handshake, at first.
    received: Bytes,
    /// Of the last message, what was not taken.
    message: Bytes,
    /// Frames that the stream has not taken.
    unwritten: BytesMut,
    closing: Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// Our close frame is among what is unwritten, or written.
    Said,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// A stream whose handshake is done. `received` is what stood behind it already.
    pub fn new(stream: S, role: Role, received: Bytes) -> Self {
        Self {
            stream,
            role,
            decoder: Decoder::new(role, MAX_MESSAGE_BYTES),
            received,
            message: Bytes::new(),
            unwritten: BytesMut::new(),
            closing: Closing::No,
        }
    }

    fn write_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        match self.role {
            Role::Client => encode_masked(opcode, payload, mask(), &mut self.unwritten),
            Role::Server => {
                self.unwritten.extend_from_slice(&header(opcode, payload.len()));
                self.unwritten.extend_from_slice(payload);
            }
        }
    }

    fn say_close(&mut self, code: u16) {
        if self.closing == Closing::No {
            self.closing = Closing::Said;
            let close = CloseFrame { code, reason: "".into() };
            encode_close(Some(&close), (self.role == Role::Client).then(mask), &mut self.unwritten);
        }
    }

    /// Writes what is unwritten, as much as the stream takes.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unwritten))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unwritten.advance(written);
        }
        // An idle stream holds no buffer.
        self.unwritten = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Reads until there is a message with bytes in it, or the stream's end: then there is none.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A pong that the stream did not take goes out even if nothing else is ever written.
        let _ = self.poll_drain(cx)?;
        loop {
            let mut input = &self.received[..];
            let message = self.decoder.decode(&mut input);
            let consumed = self.received.len() - input.len();
            self.received.advance(consumed);
            match message {
                Ok(Some(Message::Binary(data))) if data.is_empty() => {}
                Ok(Some(Message::Binary(data))) => {
                    self.message = data;
                    return Poll::Ready(Ok(()));
                }
                Ok(Some(Message::Ping(data))) => {
                    // Whoever sends pings and reads no pongs waits: what is not written is bounded.
                    if self.unwritten.len() < BACKLOG_BYTES {
                        self.write_frame(Opcode::Pong, &data);
                    }
                    let _ = self.poll_drain(cx)?;
                }
                Ok(Some(Message::Pong(_))) => {}
                Ok(Some(Message::Close(_))) => {
                    self.say_close(1000);
                    let _ = self.poll_drain(cx)?;
                    return Poll::Ready(Ok(()));
                }
                Ok(Some(Message::Text(_))) => return Poll::Ready(self.fail(cx, 1003, "a text message")),
                Err(error) => return Poll::Ready(self.fail(cx, error.close_code(), &error.to_string())),
                Ok(None) => {
                    self.received = Bytes::new();
                    let mut scratch = [0; READ_BYTES];
                    let mut buffer = ReadBuf::new(&mut scratch);
                    ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
                    if buffer.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    self.received = Bytes::copy_from_slice(buffer.filled());
                }
            }
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, code: u16, what: &str) -> io::Result<()> {
        self.say_close(code);
        let _ = self.poll_drain(cx)?;
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.message.is_empty() {
            ready!(this.poll_message(cx))?;
        }
        let taken = this.message.split_to(this.message.len().min(buf.remaining()));
        buf.put_slice(&taken);
        if this.message.is_empty() {
            this.message = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.unwritten.len() >= BACKLOG_BYTES {
            ready!(this.poll_drain(cx))?;
        }
        let taken = &buf[..buf.len().min(BACKLOG_BYTES)];
        if !taken.is_empty() {
            this.write_frame(Opcode::Binary, taken);
        }
        let _ = this.poll_drain(cx)?;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.say_close(1000);
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// RFC 6455 §10.3 asks for masks that nobody can guess.
fn mask() -> [u8; 4] {
    let mut mask = [0; 4];
    getrandom::fill(&mut mask).expect("the system has randomness");
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pair(
        room: usize,
    ) -> (WebSocketStream<tokio::io::DuplexStream>, WebSocketStream<tokio::io::DuplexStream>) {
        let (client, server) = tokio::io::duplex(room);
        (
            WebSocketStream::new(client, Role::Client, Bytes::new()),
            WebSocketStream::new(server, Role::Server, Bytes::new()),
        )
    }

    #[tokio::test]
    async fn bytes_go_both_ways_until_one_side_says_that_it_is_over() {
        for room in [1, 100, 1 << 20] {
            let (client, server) = pair(room);
            let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
            let exchange = |mut stream: WebSocketStream<_>, sent: Vec<u8>| async move {
                let mut received = vec![0; sent.len()];
                let (mut read, mut write) = tokio::io::split(&mut stream);
                let (written, read) = tokio::join!(
                    async {
                        write.write_all(&sent).await?;
                        write.flush().await
                    },
                    read.read_exact(&mut received)
                );
                written.unwrap();
                read.unwrap();
                (stream, received)
            };
            let (from_server, from_client) =
                tokio::join!(exchange(client, sent.clone()), exchange(server, sent.clone()));
            assert!(from_server.1 == sent && from_client.1 == sent);
            let (mut client, mut server) = (from_server.0, from_client.0);
            let (closed, end) = tokio::join!(client.shutdown(), server.read_u8());
            closed.unwrap();
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn a_ping_is_answered_and_a_text_message_is_refused() {
        let (mut client, server) = tokio::io::duplex(1000);
        let mut server = WebSocketStream::new(server, Role::Server, Bytes::new());
        let mut wire = BytesMut::new();
        encode_masked(Opcode::Ping, b"hi", [1, 2, 3, 4], &mut wire);
        encode_masked(Opcode::Text, b"hello", [1, 2, 3, 4], &mut wire);
        client.write_all(&wire).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut answer = [0; 8];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, *b"\x8a\x02hi\x88\x02\x03\xeb");
    }
}
