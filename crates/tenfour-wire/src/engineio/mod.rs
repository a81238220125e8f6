//! Engine.IO v4: the packets, the long-polling payloads that join them, and the handshake.
//!
//! On WebSocket each packet is one frame: a text frame is read by [`Packet::decode`], a binary frame *is* the data
//! of a message. Over HTTP long polling, packets travel joined as a payload ([`decode_payload`],
//! [`PayloadEncoder`]), and binary data as base64.
//!
//! ```
//! use tenfour_wire::{BytesMut, Limits, engineio::{Packet, PayloadEncoder, decode_payload}};
//!
//! let mut body = BytesMut::new();
//! let mut payload = PayloadEncoder::new(&mut body);
//! payload.push(&Packet::Text("hello".into()));
//! payload.push(&Packet::Binary(vec![1, 2, 3, 4].into()));
//! assert_eq!(body, "4hello\u{1e}bAQIDBA==");
//!
//! let packets = decode_payload(body.try_into()?, &Limits::default())?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(packets[0], Packet::Text("hello".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where this is stricter than the JavaScript parser
//!
//! | input | JavaScript (engine.io-parser 5.2) | here |
//! |---|---|---|
//! | junk inside base64 (`b!!!!`) | skipped | [`Base64`](crate::DecodeErrorKind::Base64) |
//! | a last base64 digit alone (`bAQIDB`) | dropped | [`Base64`](crate::DecodeErrorKind::Base64) |
//! | more packets in a payload than the limit | all read | [`TooManyPackets`](crate::DecodeErrorKind::TooManyPackets), before the first |

mod handshake;
mod packet;
mod payload;

pub use handshake::{Handshake, ReceivedHandshake};
pub use packet::Packet;
pub use payload::{Payload, PayloadEncoder, decode_payload};
