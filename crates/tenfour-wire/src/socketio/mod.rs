//! Socket.IO v5 (protocol revision 5, on Engine.IO v4): packets with their attachments and acknowledgements.

mod args;
mod decode;
mod encode;
#[cfg(feature = "msgpack")]
pub mod msgpack;
mod packet;
mod sequence;

pub use args::{Args, Iter};
pub use decode::Decoder;
pub use encode::{encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event};
pub use packet::{AckId, DEFAULT_NAMESPACE, EventName, Packet};
