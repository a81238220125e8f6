use http::{header, request::Parts};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tenfour_broker::{Limits, registry::RegistryLimits};

/// How a server behaves. Every limit is finite.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The connections' settings.
    pub node: Arc<tenfour_node::Config>,
    /// Bounds of each namespace.
    pub namespace: Limits,
    /// Bounds of the namespaces that come to be when someone connects.
    pub namespaces: RegistryLimits,
    /// The path of the endpoint, with a slash at both ends: `/socket.io/`.
    pub path: String,
    /// Which web pages may connect: those of this server's own host.
    pub origins: Origins,
    /// The cookie that a handshake sets: none.
    pub cookie: Option<Cookie>,
    /// The proxies whose `X-Forwarded-For` is believed: none.
    pub trusted_proxies: Vec<IpAddr>,
    /// Connections at once: 100,000. Further ones are answered 503.
    pub connections: usize,
    /// Bytes of the handshake's URL and headers, which are kept as long as the connection lives: 16 KiB. A larger one is
    /// answered 431.
    pub handshake_bytes: usize,
    /// How long the body of a POST may take: 30 s. Then the request is answered 408, and the session is closed.
    pub body_timeout: Duration,
    /// How the native protocol is served.
    pub native: crate::native::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: Arc::default(),
            namespace: Limits::default(),
            namespaces: RegistryLimits::default(),
            path: "/socket.io/".to_owned(),
            origins: Origins::SameHost,
            cookie: None,
            trusted_proxies: Vec::new(),
            connections: 100_000,
            handshake_bytes: 16 << 10,
            body_timeout: Duration::from_secs(30),
            native: crate::native::Config::default(),
        }
    }
}

/// Which web pages may connect. A request without an `Origin` header does not come from a foreign page, and is let
/// through; one with a foreign origin is answered 403, over long polling as over WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Pages whose origin has the host and port that the request is [for](Self::host_of).
    SameHost,
    /// Any page.
    Any,
    /// Pages of these origins, each as a browser writes it (`https://chat.example`), and those of the same host.
    Listed(Vec<String>),
}

impl Origins {
    /// Whether a page of `origin` may connect to `host`.
    #[must_use]
    pub fn allow(&self, origin: &str, host: Option<&str>) -> bool {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let same_host = authority.is_some() && authority == host;
        match self {
            Self::SameHost => same_host,
            Self::Any => true,
            Self::Listed(origins) => same_host || origins.iter().any(|listed| listed == origin),
        }
    }

    /// The host and port that a request is for: of its `Host` header, or of its URI where it has none, as in HTTP/2.
    #[must_use]
    pub fn host_of(request: &Parts) -> Option<&str> {
        match request.headers.get(header::HOST) {
            Some(host) => host.to_str().ok(),
            None => request.uri.authority().map(|authority| authority.as_str()),
        }
    }
}

/// A cookie with the session's id, for load balancers that send a session's requests to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Its name: `io`.
    pub name: String,
    /// Its path: `/`.
    pub path: String,
    /// When browsers send it from foreign pages: [`SameSite::Lax`].
    pub same_site: SameSite,
}

impl Default for Cookie {
    fn default() -> Self {
        Self { name: "io".to_owned(), path: "/".to_owned(), same_site: SameSite::Lax }
    }
}

/// When browsers send a cookie from foreign pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When one follows a link.
    Lax,
    /// Always; browsers then demand HTTPS, so the cookie is marked `Secure`.
    None,
}

impl Cookie {
    pub(crate) fn header(&self, sid: &str) -> String {
        let Self { name, path, same_site } = self;
        let same_site = match same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None; Secure",
        };
        format!("{name}={sid}; Path={path}; HttpOnly; SameSite={same_site}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_the_same_host_or_listed() {
        let listed = Origins::Listed(vec!["https://chat.example".to_owned()]);
        for (origins, origin, allowed) in [
            (&Origins::SameHost, "http://localhost:3000", true),
            (&Origins::SameHost, "https://localhost:3000", true),
            (&Origins::SameHost, "http://localhost:3001", false),
            (&Origins::SameHost, "http://localhost:3000.evil.example", false),
            (&Origins::SameHost, "null", false),
            (&listed, "https://chat.example", true),
            (&listed, "http://chat.example", false),
            (&listed, "http://localhost:3000", true),
            (&Origins::Any, "null", true),
        ] {
            assert_eq!(origins.allow(origin, Some("localhost:3000")), allowed, "{origins:?} {origin}");
        }
        assert!(!Origins::SameHost.allow("null", None));
    }

    #[test]
    fn the_host_of_a_request_is_its_header_or_in_http_2_its_authority() {
        let host = |uri: &str, header: Option<&str>| {
            let request = http::Request::get(uri);
            let request = header.into_iter().fold(request, |request, host| request.header("host", host));
            let (parts, ()) = request.body(()).unwrap().into_parts();
            Origins::host_of(&parts).map(str::to_owned)
        };
        assert_eq!(host("/socket.io/", Some("chat.example")).as_deref(), Some("chat.example"));
        assert_eq!(host("https://chat.example:8443/socket.io/", None).as_deref(), Some("chat.example:8443"));
        assert_eq!(host("http://evil.example/", Some("chat.example")).as_deref(), Some("chat.example"));
        assert_eq!(host("/socket.io/", None), None);
    }

    #[test]
    fn a_cookie_is_not_for_scripts() {
        assert_eq!(Cookie::default().header("abc"), "io=abc; Path=/; HttpOnly; SameSite=Lax");
    }
}
