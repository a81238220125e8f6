//! What is kept of the request that opened a connection.

use http::{HeaderName, header, request::Parts};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

/// The request that opened a connection: its URL, its headers, and whence it came.
///
/// It is kept for as long as the connection lives, so it is one small block of text rather than a map that would keep
/// the buffer alive into which the request was read.
#[derive(Clone)]
pub struct Handshake {
    /// The URL, a line feed, then a line `name:value` for each header.
    text: Box<[u8]>,
    url: u32,
    address: Option<SocketAddr>,
    at: SystemTime,
}

/// Whence a connection comes, as an extension of its request: whoever accepts the connections puts it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

impl Handshake {
    /// `None` where it would be larger than `limit` bytes.
    pub(crate) fn new(parts: &Parts, address: Option<SocketAddr>, limit: usize) -> Option<Self> {
        let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
        let headers = || parts.headers.iter().filter(|(name, _)| keeps(name));
        let size =
            url.len() + headers().map(|(name, value)| name.as_str().len() + value.len() + 2).sum::<usize>();
        if size > limit {
            return None;
        }
        let mut text = Vec::with_capacity(size);
        text.extend_from_slice(url.as_bytes());
        for (name, value) in headers() {
            text.push(b'\n');
            text.extend_from_slice(name.as_str().as_bytes());
            text.push(b':');
            text.extend_from_slice(value.as_bytes());
        }
        Some(Self {
            text: text.into_boxed_slice(),
            url: u32::try_from(url.len()).ok()?,
            address,
            at: SystemTime::now(),
        })
    }

    /// The path and query of the URL.
    #[must_use]
    pub fn url(&self) -> &str {
        str::from_utf8(&self.text[..self.url as usize]).unwrap_or_default()
    }

    /// The query of the URL, undecoded.
    #[must_use]
    pub fn query(&self) -> &str {
        self.url().split_once('?').map_or("", |(_, query)| query)
    }

    /// The headers in their order, without those of the WebSocket handshake; names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.text[self.url as usize..].split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
        })
    }

    /// The first header of a name (in lower case), if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers().find(|(known, _)| *known == name)?;
        str::from_utf8(value).ok()
    }

    /// Whence the connection comes, as far as it is known: from behind a trusted proxy, what that proxy says.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// When the connection was opened.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        self.at
    }
}

/// Query and headers are not shown: tokens are in them.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.url().split('?').next();
        f.debug_struct("Handshake")
            .field("path", &path.unwrap_or_default())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The headers that only the connection's transport needs are not kept.
fn keeps(name: &HeaderName) -> bool {
    let of_websocket = name.as_str().starts_with("sec-websocket-");
    !of_websocket && *name != header::CONNECTION && *name != header::UPGRADE
}

/// The client's address. `X-Forwarded-For` is read from its end, where the nearest proxy wrote: the first address that is
/// no trusted proxy's is the client's. Whatever stands before it the client may have made up.
pub(crate) fn client_address(parts: &Parts, trusted: &[IpAddr]) -> Option<SocketAddr> {
    let PeerAddress(peer) = *parts.extensions.get::<PeerAddress>()?;
    if !trusted.contains(&peer.ip().to_canonical()) {
        return Some(peer);
    }
    let forwarded = parts.headers.get_all("x-forwarded-for");
    let hops: Vec<_> =
        forwarded.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    for hop in hops.iter().rev() {
        match hop.trim().parse::<IpAddr>() {
            Ok(address) if trusted.contains(&address.to_canonical()) => {}
            Ok(address) => return Some(SocketAddr::new(address, 0)),
            Err(_) => break,
        }
    }
    Some(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("http://x/socket.io/?EIO=4&a=b");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(PeerAddress("10.0.0.1:99".parse().unwrap()));
        parts
    }

    #[test]
    fn keeps_url_and_headers() {
        let parts = request(&[
            ("X-Token", "a:b"),
            ("x-token", "c"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
        ]);
        let handshake = Handshake::new(&parts, None, 1024).unwrap();
        assert_eq!((handshake.url(), handshake.query()), ("/socket.io/?EIO=4&a=b", "EIO=4&a=b"));
        let headers: Vec<_> = handshake.headers().collect();
        assert_eq!(headers, [("x-token", b"a:b".as_slice()), ("x-token", b"c".as_slice())]);
        assert_eq!(handshake.header("x-token"), Some("a:b"));
        assert_eq!(format!("{handshake:?}"), r#"Handshake { path: "/socket.io/", address: None, .. }"#);
        assert!(Handshake::new(&parts, None, 20).is_none());
    }

    #[test]
    fn believes_forwarded_addresses_from_named_proxies_only() {
        let forwarded = request(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "10.0.0.2")]);
        let peer = "10.0.0.1:99".parse().unwrap();
        let proxies = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        assert_eq!(client_address(&forwarded, &[]), Some(peer));
        assert_eq!(client_address(&forwarded, &proxies[..1]), Some("10.0.0.2:0".parse().unwrap()));
        assert_eq!(client_address(&forwarded, &proxies), Some("2.2.2.2:0".parse().unwrap()));
        assert_eq!(client_address(&request(&[("x-forwarded-for", "junk")]), &proxies), Some(peer));
    }
}
