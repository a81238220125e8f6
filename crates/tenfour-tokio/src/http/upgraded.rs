//! The stream that an HTTP connection has become.

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A stream, which sends what it is given at once if it is known to be TCP. Otherwise the second of two small writes waits until
/// the client has acknowledged the first, and that may put it off for 40 ms (Nagle's algorithm, RFC 9293 §3.7.4).
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP, and what was read of it with the request.
    Tcp { stream: TcpStream, read: Bytes },
    /// Whatever else the server serves on.
    Other(TokioIo<Upgraded>),
}

impl Stream {
    pub(super) fn new(upgraded: Upgraded) -> Self {
        match downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => {
                let stream = parts.io.into_inner();
                // A connection that is over by now is found to be when it is read.
                _ = stream.set_nodelay(true);
                Self::Tcp { stream, read: parts.read_buf }
            }
            Err(upgraded) => Self::Other(TokioIo::new(upgraded)),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp { read, .. } if !read.is_empty() => {
                let count = read.len().min(buffer.remaining());
                buffer.put_slice(&read[..count]);
                read.advance(count);
                Poll::Ready(Ok(()))
            }
            Self::Tcp { stream, .. } => Pin::new(stream).poll_read(cx, buffer),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

/// Does the same with either stream.
macro_rules! either {
    ($of:expr, $stream:ident => $call:expr) => {
        match $of {
            Stream::Tcp { stream: $stream, .. } => $call,
            Stream::Other($stream) => $call,
        }
    };
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
