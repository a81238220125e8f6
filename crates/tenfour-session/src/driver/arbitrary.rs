//! Anything that a client, a network and an application may do, in any order, whether or not it makes sense.

use super::*;
use crate::PostContent;
use proptest::{collection::vec, prelude::*};

/// A number names one of several by its remainder.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Nearly always only where none waits, as the next one.
    Get(usize),
    OpenPost(usize, PostContent),
    /// Of any request there ever was, or none.
    Body(usize, String),
    TooLarge(usize),
    AbortRequest(usize),
    OpenSocket,
    /// To any socket there ever was.
    Text(usize, String),
    Binary(usize, Vec<u8>),
    Ping(usize),
    HangUp(usize),
    Fail(usize, u16),
    Lose(usize),
    Stall(usize),
    Resume(usize),
    Pass(Duration),
    PassToDeadline,
    /// The application is done with its oldest event.
    Consume,
    Close,
    Abort,
    /// What only the protocol under test knows.
    Own(usize, usize),
}

/// Fewer than `most` operations, with texts made of these. They are drawn as numbers, since a strategy for each kind would
/// draw little but seeds.
pub(crate) fn ops(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<Op>> {
    let numbers = (0..100_u32, any::<u32>(), any::<u32>());
    vec(numbers, 0..most).prop_map(move |ops| {
        ops.into_iter().map(|(kind, place, value)| op(texts, kind, place as usize, value as usize)).collect()
    })
}

fn op(texts: &[&str], kind: u32, place: usize, value: usize) -> Op {
    match kind {
        0..6 => Op::Get(place),
        6..12 if value.is_multiple_of(30) => Op::OpenPost(place, PostContent::OctetStream),
        6..12 => Op::OpenPost(place, PostContent::Text),
        12..20 => {
            let packets = (0..1 + value % 4).map(|number| text(texts, value >> (2 + 7 * number)));
            Op::Body(place, packets.collect::<Vec<_>>().join("\u{1e}"))
        }
        20 => Op::TooLarge(place),
        21 => Op::AbortRequest(place),
        22..26 => Op::OpenSocket,
        26..50 => Op::Text(place, text(texts, value)),
        50..53 => Op::Binary(place, [7].repeat(value % 40)),
        53 => Op::Ping(place),
        54 => Op::HangUp(place),
        55 => Op::Fail(place, 1000 + value as u16 % 15),
        56 => Op::Lose(place),
        57..59 => Op::Stall(place),
        59..61 => Op::Resume(place),
        61..63 => Op::Pass(Duration::from_millis(value as u64 % 20_000)),
        63..65 => Op::PassToDeadline,
        65..78 => Op::Consume,
        78 => Op::Close,
        79 => Op::Abort,
        _ => Op::Own(place, value % 400),
    }
}

/// One of the texts, and sometimes anything.
fn text(texts: &[&str], value: usize) -> String {
    match value % 61 {
        0 => (0..value / 61 % 6).filter_map(|place| char::from_u32((value >> place) as u32)).collect(),
        _ => texts[value % texts.len()].into(),
    }
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

    pub(crate) fn apply(&mut self, op: Op, own: impl FnOnce(&mut Driver<S>, usize, usize)) {
        match op {
            Op::Consume if !self.held.is_empty() => {
                let cost = S::cost_of(&self.held.remove(0));
                self.driver.call(|session, now| session.consumed(now, cost));
            }
            Op::Get(luck) if !self.waits(self.get) || luck.is_multiple_of(20) => {
                self.get = Some(self.driver.get());
            }
            Op::OpenPost(luck, content) if !self.waits(self.post) || luck.is_multiple_of(20) => {
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
        let socket = names[(place % (names.len() * 3)).saturating_sub(names.len() * 2)];
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
    fn any_request(&self, place: usize) -> RequestId {
        let pending = self.answers.iter().filter(|(_, answer)| answer.is_none()).map(|(name, _)| *name);
        let mut names: Vec<_> = pending.cycle().take(12).collect();
        names.extend((0..=self.names).map(|name| RequestId(name.into())).rev().take(4));
        names[place % names.len()]
    }
}
