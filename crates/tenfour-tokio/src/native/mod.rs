//! The native protocol over byte streams: TCP, TLS, Unix sockets, and WebSockets whose binary messages are one.

mod pipe;
mod websocket;

pub use pipe::Pipe;
pub use websocket::WebSocketStream;
