//! What is sent at most once.

use std::collections::BTreeSet;

use super::Verdict;
use crate::sim::{ClientId, Invariant, MessageId};

#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Emits {
    emitted: BTreeSet<MessageId>,
    heard: BTreeSet<(ClientId, MessageId)>,
}

impl Emits {
    pub(super) fn emit(&mut self, message: MessageId) {
        self.emitted.insert(message);
    }

    /// Nobody hears it twice, and nobody hears what was never sent.
    pub(super) fn s20_at_most_once(&mut self, by: ClientId, message: MessageId) -> Verdict {
        if !self.emitted.contains(&message) {
            return Invariant::S20.broken(format_args!("client {by} heard {message}, which nobody sent"));
        }
        match self.heard.insert((by, message)) {
            true => Ok(()),
            false => Invariant::S20.broken(format_args!("client {by} heard {message} twice")),
        }
    }
}
