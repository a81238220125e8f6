//! What a peer that lies puts on the wire.

use bytes::{Bytes, BytesMut};
use tenfour_wire::native::{Decoder, Frame, Limits, Token, encode};

/// A client's HELLO with the token's public half as it is, and another secret; `None` where it claims no session.
pub(crate) fn with_another_secret(bytes: Bytes) -> Option<Bytes> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(bytes);
    let Ok(Some(Frame::Hello(mut hello))) = decoder.next() else { return None };
    let resume = hello.resume.as_mut()?;
    let mut token = resume.token.0;
    if let Some(last) = token.last_mut() {
        *last ^= 1;
    }
    resume.token = Token(token);
    let mut out = BytesMut::new();
    encode(&Frame::Hello(hello), &mut out);
    Some(out.freeze())
}
