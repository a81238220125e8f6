//! A server in this process, on a free port, and what tests of it share.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use axum::Router;
use tenfour::{Broadcast, Handle, HandlerResult, Namespace, Server, ServerBuilder, Socket, socketio::Args};
use tenfour_testkit::{
    TIMEOUT,
    client::{Client, Options},
};
use tokio::{net::TcpSocket, sync::mpsc, task::JoinHandle};

/// Long enough that no test sees a ping that it does not ask for.
pub(crate) const NEVER: Duration = Duration::from_secs(600);

/// What the kernel is asked to hold of what is sent: little, so that a client that does not read is soon felt.
const SEND_BUFFER: u32 = 16 << 10;

/// A server that is served until it is dropped.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: Handle,
    serving: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        let server = builder.build().unwrap();
        let handle = server.handle();
        let (addr, serving) = serve(server.into_router());
        Self { addr, handle, serving }
    }

    /// A client on WebSocket that is in the namespace `/`.
    pub(crate) async fn joined(&self) -> Client {
        let mut client = self.open().await;
        client.connect("/", None).await.unwrap();
        client
    }

    /// A client on WebSocket that is in no namespace.
    pub(crate) async fn open(&self) -> Client {
        Client::open(self.addr, Options::default()).await.unwrap()
    }

    /// Waits until there are so many connections.
    pub(crate) async fn connections(&self, wanted: usize) {
        until(format_args!("{wanted} connections"), || self.handle.connections() == wanted).await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves a router on a free port.
pub(crate) fn serve(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SEND_BUFFER).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (addr, serving)
}

/// A server without pings whose namespace `/` echoes.
pub(crate) fn quiet() -> ServerBuilder {
    Server::builder().ping_interval(NEVER)
}

/// Echoes: `message` comes back as `message-back`, `echo` as the acknowledgement.
pub(crate) fn echo(name: &'static str) -> Namespace {
    Namespace::new(name)
        .on("message", async |socket: Socket, args: Args| -> HandlerResult {
            Ok(socket.emit_args("message-back", args).await?)
        })
        .on("echo", async |args: Args| args)
}

/// What a handler tells the test that started it.
pub(crate) struct Told<T>(mpsc::UnboundedReceiver<T>);

/// A way for handlers to tell the test something.
pub(crate) fn told<T>() -> (mpsc::UnboundedSender<T>, Told<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Told(receiver))
}

impl<T> Told<T> {
    pub(crate) async fn next(&mut self) -> T {
        soon("what a handler tells", self.0.recv()).await.expect("the handlers are still there")
    }

    /// What was told until now.
    pub(crate) fn now(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

/// What comes before a test loses its patience.
pub(crate) async fn soon<F: Future>(what: impl Display, future: F) -> F::Output {
    match tokio::time::timeout(TIMEOUT, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {TIMEOUT:?} in vain for {what}"),
    }
}

/// Waits for what nobody tells, looking again and again.
pub(crate) async fn until(what: impl Display, mut is_so: impl FnMut() -> bool) {
    soon(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Sends to the only client, which does not read, until its queue is full. Answers how many events were queued. On a pipe it
/// then remains full; of a TCP connection the kernel may take some more.
pub(crate) async fn fill(everyone: &Broadcast) -> usize {
    assert_eq!(everyone.fetch_sockets().len(), 1);
    let text = "x".repeat(32 << 10);
    let mut queued = 0;
    let blocked = || {
        let reach = everyone.clone().volatile().emit("fill", &text).unwrap();
        queued += reach.queued;
        reach.dropped == 1
    };
    until("the client to be blocked", blocked).await;
    while everyone.emit("fill", &text).unwrap().queued == 1 {
        queued += 1;
        assert!(queued < 4096, "a queue without end");
    }
    queued
}
