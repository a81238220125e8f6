//! The rules that have a name, and the bounds.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::time::Duration;

use tenfour_delivery::{
    loss::{Count, Lost, OffsetRange, Reason},
    number::{ProducerEpoch, ProducerSequence},
    rate::Limit,
    resume::Decision,
    time::Instant,
};
use tenfour_log::{Log, Memory, Retention};

use super::{super::*, world::producer};
use crate::Body;

/// Takes everything there is room for, and says what it was.
struct Screen {
    full: Vec<SubscriberId>,
    items: Vec<(u64, String)>,
}

impl Screen {
    fn new() -> Self {
        Self { full: Vec::new(), items: Vec::new() }
    }

    fn take(&mut self) -> Vec<(u64, String)> {
        core::mem::take(&mut self.items)
    }
}

impl Sink for Screen {
    fn deliver(&mut self, to: SubscriberId, item: Item<'_>) -> Taken {
        if self.full.contains(&to) {
            return Taken::Full;
        }
        let text = match item {
            Item::Subscribed { .. } => return Taken::Yes,
            Item::Message { entry, .. } => format!("{}", entry.offset),
            Item::Lost { lost, .. } => format!("lost {} {} {}", lost.range, lost.count, lost.reason),
            Item::Skip { skip, .. } => format!("skip {}", skip.range),
            Item::CaughtUp { offset, .. } => format!("caught up {offset}"),
            Item::Emitted { message, .. } => format!("{:?}", message.body),
            other => format!("{other:?}"),
        };
        self.items.push((to.0, text));
        Taken::Yes
    }
}

fn channels(set: impl FnOnce(&mut Config)) -> Channels {
    let mut config = Config::default();
    set(&mut config);
    Channels::new(config, Epoch::new(1), 5)
}

fn log() -> Memory {
    Memory::new(Epoch::new(1), Retention::default())
}

fn at(micros: u64) -> Now {
    Now { mono: Instant::from_micros(micros), wall: WallTime::from_unix_millis(micros / 1_000) }
}

fn saying(channels: &[&str], text: &str) -> Publication {
    let message = Message { name: None, body: Body::Text(text.into()) };
    let channels = channels.iter().map(|name| (*name).into()).collect();
    Publication::new(Destination { channels, except: Vec::new() }, message)
}

fn numbered(epoch: u32, sequence: u64, text: &str) -> Publication {
    Publication { producer: Some(producer(1, epoch, sequence)), ..saying(&["a"], text) }
}

/// Performs all that is asked for on a log.
fn drive(channels: &mut Channels, log: &mut Memory, screen: &mut Screen) {
    while let Some(effect) = channels.poll_effect() {
        perform(channels, log, screen, effect);
    }
}

fn perform(channels: &mut Channels, log: &mut Memory, screen: &mut Screen, effect: Effect) {
    match effect {
        Effect::Append { ticket, records } => {
            log.append(ticket, records);
            let result = log.poll().expect("memory answers at once").result;
            channels.committed(at(0), ticket, result, screen);
        }
        Effect::Read { ticket, query } => channels.page(at(0), ticket, log.read(&query), screen),
    }
}

/// A publication's number, and its offset and whether that is another's.
type Answer = (u64, Result<(u64, bool), PublishError>);

fn answers(channels: &mut Channels) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(Event::Published { publish, result }) = channels.poll_event() {
        answers.push((publish.get(), result.map(|receipt| (receipt.offset.get(), receipt.duplicate))));
    }
    answers
}

fn refused() -> AppendError {
    AppendError::Refused { reason: "full".to_string() }
}

fn append(channels: &mut Channels) -> (Ticket, Vec<Record>) {
    match channels.poll_effect() {
        Some(Effect::Append { ticket, records }) => (ticket, records),
        other => panic!("no append: {other:?}"),
    }
}

#[test]
fn what_is_published_during_an_append_becomes_the_next_one() {
    let (mut channels, mut log) = (channels(|config| config.append_messages = 3), log());
    let publish = |channels: &mut Channels, count| {
        for _ in 0..count {
            channels.publish(at(0), saying(&["a", "b", "a"], "x")).expect("within the bounds");
        }
    };
    publish(&mut channels, 1);
    let (first, records) = append(&mut channels);
    assert_eq!((records.len(), &records[0].channels[..]), (1, &["a".into(), "b".into()][..]));
    publish(&mut channels, 4);
    assert_eq!(channels.poll_effect(), None, "one append at a time");
    log.append(first, records);
    let result = log.poll().expect("memory answers at once").result;
    channels.committed(at(0), Ticket(77), result.clone(), &mut Screen::new());
    assert_eq!(answers(&mut channels), [], "an answer to no append");
    channels.committed(at(0), first, result, &mut Screen::new());
    assert_eq!(answers(&mut channels), [(0, Ok((1, false)))]);
    assert_eq!(append(&mut channels).1.len(), 3);
}

#[test]
fn a_failed_append_takes_with_it_what_its_producers_have_queued() {
    let mut channels = channels(|_| {});
    channels.publish(at(0), numbered(0, 0, "0")).expect("new");
    let (ticket, _) = append(&mut channels);
    channels.publish(at(0), numbered(0, 0, "0")).expect("joins the first");
    channels.publish(at(0), numbered(0, 1, "1")).expect("follows the first");
    channels.publish(at(0), saying(&["a"], "no number")).expect("has nothing to do with it");
    channels.committed(at(0), ticket, Err(refused()), &mut Screen::new());
    let failed = || Err(PublishError::Log(refused()));
    assert_eq!(answers(&mut channels), [(0, failed()), (1, failed()), (2, failed())]);
    let (_, records) = append(&mut channels);
    assert_eq!(records.len(), 1, "what has no producer goes on");
    channels.publish(at(0), numbered(0, 0, "0")).expect("it may come again");
}

#[test]
fn a_duplicate_gets_the_receipt_of_the_original() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    channels.publish(at(0), numbered(2, 0, "x")).expect("new");
    channels.publish(at(0), numbered(2, 0, "x")).expect("joins");
    drive(&mut channels, &mut log, &mut screen);
    channels.publish(at(0), saying(&["a"], "between")).expect("new");
    drive(&mut channels, &mut log, &mut screen);
    channels.publish(at(0), numbered(2, 0, "x")).expect("repeats");
    let all = [(0, Ok((1, false))), (1, Ok((1, true))), (2, Ok((2, false))), (3, Ok((1, true)))];
    assert_eq!(answers(&mut channels), all);
    assert_eq!(channels.publish(at(0), numbered(2, 0, "y")), Err(PublishError::Conflict));
    let elsewhere = Publication { to: Destination::to("b"), ..numbered(2, 0, "x") };
    assert_eq!(channels.publish(at(0), elsewhere), Err(PublishError::Conflict));
    let expected = ProducerSequence::new(1);
    assert_eq!(channels.publish(at(0), numbered(2, 2, "z")), Err(PublishError::Gap { expected }));
    let epoch = ProducerEpoch::new(2);
    assert_eq!(channels.publish(at(0), numbered(1, 0, "z")), Err(PublishError::Fenced { epoch }));
    assert_eq!(log.head(), Offset::new(2));
}

#[test]
fn a_publication_out_of_bounds_is_refused_and_changes_nothing() {
    let mut channels = channels(|config| {
        (config.channels_per_publication, config.channel_name_bytes) = (2, 3);
        (config.message_bytes, config.in_flight, config.in_flight_bytes) = (12, 3, 20);
    });
    let refusals = [
        (saying(&[], "x"), PublishError::NoChannel),
        (saying(&["a", "b", "c"], "x"), PublishError::TooManyChannels { limit: 2 }),
        (saying(&["a", ""], "x"), PublishError::ChannelName { length: 0, limit: 3 }),
        (saying(&["abcd"], "x"), PublishError::ChannelName { length: 4, limit: 3 }),
        (saying(&["a"], "0123456789x"), PublishError::TooLarge { length: 13, limit: 12 }),
    ];
    for (publication, error) in refusals {
        assert_eq!(channels.publish(at(0), publication), Err(error));
    }
    assert_eq!(channels.poll_effect(), None);
    channels.publish(at(0), saying(&["a"], "0123456789")).expect("12 bytes");
    let full = Err(PublishError::Full { limit: 20 });
    assert_eq!(channels.publish(at(0), saying(&["a"], "0123456789")), full);
    channels.publish(at(0), saying(&["a"], "")).expect("2 bytes");
    channels.publish(at(0), saying(&["a"], "")).expect("2 bytes");
    let full = Err(PublishError::Full { limit: 3 });
    assert_eq!(channels.publish(at(0), saying(&["a"], "")), full);
    drive(&mut channels, &mut log(), &mut Screen::new());
    assert_eq!(channels.publish(at(0), saying(&["a"], "")), full, "answers that nobody polls count");
    assert_eq!(answers(&mut channels).len(), 3);
    channels.publish(at(0), saying(&["a"], "0123456789")).expect("there is room again");
}

#[test]
fn a_duplicate_is_not_charged_and_a_refusal_uses_up_no_number() {
    let mut channels = channels(|config| config.rate = Some(Limit::new(1, Duration::from_secs(1), 1)));
    let ann = SubscriberId(1);
    channels.publish_by(at(0), ann, numbered(0, 0, "x")).expect("one at once");
    for _ in 0..5 {
        channels.publish_by(at(0), ann, numbered(0, 0, "x")).expect("a repetition");
    }
    let retry_after = Duration::from_millis(600);
    let refused = Err(PublishError::RateLimited { retry_after });
    assert_eq!(channels.publish_by(at(400_000), ann, numbered(0, 1, "y")), refused);
    channels.publish_by(at(400_000), SubscriberId(2), saying(&["a"], "z")).expect("another's rate");
    channels.publish(at(400_000), saying(&["a"], "z")).expect("the server's own has none");
    channels.publish_by(at(1_000_000), ann, numbered(0, 1, "y")).expect("under the same number");
}

#[test]
fn what_is_remembered_of_producers_is_as_configured() {
    let mut channels = channels(|config| {
        (config.dedup.producers, config.dedup.results, config.dedup.pending) = (1, 2, 3);
        config.dedup.idle = Duration::from_secs(7);
    });
    assert_eq!(channels.dedup_window(), Duration::from_secs(7));
    for sequence in 0..3 {
        channels.publish(at(0), numbered(0, sequence, "x")).expect("three may be in flight");
    }
    assert_eq!(channels.publish(at(0), numbered(0, 3, "x")), Err(PublishError::Busy));
    drive(&mut channels, &mut log(), &mut Screen::new());
    let repeated = channels.publish(at(0), numbered(0, 0, "x"));
    assert_eq!(repeated, Err(PublishError::Applied), "two results are held");
    channels.publish(at(0), numbered(0, 1, "x")).expect("it is one of them");
}

/// By default, with as many producers as there may be, and each with as many results.
#[test]
fn what_is_remembered_of_producers_takes_less_than_256_mib() {
    let dedup = Config::default().dedup;
    let result = size_of::<Offset>() + 16;
    assert!(dedup.producers * (200 + dedup.results * result) < 256 << 20);
}

#[test]
fn what_is_emitted_is_charged_as_what_is_published() {
    let mut channels = channels(|config| config.rate = Some(Limit::new(2, Duration::from_secs(1), 2)));
    let (ann, mut log, mut screen) = (SubscriberId(1), log(), Screen::new());
    channels.subscribe(SubscriberId(9), &"a".into(), Start::Live).expect("within the bounds");
    drive(&mut channels, &mut log, &mut screen);
    screen.take();
    let message = Message { name: None, body: Body::Text("now".into()) };
    channels.publish_by(at(0), ann, saying(&["b"], "x")).expect("the first");
    assert_eq!(channels.emit_by(at(0), ann, "a", &message, &mut screen), Ok(1));
    let dropped = channels.emit_by(at(0), ann, "a", &message, &mut screen);
    assert!(matches!(dropped, Err(EmitError::RateLimited { .. })), "{dropped:?}");
    assert!(channels.publish_by(at(0), ann, saying(&["b"], "x")).is_err());
    assert_eq!(channels.emit("a", &message, &mut screen), 1, "the server's own has none");
    assert_eq!(screen.take().len(), 2, "what is dropped goes nowhere");
    assert_eq!(channels.emit_by(at(1_000_000), ann, "a", &message, &mut screen), Ok(1));
}

/// A limit that would delay is one that refuses here: who comes again when told to must get through.
#[test]
fn who_waits_as_long_as_told_is_accepted() {
    let patient = Limit::new(10, Duration::from_secs(1), 1).with_patience(Duration::from_secs(1));
    let mut channels = channels(|config| config.rate = Some(patient));
    let ann = SubscriberId(1);
    let mut now = 0;
    for sequence in 0..5 {
        if let Err(error) = channels.publish_by(at(now), ann, numbered(0, sequence, "x")) {
            let PublishError::RateLimited { retry_after } = error else { panic!("{error}") };
            now += u64::try_from(retry_after.as_micros()).expect("a second at most");
            channels.publish_by(at(now), ann, numbered(0, sequence, "x")).expect("it has waited");
        }
    }
    assert_eq!(now, 400_000, "four waits of a tenth");
}

#[test]
fn subscriptions_are_bounded() {
    let mut channels = channels(|config| {
        (config.subscribers, config.subscriptions_per_subscriber) = (2, 2);
        (config.channels, config.channel_name_bytes) = (3, 3);
    });
    let mut subscribe = |id, name: &str| {
        channels.subscribe(SubscriberId(id), &name.into(), Start::Live).map(ChannelNumber::get)
    };
    assert_eq!(subscribe(1, "a"), Ok(0));
    assert_eq!(subscribe(1, "a"), Err(SubscribeError::Exists));
    assert_eq!(subscribe(1, "abcd"), Err(SubscribeError::ChannelName { length: 4, limit: 3 }));
    assert_eq!(subscribe(1, "b"), Ok(1));
    assert_eq!(subscribe(1, "c"), Err(SubscribeError::TooMany { limit: 2 }));
    assert_eq!(subscribe(2, "c"), Ok(2));
    assert_eq!(subscribe(2, "d"), Err(SubscribeError::TooManyChannels { limit: 3 }));
    assert_eq!(subscribe(2, "a"), Ok(0), "a number is the same for all");
    assert_eq!(subscribe(3, "a"), Err(SubscribeError::TooManySubscribers { limit: 2 }));
    assert!(channels.remove(SubscriberId(1)) && !channels.remove(SubscriberId(1)));
    assert!(!channels.unsubscribe(SubscriberId(1), ChannelNumber::new(0)));
    assert!(!channels.unsubscribe(SubscriberId(2), ChannelNumber::new(9)));
    let subscribed = channels.subscribe(SubscriberId(3), &"b".into(), Start::Live);
    assert_eq!(subscribed, Ok(ChannelNumber::new(1)), "it kept its number");
}

#[test]
fn a_number_is_used_again_when_enough_others_are_idle() {
    let mut channels = channels(|_| {});
    let (first, stays) = (SubscriberId(1), SubscriberId(2));
    let mut visit = |name: &str| {
        let number = channels.subscribe(first, &name.into(), Start::Live).expect("within the bounds");
        assert_eq!(channels.name(number).map(|name| &**name), Some(name));
        assert!(channels.unsubscribe(first, number));
        number.get()
    };
    let numbers: Vec<_> = (0..1_024).map(|place| visit(&format!("{place}"))).collect();
    assert_eq!(numbers, (0..1_024).collect::<Vec<_>>());
    assert_eq!(visit("7"), 7, "remembered, and now idle for the shortest time");
    assert_eq!(visit("new"), 0, "the longest idle one makes room");
    assert_eq!((channels.number("0"), channels.number("7")), (None, Some(ChannelNumber::new(7))));
    channels.subscribe(stays, &"1".into(), Start::Live).expect("within the bounds");
    assert_eq!(channels.subscribe(stays, &"newer".into(), Start::Live), Ok(ChannelNumber::new(1_024)));
}

#[test]
fn so_many_pages_are_read_at_a_time_and_everyone_has_a_turn() {
    let (mut channels, mut log, mut screen) =
        (channels(|config| (config.reads, config.page_messages) = (2, 1)), log(), Screen::new());
    for _ in 0..2 {
        channels.publish(at(0), saying(&["a", "b"], "x")).expect("within the bounds");
    }
    drive(&mut channels, &mut log, &mut screen);
    for id in 0..3 {
        for name in ["a", "b"] {
            channels.subscribe(SubscriberId(id), &name.into(), Start::Earliest).expect("within the bounds");
        }
    }
    let (one, other) = (channels.poll_effect(), channels.poll_effect());
    assert_eq!(channels.poll_effect(), None, "two at a time");
    for effect in [one, other].into_iter().flatten() {
        perform(&mut channels, &mut log, &mut screen, effect);
    }
    drive(&mut channels, &mut log, &mut screen);
    let turns: Vec<_> =
        screen.take().into_iter().filter(|(_, item)| !item.contains("caught")).map(|(id, _)| id).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2], "nobody waits for another's backlog");
}

#[test]
fn a_page_for_one_who_has_left_or_come_again_changes_nothing() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    let ann = SubscriberId(1);
    let number = channels.subscribe(ann, &"a".into(), Start::Earliest).expect("within the bounds");
    channels.subscribe(ann, &"b".into(), Start::Live).expect("within the bounds");
    let Some(Effect::Read { ticket, query }) = channels.poll_effect() else { panic!("the log is asked") };
    channels.unsubscribe(ann, number);
    channels.subscribe(ann, &"a".into(), Start::Live).expect("it comes again");
    let late = log.read(&query);
    channels.page(at(0), ticket, late.clone(), &mut screen);
    channels.page(at(0), ticket, late.clone(), &mut screen);
    assert_eq!(
        channels.position(ann, number),
        None,
        "the second subscription is not decided by the first one's page"
    );
    drive(&mut channels, &mut log, &mut screen);
    assert_eq!(channels.position(ann, number).map(|position| position.offset), Some(Offset::START));
    let Some(Effect::Read { ticket, .. }) = ({
        channels.subscribe(ann, &"c".into(), Start::Live).expect("within the bounds");
        channels.poll_effect()
    }) else {
        panic!("the log is asked")
    };
    channels.remove(ann);
    channels.page(at(0), ticket, late, &mut screen);
    assert_eq!((screen.take(), channels.poll_effect()), (vec![], None));
}

#[test]
fn nothing_is_read_for_one_who_has_no_room() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    let ann = SubscriberId(1);
    channels.subscribe(ann, &"a".into(), Start::Live).expect("within the bounds");
    drive(&mut channels, &mut log, &mut screen);
    screen.full = vec![ann];
    for _ in 0..3 {
        channels.publish(at(0), saying(&["a"], "x")).expect("within the bounds");
        let effect = channels.poll_effect().expect("an append");
        perform(&mut channels, &mut log, &mut screen, effect);
        assert_eq!(channels.poll_effect(), None);
    }
    screen.full.clear();
    assert_eq!(channels.poll_effect(), None, "until it says so");
    channels.resume_reading(ann);
    drive(&mut channels, &mut log, &mut screen);
    let items: Vec<_> = screen.take().into_iter().map(|(_, item)| item).collect();
    assert_eq!(items, ["1", "2", "3"], "no word of a replay that nobody asked for");
}

#[test]
fn a_late_answer_does_not_end_the_turn_of_a_later_read() {
    let (mut channels, log, mut screen) = (channels(|_| {}), log(), Screen::new());
    let ann = SubscriberId(1);
    let mut tickets = Vec::new();
    for _ in 0..2 {
        channels.remove(ann);
        for name in ["a", "b"] {
            channels.subscribe(ann, &name.into(), Start::Live).expect("within the bounds");
        }
        let Some(Effect::Read { ticket, query }) = channels.poll_effect() else { panic!("the log is asked") };
        tickets.push((ticket, query));
    }
    let (late, query) = &tickets[0];
    channels.page(at(0), *late, log.read(query), &mut screen);
    assert_eq!(channels.poll_effect(), None, "one read at a time for each");
    let (ticket, query) = &tickets[1];
    channels.page(at(0), *ticket, log.read(query), &mut screen);
    assert!(matches!(channels.poll_effect(), Some(Effect::Read { .. })));
}

#[test]
fn what_expires_is_told_as_one_loss_at_its_place() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    for (text, ttl) in [("1", None), ("2", Some(5)), ("3", Some(5)), ("4", None), ("5", Some(5))] {
        let ttl = ttl.map(Duration::from_millis);
        channels.publish(at(0), Publication { ttl, ..saying(&["a"], text) }).expect("within the bounds");
    }
    drive(&mut channels, &mut log, &mut screen);
    channels.subscribe(SubscriberId(1), &"a".into(), Start::Earliest).expect("within the bounds");
    let late = at(5_000);
    while let Some(Effect::Read { ticket, query }) = channels.poll_effect() {
        channels.page(late, ticket, log.read(&query), &mut screen);
    }
    let items: Vec<_> = screen.take().into_iter().map(|(_, item)| item).collect();
    let ttl = Reason::Ttl;
    let expected =
        ["1", &format!("lost (1, 3] 2 {ttl}"), "4", &format!("lost (4, 5] 1 {ttl}"), "caught up 5"];
    assert_eq!(items, expected);
}

#[test]
fn what_cannot_be_read_back_is_lost_and_not_passed_over() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    let record = Record {
        channels: vec!["a".into()],
        producer: None,
        ingested: WallTime::default(),
        expires: None,
        payload: Bytes::from_static(b"\xff of a later version"),
    };
    log.append(Ticket(0), vec![record]);
    log.poll();
    channels.subscribe(SubscriberId(1), &"a".into(), Start::Earliest).expect("within the bounds");
    drive(&mut channels, &mut log, &mut screen);
    let lost = Lost {
        range: OffsetRange { after: Offset::START, through: Offset::new(1) },
        count: Count::Exact(1),
        reason: Reason::Unknown,
    };
    let told = format!("lost {} {} {}", lost.range, lost.count, lost.reason);
    assert_eq!(screen.take(), [(1, told), (1, "caught up 1".into())]);
}

#[test]
fn what_is_emitted_reaches_those_who_have_room_and_has_no_place() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    for id in 1..4 {
        channels.subscribe(SubscriberId(id), &"a".into(), Start::Live).expect("within the bounds");
    }
    drive(&mut channels, &mut log, &mut screen);
    channels.subscribe(SubscriberId(4), &"a".into(), Start::Live).expect("not decided yet");
    screen.full = vec![SubscriberId(2)];
    let message = Message { name: None, body: Body::Text("now".into()) };
    assert_eq!(channels.emit("a", &message, &mut screen), 2);
    assert_eq!(channels.emit("nowhere", &message, &mut screen), 0);
    assert_eq!(screen.take().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3]);
    screen.full.clear();
    channels.resume_reading(SubscriberId(2));
    drive(&mut channels, &mut log, &mut screen);
    assert_eq!((screen.take(), log.head()), (vec![], Offset::START), "it is gone, and moved nothing");
}

#[test]
fn a_log_that_answers_too_little_has_failed() {
    let mut channels = channels(|_| {});
    channels.publish(at(0), saying(&["a"], "x")).expect("within the bounds");
    let (ticket, _) = append(&mut channels);
    channels.committed(at(0), ticket, Ok(vec![]), &mut Screen::new());
    let answers = answers(&mut channels);
    assert!(matches!(&answers[..], [(0, Err(PublishError::Log(AppendError::Failed { .. })))]), "{answers:?}");
}

#[test]
fn a_history_that_is_older_than_a_commit_does_not_hide_it() {
    struct Heads(Vec<(Offset, Decision)>);
    impl Sink for Heads {
        fn deliver(&mut self, _to: SubscriberId, item: Item<'_>) -> Taken {
            if let Item::Subscribed { outcome: Ok(Subscribed { decision, head, .. }), .. } = item {
                self.0.push((head, decision));
            }
            Taken::Yes
        }
    }
    let (mut channels, mut log, mut heads) = (channels(|_| {}), log(), Heads(Vec::new()));
    channels.subscribe(SubscriberId(1), &"a".into(), Start::Live).expect("within the bounds");
    let Some(Effect::Read { ticket, query }) = channels.poll_effect() else { panic!("the log is asked") };
    let page = log.read(&query);
    channels.publish(at(0), saying(&["a"], "x")).expect("within the bounds");
    let (append, records) = append(&mut channels);
    log.append(append, records);
    channels.committed(at(0), append, log.poll().expect("memory answers at once").result, &mut heads);
    channels.page(at(0), ticket, page, &mut heads);
    let head = Offset::new(1);
    assert_eq!(heads.0, [(head, Decision::Continue { after: head })]);
}

#[test]
fn a_failed_append_of_many_producers_is_dealt_with_in_one_pass() {
    let mut channels = channels(|config| config.append_messages = 6);
    let of = |id, sequence| Publication { producer: Some(producer(id, 0, sequence)), ..saying(&["a"], "x") };
    for sequence in 0..3 {
        for id in 0..3 {
            channels.publish(at(0), of(id, sequence)).expect("new");
        }
        channels.publish(at(0), saying(&["a"], "x")).expect("has nothing to do with them");
    }
    // Of three producers 0, 1 and 0, 1 and 0 are in the append; the rest waits.
    let (ticket, records) = append(&mut channels);
    assert_eq!(records.len(), 6);
    channels.committed(at(0), ticket, Err(refused()), &mut Screen::new());
    let failed: Vec<_> = answers(&mut channels).into_iter().map(|(publish, _)| publish).collect();
    assert_eq!(failed, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10], "in order, each once");
    assert_eq!(append(&mut channels).1.len(), 2, "what has no producer goes on");
}

/// A name that was cut out of a read buffer keeps all of that buffer.
#[test]
fn a_channel_does_not_keep_the_buffer_that_its_name_came_in() {
    let mut channels = channels(|_| {});
    let buffer = Bytes::from(vec![b'a'; 65_536]);
    let name = ByteString::try_from(buffer.slice(..9)).expect("ASCII");
    let number = channels.subscribe(SubscriberId(1), &name, Start::Live).expect("within the bounds");
    drop(name);
    assert!(channels.name(number).is_some_and(|name| name.len() == 9));
    assert!(buffer.is_unique());
}

fn keyed(key: &str, text: &str) -> Publication {
    Publication { key: MessageKey::new(key).ok(), ..saying(&["a"], text) }
}

#[test]
fn a_key_gets_the_receipt_of_the_original() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    channels.publish(at(0), keyed("k", "x")).expect("new");
    channels.publish(at(0), keyed("k", "x")).expect("joins");
    drive(&mut channels, &mut log, &mut screen);
    channels.publish(at(0), keyed("l", "x")).expect("another key");
    channels.publish(at(0), keyed("k", "x")).expect("repeats");
    drive(&mut channels, &mut log, &mut screen);
    let all = [(0, Ok((1, false))), (1, Ok((1, true))), (3, Ok((1, true))), (2, Ok((2, false)))];
    assert_eq!(answers(&mut channels), all);
    assert_eq!(channels.publish(at(0), keyed("k", "y")), Err(PublishError::KeyConflict));
    let both = Publication { producer: Some(producer(1, 0, 0)), ..keyed("m", "x") };
    assert_eq!(channels.publish(at(0), both), Err(PublishError::TwoNames));
}

#[test]
fn a_derived_key_compares_where_it_goes_and_the_name() {
    let (mut channels, mut log) = (channels(|_| {}), log());
    let of = |text| Publication { key: MessageKey::derived("k", 0).ok(), ..saying(&["a"], text) };
    channels.publish(at(0), of("at one")).expect("new");
    let mut again = of("at two");
    channels.publish(at(0), again.clone()).expect("the same occasion");
    again.to.except.push("c".into());
    channels.publish(at(0), again).expect("the same, by who is somebody else by now");
    channels.publish(at(0), Publication { to: Destination::to("b"), ..of("at one") }).expect("another");
    let mut named = of("at one");
    named.message.name = Some("other".into());
    channels.publish(at(0), named).expect("another");
    drive(&mut channels, &mut log, &mut Screen::new());
    let all = [
        (0, Ok((1, false))),
        (1, Ok((1, true))),
        (2, Ok((1, true))),
        (3, Ok((2, false))),
        (4, Ok((3, false))),
    ];
    assert_eq!(answers(&mut channels), all);
}

#[test]
fn a_key_whose_append_failed_may_come_again() {
    let (mut channels, mut log) = (channels(|_| {}), log());
    channels.publish(at(0), keyed("k", "x")).expect("new");
    channels.publish(at(0), keyed("k", "x")).expect("joins");
    let (ticket, _) = append(&mut channels);
    channels.committed(at(0), ticket, Err(refused()), &mut Screen::new());
    let failed = || Err(PublishError::Log(refused()));
    assert_eq!(answers(&mut channels), [(0, failed()), (1, failed())]);
    channels.publish(at(0), keyed("k", "y")).expect("nothing of it is in the log");
    drive(&mut channels, &mut log, &mut Screen::new());
    assert_eq!(answers(&mut channels), [(2, Ok((1, false)))]);
}

#[test]
fn a_key_is_forgotten_after_its_window() {
    let (mut channels, mut log) = (channels(|config| config.keys.span = 1), log());
    assert_eq!(channels.dedup_window(), Duration::from_secs(120));
    let days = |days: u64| at(days * 86_400_000_000);
    for (day, key, text) in [(0, "k", "x"), (1, "l", "x"), (2, "m", "x"), (2, "k", "y")] {
        channels.publish(days(day), keyed(key, text)).expect("new by now");
        drive(&mut channels, &mut log, &mut Screen::new());
    }
}

#[test]
fn the_namespaces_own_channels_are_nobodys() {
    let mut channels = channels(|_| {});
    let mine = || saying(&["a", "\0mine"], "x");
    assert_eq!(channels.publish(at(0), mine()), Err(PublishError::Reserved));
    assert_eq!(channels.publish(at(0), saying(&[&NOTES], "x")), Err(PublishError::Reserved));
    channels.publish(at(0), saying(&[&EVERYONE], "x")).expect("it is for everyone");
    for name in [NOTES, EVERYONE, "\0mine".into()] {
        assert_eq!(channels.subscribe(SubscriberId(1), &name, Start::Live), Err(SubscribeError::Reserved));
    }
    // A log keeps notes for as long as they are needed, and what is for everyone as any message.
    assert!(tenfour_log::is_pinned(&NOTES) && !tenfour_log::is_pinned(&EVERYONE));
    let excepts = (0..17).fold(Destination::to("a"), |to, room| to.except(alloc::format!("{room}")));
    let publication = Publication { to: excepts, ..saying(&["a"], "x") };
    assert_eq!(channels.publish(at(0), publication), Err(PublishError::TooManyExcepts { limit: 16 }));
}

/// What a subscriber is handed, with this policy, of eight messages that it misses and one that comes when it is back.
fn missed(away: Away) -> Vec<String> {
    let (mut channels, mut log, mut screen) =
        (channels(|config| config.page_messages = 100), log(), Screen::new());
    let ann = SubscriberId(1);
    channels.subscribe_with(ann, &"a".into(), Start::Live, away).expect("within the bounds");
    drive(&mut channels, &mut log, &mut screen);
    channels.leave(ann);
    screen.full.push(ann);
    let mut publish = |channels: &mut Channels, screen: &mut Screen, conflate: Option<&str>| {
        let conflate = conflate.map(ByteString::from);
        channels.publish(at(0), Publication { conflate, ..saying(&["a"], "x") }).expect("new");
        drive(channels, &mut log, screen);
    };
    for conflate in [Some("x"), Some("y"), None, Some("x"), None, Some("y"), Some("x"), Some("y")] {
        publish(&mut channels, &mut screen, conflate);
    }
    screen.full.clear();
    channels.resume_reading(ann);
    publish(&mut channels, &mut screen, None);
    // The ninth came before the first page was read; a tenth is live.
    publish(&mut channels, &mut screen, None);
    screen.take().into_iter().map(|(_, item)| item).collect()
}

#[test]
fn who_was_away_gets_what_its_subscription_says() {
    assert_eq!(missed(Away::Everything), ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    assert_eq!(missed(Away::Latest), ["skip (0, 8]", "9", "10"]);
    assert_eq!(missed(Away::LatestPerKey), ["skip (0, 6]", "7", "8", "9", "10"]);
    assert_eq!(missed(Away::Nothing), ["skip (0, 9]", "10"]);
}

/// Who is there and slow is owed everything, whatever it gets after an absence.
#[test]
fn who_is_slow_was_not_away() {
    let (mut channels, mut log, mut screen) = (channels(|_| {}), log(), Screen::new());
    let ann = SubscriberId(1);
    channels.subscribe_with(ann, &"a".into(), Start::Live, Away::Nothing).expect("within the bounds");
    drive(&mut channels, &mut log, &mut screen);
    channels.leave(ann);
    channels.resume_reading(ann);
    screen.full.push(ann);
    for _ in 0..3 {
        channels.publish(at(0), saying(&["a"], "x")).expect("new");
        drive(&mut channels, &mut log, &mut screen);
    }
    screen.full.clear();
    channels.resume_reading(ann);
    drive(&mut channels, &mut log, &mut screen);
    let items: Vec<_> = screen.take().into_iter().map(|(_, item)| item).collect();
    assert_eq!(items, ["1", "2", "3"]);
}
