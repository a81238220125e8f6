//! How much resident memory an idle WebSocket connection takes: the difference of the server's `VmRSS` before and after so
//! many stock-like connections (upgrade, CONNECT, its answer), divided by their number.
//!
//! ```text
//! cargo build --release --example bench-server
//! cargo run --release -p tenfour-benches --bin idle -- target/release/examples/bench-server 5000
//! ```
//!
//! Another server is measured alike: `idle COMMAND CONNECTIONS`, where COMMAND is started with `--listen 127.0.0.1:0` and
//! says `listening on http://ADDRESS` in its first line.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};
use tenfour_benches::load::{Result, Server};
use tenfour_wire::{
    BytesMut,
    websocket::{Decoder, Message, Opcode, Role, encode_masked},
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().ok_or("usage: idle COMMAND [CONNECTIONS]")?;
    let connections: usize = arguments.next().map_or(Ok(5000), |number| number.parse())?;

    let server = Server::start(&command)?;
    // What the first connections bring about is there before the count begins.
    let _first = connect_all(&server.address, 50)?;
    let before = server.resident()?;
    let connected = connect_all(&server.address, connections)?;
    // The server frees what only the handshakes needed.
    thread::sleep(Duration::from_secs(2));
    let after = server.resident()?;

    let each = after.saturating_sub(before) / connected.len() as u64;
    println!("{connections} idle connections: {before} -> {after} bytes resident, {each} bytes each");
    Ok(())
}

/// Many at a time, as clients come: a server whose memory depends on it shows what it takes then.
fn connect_all(address: &str, count: usize) -> Result<Vec<TcpStream>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                let mine = (first..count).step_by(THREADS);
                scope.spawn(move || {
                    mine.map(|_| connect(address).map_err(|error| error.to_string())).collect::<Vec<_>>()
                })
            })
            .collect();
        let connected = threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default());
        connected.map(|stream| Ok(stream?)).collect()
    })
}

const THREADS: usize = 64;

/// A connection that has joined the main namespace.
fn connect(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // The headers that a browser sends.
    write!(
        stream,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Pragma: no-cache\r\nCache-Control: no-cache\r\nOrigin: http://{address}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n"
    )?;
    let mut received = Vec::new();
    let end = loop {
        let mut buffer = [0; 2048];
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        received.extend_from_slice(&buffer[..count]);
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    if !received.starts_with(b"HTTP/1.1 101") {
        return Err(String::from_utf8_lossy(&received).into_owned().into());
    }
    let mut frame = BytesMut::new();
    encode_masked(Opcode::Text, b"40", [1, 2, 3, 4], &mut frame);
    stream.write_all(&frame)?;

    let mut decoder = Decoder::new(Role::Client, 1 << 16);
    let mut input = received.split_off(end);
    loop {
        let mut rest = &input[..];
        while let Some(message) = decoder.decode(&mut rest)? {
            if matches!(message, Message::Text(text) if text.starts_with("40")) {
                return Ok(stream);
            }
        }
        let mut buffer = [0; 2048];
        let count = stream.read(&mut buffer)?;
        input = buffer[..count].to_vec();
        if count == 0 {
            return Err("the server closed the connection".into());
        }
    }
}
