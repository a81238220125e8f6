//! Every state of a subscription, and what each event makes of it.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Write;

use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    resume::History,
};

use super::super::{
    reader::{Read, Reader},
    subscription::{Followed, State, Subscription},
    *,
};
use crate::Body;

/// The subscription stands at 4, the channel's head is at 6.
const BASE: Offset = Offset::new(4);
const HEAD: Offset = Offset::new(6);
const TICKET: Ticket = Ticket(1);
const STATES: [&str; 5] = ["Opening", "Deciding", "Lagging", "Reading", "Live"];

#[test]
fn each_state_meets_each_event() {
    let mut table = String::new();
    for (event, act) in events() {
        writeln!(table, "{event}").expect("a text can be written");
        for state in STATES {
            let mut screen = Screen { room: if event.contains("full") { 0 } else { 9 }, items: Vec::new() };
            let mut subscription = standing(state);
            let before = subscription.clone();
            let answer = act(&mut subscription, &mut screen);
            let after = if subscription == before { "—".into() } else { shown(&subscription) };
            let line = format!("  {state:<9} {answer:<10} {after:<24} {}", screen.items.join(", "));
            writeln!(table, "{}", line.trim_end()).expect("a text can be written");
        }
    }
    insta::assert_snapshot!("subscription", table);
}

type Act = fn(&mut Subscription, &mut Screen) -> String;

fn events() -> Vec<(&'static str, Act)> {
    vec![
        ("the log can be asked", |subscription, _| {
            subscription.read(TICKET, HEAD).map_or("nothing".into(), |asks| {
                if asks.history_alone { "history".into() } else { format!("after {}", asks.after) }
            })
        }),
        ("a commit follows", |subscription, screen| follow(subscription, screen, 4, 6, true)),
        ("a commit follows, full", |subscription, screen| follow(subscription, screen, 4, 6, true)),
        ("a commit has expired", |subscription, screen| follow(subscription, screen, 4, 6, false)),
        ("a commit leaves a gap", |subscription, screen| follow(subscription, screen, 5, 6, true)),
        ("a commit that was read before", |subscription, screen| follow(subscription, screen, 3, 4, true)),
        ("answered: at the head", |subscription, screen| {
            answer(subscription, screen, page(&[5, 6], false), HEAD)
        }),
        ("answered: more to read", |subscription, screen| {
            answer(subscription, screen, page(&[5], true), HEAD)
        }),
        ("answered: a commit came meanwhile", |subscription, screen| {
            answer(subscription, screen, page(&[5, 6], false), Offset::new(7))
        }),
        ("answered: trimmed", |subscription, screen| {
            let mut page = page(&[6], false);
            let range = OffsetRange { after: BASE, through: Offset::new(5) };
            page.lost = Some(Lost { range, count: Count::AtLeast(1), reason: Reason::Retention });
            page.history.trimmed = Offset::new(5);
            answer(subscription, screen, page, HEAD)
        }),
        ("answered: with what was read before", |subscription, screen| {
            answer(subscription, screen, page(&[3, 4, 5, 6], false), HEAD)
        }),
        ("answered: full", |subscription, screen| answer(subscription, screen, page(&[5, 6], false), HEAD)),
        ("answered: the claim is of no commit", |subscription, screen| {
            let mut page = page(&[], false);
            page.history.head = Offset::new(3);
            answer(subscription, screen, page, Offset::START)
        }),
        ("answered: the log failed", |subscription, screen| {
            let error = ReadError::Failed { reason: "no".to_string() };
            shown_read(reader(subscription, screen, HEAD), Err(error))
        }),
        ("acknowledged: what was delivered", |subscription, _| subscription.acknowledge(BASE).to_string()),
        ("acknowledged: what was not", |subscription, _| subscription.acknowledge(HEAD).to_string()),
    ]
}

/// A subscription that claims to be at the base, in this state.
fn standing(state: &str) -> Subscription {
    let start = Start::After(Position { epoch: Epoch::new(1), offset: BASE });
    let mut subscription = Subscription::new(start, Away::Everything);
    match state {
        "Opening" => {}
        "Deciding" => drop(subscription.read(TICKET, HEAD)),
        "Lagging" => subscription.open(BASE, HEAD),
        "Reading" => {
            subscription.open(BASE, HEAD);
            let _ = subscription.read(TICKET, HEAD);
        }
        _ => {
            subscription.open(BASE, BASE);
            subscription.announced();
        }
    }
    subscription
}

fn shown(subscription: &Subscription) -> String {
    let state = match subscription.state() {
        State::Opening(_) => "Opening",
        State::Deciding(..) => "Deciding",
        State::Lagging => "Lagging",
        State::Reading(_) => "Reading",
        State::Live => "Live",
    };
    format!("{state}, base {}, done {}", subscription.base(), subscription.processed())
}

fn follow(
    subscription: &mut Subscription,
    screen: &mut Screen,
    previous: u64,
    offset: u64,
    fresh: bool,
) -> String {
    let message = Message { name: None, body: Body::Text("".into()) };
    let followed = subscription.follow(
        Offset::new(previous),
        Offset::new(offset),
        Some(&message).filter(|_| fresh),
        |_, _| screen.take(format!("Message {offset}")),
    );
    match followed {
        Followed::Delivered => "delivered",
        Followed::Unchanged => "unchanged",
        Followed::Lags => "lags",
        Followed::Full => "full",
    }
    .into()
}

fn answer(subscription: &mut Subscription, screen: &mut Screen, page: Page, head: Offset) -> String {
    shown_read(reader(subscription, screen, head), Ok(page))
}

fn reader<'a>(subscription: &'a mut Subscription, sink: &'a mut Screen, head: Offset) -> Reader<'a, Screen> {
    static NAME: ByteString = ByteString::from_static("a");
    let (id, number) = (SubscriberId(1), ChannelNumber::new(0));
    Reader { now: WallTime::default(), id, number, name: &NAME, head, subscription, sink }
}

fn shown_read(mut reader: Reader<'_, Screen>, result: Result<Page, ReadError>) -> String {
    match reader.answered(TICKET, result) {
        None => "unasked",
        Some(Read::Live) => "live",
        Some(Read::Waits) => "waits",
        Some(Read::Full) => "full",
        Some(Read::Refused) => "refused",
    }
    .into()
}

fn page(offsets: &[u64], more: bool) -> Page {
    let entry = |offset: &u64| Entry {
        offset: Offset::new(*offset),
        previous: vec![Offset::new(offset - 1)],
        record: Record {
            channels: vec!["a".into()],
            producer: None,
            ingested: WallTime::default(),
            expires: None,
            payload: Envelope::of(Message { name: None, body: Body::Text("".into()) }).to_stored(),
        },
    };
    let history = History { epoch: Epoch::new(1), trimmed: Offset::START, head: HEAD };
    Page { entries: offsets.iter().map(entry).collect(), more, lost: None, history }
}

struct Screen {
    room: usize,
    items: Vec<String>,
}

impl Screen {
    fn take(&mut self, item: String) -> Taken {
        if self.room == 0 {
            return Taken::Full;
        }
        self.room -= 1;
        self.items.push(item);
        Taken::Yes
    }
}

impl Sink for Screen {
    fn deliver(&mut self, _: SubscriberId, item: Item<'_>) -> Taken {
        self.take(match item {
            Item::Subscribed { outcome: Ok(_), .. } => "Subscribed".into(),
            Item::Subscribed { outcome: Err(_), .. } => "Refused".into(),
            Item::Message { entry, .. } => format!("Message {}", entry.offset),
            Item::Lost { lost, .. } => format!("Lost {}", lost.range),
            Item::CaughtUp { offset, .. } => format!("CaughtUp {offset}"),
            other => format!("{other:?}"),
        })
    }
}
