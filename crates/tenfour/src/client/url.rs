//! Where a server is, as a URL.

use std::{fmt, net::Ipv6Addr, path::PathBuf, str::FromStr};
use thiserror::Error;

/// The port on which servers of the native protocol listen, with TLS or without, where no URL says otherwise: 7410.
pub const DEFAULT_PORT: u16 = 7410;

/// The path at which a server that also speaks HTTP takes the native protocol over WebSocket, where no URL says otherwise.
pub const DEFAULT_PATH: &str = "/tenfour/";

/// Where a server is.
///
/// | written | what it is |
/// |---|---|
/// | `tcp://HOST[:PORT]` | TCP, port 7410 |
/// | `tls://HOST[:PORT]` | TLS on TCP, port 7410 |
/// | `unix:PATH` | a Unix socket |
/// | `ws://HOST[:PORT][/PATH]` | a WebSocket, port 80, path `/tenfour/` |
/// | `wss://HOST[:PORT][/PATH]` | a WebSocket on TLS, port 443, path `/tenfour/` |
///
/// ```
/// use tenfour::client::Url;
///
/// let url: Url = "tcp://localhost".parse()?;
/// assert_eq!(url.to_string(), "tcp://localhost:7410");
/// assert!("http://localhost".parse::<Url>().is_err());
/// # Ok::<_, tenfour::client::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url(pub(super) Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp { security: Security, host: Host },
    Unix(PathBuf),
    WebSocket { security: Security, host: Host, path: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Security {
    Plain,
    Tls,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    /// A name or an address, that of IPv6 without its brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

/// Why a text is no URL of a server.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{url:?} is no server's URL: {problem}")]
pub struct UrlError {
    url: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum Problem {
    #[error("it begins with none of tcp://, tls://, unix:, ws:// and wss://")]
    Scheme,
    #[error("it names no host: a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    #[error("{0:?} is no port, which is a number from 1 to 65535")]
    Port(String),
    #[error("after unix: comes the path of a socket")]
    UnixPath,
    #[error("{0}:// has no path; a namespace is an option of its own")]
    Path(&'static str),
    #[error("a path has no spaces and no control characters, and a URL no user, query or fragment")]
    Characters,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        parse(url).map(Self).map_err(|problem| UrlError { url: url.to_owned(), problem })
    }
}

fn parse(url: &str) -> Result<Place, Problem> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() { Err(Problem::UnixPath) } else { Ok(Place::Unix(path.into())) };
    }
    let (scheme, rest) = url.split_once("://").ok_or(Problem::Scheme)?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c)) {
        return Err(Problem::Characters);
    }
    let socket = |security, scheme| match path {
        "" | "/" => Ok(Place::Tcp { security, host: host(authority, DEFAULT_PORT)? }),
        _ => Err(Problem::Path(scheme)),
    };
    let websocket = |security, port| {
        let path = if path.is_empty() { DEFAULT_PATH } else { path };
        Ok(Place::WebSocket { security, host: host(authority, port)?, path: path.to_owned() })
    };
    match scheme {
        "tcp" => socket(Security::Plain, "tcp"),
        "tls" => socket(Security::Tls, "tls"),
        "ws" => websocket(Security::Plain, 80),
        "wss" => websocket(Security::Tls, 443),
        _ => Err(Problem::Scheme),
    }
}

fn host(authority: &str, default: u16) -> Result<Host, Problem> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or(Problem::Host)?;
            match rest {
                "" => (name, None),
                _ => (name, Some(rest.strip_prefix(':').ok_or_else(|| Problem::Port(rest.to_owned()))?)),
            }
        }
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    let is_address = authority.starts_with('[');
    if name.is_empty()
        || (is_address && name.parse::<Ipv6Addr>().is_err())
        || (!is_address && name.contains(['[', ']']))
    {
        return Err(Problem::Host);
    }
    let port = match port {
        None => default,
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => return Err(Problem::Port(text.to_owned())),
            Ok(port) => port,
        },
    };
    Ok(Host { name: name.to_owned(), port })
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp { security: Security::Plain, host } => write!(f, "tcp://{host}"),
            Place::Tcp { security: Security::Tls, host } => write!(f, "tls://{host}"),
            // Two slashes at its beginning would be read as the URL's own.
            Place::Unix(path) if path.to_string_lossy().starts_with("//") => {
                write!(f, "unix://{}", path.display())
            }
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::WebSocket { security: Security::Plain, host, path } => write!(f, "ws://{host}{path}"),
            Place::WebSocket { security: Security::Tls, host, path } => write!(f, "wss://{host}{path}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') { write!(f, "[{name}]:{port}") } else { write!(f, "{name}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        for (written, whole) in [
            ("tcp://localhost", "tcp://localhost:7410"),
            ("tcp://localhost/", "tcp://localhost:7410"),
            ("tcp://[::1]:9", "tcp://[::1]:9"),
            ("tls://chat.example", "tls://chat.example:7410"),
            ("tls://[::1]", "tls://[::1]:7410"),
            ("unix:run/tenfour", "unix:run/tenfour"),
            ("unix:///run/tenfour", "unix:/run/tenfour"),
            ("unix:////run/tenfour", "unix:////run/tenfour"),
            ("ws://localhost:3000", "ws://localhost:3000/tenfour/"),
            ("ws://localhost/x", "ws://localhost:80/x"),
            ("wss://chat.example", "wss://chat.example:443/tenfour/"),
        ] {
            assert_eq!(written.parse::<Url>().unwrap().to_string(), whole);
        }
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        for (written, problem) in [
            ("localhost:7410", Problem::Scheme),
            ("http://localhost", Problem::Scheme),
            ("tcp://", Problem::Host),
            ("tcp://:7410", Problem::Host),
            ("tcp://[::1", Problem::Host),
            ("tcp://[[]", Problem::Host),
            ("tcp://[localhost]", Problem::Host),
            ("tcp://local]host", Problem::Host),
            ("tcp://h:0", Problem::Port("0".to_owned())),
            ("tcp://h:65536", Problem::Port("65536".to_owned())),
            ("tcp://[::1]7410", Problem::Port("7410".to_owned())),
            ("tcp://h/chat", Problem::Path("tcp")),
            ("ws://h/a b", Problem::Characters),
            ("ws://h/\r\nx: y", Problem::Characters),
            ("ws://user@h/", Problem::Characters),
            ("unix:", Problem::UnixPath),
        ] {
            let error = written.parse::<Url>().unwrap_err();
            assert_eq!(error.problem, problem, "{written}");
            assert!(error.to_string().contains(&format!("{written:?}")));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_and_read_alike(url in "(tcp|tls|ws|wss|unix|x)(:|://)[a-z:\\[\\]0-9/.]{0,20}") {
            if let Ok(url) = url.parse::<Url>() {
                prop_assert_eq!(&url.to_string().parse::<Url>(), &Ok(url));
            }
        }
    }
}
