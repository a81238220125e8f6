//! What a namespace holds at most.

/// Bounds of one [`Namespace`](crate::Namespace). Every one is finite; a call that would pass one fails with an error
/// that names it.
///
/// ```
/// let mut limits = tenfour_broker::Limits::default();
/// limits.rooms_per_socket = 16;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sockets; by default 1,000,000. This and `rooms` count at most `u32::MAX`, whatever is set.
    pub sockets: usize,
    /// Rooms with a member, without the rooms of the sockets' own ids; by default 1,000,000.
    pub rooms: usize,
    /// Rooms that one socket is in, besides the room of its own id; by default 1,000.
    pub rooms_per_socket: usize,
    /// Bytes of a room's name; by default 256.
    pub room_name_bytes: usize,
    /// Bytes of a socket's data; by default 65,536.
    pub data_bytes: usize,
    /// Requests that are open, or done and not yet polled; by default 100,000.
    pub pending_requests: usize,
    /// Requests that one socket still has to answer; by default 1,000.
    pub pending_requests_per_socket: usize,
    /// Bytes of the answers that are held for requests which wait for further sockets, all requests together; by
    /// default 67,108,864 (64 MiB). The answer that completes its request is never refused.
    pub held_answer_bytes: usize,
    /// Bytes of what was asked and is kept to be asked again, all requests together; by default 67,108,864 (64 MiB).
    pub kept_request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets: 1_000_000,
            rooms: 1_000_000,
            rooms_per_socket: 1_000,
            room_name_bytes: 256,
            data_bytes: 64 * 1024,
            pending_requests: 100_000,
            pending_requests_per_socket: 1_000,
            held_answer_bytes: 64 * 1024 * 1024,
            kept_request_bytes: 64 * 1024 * 1024,
        }
    }
}
