/// The calls that are the same on either side, around `link`, `events` and `settle`.
macro_rules! calls {
    ($session:ident, $event:ident) => {
        impl $session {
            /// Takes in what happened on the transport. Nothing that a peer sends is an error of the call: what it leads to
            /// comes out of the polls.
            pub fn handle_input(&mut self, now: Instant, input: Input) {
                match input {
                    Input::Bytes(bytes) => take_bytes(self, now, bytes),
                    Input::WriteBlocked => self.link.set_blocked(),
                    Input::WriteReady => self.link.set_ready(),
                    Input::Closed => self.link.cut(Closed::Transport),
                }
                self.settle(now);
            }

            /// Lets time pass. A call before [`poll_timeout`](Self::poll_timeout) does nothing.
            pub fn handle_timeout(&mut self, now: Instant) {
                self.link.handle_timeout(now);
                if self.link.is_silent() {
                    self.events.shrink();
                }
                self.settle(now);
            }

            /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest. Changes with every call.
            #[must_use]
            pub fn poll_timeout(&self) -> Option<Instant> {
                self.link.poll_timeout()
            }

            /// What to do on the transport next. `None` until the next call, and while the transport is blocked.
            pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
                let transmit = self.link.poll_transmit(now);
                if transmit.is_none() {
                    self.settle(now);
                }
                transmit
            }

            /// What the application is to know next. `None` until the next call.
            pub fn poll_event(&mut self) -> Option<$event> {
                self.events.pop()
            }

            /// The application is done with events of this [cost](super::Cost): the peer may send as much again. Call it for
            /// every event, or for several together.
            pub fn consumed(&mut self, now: Instant, cost: Cost) {
                self.link.consume(now, cost);
            }

            /// Whether a small message would be taken now. After a refusal, the event `Writable` says when it may be again.
            #[must_use]
            pub fn has_capacity(&self) -> bool {
                self.link.has_capacity()
            }

            /// Ends the session with a goodbye, after what was to be sent if the code is [`CloseCode::Normal`]. It does nothing to
            /// a session that is over.
            pub fn close(&mut self, now: Instant, code: CloseCode) {
                self.link.close(now, Closed::Local(code));
                self.settle(now);
            }

            /// Whether frames flow: from WELCOME to the end.
            #[must_use]
            pub fn is_open(&self) -> bool {
                self.link.is_open()
            }

            /// Whether nothing comes out of the polls any more: drop the session.
            #[must_use]
            pub fn is_finished(&self) -> bool {
                self.link.is_finished() && self.events.is_empty()
            }

            /// How many messages that are sent at most once this connection has dropped.
            #[must_use]
            pub fn emits_dropped(&self) -> u64 {
                self.link.emits_dropped()
            }
        }
    };
}

pub(super) use calls;
