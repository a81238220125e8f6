//! A server and a client over UDP: messages in both directions, each exactly once and in order, whatever the network does.
//!
//!     cargo run --release -p tenfour-session --example udp                    # both, over loopback
//!     cargo run --release -p tenfour-session --example udp -- server --listen 127.0.0.1:4010
//!     cargo run --release -p tenfour-session --example udp -- client --connect 127.0.0.1:4010 --messages 100000

use std::{env, net::UdpSocket, sync::*, thread, time};
use tenfour_delivery::{number::*, time::Instant};
use tenfour_session::native::*;
use tenfour_wire::native::{Body, CloseCode, Message, SharedMessage, Token};

const TRANSPORT: Transport = Transport::Datagram { mtu: 1200 };
const EPOCH: Epoch = Epoch::new(1);
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "whoever drives a session has a clock")]
static BEGUN: LazyLock<time::Instant> = LazyLock::new(time::Instant::now);

fn now() -> Instant {
    Instant::ZERO + BEGUN.elapsed()
}

/// The next datagram, unless the deadline comes first. The socket is its first sender's from then on.
fn receive(socket: &UdpSocket, deadline: Option<Instant>) -> Option<Input> {
    let wait = deadline.map(|deadline| (deadline - now()).max(time::Duration::from_micros(1)));
    socket.set_read_timeout(wait).ok()?;
    let mut buffer = [0; 2048];
    let (len, sender) = socket.recv_from(&mut buffer).ok()?; // An error is the deadline, or a datagram that is lost.
    socket.connect(sender).ok()?;
    Some(Input::Bytes(buffer[..len].to_vec().into()))
}

fn numbered(number: u64) -> Message {
    Message { name: None, body: Body::Text(number.to_string().into()) }
}

/// Serves one client: takes what it publishes, and sends it messages.
fn serve(socket: &UdpSocket, config: Arc<Config>, messages: u64) -> Result<(), Failure> {
    let mut session = ServerSession::new(config, TRANSPORT, now());
    let (mut received, mut sent) = (0, messages);
    loop {
        // There is time until the client says hello.
        if let Some(input) = receive(socket, session.poll_timeout().filter(|_| session.is_open())) {
            session.handle_input(now(), input);
        }
        session.handle_timeout(now());
        while let Some(event) = session.poll_event() {
            session.consumed(now(), event.cost());
            match event {
                ServerEvent::Hello { .. } => {
                    let (token, generation, epoch) = (Token([7; 30]), Generation::FIRST, EPOCH);
                    let (dedup_window, beginning) = (None, Beginning::Fresh);
                    session.welcome(now(), &Welcomed { token, generation, epoch, dedup_window, beginning });
                }
                ServerEvent::Subscribe { request, .. } => {
                    let (after, head, decision) = (Offset::START, Offset::START, Decision::Continue);
                    let subscription = Subscription { channel: 1, epoch: EPOCH, decision, after, head };
                    session.subscribed(now(), request, Ok(subscription));
                    sent = 0;
                }
                ServerEvent::Publish { publish, publication } => {
                    assert_eq!(publication.message, numbered(received), "in order");
                    received += 1;
                    let receipt = Receipt { epoch: EPOCH, offset: Offset::new(received), duplicate: false };
                    session.published(now(), publish, Ok(receipt));
                }
                ServerEvent::Closed(end) => {
                    println!("server: {received} received in order, {sent} sent; {end:?}");
                    return Ok(());
                }
                _ => {}
            }
        }
        while sent < messages && session.has_capacity() {
            let (previous, offset) = (Offset::new(sent), Offset::new(sent + 1));
            let (channel, expires, message) = (1, None, &SharedMessage::new(&numbered(sent)));
            session.deliver(now(), Delivery { channel, previous, offset, expires, message })?;
            sent += 1;
        }
        while let Some(Transmit::Bytes(datagram)) = session.poll_transmit(now()) {
            _ = socket.send(&datagram); // One that cannot be sent is one that is lost.
        }
    }
}

/// Publishes messages, and reads as many.
fn request(socket: &UdpSocket, config: Arc<Config>, messages: u64) -> Result<(), Failure> {
    let mut session = ClientSession::new(config, TRANSPORT, Hello::default(), None, now());
    session.subscribe(now(), "numbers", Start::Earliest)?;
    let (mut published, mut answered, mut received) = (0, 0, 0);
    loop {
        while let Some(event) = session.poll_event() {
            session.consumed(now(), event.cost());
            match event {
                ClientEvent::Message(delivered) if delivered.message == numbered(received) => received += 1,
                ClientEvent::Message(delivered) => {
                    return Err(format!("{delivered:?} after {received}").into());
                }
                ClientEvent::Published { result: Ok(_), .. } => answered += 1,
                ClientEvent::Closed(end) => {
                    println!("client: {received} received in order, {answered} published; {end:?}");
                    return (received + answered == 2 * messages).then_some(()).ok_or("cut short".into());
                }
                _ => {}
            }
        }
        while published < messages.min(answered + 4096) && session.has_capacity() {
            let (channel, message) = ("numbers".into(), numbered(published));
            session.publish(now(), Publication { channel, producer: None, ttl: None, message })?;
            published += 1;
        }
        if answered + received == 2 * messages {
            session.close(now(), CloseCode::Normal);
        }
        while let Some(Transmit::Bytes(datagram)) = session.poll_transmit(now()) {
            _ = socket.send(&datagram); // One that cannot be sent is one that is lost.
        }
        if let Some(input) = receive(socket, session.poll_timeout().or(Some(now()))) {
            session.handle_input(now(), input);
        }
        session.handle_timeout(now());
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let place = |name: &str| arguments.iter().position(|argument| argument == name);
    let option = |name| place(name).and_then(|place| arguments.get(place + 1)).cloned();
    let messages = option("--messages").map_or(Ok(100_000), |messages| messages.parse())?;
    // A window of some dozens of datagrams, so that what comes after a loss tells of it.
    let mut config = Config::default();
    (config.window.messages, config.receive.messages, config.unanswered) = (4096, 4096, 8192);
    let config = Arc::new(config);
    let socket = UdpSocket::bind(option("--listen").as_deref().unwrap_or("127.0.0.1:0"))?;
    if place("server").is_some() {
        println!("listening on {}", socket.local_addr()?);
        return serve(&socket, config, messages);
    }
    let client = UdpSocket::bind("127.0.0.1:0")?;
    if let Some(server) = option("--connect") {
        client.connect(server)?;
        return request(&client, config, messages);
    }
    client.connect(socket.local_addr()?)?;
    let server_config = config.clone();
    let server = thread::spawn(move || serve(&socket, server_config, messages));
    request(&client, config, messages)?;
    server.join().map_err(|_| "the server panicked")?
}
