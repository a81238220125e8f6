//! What a side has asked the other's application.

use super::{RequestId, SendError, link::Link, outgoing::Outgoing};
use alloc::collections::BTreeSet;
use tenfour_wire::native::{Message, Reliable, Request};

/// The requests of one side, numbered from 0 in each session, and those that have no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Requests {
    next: u64,
    unanswered: BTreeSet<RequestId>,
}

impl Requests {
    pub(super) fn ask(&mut self, link: &mut Link, message: Message) -> Result<RequestId, SendError> {
        if self.unanswered.len() >= link.config.unanswered {
            return Err(SendError::TooManyUnanswered);
        }
        let request = self.next;
        link.push(Outgoing::frame(Reliable::Request(Request { request, message })), None)?;
        self.next += 1;
        self.unanswered.insert(RequestId(request));
        Ok(RequestId(request))
    }

    /// An answer has come: `false` if nobody waits for it.
    pub(super) fn answered(&mut self, request: RequestId) -> bool {
        self.unanswered.remove(&request)
    }

    /// The session is gone, and no answers will come. The numbers go on.
    pub(super) fn abandon(&mut self) -> BTreeSet<RequestId> {
        core::mem::take(&mut self.unanswered)
    }
}
