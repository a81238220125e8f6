//! The native protocol over real sockets: clients, servers, and what breaks between them.

mod endurance;
mod hostile;
mod log;
mod transports;

use crate::server::soon;
use std::{net::SocketAddr, time::Duration};
use tenfour::{
    Handle, Namespace, Server, ServerBuilder,
    client::{Backoff, Body, Client, ClientBuilder, Delivery, Event, Subscription},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A server that listens on TCP until it is dropped; what it accepted goes on.
struct NativeServer {
    addr: SocketAddr,
    handle: Handle,
    listening: JoinHandle<()>,
}

impl NativeServer {
    async fn start(builder: ServerBuilder) -> Self {
        let server = builder.namespace(Namespace::new("/")).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let handle = server.handle();
        let listening = tokio::spawn(async move {
            server.serve_native(listener).await;
        });
        Self { addr, handle, listening }
    }

    async fn open() -> Self {
        Self::start(Server::builder().open_to_all()).await
    }

    fn client(&self) -> Client {
        client(self.addr).connect().unwrap()
    }
}

impl Drop for NativeServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// A client that does not wait long before it connects again.
fn client(addr: SocketAddr) -> ClientBuilder {
    let backoff =
        Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(100), ..Backoff::default() };
    Client::builder(format!("tcp://{addr}")).backoff(backoff)
}

/// The next message; what tells that it is live is passed over.
async fn next_message(subscription: &mut Subscription) -> Delivery {
    match next_event(subscription).await {
        Event::Message(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

async fn next_event(subscription: &mut Subscription) -> Event {
    loop {
        let event = soon("an event of a subscription", subscription.next()).await.expect("it goes on");
        if !matches!(event, Event::CaughtUp { .. }) {
            return event;
        }
    }
}

fn text(body: &Body) -> &str {
    match body {
        Body::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}
