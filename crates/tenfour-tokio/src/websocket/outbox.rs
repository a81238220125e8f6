//! Frames on their way into the socket.

use bytes::Bytes;
use std::{
    cell::Cell,
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tenfour_session::Frame;
use tenfour_wire::websocket::{self, Opcode};
use tokio::io::AsyncWrite;

/// How much is taken for one write.
const BATCH_BYTES: usize = 64 << 10;

/// A payload of at least this size is written from where it is; a smaller one is copied beside its neighbours, which
/// costs less than a further slice.
const SHARED_BYTES: usize = 2 << 10;

/// How many pieces one system call takes.
const SLICES: usize = 64;

thread_local! {
    static SPARE: Cell<Option<Box<Outbox>>> = const { Cell::new(None) };
}

/// What was taken from the session and is not written yet.
///
/// It belongs to the thread for as long as sockets take what they are given: only a blocked one keeps its own.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Headers and small payloads.
    copied: Vec<u8>,
    pieces: Vec<Piece>,
    /// The first piece that is not written whole, and how much of it is.
    next: usize,
    written: usize,
    bytes: usize,
    end: End,
}

#[derive(Debug)]
enum Piece {
    Copied(Range<usize>),
    Shared(Bytes),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Open,
    /// The close frame is the last one.
    Closed,
}

impl Outbox {
    /// An empty one, with the memory of the last one.
    pub(super) fn take() -> Box<Self> {
        SPARE.take().unwrap_or_default()
    }

    /// Gives an empty one back.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.copied.clear();
        self.copied.shrink_to(2 * BATCH_BYTES);
        self.pieces.clear();
        (self.next, self.written, self.bytes, self.end) = (0, 0, 0, End::Open);
        SPARE.set(Some(self));
    }

    /// Takes a frame. Whether another one fits into the same write.
    pub(super) fn push(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Text(text) => self.push_payload(Opcode::Text, text),
            Frame::Binary(data) => self.push_payload(Opcode::Binary, data),
            Frame::Pong(data) => self.push_payload(Opcode::Pong, data),
            Frame::Close(code) => {
                let code = code.map_or(Bytes::new(), |code| Bytes::copy_from_slice(&code.to_be_bytes()));
                self.push_payload(Opcode::Close, code);
                self.end = End::Closed;
            }
            _ => {}
        }
        self.bytes < BATCH_BYTES && self.pieces.len() < SLICES && self.end == End::Open
    }

    fn push_payload(&mut self, opcode: Opcode, payload: Bytes) {
        let header = websocket::header(opcode, payload.len());
        self.bytes += header.len() + payload.len();
        self.copy(&header);
        if payload.len() < SHARED_BYTES {
            self.copy(&payload);
        } else {
            self.pieces.push(Piece::Shared(payload));
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        let start = self.copied.len();
        self.copied.extend_from_slice(bytes);
        match self.pieces.last_mut() {
            Some(Piece::Copied(range)) => range.end = self.copied.len(),
            _ => self.pieces.push(Piece::Copied(start..self.copied.len())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// Writes everything, as many pieces with one call as there are.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        while self.bytes > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces[self.next..]) {
                let skipped = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&piece.bytes(&self.copied)[skipped..]);
                count += 1;
            }
            let written = ready!(stream.as_mut().poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        stream.poll_flush(cx)
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.written += written;
        while let Some(piece) = self.pieces.get(self.next) {
            let len = piece.bytes(&self.copied).len();
            if self.written < len {
                break;
            }
            self.written -= len;
            self.next += 1;
        }
    }
}

impl Piece {
    fn bytes<'a>(&'a self, copied: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Copied(range) => &copied[range.clone()],
            Self::Shared(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tenfour_wire::websocket::{Decoder, Message, Role};

    /// Takes `most` bytes with a call, and blocks after each.
    struct Narrow {
        most: usize,
        taken: Vec<u8>,
        blocked: bool,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.blocked = !self.blocked;
            if self.blocked {
                return Poll::Pending;
            }
            let count = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn frames_arrive_whole_however_little_the_socket_takes() {
        let frames = [
            Frame::Text("42[\"a\"]".into()),
            Frame::Binary(vec![7; 5000].into()),
            Frame::Text("x".repeat(SHARED_BYTES - 1).into()),
            Frame::Pong("p".into()),
            Frame::Binary(vec![8; SHARED_BYTES].into()),
            Frame::Close(Some(1009)),
        ];
        for most in [1, 3, 1000, 100_000] {
            let mut outbox = Outbox::take();
            let mut socket = Narrow { most, taken: Vec::new(), blocked: false };
            frames.iter().cloned().for_each(|frame| {
                outbox.push(frame);
            });
            let mut cx = Context::from_waker(Waker::noop());
            while outbox.poll_write(&mut cx, Pin::new(&mut socket)).is_pending() {}
            assert!(outbox.is_empty());
            assert_eq!(outbox.end(), End::Closed);
            outbox.give_back();

            let mut decoder = Decoder::new(Role::Client, 1 << 20);
            let mut input = &socket.taken[..];
            let lens: Vec<_> = std::iter::from_fn(|| decoder.decode(&mut input).unwrap())
                .map(|message| match message {
                    Message::Text(text) => text.len(),
                    Message::Binary(data) | Message::Pong(data) | Message::Ping(data) => data.len(),
                    Message::Close(close) => usize::from(close.unwrap().code),
                })
                .collect();
            assert_eq!(lens, [7, 5000, SHARED_BYTES - 1, 1, SHARED_BYTES, 1009]);
        }
    }
}
