//! JSON (RFC 8259) as the dialects carry it.

mod de;
mod scan;
pub(crate) mod string;

pub use de::{Deserializer, Error, from_str};
pub use scan::{MAX_DEPTH, validate};
