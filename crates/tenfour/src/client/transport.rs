//! Opening a stream to a server.

use super::url::{Host, Place, Security, Url};
use bytes::{Buf, BytesMut};
use std::{
    io,
    sync::{Arc, OnceLock},
};
use tenfour_tokio::{
    native::WebSocketStream,
    wire::websocket::{Role, accept_key},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// Whatever a session can be driven over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What opens connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) url: Url,
    /// `None` trusts whom the machine trusts.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// The largest head of an answer to a WebSocket's handshake.
const MAX_HEAD_BYTES: usize = 16 << 10;

impl Transport {
    /// Opens a stream; whatever it waits for, the caller bounds the time.
    pub(super) async fn open(&self) -> io::Result<Box<dyn Stream>> {
        match &self.url.0 {
            Place::Tcp { security, host } => self.secure(*security, host).await,
            #[cfg(unix)]
            Place::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Place::Unix(_) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets here"))
            }
            Place::WebSocket { security, host, path } => {
                Ok(Box::new(upgrade(self.secure(*security, host).await?, host, path).await?))
            }
        }
    }

    async fn secure(&self, security: Security, host: &Host) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((&*host.name, host.port)).await?;
        stream.set_nodelay(true)?;
        if security == Security::Plain {
            return Ok(Box::new(stream));
        }
        let config = match &self.tls {
            Some(config) => Arc::clone(config),
            None => machine_trust()?,
        };
        let name = ServerName::try_from(host.name.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
    }
}

/// Trusts the certificates that the machine trusts. They are read once.
fn machine_trust() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        let problem = format!("cannot read the certificates that this machine trusts: {why}");
        return Err(io::Error::new(io::ErrorKind::NotFound, problem));
    }
    let config = client_config(roots).map_err(io::Error::other)?;
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// TLS for a client that trusts these certificates alone.
pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The client's half of a WebSocket's handshake (RFC 6455 §4.1).
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    host: &Host,
    path: &str,
) -> io::Result<WebSocketStream<S>> {
    let key = random_key();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut received = BytesMut::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if received.len() > MAX_HEAD_BYTES || stream.read_buf(&mut received).await? == 0 {
            return Err(refused("it did not answer as an HTTP server does"));
        }
    };
    let head = String::from_utf8_lossy(&received.split_to(end)).into_owned();
    received.advance(4);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(refused(&format!("it answered {status:?} at {path}")));
    }
    let accept = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("sec-websocket-accept").then(|| value.trim().as_bytes())
    });
    if accept != Some(&accept_key(key.as_bytes())) {
        return Err(refused("its answer is not to this request"));
    }
    Ok(WebSocketStream::new(stream, Role::Client, received.freeze()))
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("the server opens no WebSocket: {why}"))
}

/// 16 random bytes in base64. Of its 22 digits the last one has four bits to spare, and only four of the alphabet's.
fn random_key() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = [0; 22];
    getrandom::fill(&mut random).expect("the system has randomness");
    random[21] &= 0b11_0000;
    let digits = random.iter().map(|byte| char::from(DIGITS[usize::from(byte & 63)]));
    digits.chain("==".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &'static str) -> io::Result<()> {
        let (near, mut far) = tokio::io::duplex(4096);
        let host = Host { name: "h".to_owned(), port: 80 };
        let server = async {
            let mut request = vec![0; 4096];
            let count = far.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let key =
                request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split('\r').next().unwrap().to_owned();
            assert_eq!((key.len(), &key[22..]), (24, "=="));
            let accept = accept_key(key.as_bytes());
            let answer = answer.replace("{accept}", std::str::from_utf8(&accept).unwrap());
            far.write_all(answer.as_bytes()).await.unwrap();
            drop(far);
        };
        tokio::join!(upgrade(near, &host, "/tenfour/"), server).0.map(drop)
    }

    #[tokio::test]
    async fn only_an_answer_to_this_request_opens_a_websocket() {
        answered("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-ACCEPT: {accept}\r\n\r\n").await.unwrap();
        for (answer, why) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
            ("HTTP/1.1 101 OK\r\n\r\n", "not to this request"),
            ("HTTP/1.1 101 OK\r\nsec-websocket-accept: {accept}x\r\n\r\n", "not to this request"),
            ("SSH-2.0-OpenSSH\r\n", "HTTP server"),
        ] {
            let error = answered(answer).await.unwrap_err();
            assert!(error.to_string().contains(why), "{answer}: {error}");
        }
    }
}
