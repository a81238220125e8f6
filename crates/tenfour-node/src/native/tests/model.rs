//! Cuts, takeovers, silence and slow commits at random, judged by what is in the log.

use super::*;
use alloc::collections::BTreeSet;
use proptest::prelude::*;
use std::{format, string::String};
use tenfour_session::native::{SendError, Unanswered};

const CHANNELS: [&str; 2] = ["news", "weather"];

#[derive(Clone, Debug)]
enum Step {
    /// The server's application publishes.
    Say(usize),
    /// A client publishes, when it can.
    Publish(usize, usize),
    /// Both ends see the connection end.
    Cut(usize),
    /// The client comes back before the server has noticed.
    Reconnect(usize),
    /// What the server sends is lost from here on.
    Deafen(usize),
    /// The application stops taking messages, or goes on.
    Stall(usize),
    TakeUp(usize),
    HoldCommits(bool),
    /// The log cannot be read, or can again.
    HideLog(bool),
    /// So many things happen that need no time.
    Run(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..3_usize;
    prop_oneof![
        4 => (0..2_usize).prop_map(Step::Say),
        4 => (client.clone(), 0..2_usize).prop_map(|(client, channel)| Step::Publish(client, channel)),
        2 => client.clone().prop_map(Step::Cut),
        3 => client.clone().prop_map(Step::Reconnect),
        2 => client.clone().prop_map(Step::Deafen),
        1 => client.clone().prop_map(Step::Stall),
        1 => client.prop_map(Step::TakeUp),
        1 => any::<bool>().prop_map(Step::HoldCommits),
        1 => any::<bool>().prop_map(Step::HideLog),
        4 => (1..6_usize).prop_map(Step::Run),
        1 => prop_oneof![Just(100_u64), Just(11_000), Just(31_000), Just(125_000)].prop_map(Step::Wait),
    ]
}

/// A client's application: what it wants to publish, and what it has been told.
#[derive(Default)]
struct Application {
    outbox: Vec<(&'static str, String)>,
    /// The first number of the outbox that its session does not have.
    unsent: usize,
    sent: BTreeMap<Sequence, usize>,
    receipts: BTreeMap<usize, Receipt>,
    /// The last place that it has been told of, and the messages, of each channel.
    places: BTreeMap<ByteString, Offset>,
    messages: BTreeMap<ByteString, Vec<(Offset, String)>>,
}

impl Application {
    fn hear(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Subscribed { channel, subscription } => {
                assert_eq!(subscription.decision, Decision::Continue);
                let place = self.places.entry(channel).or_insert(subscription.after);
                assert_eq!(*place, subscription.after, "a cursor goes neither back nor ahead");
            }
            ClientEvent::Message(Delivered { channel, previous, offset, message, .. }) => {
                let place = self.places.get_mut(&channel).expect("it was subscribed");
                assert_eq!(previous, *place, "each message follows what was told before it");
                assert!(offset > previous);
                *place = offset;
                let wire::Body::Text(text) = message.body else { panic!("a text was published") };
                self.messages.entry(channel).or_default().push((offset, String::from(&*text)));
            }
            ClientEvent::Published { publish, result } => {
                let number = self.sent.remove(&publish).expect("one answer for each publication");
                let receipt = result.expect("nothing stands against it");
                let first = *self.receipts.entry(number).or_insert(receipt);
                assert_eq!(first.offset, receipt.offset, "a repetition gets the first answer");
            }
            ClientEvent::Unanswered(Unanswered::Publication(publish)) => {
                let number = self.sent.remove(&publish).expect("it was sent");
                self.unsent = self.unsent.min(number);
            }
            ClientEvent::Lost { lost, .. } => panic!("{lost:?} and nothing was lost"),
            ClientEvent::Unsubscribed { channel, refusal } => panic!("{channel}: {refusal:?}"),
            _ => {}
        }
    }
}

struct Run {
    world: World,
    applications: Vec<Application>,
    said: u64,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        for client in 0..3 {
            world.join("ada");
            for channel in CHANNELS {
                world.subscribe(client, channel, Start::Earliest);
            }
        }
        let applications = (0..3).map(|_| Application::default()).collect();
        Self { world, applications, said: 0 }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Say(channel) => {
                self.said += 1;
                self.world.say(CHANNELS[channel], &format!("server {}", self.said));
            }
            Step::Publish(client, channel) => {
                let outbox = &mut self.applications[client].outbox;
                let says = format!("client {client} {}", outbox.len());
                outbox.push((CHANNELS[channel], says));
            }
            Step::Cut(client) => self.world.cut(client),
            Step::Reconnect(client) => self.world.reconnect(client),
            Step::Deafen(client) => self.world.clients[client].is_deaf = true,
            Step::Stall(client) => self.world.clients[client].is_stalled = true,
            Step::TakeUp(client) => self.world.clients[client].take_up(self.world.now.mono),
            Step::HoldCommits(hold) => self.world.log.is_held = hold,
            Step::HideLog(hide) => self.world.log.is_unreadable = hide,
            Step::Run(steps) => (0..steps).for_each(|_| {
                self.world.step();
            }),
            Step::Wait(millis) => self.world.advance(Duration::from_millis(millis)),
        }
        self.serve();
        self.world.check();
    }

    /// The applications hear what there is, and publish what they can.
    fn serve(&mut self) {
        let now = self.world.now.mono;
        for (id, (client, application)) in
            (1..).zip(self.world.clients.iter_mut().zip(&mut self.applications))
        {
            for event in core::mem::take(&mut client.events) {
                application.hear(event);
            }
            while let Some((channel, says)) = application.outbox.get(application.unsent) {
                let number = application.unsent;
                let publication = numbered_by(id, channel, says, number as u64);
                match client.session.publish(now, publication) {
                    Ok(publish) => application.sent.insert(publish, number),
                    Err(SendError::Full | SendError::Closed | SendError::TooManyUnanswered) => break,
                    Err(error) => panic!("{error}"),
                };
                application.unsent += 1;
            }
        }
    }

    /// All faults end, and everything has to come right.
    fn heal(&mut self) {
        (self.world.log.is_held, self.world.log.is_unreadable) = (false, false);
        for client in 0..3 {
            self.world.clients[client].take_up(self.world.now.mono);
            let Client { peer, is_deaf, .. } = &self.world.clients[client];
            if peer.is_none() || *is_deaf || self.world.clients[client].closed().is_some() {
                self.world.reconnect(client);
            }
        }
        // Long enough for a session to go whose client never learned of it.
        for _ in 0..4 {
            self.world.advance(SECOND * 40);
            self.serve();
        }
        self.world.check();
    }

    fn judge(&self) {
        for channel in CHANNELS {
            let log: Vec<_> = self.world.log.texts(channel).collect();
            for application in &self.applications {
                let heard = application.messages.get(channel).map_or(&[][..], |messages| messages);
                assert_eq!(heard, log, "everyone hears the log of {channel}");
            }
            let texts: BTreeSet<_> = log.iter().map(|(_, text)| text).collect();
            assert_eq!(texts.len(), log.len(), "nothing is in {channel} twice");
        }
        for application in &self.applications {
            assert_eq!(application.receipts.len(), application.outbox.len(), "every publication is answered");
            for (number, receipt) in &application.receipts {
                let (channel, says) = &application.outbox[*number];
                assert!(self.world.log.texts(channel).any(|entry| entry == (receipt.offset, says.clone())));
            }
            assert!(application.receipts.values().is_sorted_by_key(|receipt| receipt.offset));
        }
        assert_eq!(self.world.server.load().sessions, 3);
        assert_eq!(self.world.server.load().unanswered_publishes, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn everyone_hears_the_log_and_every_publication_is_in_it_once(steps in prop::collection::vec(step(), 1..80)) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
        run.heal();
        run.judge();
    }
}
