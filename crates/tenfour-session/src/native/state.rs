use tenfour_delivery::time::Instant;

/// Where a connection stands, on either side.
///
/// ```text
///                client: WELCOME
/// Greeting ──────────────────────────────────────────────▶ Open
///    └──server: HELLO──▶ Deciding ──welcome(), resume()──▶──┘
///
/// any ──goodbye: close(), a fault──▶ Closing ──written, or the close timeout──▶ Closed
/// any ──CLOSE, REJECT, the transport ended──▶ Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// The client waits for WELCOME, the server for HELLO.
    Greeting { until: Instant },
    /// The server's application has HELLO before it.
    Deciding { until: Instant },
    /// Both have decided: frames flow.
    Open,
    /// The goodbye is to be written.
    Closing { until: Instant },
    /// Nothing is written or read any more.
    Closed,
}

impl State {
    /// Whether the session has ended, but for its goodbye.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Closing { .. } | Self::Closed)
    }
}
