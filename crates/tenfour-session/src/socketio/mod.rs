//! Socket.IO v5 on an Engine.IO session: namespaces, events, acknowledgements.
//!
//! # Where this differs from the JavaScript server
//!
//! | what | JavaScript (socket.io 4.8) | here |
//! |---|---|---|
//! | an event before CONNECT is answered | the connection closes | follows [`Event::Connect`] in order |
//! | a late packet for a namespace that the server took the client out of | the connection closes | ignored |
//! | attachments that do not come | waited for as long as pongs come | closed after [`Config::attachment_timeout`] |
//! | namespaces on one connection | no bound | [`Config::namespaces`] |
//! | the reason after malformed packets | `forced close` | `parse error` |
//!
//! What the codec takes otherwise is told in [`tenfour_wire::socketio`].

mod answer;
mod config;
mod encoded;
mod session;
#[cfg(test)]
mod tests;

pub use answer::{Admission, ConnectError};
pub use config::{Config, Encoding};
pub use encoded::Encoded;
pub use session::{Event, ServerSession};
