use super::Encoding;
use crate::io::Frame;
use alloc::vec::Vec;
use bytes::BytesMut;
use smallvec::SmallVec;
use tenfour_wire::socketio::{AckId, Args, EventName, Packet, encode_ack, encode_event, msgpack};

/// A packet as it goes to the wire: encoded once, then shared by all who get it.
///
/// ```
/// use tenfour_session::socketio::{Encoded, Encoding};
/// use tenfour_wire::{Limits, socketio::Args};
///
/// let args = Args::from_parts(r#""world",1"#.into(), Vec::new(), &Limits::default())?;
/// let hello = Encoded::event(Encoding::Json, "/", None, &"hello".into(), &args);
/// let for_another = hello.clone(); // no bytes are copied
/// assert_eq!(for_another.byte_len(), r#"42["hello","world",1]"#.len());
/// # Ok::<(), tenfour_wire::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    frames: SmallVec<[Frame; 1]>,
}

impl Encoded {
    /// An event; with `id`, one that is to be acknowledged.
    #[must_use]
    pub fn event(
        encoding: Encoding,
        namespace: &str,
        id: Option<AckId>,
        name: &EventName,
        args: &Args,
    ) -> Self {
        let head = namespace.len() + name.as_str().len();
        match encoding {
            Encoding::Json => Self::text(head, args, |out| encode_event(out, namespace, id, name, args)),
            Encoding::MessagePack => {
                Self::binary(head, args, |out| msgpack::encode_event(out, namespace, id, name, args))
            }
        }
    }

    /// The answer to the client's event `id`.
    #[must_use]
    pub fn ack(encoding: Encoding, namespace: &str, id: AckId, args: &Args) -> Self {
        let head = namespace.len();
        match encoding {
            Encoding::Json => Self::text(head, args, |out| encode_ack(out, namespace, id, args)),
            Encoding::MessagePack => {
                Self::binary(head, args, |out| msgpack::encode_ack(out, namespace, id, args))
            }
        }
    }

    /// A packet that carries no more than its JSON.
    pub(super) fn control(encoding: Encoding, packet: &Packet) -> Self {
        let none = Args::empty();
        match encoding {
            Encoding::Json => Self::text(0, &none, |out| packet.encode(out)),
            Encoding::MessagePack => Self::binary(0, &none, |out| msgpack::encode(packet, out)),
        }
    }

    /// Attachments are frames of their own.
    fn text(head: usize, args: &Args, write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut text = BytesMut::with_capacity(head + args.json().len() + ENVELOPE);
        text.extend_from_slice(b"4");
        write(&mut text);
        let mut frames = SmallVec::with_capacity(1 + args.attachments().len());
        frames.push(Frame::Text(text.freeze()));
        frames.extend(args.attachments().iter().cloned().map(Frame::Binary));
        Self { frames }
    }

    /// Attachments stand in the one frame.
    fn binary(head: usize, args: &Args, write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut data = BytesMut::with_capacity(head + args.byte_len() + ENVELOPE);
        write(&mut data);
        Self { frames: SmallVec::from_buf([Frame::Binary(data.freeze())]) }
    }

    /// The Engine.IO frames, in the order in which they are to be sent.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// How many bytes of payload one receiver gets.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.frames.iter().map(Frame::payload_len).sum()
    }
}

impl From<Vec<Frame>> for Encoded {
    /// For a dialect that writes its frames by itself.
    fn from(frames: Vec<Frame>) -> Self {
        Self { frames: SmallVec::from_vec(frames) }
    }
}

/// Room for types, brackets, quotes and numbers around the variable parts.
const ENVELOPE: usize = 32;
