//! Every state with every input, as a table whose lines are what comes out and the state that follows.

extern crate std;

use super::*;
use crate::{driver::*, io::PostContent};
use alloc::{format, string::String, vec::Vec};
use tenfour_wire::websocket::Message as WsMessage;

/// A session in some state, with what is pending in it.
struct Start {
    session: Driver<ServerSession>,
    get: Option<RequestId>,
    post: Option<RequestId>,
    socket: WebSocketId,
}

const STRANGER: RequestId = RequestId(900);

impl Start {
    fn polling(config: Config) -> Self {
        let mut session = Driver::polling(config);
        session.answered();
        Self { session, get: None, post: None, socket: WebSocketId(900) }
    }

    fn websocket() -> Self {
        let mut session = Driver::websocket(Config::default());
        session.heard(FIRST);
        Self { session, get: None, post: None, socket: FIRST }
    }

    fn get(mut self) -> Self {
        self.get = Some(self.session.get());
        self
    }

    fn post(mut self) -> Self {
        self.post = Some(self.session.open_post());
        self
    }

    fn socket(mut self) -> Self {
        self.socket = self.session.connect();
        self
    }

    fn stalled(mut self) -> Self {
        self.session.stall(self.socket);
        self
    }

    fn probed(mut self) -> Self {
        self.session.text(self.socket, "2probe");
        self
    }

    fn closing(mut self) -> Self {
        self.session.send("queued").unwrap();
        self.session.call(|session, now| session.close(now, CloseReason::ServerClose));
        self
    }

    fn aborted(mut self) -> Self {
        self.session.call(|session, _| session.abort(CloseReason::ServerClose));
        self
    }
}

fn starts() -> Vec<Start> {
    let polling = || Start::polling(Config::default());
    Vec::from([
        polling(),
        polling().get(),
        polling().post(),
        polling().get().post(),
        polling().get().socket(),
        polling().socket().stalled().probed(),
        polling().socket().probed(),
        polling().post().socket().probed(),
        polling().closing(),
        polling().post().socket().probed().closing(),
        polling().aborted(),
        Start::websocket(),
        Start::websocket().stalled().closing(),
        Start::websocket().aborted(),
    ])
}

const INPUTS: [&str; 30] = [
    "GET",
    "POST",
    "POST octet-stream",
    "body 4m",
    "body 1",
    "body 2",
    "body 4m, x",
    "body too large",
    "GET aborted",
    "POST aborted",
    "socket opens",
    "socket: 2probe",
    "socket: 5",
    "socket: 4m",
    "socket: 1",
    "socket: 2",
    "socket: 3",
    "socket: x",
    "socket: binary",
    "socket: ping",
    "socket: close",
    "socket broken",
    "socket lost",
    "socket blocked",
    "stranger: 4m",
    "stranger lost",
    "timeout",
    "send",
    "close",
    "abort",
];

fn enter(start: &mut Start, input: &str) {
    let Start { session, get, post, socket } = start;
    let (socket, post) = (*socket, post.unwrap_or(STRANGER));
    let stranger = WebSocketId(901);
    if let Some(body) = input.strip_prefix("body ").filter(|&body| body != "too large") {
        let body = body.replace(", ", "\u{1e}").into();
        return session.input(Input::PostBody { request: post, body });
    }
    match input {
        "GET" => _ = session.get(),
        "POST" => _ = session.open_post(),
        "POST octet-stream" => {
            let request = session.request();
            session.input(Input::PostOpened { request, content: PostContent::OctetStream });
        }
        "body too large" => session.input(Input::PostTooLarge { request: post }),
        "GET aborted" => session.abort(get.unwrap_or(STRANGER)),
        "POST aborted" => session.abort(post),
        "socket opens" => _ = session.connect(),
        "socket: binary" => session.binary(socket, &[1]),
        "socket: ping" => {
            session.input(Input::SocketMessage { socket, message: WsMessage::Ping("p".into()) });
        }
        "socket: close" => session.hang_up(socket),
        "socket broken" => session.input(Input::SocketFailed { socket, code: 1009 }),
        "socket lost" => session.input(Input::SocketClosed { socket }),
        "socket blocked" => session.input(Input::WriteBlocked { socket }),
        "stranger: 4m" => session.text(stranger, "4m"),
        "stranger lost" => session.input(Input::SocketClosed { socket: stranger }),
        "timeout" => {
            let due = session.session.poll_timeout().map_or(Duration::ZERO, |due| due - session.now);
            session.pass(due);
        }
        "send" => _ = session.send("m"),
        "close" => session.call(|session, now| session.close(now, CloseReason::ServerClose)),
        "abort" => session.call(|session, _| session.abort(CloseReason::SlowConsumer)),
        text => session.text(socket, text.strip_prefix("socket: ").unwrap()),
    }
}

/// What came out, in order of kinds.
fn outcome(start: &mut Start) -> String {
    let Start { session, get, post, .. } = start;
    let mut out = Vec::new();
    for (request, status, body) in session.answered() {
        let name = match Some(request) {
            name if name == *get => "GET: ",
            name if name == *post => "POST: ",
            _ => "",
        };
        let body =
            body.split_once("message").map_or(body.as_str(), |(_, text)| text.trim_matches([':', '"', '}']));
        out.push(format!("{name}{status} {}", body.replace('\u{1e}', ", ")).trim_end().into());
    }
    out.extend(session.all_heard());
    out.extend(session.events().into_iter().map(|event| match event {
        Event::Message(Message::Text(text)) => format!("event {text:?}"),
        Event::Message(Message::Binary(_)) => "event <binary>".into(),
        Event::Closed(reason) => format!("event {reason}"),
    }));
    out.join("; ")
}

fn state(session: &ServerSession) -> String {
    let transport = match &session.transport {
        Transport::WebSocket(_) => "WebSocket".into(),
        Transport::Polling(Polling { get, post, probe }) => {
            let get = if get.is_some() { "+GET" } else { "" };
            let post = if post.is_some() { "+POST" } else { "" };
            let probe = probe.as_ref().map_or(String::new(), |probe| format!("+{}", probe.state_name()));
            format!("Polling{get}{post}{probe}")
        }
    };
    let state = match session.state {
        State::Open => "",
        State::Closing { .. } => " closing",
        State::Closed => " closed",
    };
    let queue = if session.queue.is_empty() { "" } else { " queued" };
    format!("{transport}{state}{queue}")
}

#[test]
fn every_state_with_every_input() {
    let mut table = String::new();
    for place in 0..starts().len() {
        let mut ignored = Vec::new();
        table += &format!("{}\n", state(&starts()[place].session.session));
        for input in INPUTS {
            let mut start = starts().swap_remove(place);
            outcome(&mut start);
            let before = format!("{:?}", start.session.session);
            enter(&mut start, input);
            let (out, after) = (outcome(&mut start), state(&start.session.session));
            if out.is_empty() && format!("{:?}", start.session.session) == before {
                ignored.push(input);
            } else {
                table += format!("  {input:18} {out:46} → {after}").trim_end();
                table += "\n";
            }
        }
        table += &format!("  ignored: {}\n\n", ignored.join(", "));
    }
    insta::assert_snapshot!(table);
}
