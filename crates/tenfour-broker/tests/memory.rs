//! What a namespace and its channels take from the allocator, counted per thread.

use tenfour_broker::{
    Body, Limits, Message, Namespace, SocketId, Target,
    channel::{Channels, Config, Effect, Item, Publication, Sink, Start, SubscriberId, Taken},
};
use tenfour_counting_alloc::{allocations, held};
use tenfour_delivery::{
    number::Epoch,
    time::{Instant, Now},
};
use tenfour_log::{Log, Memory, Retention};

const MEMBERS: u32 = 100_000;

#[test]
fn an_idle_member_costs_less_than_a_hundred_bytes() {
    let before = held();
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    fill(&mut namespace, MEMBERS);
    namespace.select(&Target::all().except_socket(id(0)), |_, ()| {});
    let each = (held() - before) / i64::from(MEMBERS);
    println!("{each} bytes for each of {MEMBERS} idle members");
    assert!(each < 100, "{each} bytes");
}

#[test]
fn a_selection_allocates_nothing_in_steady_state() {
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    fill(&mut namespace, 1_000);
    for number in 0..1_000 {
        namespace.join(id(number), if number % 2 == 0 { "even" } else { "odd" }).expect("within the limits");
        namespace
            .join(id(number), if number % 3 == 0 { "three" } else { "rest" })
            .expect("within the limits");
    }
    let targets = [
        Target::all(),
        Target::all().except_socket(id(7)),
        Target::room("even").to("three").except("nobody").except_socket(id(6)),
        Target::socket(id(9)),
    ];
    let select =
        |namespace: &mut Namespace<()>| targets.each_ref().map(|to| namespace.select(to, |_, ()| {}));
    select(&mut namespace);
    let before = allocations();
    let counts = select(&mut namespace);
    assert_eq!(allocations(), before);
    assert_eq!(counts, [1_000, 999, 500 + 167 - 1, 1]);
}

#[test]
fn churn_leaves_nothing_but_bounded_capacity() {
    let before = held();
    let mut namespace = Namespace::new("/".into(), Limits::default(), 1);
    let mut after_first = 0;
    for round in 0..200 {
        fill(&mut namespace, 100);
        for number in 0..100 {
            for room in 0..4 {
                let room = format!("room {round} {room} {}", number % 7);
                namespace.join(id(number), &room).expect("within the limits");
            }
        }
        let request = namespace.open_request(&Target::all(), Instant::ZERO).expect("within the limits");
        namespace.answer(id(0), request, Body::json("1"));
        for number in 0..100 {
            namespace.remove(id(number)).expect("it is there");
        }
        assert!(namespace.poll_event().is_some());
        if round == 0 {
            after_first = held() - before;
        }
    }
    // The tables may have been rebuilt with another capacity since, but not with a growing one.
    assert!(held() - before <= 2 * after_first, "{} after {after_first}", held() - before);
}

#[test]
fn a_commit_allocates_nothing_for_each_subscriber() {
    let taken = [1, 1_000].map(|subscribers| {
        let mut world = World::new(subscribers);
        world.publish();
        world.publish();
        let effect = world.publish_only();
        let (ticket, result) = world.append(effect);
        let before = allocations();
        world.channels.committed(Now::default(), ticket, result, &mut world.counted);
        (allocations() - before, world.counted.0)
    });
    println!("allocations and deliveries of a commit to 1 subscriber and to 1,000: {taken:?}");
    assert_eq!(taken.map(|(_, delivered)| delivered), [3, 3_000]);
    assert_eq!(taken[0].0, taken[1].0);
}

#[test]
fn an_idle_subscription_costs_few_bytes() {
    let before = held();
    let world = World::new(u64::from(MEMBERS));
    let each = (held() - before) / i64::from(MEMBERS);
    println!("{each} bytes for each of {MEMBERS} subscribers with a subscription");
    assert!(each < 500, "{each} bytes");
    drop(world);
}

#[test]
fn subscribers_that_come_and_go_leave_nothing_but_bounded_capacity() {
    let mut world = World::new(0);
    let before = held();
    let mut after_first = 0;
    for round in 0..60_u64 {
        for id in 0..100 {
            let name = format!("{}", (round * 100 + id) % 3_000);
            world
                .channels
                .subscribe(SubscriberId(id), &name.into(), Start::Earliest)
                .expect("within the bounds");
            world.channels.subscribe(SubscriberId(id), &"a".into(), Start::Live).expect("within the bounds");
        }
        if round % 3 == 0 {
            world.drive();
        }
        for id in 0..100 {
            assert!(world.channels.remove(SubscriberId(id)));
        }
        world.drive();
        if round == 29 {
            after_first = held() - before;
        }
    }
    assert!(held() - before <= after_first + after_first / 10, "{} after {after_first}", held() - before);
}

/// Channels on a log in memory, with subscribers to channel `a` that are live.
struct World {
    channels: Channels,
    log: Memory,
    counted: Counted,
}

/// Counts what is delivered.
struct Counted(u64);

impl Sink for Counted {
    fn deliver(&mut self, _: SubscriberId, item: Item<'_>) -> Taken {
        self.0 += u64::from(matches!(item, Item::Message { .. }));
        Taken::Yes
    }
}

impl World {
    fn new(subscribers: u64) -> Self {
        let epoch = Epoch::new(1);
        let channels = Channels::new(Config::default(), epoch, 1);
        let mut world = Self { channels, log: Memory::new(epoch, Retention::default()), counted: Counted(0) };
        for id in 0..subscribers {
            world.channels.subscribe(SubscriberId(id), &"a".into(), Start::Live).expect("within the bounds");
        }
        world.drive();
        world
    }

    fn publish(&mut self) {
        let effect = self.publish_only();
        let (ticket, result) = self.append(effect);
        self.channels.committed(Now::default(), ticket, result, &mut self.counted);
    }

    fn publish_only(&mut self) -> Effect {
        let message = Message { name: None, body: Body::Text("hello".into()) };
        let publication = Publication::to_channel("a", message);
        self.channels.publish(Now::default(), publication).expect("within the bounds");
        self.channels.poll_effect().expect("an append")
    }

    fn append(&mut self, effect: Effect) -> Answer {
        let Effect::Append { ticket, records } = effect else { panic!("an append") };
        self.log.append(ticket, records);
        (ticket, self.log.poll().expect("memory answers at once").result)
    }

    fn drive(&mut self) {
        while let Some(effect) = self.channels.poll_effect() {
            let Effect::Read { ticket, query } = effect else { panic!("nothing is published") };
            self.channels.page(Now::default(), ticket, self.log.read(&query), &mut self.counted);
        }
    }
}

type Answer = (tenfour_log::Ticket, Result<Vec<tenfour_log::Entry>, tenfour_log::AppendError>);

fn fill(namespace: &mut Namespace<()>, members: u32) {
    for number in 0..members {
        namespace.insert(id(number), ()).expect("within the limits");
    }
}

fn id(number: u32) -> SocketId {
    let mut bytes = [0; 15];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    SocketId::from_bytes(bytes)
}
