//! The upgrade under any order of what the client, the network and the server may do: whatever one side says the other
//! hears, once and in order, over both transports.

use super::*;
use crate::RequestId;
use alloc::collections::VecDeque;
use proptest::{collection::vec, prelude::*, sample::select};
use tenfour_wire::engineio::Packet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    ServerSays,
    ServerSaysBytes,
    ServerCloses,
    ClientSays,
    ClientPolls,
    ClientPosts,
    PollArrives,
    PostArrives,
    BodyArrives,
    ClientReadsPoll,
    ClientReadsPost,
    ClientProbes,
    ProbeBreaks,
    FrameArrives,
    ClientReadsFrame,
    SocketBlocks,
    SocketClears,
    TimePasses,
}

use Step::*;

/// Those that a calm network repeats until nothing is under way.
const CALM: [Step; 11] = [
    SocketClears,
    ClientReadsFrame,
    ClientReadsPoll,
    ClientReadsPost,
    FrameArrives,
    PollArrives,
    PostArrives,
    BodyArrives,
    ClientPosts,
    ClientPolls,
    TimePasses,
];

const ROUGH: [Step; 18] = [
    ServerSays,
    ServerSaysBytes,
    ClientSays,
    ClientSays,
    ClientPolls,
    ClientPosts,
    PollArrives,
    PostArrives,
    BodyArrives,
    ClientReadsPoll,
    ClientReadsPost,
    ClientProbes,
    ProbeBreaks,
    FrameArrives,
    ClientReadsFrame,
    SocketBlocks,
    SocketClears,
    TimePasses,
];

/// A client that keeps the protocol as the stock one does: one GET and one POST at a time, and none once it pauses.
#[derive(Default)]
struct Client {
    phase: Phase,
    unsent: VecDeque<Packet>,
    get: Request,
    post: Request,
    posted: Vec<Packet>,
    socket: Option<WebSocketId>,
    frames: VecDeque<String>,
    heard: VecDeque<String>,
    received: Vec<Packet>,
    end: Option<Packet>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Polling,
    Probing,
    /// The probe is answered: requests that are under way are waited for, and no more are made.
    Pausing,
    Upgraded,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Request {
    #[default]
    None,
    Sent,
    Arrived(RequestId),
}

struct World {
    session: Session,
    client: Client,
    said: (Vec<Packet>, Vec<Packet>),
    received: Vec<Packet>,
    count: usize,
}

impl World {
    fn new() -> Self {
        let mut config = Config {
            ping_interval: SECOND,
            ping_timeout: Duration::from_secs(1 << 30),
            upgrade_timeout: Duration::from_secs(1 << 30),
            close_timeout: Duration::from_secs(1 << 30),
            ..Config::default()
        };
        config.limits.payload_bytes = 40;
        Self {
            session: Session::polling(config),
            client: Client::default(),
            said: (Vec::new(), Vec::new()),
            received: Vec::new(),
            count: 0,
        }
    }

    /// Does what a step says where that is possible.
    fn step(&mut self, step: Step) {
        match step {
            ServerSays | ServerSaysBytes | ServerCloses => self.server_acts(step),
            ClientSays | ClientPolls | ClientPosts | ClientProbes | ProbeBreaks => self.client_acts(step),
            PollArrives if self.client.get == Request::Sent => {
                self.client.get = Request::Arrived(self.session.get());
            }
            PostArrives if self.client.post == Request::Sent => {
                self.client.post = Request::Arrived(self.session.open_post());
            }
            BodyArrives => self.body_arrives(),
            ClientReadsPoll => self.client_reads_poll(),
            ClientReadsPost => self.client_reads_post(),
            FrameArrives => {
                if let Some((socket, frame)) = self.client.socket.zip(self.client.frames.pop_front()) {
                    self.session.text(socket, &frame);
                }
            }
            ClientReadsFrame => self.client_reads_frame(),
            SocketBlocks => _ = self.client.socket.map(|socket| self.session.stall(socket)),
            SocketClears => _ = self.client.socket.map(|socket| self.session.resume(socket)),
            TimePasses => self.session.pass(Duration::from_millis(300)),
            PollArrives | PostArrives => {}
        }
        self.received.extend(self.session.events().into_iter().filter_map(|event| match event {
            Event::Message(Message::Text(text)) => Some(Packet::Text(text)),
            Event::Message(Message::Binary(data)) => Some(Packet::Binary(data)),
            Event::Closed(_) => None,
        }));
        let client = &mut self.client;
        if client.phase == Phase::Pausing && client.get == Request::None && client.post == Request::None {
            client.phase = Phase::Upgraded;
            client.frames.push_back("5".into());
            client.frames.extend(client.unsent.drain(..).map(|packet| text_of(&packet)));
        }
    }

    fn server_acts(&mut self, step: Step) {
        self.count += 1;
        let message = match step {
            ServerSays => Message::Text(format!("s{}", self.count).into()),
            ServerSaysBytes => Message::Binary(self.count.to_be_bytes().to_vec().into()),
            _ => return self.session.call(|session, now| session.close(now, CloseReason::ServerClose)),
        };
        let packet = match message.clone() {
            Message::Text(text) => Packet::Text(text),
            Message::Binary(data) => Packet::Binary(data),
        };
        if self.session.call(|session, _| session.send(message)).is_ok() {
            self.said.0.push(packet);
        }
    }

    fn client_acts(&mut self, step: Step) {
        let client = &mut self.client;
        let polls = client.end.is_none() && matches!(client.phase, Phase::Polling | Phase::Probing);
        match step {
            ClientSays => {
                self.count += 1;
                let packet = Packet::Text(format!("c{}", self.count).into());
                self.said.1.push(packet.clone());
                match client.phase {
                    Phase::Upgraded => client.frames.push_back(text_of(&packet)),
                    _ => client.unsent.push_back(packet),
                }
            }
            ClientPolls if polls && client.get == Request::None => client.get = Request::Sent,
            ClientPosts if polls && client.post == Request::None && !client.unsent.is_empty() => {
                client.post = Request::Sent;
                client.posted = client.unsent.drain(..client.unsent.len().min(3)).collect();
            }
            ClientProbes if polls && client.phase == Phase::Polling => {
                client.phase = Phase::Probing;
                client.frames = ["2probe".into()].into();
                client.heard.clear();
                client.socket = Some(self.session.connect());
            }
            ProbeBreaks if client.phase == Phase::Probing => {
                client.phase = Phase::Polling;
                let socket = client.socket.take().unwrap();
                self.session.input(Input::SocketClosed { socket });
            }
            _ => {}
        }
    }

    fn body_arrives(&mut self) {
        let Request::Arrived(request) = self.client.post else { return };
        if self.session.is_pending(request) {
            let packets: Vec<_> = self.client.posted.drain(..).map(|packet| text_of(&packet)).collect();
            self.session.input(Input::PostBody { request, body: packets.join("\u{1e}").into() });
        }
    }

    fn client_reads_post(&mut self) {
        let Request::Arrived(request) = self.client.post else { return };
        if !self.session.is_pending(request) {
            let (status, _) = self.session.answer(request);
            assert!(status == 200 || self.client.end.is_some() || self.session.end().is_some(), "{status}");
            self.client.post = Request::None;
        }
    }

    fn client_reads_poll(&mut self) {
        let Request::Arrived(request) = self.client.get else { return };
        if self.session.is_pending(request) {
            return;
        }
        let (status, body) = self.session.answer(request);
        assert_eq!(status, 200, "{body}");
        self.client.get = Request::None;
        body.split('\u{1e}').for_each(|packet| self.client.hear(packet));
    }

    fn client_reads_frame(&mut self) {
        let Some(socket) = self.client.socket else { return };
        self.client.heard.extend(self.session.heard(socket));
        let Some(frame) = self.client.heard.pop_front() else { return };
        if frame == "3probe" {
            assert_eq!(self.client.phase, Phase::Probing);
            self.client.phase = Phase::Pausing;
        } else {
            assert_eq!(self.client.phase, Phase::Upgraded, "{frame}");
            self.client.hear(&frame);
        }
    }

    /// Lets the network do its work until nothing is left to do.
    fn calm_down(&mut self) {
        for _ in 0..self.count + 20 {
            CALM.into_iter().for_each(|step| self.step(step));
        }
        assert!(self.client.frames.is_empty() && self.client.heard.is_empty());
    }
}

impl Client {
    fn hear(&mut self, packet: &str) {
        assert_eq!(self.end, None, "{packet} comes after the end");
        let packet = match packet.strip_prefix('<').and_then(|frame| frame.strip_suffix('>')) {
            Some("close") => Packet::Close,
            Some(bytes) => {
                Packet::Binary(bytes.split(' ').map(|byte| byte.parse().unwrap()).collect::<Vec<u8>>().into())
            }
            None => Packet::decode(packet.into()).unwrap(),
        };
        match packet {
            Packet::Text(_) | Packet::Binary(_) => self.received.push(packet),
            Packet::Ping(_) if self.phase == Phase::Upgraded => self.frames.push_back("3".into()),
            Packet::Ping(_) => self.unsent.push_back(Packet::Pong("".into())),
            Packet::Close => self.end = Some(packet),
            Packet::Noop => {}
            other => panic!("{other:?}"),
        }
    }
}

fn text_of(packet: &Packet) -> String {
    let mut text = bytes::BytesMut::new();
    packet.encode(&mut text);
    String::from_utf8(text.to_vec()).unwrap()
}

proptest! {
    #[test]
    fn everything_is_heard_once_and_in_order(steps in vec(select(&ROUGH[..]), 0..250)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.calm_down();
        prop_assert_eq!(&world.client.received, &world.said.0);
        prop_assert_eq!(&world.received, &world.said.1);
        prop_assert_eq!(world.session.end(), None);
    }

    #[test]
    fn an_orderly_close_loses_nothing_whenever_it_comes(
        before in vec(select(&ROUGH[..]), 0..150),
        after in vec(select(&ROUGH[..]), 0..50),
    ) {
        let mut world = World::new();
        before.into_iter().for_each(|step| world.step(step));
        world.step(ServerCloses);
        after.into_iter().for_each(|step| world.step(step));
        world.calm_down();
        prop_assert_eq!(&world.client.received, &world.said.0);
        prop_assert!(world.said.1.starts_with(&world.received));
        prop_assert_eq!(&world.client.end, &Some(Packet::Close));
        prop_assert!(world.session.session.is_finished());
    }
}
