//! tenfour's own protocol: frames from and to bytes, as docs/PROTOCOL.md lays them out.
//!
//! A frame is its length and its content, on streams and in datagrams alike. Numbers are written in as few bytes as they
//! need, and one that follows from the frame before is not written at all: a message of 32 bytes in sequence costs
//! four more on the wire.
//!
//! | | |
//! |---|---|
//! | [`Frame`], [`encode`] | a frame, and its bytes |
//! | [`Decoder`], [`decode_datagram`] | frames out of a stream, or out of a datagram |
//! | [`SharedMessage`], [`encode_deliver`] | a message that is encoded once and sent to many |
//! | [`Pieces`] | frames on their way to a stream, large bodies not copied |
//! | [`CloseCode`] | why a connection ends, and whether to come back |
//!
//! Nothing here knows what came before: the numbers that a frame leaves out are the session's to know.
//!
//! ```
//! use tenfour_wire::{BytesMut, native::*};
//!
//! let frame = Frame::Reliable {
//!     sequence: None,
//!     body: Reliable::Deliver(Deliver {
//!         place: Place::next(3),
//!         message: Message { name: None, body: Body::Text("thirty-two bytes, no more no less".into()) },
//!     }),
//! };
//! let mut wire = BytesMut::new();
//! encode(&frame, &mut wire);
//! assert_eq!(wire.len(), 33 + 4);
//!
//! let mut decoder = Decoder::new(Limits::default());
//! decoder.push(wire.freeze());
//! assert_eq!(decoder.next()?, Some(frame));
//! assert_eq!(decoder.next()?, None);
//! # Ok::<(), tenfour_wire::DecodeError>(())
//! ```
//!
//! What is accepted has one form: `encode` gives back the bytes that were decoded, so a relay may compare, hash or
//! store them.

mod channel;
mod close;
mod control;
mod decode;
mod frame;
mod handshake;
mod kind;
mod limits;
mod message;
mod pieces;
mod read;
mod refusal;
mod reliable;
#[cfg(test)]
mod tests;
mod write;

pub use self::{
    channel::{
        CaughtUp, Count, Decision, Deliver, Loss, LossReason, Lost, Place, Skip, Start, Subscribe,
        Subscribed, Subscription, Unsubscribe, Unsubscribed,
    },
    close::CloseCode,
    control::{Ack, AckRange, ChannelOffset, Close, Credit, GoAway, Ping, Pong},
    decode::{Datagram, Decoder, decode_datagram},
    frame::{Emit, Frame, Target, encode, encode_deliver, encode_emit, encode_reliable, encoded_len},
    handshake::{Field, Hello, MAGIC, Outcome, Reject, Resume, Token, VERSION, Welcome},
    limits::Limits,
    message::{Body, Message, SharedMessage},
    pieces::Pieces,
    refusal::{Refusal, RefusalReason},
    reliable::{Producer, ProducerRef, Publish, Published, Receipt, Reliable, Reply, Request},
};
