use crate::{Application, BoxFuture, Config, DisconnectReason, Reply, Server, Socket};
use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use tenfour_broker::{Body, Message, registry::Rule};
use tenfour_session::socketio::ConnectError;

/// Lets everyone in, and does nothing.
struct Quiet;

impl Application for Quiet {
    fn connect(&self, _: Socket) -> BoxFuture<Result<(), ConnectError>> {
        Box::pin(async { Ok(()) })
    }

    fn connected(&self, _: Socket) -> BoxFuture<()> {
        Box::pin(async {})
    }

    fn message(&self, _: Socket, _: Message) -> BoxFuture<Reply> {
        Box::pin(async { Reply::Done(None) })
    }

    fn disconnected(&self, _: Socket, _: DisconnectReason) -> BoxFuture<()> {
        Box::pin(async {})
    }

    fn panicked(&self) -> Body {
        Body::json("")
    }
}

async fn exchange(server: &Server, request: http::request::Builder, body: &'static str) -> String {
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
    let answer = server.respond(request).await.into_body().collect().await.unwrap();
    String::from_utf8(answer.to_bytes().to_vec()).unwrap()
}

/// The end overtakes a client that is just joining: while the rule of its namespace is asked, the connection is closed
/// from elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_connection_that_ends_while_its_client_joins_leaves_no_socket_behind() {
    let (asked, is_asked) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let ended = Mutex::new(ended);
    let rule = Rule::function(move |_, _| {
        asked.send(()).unwrap();
        // In vain where the end waits for this, as it should.
        let _ = ended.lock().unwrap().recv_timeout(Duration::from_millis(200));
        true
    });
    let server = Server::new(Config::default(), [rule], Arc::new(Quiet)).unwrap();

    let handshake = exchange(&server, Request::get("/socket.io/?EIO=4&transport=polling"), "").await;
    let sid = handshake.split('"').nth(3).unwrap();
    let post = Request::post(format!("/socket.io/?EIO=4&transport=polling&sid={sid}"));
    let joining = tokio::spawn({
        let server = server.clone();
        async move { exchange(&server, post, "40/tenant,").await }
    });
    tokio::task::block_in_place(|| is_asked.recv()).unwrap();
    // Connections are closed before it first waits.
    let _ = server.shutdown(Duration::ZERO).now_or_never();
    let _ = end.send(());
    joining.await.unwrap();
    assert!(server.namespace("/tenant").is_none(), "nobody is left to keep the namespace");
}
