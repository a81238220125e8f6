//! Listening.

use super::connection::{Connection, Seat};
use crate::Server;
use futures_util::FutureExt;
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tenfour_wire::{
    BytesMut,
    native::{self as wire, CloseCode, Frame, Reject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Where connections come from.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<Self::Stream> {
        Ok(Self::accept(self).await?.0)
    }
}

/// How long to rest after a connection could not be accepted: out of file descriptors, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

impl Server {
    /// Serves the native protocol to whoever connects, until the future is dropped; the connections then go on.
    pub async fn serve_native<L: Listener>(&self, listener: L) -> Infallible {
        self.accept_native(listener, |stream| async { Ok(stream) }, turn_away).await
    }

    /// [`serve_native`](Self::serve_native) with TLS.
    pub async fn serve_native_tls<L: Listener>(&self, listener: L, tls: Arc<ServerConfig>) -> Infallible {
        let acceptor = TlsAcceptor::from(tls);
        let patience = self.shared.config.native.tls_timeout;
        let secure = move |stream| {
            let handshake = tokio::time::timeout(patience, acceptor.accept(stream));
            async { handshake.await? }
        };
        // Who has not shaken hands would not understand a refusal.
        self.accept_native(listener, secure, drop).await
    }

    /// Serves the native protocol on one stream. The future ends with the connection, and ends the connection when it is dropped.
    pub fn serve_native_stream<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = match Seat::take(&self.shared) {
            Some(seat) => Some(Connection::new(stream, seat)),
            None => {
                turn_away(stream);
                None
            }
        };
        async {
            if let Some(connection) = connection {
                connection.await;
            }
        }
    }

    async fn accept_native<L, S, F>(
        &self,
        mut listener: L,
        secure: impl Fn(L::Stream) -> F,
        refuse: impl Fn(L::Stream),
    ) -> Infallible
    where
        L: Listener,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        loop {
            let stream = match listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Some(seat) = Seat::take(&self.shared) else {
                refuse(stream);
                continue;
            };
            let secured = secure(stream);
            tokio::spawn(async move {
                match secured.await {
                    Ok(stream) => Connection::new(stream, seat).await,
                    Err(error) => tracing::debug!(%error, "no TLS handshake"),
                }
            });
        }
    }
}

/// Tells a client that there is no room, if its stream takes that at once.
fn turn_away(mut stream: impl AsyncWrite + Unpin) {
    let reject = Reject {
        code: CloseCode::Overloaded,
        retry_after_ms: Some(WHEN_FULL_MS),
        reason: "the server is full, or about to stop".into(),
    };
    let mut bytes = BytesMut::new();
    wire::encode(&Frame::Reject(reject), &mut bytes);
    // Whoever cannot be told sees the end of the connection.
    let told = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    let _ = told.now_or_never();
}

/// How long whoever finds the server full is asked to wait.
const WHEN_FULL_MS: u32 = 5_000;
