//! A client at the other end of a pipe whose capacity is known.

use crate::server::soon;
use bytes::BytesMut;
use tenfour::{
    Server,
    wire::websocket::{Decoder, Message, Opcode, Role, encode_masked},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};

/// The client's end of a pipe on which a WebSocket is served.
pub(crate) struct Peer {
    stream: DuplexStream,
    decoder: Decoder,
    received: BytesMut,
}

impl Peer {
    /// A pipe that holds so many bytes in a direction, and the task that serves it.
    pub(crate) fn open(server: &Server, capacity: usize) -> (Self, JoinHandle<()>) {
        let (stream, served) = tokio::io::duplex(capacity);
        let request = opened_by("/socket.io/?EIO=4&transport=websocket&token=x");
        let serving = tokio::spawn(server.inner().serve_websocket(served, &request).unwrap());
        let decoder = Decoder::new(Role::Client, 1 << 20);
        (Self { stream, decoder, received: BytesMut::new() }, serving)
    }

    /// A pipe of few bytes, and the client in the namespace `/`.
    pub(crate) async fn joined(server: &Server) -> Self {
        let (mut peer, _serving) = Self::open(server, 1024);
        peer.receive().await;
        peer.send("40").await;
        peer.receive().await;
        peer
    }

    pub(crate) async fn send(&mut self, text: &str) {
        let mut frame = BytesMut::new();
        encode_masked(Opcode::Text, text.as_bytes(), [1, 2, 3, 4], &mut frame);
        self.stream.write_all(&frame).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Message {
        loop {
            let mut input = &self.received[..];
            let message = self.decoder.decode(&mut input).unwrap();
            let rest = input.len();
            let _ = self.received.split_to(self.received.len() - rest);
            if let Some(message) = message {
                return message;
            }
            let read = soon("a frame", self.stream.read_buf(&mut self.received)).await;
            assert_ne!(read.unwrap(), 0, "the end");
        }
    }
}

/// The head of a request.
pub(crate) fn opened_by(target: &str) -> http::request::Parts {
    http::Request::get(target).body(()).unwrap().into_parts().0
}
