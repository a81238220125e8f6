//! Requests that are made again of sockets whose clients were away.

use tenfour_delivery::time::Instant;

use super::Namespace;
use crate::{Message, RequestError, RequestId, SocketId, Target};

impl<P> Namespace<P> {
    /// As [`Namespace::open_request`], also of the sockets of the target that are away: they owe the answer from now on, and
    /// [`Namespace::select_owed`] names the request when they are back.
    ///
    /// # Errors
    /// If too many requests are pending.
    pub fn open_lasting_request(
        &mut self,
        target: &Target,
        deadline: Instant,
    ) -> Result<RequestId, RequestError> {
        self.check_pending()?;
        let mut selected = core::mem::take(&mut self.selected);
        selected.clear();
        self.members.walk(target, &mut self.marks, |key, _| selected.push(key));
        let request = self.open(&selected, deadline);
        self.selected = selected;
        Ok(request)
    }

    /// [`Namespace::open_lasting_request`] of one socket alone.
    ///
    /// # Errors
    /// If there is no such socket, it owes too many answers, or too many requests are pending.
    pub fn open_lasting_request_to(
        &mut self,
        id: SocketId,
        deadline: Instant,
    ) -> Result<RequestId, RequestError> {
        let socket = self.members.find(id).ok_or(RequestError::Unknown { id })?;
        self.open_to(socket, deadline)
    }

    /// Keeps what a request asks for as long as somebody owes the answer.
    ///
    /// # Errors
    /// If [`Limits::kept_request_bytes`](crate::Limits::kept_request_bytes) would be passed; the request is forgotten then, as by
    /// [`Namespace::cancel`].
    pub fn keep_request(&mut self, request: RequestId, message: Message) -> Result<(), RequestError> {
        let limit = self.limits.kept_request_bytes;
        if self.requests.keep(request, message, limit) {
            return Ok(());
        }
        self.cancel(request);
        Err(RequestError::TooLarge { limit })
    }

    /// Visits each request that a socket owes an answer to, and what it asks, if that was kept; in the order of the requests. Says
    /// how many there were.
    pub fn select_owed(&self, id: SocketId, mut each: impl FnMut(RequestId, &Message)) -> usize {
        let slot = self.members.find(id).map(|socket| self.members.slot(socket));
        let owed = slot.into_iter().flat_map(|slot| slot.owes());
        let kept = owed.filter_map(|request| Some((request, self.requests.message(request)?)));
        kept.inspect(|(request, message)| each(*request, message)).count()
    }
}
