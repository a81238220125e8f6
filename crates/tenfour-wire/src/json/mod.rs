//! JSON (RFC 8259) as the dialects carry it.

mod de;
pub(crate) mod number;
pub(crate) mod placeholder;
pub(crate) mod scan;
pub(crate) mod string;

pub(crate) use de::Missing;
pub use de::{Deserializer, Error, from_str};
pub use scan::{MAX_DEPTH, validate};
pub use string::encode as encode_string;
