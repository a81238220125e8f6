use tenfour_wire::native::CloseCode;

/// Why a session is over. It is the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// This side's application closed it, with this code.
    Local(CloseCode),
    /// The peer said goodbye, with this code.
    Peer(CloseCode),
    /// The peer broke the protocol or fell silent; it is told with this code.
    Fault(CloseCode),
    /// The transport ended without a goodbye.
    Transport,
}

impl Closed {
    /// The code of the goodbye, if there is one.
    #[must_use]
    pub const fn code(self) -> Option<CloseCode> {
        match self {
            Self::Local(code) | Self::Peer(code) | Self::Fault(code) => Some(code),
            Self::Transport => None,
        }
    }

    /// Whether the session is gone for good: to resume it on a new connection would end the same way.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.code().is_some_and(CloseCode::is_final)
    }
}
