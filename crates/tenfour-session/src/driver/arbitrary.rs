//! Anything that a client, a network and an application may do, in any order, whether or not it makes sense.

use super::*;
use crate::PostContent;
use alloc::vec;
use proptest::{collection::vec as list, prelude::*, sample::Index, sample::select};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Nearly always only where none waits, as the next one.
    Get(Index),
    OpenPost(Index, PostContent),
    /// Of any request there ever was, or none.
    Body(Index, String),
    TooLarge(Index),
    AbortRequest(Index),
    OpenSocket,
    /// To any socket there ever was.
    Text(Index, String),
    Binary(Index, Vec<u8>),
    Ping(Index),
    HangUp(Index),
    Fail(Index, u16),
    Lose(Index),
    Stall(Index),
    Resume(Index),
    /// Time passes to just before, at or after the next deadline.
    Pass(Duration),
    PassToDeadline,
    /// The application is done with its oldest event.
    Consume,
    Close,
    Abort,
    /// What only the protocol under test knows.
    Own(Index, usize),
}

/// Up to `most` operations, with texts made of these.
pub(crate) fn ops(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<Op>> {
    let text = || prop_oneof![60 => select(texts).prop_map(String::from), 1 => ".{0,6}"];
    let body = list(text(), 1..5).prop_map(|packets| packets.join("\u{1e}"));
    let content = prop_oneof![29 => Just(PostContent::Text), 1 => Just(PostContent::OctetStream)];
    let op = prop_oneof![
        6 => any::<Index>().prop_map(Op::Get),
        6 => (any::<Index>(), content).prop_map(|(luck, content)| Op::OpenPost(luck, content)),
        6 => (any::<Index>(), body).prop_map(|(request, body)| Op::Body(request, body)),
        1 => any::<Index>().prop_map(Op::TooLarge),
        1 => any::<Index>().prop_map(Op::AbortRequest),
        3 => Just(Op::OpenSocket),
        24 => (any::<Index>(), text()).prop_map(|(socket, text)| Op::Text(socket, text)),
        3 => (any::<Index>(), list(any::<u8>(), 0..40)).prop_map(|(socket, data)| Op::Binary(socket, data)),
        1 => any::<Index>().prop_map(Op::Ping),
        1 => any::<Index>().prop_map(Op::HangUp),
        1 => (any::<Index>(), 1000..1015_u16).prop_map(|(socket, code)| Op::Fail(socket, code)),
        1 => any::<Index>().prop_map(Op::Lose),
        2 => any::<Index>().prop_map(Op::Stall),
        2 => any::<Index>().prop_map(Op::Resume),
        2 => (0..20_000_u64).prop_map(|millis| Op::Pass(Duration::from_millis(millis))),
        2 => Just(Op::PassToDeadline),
        12 => Just(Op::Consume),
        1 => Just(Op::Close),
        1 => Just(Op::Abort),
        20 => (any::<Index>(), 0..400_usize).prop_map(|(which, size)| Op::Own(which, size)),
    ];
    list(op, 0..most)
}

/// A session under arbitrary operations, with the application's side of the account.
pub(crate) struct Trial<S: Session> {
    pub(crate) driver: Driver<S>,
    inbound_bytes: usize,
    held: Vec<S::Event>,
    get: Option<RequestId>,
    post: Option<RequestId>,
}

impl<S: Session> Trial<S> {
    pub(crate) fn new(driver: Driver<S>, inbound_bytes: usize) -> Self {
        Self { driver, inbound_bytes, held: Vec::new(), get: None, post: None }
    }

    pub(crate) fn apply(&mut self, op: Op, own: impl FnOnce(&mut Driver<S>, Index, usize)) {
        match op {
            Op::Consume if !self.held.is_empty() => {
                let cost = S::cost_of(&self.held.remove(0));
                self.driver.call(|session, now| session.consumed(now, cost));
            }
            Op::Get(luck) if !self.waits(self.get) || luck.index(20) == 0 => {
                self.get = Some(self.driver.get());
            }
            Op::OpenPost(luck, content) if !self.waits(self.post) || luck.index(20) == 0 => {
                let request = self.driver.request();
                self.driver.input(Input::PostOpened { request, content });
                self.post = Some(request);
            }
            Op::Own(which, size) => own(&mut self.driver, which, size),
            op => self.driver.apply(op),
        }
        if !self.driver.is_settled() {
            return;
        }
        self.held.extend(self.driver.events());
        let held: usize = self.held.iter().map(S::cost_of).sum();
        let accepts = self.driver.session.accepts_input();
        assert_eq!(accepts, held < self.inbound_bytes, "{held} bytes are with the application");
    }

    fn waits(&self, request: Option<RequestId>) -> bool {
        request.is_some_and(|request| matches!(self.driver.answers.get(&request), Some(None)))
    }
}

impl<S: Session> Driver<S> {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Body(request, body) => {
                let request = self.any_request(request);
                self.input(Input::PostBody { request, body: body.into() });
            }
            Op::TooLarge(request) => {
                let request = self.any_request(request);
                self.input(Input::PostTooLarge { request });
            }
            Op::AbortRequest(request) => {
                let request = self.any_request(request);
                self.abort(request);
            }
            Op::OpenSocket => _ = self.connect(),
            Op::Pass(duration) => self.pass(duration),
            Op::PassToDeadline => {
                let due = self.session.poll_timeout().map_or(Duration::ZERO, |due| due - self.now);
                self.pass(due.min(Duration::from_secs(100)));
            }
            Op::Close => self.call(|session, now| session.close(now, CloseReason::Shutdown)),
            Op::Abort => self.call(|session, _| session.abort(CloseReason::SlowConsumer)),
            Op::Get(_) | Op::OpenPost(..) | Op::Consume | Op::Own(..) => {}
            op => self.apply_to_socket(op),
        }
    }

    fn apply_to_socket(&mut self, op: Op) {
        let (Op::Text(place, _)
        | Op::Binary(place, _)
        | Op::Ping(place)
        | Op::HangUp(place)
        | Op::Fail(place, _)
        | Op::Lose(place)
        | Op::Stall(place)
        | Op::Resume(place)) = op
        else {
            return;
        };
        if self.sockets.is_empty() {
            return;
        }
        // The last one is the likeliest to be served.
        let names: Vec<_> = self.sockets.keys().rev().copied().collect();
        let socket = names[place.index(names.len() * 3).saturating_sub(names.len() * 2)];
        match op {
            Op::Text(_, text) => self.text(socket, &text),
            Op::Binary(_, data) => self.binary(socket, &data),
            Op::Ping(_) => self.input(Input::SocketMessage { socket, message: Message::Ping("p".into()) }),
            Op::HangUp(_) => self.hang_up(socket),
            Op::Fail(_, code) => self.input(Input::SocketFailed { socket, code }),
            Op::Stall(_) => self.stall(socket),
            Op::Resume(_) => self.resume(socket),
            _ => self.input(Input::SocketClosed { socket }),
        }
    }

    /// The one that waits, where there is one and luck will have it; else any, or one that never was.
    fn any_request(&self, place: Index) -> RequestId {
        let pending = self.answers.iter().filter(|(_, answer)| answer.is_none()).map(|(name, _)| *name);
        let mut names: Vec<_> = pending.cycle().take(12).collect();
        names.extend((0..=self.names).map(|name| RequestId(name.into())).rev().take(4));
        names[place.index(names.len())]
    }
}
