//! HTTP/1.1 requests, written as they are given.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Error;
use crate::wait::within;

/// The largest response that is read, head and body.
pub const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, its transfer coding removed.
    pub body: Bytes,
}

impl Response {
    /// The first header of that name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The response, if it has that status.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] if it has another.
    pub fn expect_status(self, expected: u16) -> Result<Self, Error> {
        match self.status == expected {
            true => Ok(self),
            false => Err(Error::Status { expected, response: Box::new(self) }),
        }
    }
}

/// Sends one request on a connection of its own, and reads the response. Dropping the future breaks the connection, as a
/// client does that gives up.
///
/// # Errors
///
/// Where the connection breaks or what comes is not HTTP; a response of any status is none.
pub async fn request(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response, Error> {
    let headers = [headers, &[("connection", "close")]].concat();
    Connection::open(addr).await?.request(method, target, &headers, body).await
}

/// A connection for one request after another, or for bytes that are no request at all.
#[derive(Debug)]
pub struct Connection {
    addr: SocketAddr,
    stream: TcpStream,
    received: BytesMut,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where nobody listens.
    pub async fn open(addr: SocketAddr) -> Result<Self, Error> {
        let what = format!("a connection to {addr}");
        let stream = within(&what, TcpStream::connect(addr)).await?.map_err(Error::io(what))?;
        stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
        Ok(Self { addr, stream, received: BytesMut::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the server takes no more of them.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let what = format!("the server to take {} bytes", bytes.len());
        within(&what, self.stream.write_all(bytes)).await?.map_err(Error::io(what))
    }

    /// Sends a request and reads its response. `host` is added, and `content-length` where there is a body or the method
    /// is `POST`, unless `headers` have it.
    ///
    /// # Errors
    ///
    /// As [`request`].
    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Error> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.addr);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let has_length = headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        if !has_length && (method == "POST" || !body.is_empty()) {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat()).await?;
        self.response(method).await
    }

    /// Reads the response to a request that was sent with `method`.
    ///
    /// # Errors
    ///
    /// As [`request`].
    pub async fn response(&mut self, method: &str) -> Result<Response, Error> {
        let what = format!("the response to {method}");
        within(what, self.read_response(method)).await?
    }

    async fn read_response(&mut self, method: &str) -> Result<Response, Error> {
        let head = self.take_until(b"\r\n\r\n").await?;
        let (status, headers) = parse_head(&head)?;
        let mut response = Response { status, headers, body: Bytes::new() };
        let has_body = method != "HEAD" && status >= 200 && status != 204 && status != 304;
        if !has_body {
            return Ok(response);
        }
        response.body = if response.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            self.read_chunks().await?
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(|_| Error::Http(format!("content-length: {length}")))?;
            self.take(length).await?
        } else {
            while self.receive().await? {}
            self.received.split().freeze()
        };
        Ok(response)
    }

    async fn read_chunks(&mut self) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        loop {
            let line = self.take_until(b"\r\n").await?;
            let digits = line.split(|&byte| byte == b';' || byte == b'\r').next().unwrap_or_default();
            let length =
                str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
            let length = length.ok_or_else(|| Error::Http(format!("a chunk's size: {line:?}")))?;
            if length == 0 {
                while self.take_until(b"\r\n").await?.len() > 2 {}
                return Ok(body.freeze());
            }
            body.extend_from_slice(&self.take(length).await?);
            check_size(body.len())?;
            self.take(2).await?;
        }
    }

    /// What comes up to `delimiter`, and that.
    async fn take_until(&mut self, delimiter: &[u8]) -> Result<Bytes, Error> {
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(delimiter.len());
            let found = self.received[from..].windows(delimiter.len()).position(|bytes| bytes == delimiter);
            if let Some(at) = found {
                return Ok(self.received.split_to(from + at + delimiter.len()).freeze());
            }
            searched = self.received.len();
            self.receive_more("the end of a response's head").await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Bytes, Error> {
        check_size(length)?;
        while self.received.len() < length {
            self.receive_more("the end of a response's body").await?;
        }
        Ok(self.received.split_to(length).freeze())
    }

    async fn receive_more(&mut self, waited_for: &str) -> Result<(), Error> {
        match self.receive().await? {
            true => Ok(()),
            false => Err(Error::Ended { waited_for: waited_for.into() }),
        }
    }

    /// Whether something was received, and not the end.
    async fn receive(&mut self) -> Result<bool, Error> {
        check_size(self.received.len())?;
        let read = self.stream.read_buf(&mut self.received).await.map_err(Error::io("reading a response"))?;
        Ok(read > 0)
    }

    /// The stream, with what has been received of what follows the last response.
    pub(super) fn into_parts(mut self) -> (TcpStream, Bytes) {
        let received = self.received.copy_to_bytes(self.received.len());
        (self.stream, received)
    }
}

fn check_size(bytes: usize) -> Result<(), Error> {
    match bytes > MAX_RESPONSE_BYTES {
        true => Err(Error::Http(format!("more than {MAX_RESPONSE_BYTES} bytes"))),
        false => Ok(()),
    }
}

fn parse_head(head: &[u8]) -> Result<(u16, Vec<(String, String)>), Error> {
    let malformed = || Error::Http(String::from_utf8_lossy(head).into_owned());
    let text = str::from_utf8(head).map_err(|_| malformed())?;
    let mut lines = text.trim_end().split("\r\n");
    let status_line = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or_else(malformed)?;
    let status = status_line.get(..3).and_then(|digits| digits.parse().ok()).ok_or_else(malformed)?;
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        Ok((name.to_owned(), value.trim().to_owned()))
    });
    Ok((status, headers.collect::<Result<_, Error>>()?))
}
