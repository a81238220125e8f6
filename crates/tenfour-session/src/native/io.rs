//! What goes into a session and what comes out, on either side.

use bytes::Bytes;

/// What carries a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// An ordered, lossless stream: TCP, TLS, a Unix socket, the binary messages of a WebSocket.
    ///
    /// What was sent once is sent again only after a resume.
    Stream,
    /// A pipe that loses, repeats and reorders whole datagrams, and damages none: UDP, a serial line with a checksum.
    ///
    /// What is not acknowledged is sent again after a time that follows the measured round trip. A message that does not
    /// fit is refused when it is sent: nothing is fragmented. A datagram of an earlier connection must not reach a later
    /// one: whoever reuses an address tells the connections apart, by a tag of its own or by waiting.
    Datagram {
        /// The most bytes of a datagram, at least [`Transport::MIN_MTU`]; a smaller value counts as that.
        mtu: usize,
    },
}

impl Transport {
    /// The smallest datagram in which the protocol's own frames have room.
    pub const MIN_MTU: usize = 256;
}

/// Something that happened on the transport, as the driver saw it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// Any piece of the stream, or one datagram.
    Bytes(Bytes),
    /// The transport takes no more for now: [`poll_transmit`](super::ClientSession::poll_transmit) gives nothing until
    /// it does.
    WriteBlocked,
    /// The transport has room again.
    WriteReady,
    /// The transport has ended. Nothing more comes, and nothing can be sent.
    Closed,
}

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transmit {
    /// Stream: write it after everything before. Datagram: send it as one.
    Bytes(Bytes),
    /// Everything before was the last: close the transport once it is written.
    Close,
}

impl Transport {
    /// The most bytes of a datagram; none on a stream.
    pub(super) fn mtu(self) -> Option<usize> {
        match self {
            Self::Stream => None,
            Self::Datagram { mtu } => Some(mtu.max(Self::MIN_MTU)),
        }
    }
}
