//! A stream, as a session's driver uses it: chunks in, chunks out with few system calls, nothing held while idle.

use bytes::{Buf, Bytes};
use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once. The buffer belongs to the thread, not to the connection.
const READ_BYTES: usize = 64 << 10;

/// How much is taken for one write.
const BATCH_BYTES: usize = 64 << 10;

/// How many pieces one system call takes.
const SLICES: usize = 64;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A byte stream with what it has not taken yet.
#[derive(Debug)]
pub struct Pipe<S> {
    stream: S,
    /// In order; of the first, what was written is gone.
    outgoing: VecDeque<Bytes>,
    bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// A pipe over a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, outgoing: VecDeque::new(), bytes: 0 }
    }

    /// What has come: at most 64 KiB, `None` at the stream's end.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut scratch);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let chunk = Bytes::copy_from_slice(buffer.filled());
        SCRATCH.set(scratch);
        read.map_ok(|()| (!chunk.is_empty()).then_some(chunk))
    }

    /// Whether bytes wait for the stream to take them.
    pub fn is_blocked(&self) -> bool {
        self.bytes > 0
    }

    /// Writes what `next` gives, until it gives nothing more or the stream takes no more: pieces are gathered, and given to the
    /// stream with one call. It is ready, and says whether anything was written, when all is.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut() -> Option<Bytes>,
    ) -> Poll<io::Result<bool>> {
        let mut wrote = false;
        loop {
            while self.bytes < BATCH_BYTES && self.outgoing.len() < SLICES {
                let Some(chunk) = next() else { break };
                if !chunk.is_empty() {
                    self.bytes += chunk.len();
                    self.outgoing.push_back(chunk);
                }
            }
            if self.bytes == 0 {
                break;
            }
            wrote = true;
            ready!(self.poll_drain(cx))?;
        }
        if self.outgoing.capacity() > 0 {
            self.outgoing = VecDeque::new();
        }
        if wrote {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        }
        Poll::Ready(Ok(wrote))
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.bytes > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, chunk) in slices.iter_mut().zip(&self.outgoing) {
                *slice = IoSlice::new(chunk);
                count += 1;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(chunk) = self.outgoing.front_mut() {
            if written < chunk.len() {
                chunk.advance(written);
                return;
            }
            written -= chunk.len();
            self.outgoing.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, task::Waker};
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn chunks_arrive_whole_and_in_order_however_little_the_stream_takes() {
        for room in [1, 7, 4096, 1 << 20] {
            let (near, mut far) = tokio::io::duplex(room);
            let chunks: Vec<_> =
                (0..200_usize).map(|number| Bytes::from(vec![number as u8; number * 7 % 1500])).collect();
            let expected = chunks.concat();
            let reader = tokio::spawn(async move {
                let mut received = Vec::new();
                far.read_to_end(&mut received).await.unwrap();
                received
            });
            let mut pipe = Pipe::new(near);
            let mut left = chunks.into_iter();
            assert!(poll_fn(|cx| pipe.poll_write(cx, || left.next())).await.unwrap());
            assert!(!pipe.is_blocked());
            drop(pipe);
            assert_eq!(reader.await.unwrap(), expected, "{room}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_is_given_no_more_than_a_batch() {
        let (near, _far) = tokio::io::duplex(16);
        let mut pipe = Pipe::new(near);
        let mut cx = Context::from_waker(Waker::noop());
        let mut given = 0;
        for _ in 0..3 {
            let mut next = || {
                given += 1;
                Some(Bytes::from_static(&[0; 4096]))
            };
            assert!(pipe.poll_write(&mut cx, &mut next).is_pending());
        }
        assert!(pipe.is_blocked());
        assert_eq!(given, BATCH_BYTES / 4096 + 1, "one more for the room that the stream had");
    }
}
