//! What a client is answered that asks to join a namespace.

use bytes::BytesMut;
use bytestring::ByteString;
use core::fmt;
use tenfour_wire::json;

/// Why a client may not join a namespace, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError {
    /// The error's message.
    pub message: ByteString,
    /// The JSON text of the error's `data`.
    pub data: Option<ByteString>,
}

impl ConnectError {
    /// An error without data.
    pub fn new(message: impl Into<ByteString>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// The namespace doesn't exist.
    #[must_use]
    pub fn invalid_namespace() -> Self {
        Self::new(ByteString::from_static("Invalid namespace"))
    }

    pub(super) fn to_json(&self) -> ByteString {
        let mut object = Object::new();
        object.text("message", &self.message);
        if let Some(data) = &self.data {
            object.json("data", data);
        }
        object.end()
    }
}

/// What a client is told when it is let into a namespace. One that cannot be recovered there is told its id alone:
/// `"id".into()`.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    /// The public id of its socket.
    pub sid: &'a str,
    /// The secret with which it may go on with its session. A stock client calls itself recovered exactly if it is the one that
    /// it was told before.
    pub pid: Option<&'a str>,
    /// Further members of the object, each a name and the JSON text of its value. A stock client passes over them.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> From<&'a str> for Admission<'a> {
    fn from(sid: &'a str) -> Self {
        Self { sid, pid: None, fields: &[] }
    }
}

/// Whoever reads logs is not to have the secret.
impl fmt::Debug for Admission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sid, pid, fields } = self;
        f.debug_struct("Admission")
            .field("sid", sid)
            .field("pid", &pid.map(|_| "…"))
            .field("fields", fields)
            .finish()
    }
}

impl Admission<'_> {
    pub(super) fn to_json(self) -> ByteString {
        let mut object = Object::new();
        object.text("sid", self.sid);
        if let Some(pid) = self.pid {
            object.text("pid", pid);
        }
        for (name, value) in self.fields {
            object.json(name, value);
        }
        object.end()
    }
}

/// A JSON object that is being written.
struct Object(BytesMut);

impl Object {
    fn new() -> Self {
        Self(BytesMut::new())
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        json::encode_string(value, &mut self.0);
    }

    /// `value` is a JSON text.
    fn json(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(if self.0.is_empty() { b"{" } else { b"," });
        json::encode_string(name, &mut self.0);
        self.0.extend_from_slice(b":");
    }

    fn end(mut self) -> ByteString {
        self.0.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"}" });
        ByteString::try_from(self.0).expect("made of texts")
    }
}
