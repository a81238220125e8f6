//! What a namespace has done so far.

/// A snapshot of [`Namespace::counters`](crate::Namespace::counters): two gauges, then counts since the namespace was
/// made. Those that only a driver can know are reported by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Sockets now.
    pub sockets: u64,
    /// Rooms with a member now, without the rooms of the sockets' own ids.
    pub rooms: u64,
    /// Sockets inserted.
    pub inserted: u64,
    /// Sockets removed.
    pub removed: u64,
    /// Messages sent to a target; reported by the driver.
    pub broadcasts: u64,
    /// Messages handed to a socket, counted once for each socket; reported by the driver.
    pub deliveries: u64,
    /// Volatile messages dropped, since the socket could not take them at once; reported by the driver.
    pub volatile_dropped: u64,
    /// Messages that a socket's full queue refused; reported by the driver, or by refusing a request.
    pub refused: u64,
    /// Requests opened.
    pub requests: u64,
    /// Answers accepted.
    pub answers: u64,
    /// Answers that did not come before their request's deadline.
    pub timeouts: u64,
}
