use bytes::BytesMut;
use sha1_smol::Sha1;

use crate::base64;

/// What RFC 6455 §1.3 appends to the key, so that only a WebSocket server answers so.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A SHA-1 digest of 20 bytes in base64.
const ACCEPT_LEN: usize = 28;

/// The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2): ASCII.
///
/// ```
/// let accept = tenfour_wire::websocket::accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(&accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(sec_websocket_key: &[u8]) -> [u8; ACCEPT_LEN] {
    let mut hash = Sha1::new();
    hash.update(sec_websocket_key);
    hash.update(GUID);
    let mut encoded = BytesMut::new();
    base64::encode(&hash.digest().bytes(), &mut encoded);
    let mut accept = [0; ACCEPT_LEN];
    accept.copy_from_slice(&encoded);
    accept
}
