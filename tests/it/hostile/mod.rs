//! What a peer may do that a stock client does not: each test is one attack, and ends with a server that still serves.

mod admission;
mod frames;
mod ids;
mod limits;
mod packets;
mod polling;
mod stalled;

use crate::server::TestServer;

/// A new client is served as if nothing had happened; the server's namespace `/` is to echo.
async fn still_serves(server: &TestServer) {
    let mut client = server.joined().await;
    let answer = client.request("/", 7, "echo", "\"still here\"").await.unwrap();
    assert_eq!(&**answer.json(), "\"still here\"");
}
