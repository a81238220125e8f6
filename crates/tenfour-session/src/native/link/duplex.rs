//! Both directions of a session: what survives a connection.

use super::{
    super::{Config, Cost, outgoing::Outgoing},
    backlog::Backlog,
};
use alloc::collections::BTreeMap;
use tenfour_delivery::{
    number::{Offset, Sequence},
    receive::{self, Accepted, Receiver, Refused},
    resume::{Claim, Local, Session, decide},
    time::Instant,
    window::{Cause, Credit, Full, Window},
};
use tenfour_wire::native::Reliable;

/// Numbered frames on their way out, numbered frames on their way in, and the credit for both.
#[derive(Clone, Debug, Hash)]
pub(in crate::native) struct Duplex {
    pub(super) window: Window<Outgoing>,
    /// It goes before anything new.
    backlog: Backlog,
    /// Someone was told that there is no room for so many bytes.
    refused: Option<usize>,
    pub(super) receiver: Receiver<Reliable>,
    /// What the peer was told that it may send.
    granted: Credit,
    limit: Credit,
    /// Where the last numbered frame leaves each channel.
    ends: BTreeMap<u32, Offset>,
    /// What was sent at most once, and then again.
    #[cfg(tenfour_mutants)]
    pub(super) emitted: alloc::vec::Vec<(tenfour_wire::native::Target, tenfour_wire::native::SharedMessage)>,
}

impl Duplex {
    pub(in crate::native) fn new(config: &Config) -> Self {
        let limit = receive::Config { messages: config.receive.messages.max(1), ..config.receive };
        Self {
            window: Window::new(config.window),
            backlog: Backlog::default(),
            refused: None,
            receiver: Receiver::new(limit),
            granted: Credit::default(),
            limit: Credit { messages: limit.messages as u64, bytes: limit.bytes as u64 },
            ends: BTreeMap::new(),
            #[cfg(tenfour_mutants)]
            emitted: alloc::vec::Vec::new(),
        }
    }

    /// Numbers a frame, if nothing waits before it and there is room.
    pub(super) fn push(&mut self, frame: Outgoing, expires: Option<Instant>) -> Result<Sequence, Cause> {
        let bytes = frame.charge();
        let result = match self.backlog.is_empty() {
            true => self.window.push(frame, bytes, expires).map_err(|full| full.cause),
            false => Err(Cause::Window),
        };
        if let Err(Cause::Window | Cause::Credit) = result {
            self.refused = Some(bytes);
        }
        result
    }

    /// Numbers a frame as soon as there is room.
    pub(super) fn enqueue(&mut self, frame: Outgoing) {
        self.backlog.push_back(frame);
        self.drain_backlog();
    }

    pub(super) fn drain_backlog(&mut self) {
        while let Some(frame) = self.backlog.pop_front() {
            let bytes = frame.charge();
            if let Err(Full { payload, .. }) = self.window.push(frame, bytes, None) {
                self.backlog.push_front(payload);
                return;
            }
        }
    }

    pub(super) fn has_capacity(&self, bytes: usize) -> bool {
        self.backlog.is_empty() && self.window.has_capacity(bytes)
    }

    /// Whether there is room now for what was refused. It says so once.
    pub(super) fn take_writable(&mut self) -> bool {
        let has_room = |bytes: &mut usize| self.backlog.is_empty() && self.window.has_capacity(*bytes);
        self.refused.take_if(has_room).is_some()
    }

    /// Whether anything waits for the peer's credit or acknowledgement, or would have to.
    pub(super) fn is_stalled(&self) -> bool {
        self.refused.is_some() || !self.has_capacity(0)
    }

    /// What the peer has not acknowledged, in the order of its numbers. What waits for one is no message of a channel.
    pub(in crate::native) fn held_mut(&mut self) -> impl Iterator<Item = &mut Outgoing> {
        self.window.payloads_mut()
    }

    /// Whether no frame that is held has more than so many bytes.
    pub(super) fn fits(&self, frame_bytes: usize) -> bool {
        self.window.payloads().chain(self.backlog.iter()).all(|frame| frame.frame_len() <= frame_bytes)
    }

    /// The bytes of what waits for a number.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.backlog.bytes()
    }

    /// About how many bytes of memory it holds.
    pub(in crate::native) fn byte_len(&self) -> usize {
        let frames = self.window.payloads().chain(self.backlog.iter()).map(Outgoing::heap_len).sum::<usize>();
        let slots = usize::try_from(self.window.len()).unwrap_or(usize::MAX);
        let lists = [
            slots.saturating_mul(Window::<Outgoing>::SLOT_BYTES),
            self.backlog.len().saturating_mul(size_of::<Outgoing>()),
            self.receiver.len().saturating_mul(size_of::<Reliable>()),
            self.ends.len().saturating_mul(size_of::<(u32, Offset)>()),
        ];
        lists.into_iter().fold(frames, usize::saturating_add)
    }

    /// Gives memory back that nothing needs.
    pub(super) fn shrink(&mut self) {
        self.window.shrink();
        self.receiver.shrink();
        self.backlog.shrink();
    }

    /// Where the last frame leaves a channel, if one was sent.
    pub(in crate::native) fn end(&self, channel: u32) -> Option<Offset> {
        self.ends.get(&channel).copied()
    }

    pub(in crate::native) fn set_end(&mut self, channel: u32, end: Offset) {
        self.ends.insert(channel, end);
    }

    pub(in crate::native) fn forget_end(&mut self, channel: u32) {
        self.ends.remove(&channel);
    }

    pub(super) fn accept(
        &mut self,
        sequence: Sequence,
        body: Reliable,
        bytes: usize,
    ) -> Result<Accepted, Refused> {
        // The receiver would take more than the peer was told where answers wait.
        let granted = Sequence::new(self.granted.messages);
        if sequence >= granted {
            return Err(Refused::Messages { sequence, granted });
        }
        self.receiver.accept(sequence, body, bytes)
    }

    /// The application is done with some of what has come.
    pub(super) fn consume(&mut self, cost: Cost) {
        let mut bytes = usize::try_from(cost.bytes).unwrap_or(usize::MAX);
        for _ in 0..cost.messages {
            self.receiver.consumed(core::mem::take(&mut bytes));
        }
    }

    /// What the peer may be told. Answers that wait count against it from as many on as the peer may send, so that one
    /// which asks and takes no answers is not asked to go on; below that they don't, so that two peers which both ask
    /// first and answer then do not wait for each other.
    fn grantable(&self) -> Credit {
        let waiting = (self.backlog.len() as u64).saturating_sub(self.limit.messages);
        let credit = self.receiver.credit();
        Credit { messages: credit.messages.saturating_sub(waiting), ..credit }.max(self.granted)
    }

    /// The credit to tell the peer, which counts as told.
    pub(in crate::native) fn grant(&mut self) -> Credit {
        self.granted = self.grantable();
        self.granted
    }

    pub(super) fn has_grant(&self) -> bool {
        self.grantable() != self.granted
    }

    /// Whether the peer should be told at once.
    pub(super) fn is_grant_due(&self) -> bool {
        let grantable = self.grantable();
        let due = |new: u64, old: u64, limit: u64| new - old >= (limit / 4).max(1);
        due(grantable.messages, self.granted.messages, self.limit.messages)
            || due(grantable.bytes, self.granted.bytes, self.limit.bytes)
    }

    /// As if nothing had come. For a fault that is planted.
    pub(super) fn forget_received(&mut self) {
        let (messages, bytes) = (self.limit.messages as usize, self.limit.bytes as usize);
        self.receiver = Receiver::new(receive::Config { messages, bytes });
    }

    /// How this side stands, for the peer.
    pub(in crate::native) fn claim(&self) -> Claim {
        Claim { next: self.receiver.next(), first_held: self.window.first_held() }
    }

    /// What the peer's claim comes to.
    pub(in crate::native) fn decide(&self, claim: &Claim) -> Session {
        let local = Local {
            first_held: self.window.first_held(),
            transmitted: self.window.transmitted(),
            received: self.receiver.next(),
        };
        decide(&local, claim)
    }
}
