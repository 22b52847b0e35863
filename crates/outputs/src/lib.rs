//! Tells others of findings: webhooks, chats, mail, syslog, files, collectors of logs.
//!
//! Owns: formats (a finding as bytes), transports (bytes to where they go), and delivery, which goes on until it has worked or is given up.
//! Refuses: SQL, the config's text, the clock and randomness (both are passed in), and following where a receiver points to.
//!
//! ```text
//! store (outbox) ─▶ Delivery ─▶ format ─▶ transport ─┬▶ delivered: gone from the outbox
//!                                                   ├▶ not now: tried again, later each time
//!                                                   └▶ never: a dead letter
//! ```
//!
//! # Guarantees
//! - What stands in the outbox is delivered at least once, or becomes a dead letter; a receiver knows twins by the message's id.
//! - A message is bounded ([`Kind::message_limit`]); one that was cut says so and names its finding.
//! - What a container wrote never becomes markup, a header, or a line of its own.

mod backoff;
mod delivery;
mod facts;
mod fit;
pub mod format;
mod sample;
pub mod signature;
mod syslog;
mod tls;
mod transport;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use backoff::{Backoff, Random};
pub use delivery::{Courier, Round};
pub use format::Format;
pub use sample::sample;
pub use signature::Key;
pub use tls::Trust;
pub use transport::{Failure, Transport};

/// Version of urva, as formats name the product.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An output as the config says it, with its secrets read.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long something is tried before it is given up.
    pub max_age: Duration,
}

/// A text that is shown to nobody but the receiver.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What an output is, and where it goes.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A POST for each message.
    Webhook {
        /// Where.
        url: Url,
        /// What is posted.
        format: Format,
        /// Signs what is posted.
        key: Option<Key>,
        /// `Authorization: Bearer …`.
        token: Option<Secret>,
    },
    /// An incoming webhook of Slack, or of what understands the same.
    Slack {
        /// Where; whoever knows it may post.
        url: Url,
    },
    /// Records of a log, by OTLP over HTTP.
    Otlp {
        /// Where, with the path `/v1/logs`.
        url: Url,
        /// `Authorization: Bearer …`.
        token: Option<Secret>,
    },
    /// A mail for each message.
    Email {
        /// The server that takes it.
        server: MailServer,
        /// Who it is from.
        from: String,
        /// Who it is for.
        to: Vec<String>,
    },
    /// A line of CEF for each message.
    Syslog {
        /// Where.
        address: SyslogAddress,
    },
    /// A line of JSON for each message.
    File {
        /// The file.
        path: PathBuf,
        /// What is written.
        format: Format,
        /// Bytes from which on it is rotated.
        max_bytes: u64,
        /// Files that are kept beside it, as `PATH.1` and so on.
        kept: u32,
    },
}

/// Where a request goes. Whoever knows the path may post at some receivers: it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    pub(crate) uri: http::Uri,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.is_tls { "https" } else { "http" }, self.host, self.port)
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Url({self})")
    }
}

/// A server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS is spoken.
    pub tls: MailTls,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

/// How TLS is spoken with a server of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Not at all.
    None,
    /// After `STARTTLS`, or not at all where the server does not offer it: nothing is sent then.
    StartTls,
    /// From the first byte on.
    Immediate,
}

/// Where syslog goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// Datagrams, RFC 5426.
    Udp(String, u16),
    /// A stream, octet counting of RFC 6587.
    Tcp(String, u16),
    /// The same within TLS, RFC 5425.
    Tls(String, u16),
    /// Datagrams to a socket of this host.
    Unix(PathBuf),
}

impl Url {
    /// Reads `http://HOST…` or `https://HOST…`. Names and passwords within it are refused, since addresses are logged.
    ///
    /// # Errors
    /// What is wrong with it; the text itself is not repeated.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: http::Uri = text.trim().parse().map_err(|_| "is no address")?;
        let authority = uri.authority().ok_or("must begin with https:// or http://")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user or a password");
        }
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("must begin with https:// or http://"),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err("names no host");
        }
        Ok(Self { host, port, is_tls, uri })
    }
}

impl SyslogAddress {
    /// Reads `udp://HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:///PATH`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "must be udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH";
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let default = match scheme {
            "unix" if rest.starts_with('/') => return Ok(Self::Unix(rest.into())),
            "udp" => 514,
            "tcp" => 601,
            "tls" => 6514,
            _ => return Err(SHAPE),
        };
        let (host, port) = host_and_port(rest, default).ok_or(SHAPE)?;
        Ok(match scheme {
            "udp" => Self::Udp(host, port),
            "tcp" => Self::Tcp(host, port),
            _ => Self::Tls(host, port),
        })
    }
}

impl MailServer {
    /// Reads `smtps://HOST:PORT`, `smtp+starttls://HOST:PORT` or `smtp://HOST:PORT`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str, login: Option<(String, Secret)>) -> Result<Self, &'static str> {
        const SHAPE: &str = "must be smtps://HOST:PORT, smtp+starttls://HOST:PORT or smtp://HOST:PORT";
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let (tls, default) = match scheme {
            "smtps" => (MailTls::Immediate, 465),
            "smtp+starttls" => (MailTls::StartTls, 587),
            "smtp" => (MailTls::None, 25),
            _ => return Err(SHAPE),
        };
        let (host, port) = host_and_port(rest, default).ok_or(SHAPE)?;
        if tls == MailTls::None && login.is_some() {
            return Err("must begin with smtps:// or smtp+starttls:// where there is a password");
        }
        Ok(Self { host, port, tls, login })
    }
}

/// A host's name or address, and a port; addresses of version 6 stand in brackets.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let text = text.trim_end_matches('/');
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    let host = host.trim_matches(['[', ']']);
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || ".-_:".contains(letter);
    (!host.is_empty() && host.chars().all(is_host)).then(|| (host.to_owned(), port))
}

impl Kind {
    /// Its name in the config.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Otlp { .. } => "otlp",
            Self::Email { .. } => "email",
            Self::Syslog { .. } => "syslog",
            Self::File { .. } => "file",
        }
    }

    /// The most bytes of one message.
    pub fn message_limit(&self) -> usize {
        match self {
            Self::Webhook { .. } | Self::Otlp { .. } | Self::File { .. } => 256 << 10,
            Self::Slack { .. } => 16 << 10,
            Self::Email { .. } => 64 << 10,
            Self::Syslog { .. } => 8 << 10,
        }
    }

    /// The port of TCP that it connects to; nothing where it connects to none.
    pub fn tcp_port(&self) -> Option<u16> {
        match self {
            Self::Webhook { url, .. } | Self::Slack { url } | Self::Otlp { url, .. } => Some(url.port),
            Self::Email { server, .. } => Some(server.port),
            Self::Syslog { address: SyslogAddress::Tcp(_, port) | SyslogAddress::Tls(_, port) } => {
                Some(*port)
            }
            Self::Syslog { .. } | Self::File { .. } => None,
        }
    }

    /// Where it goes, without what is secret in it.
    pub fn destination(&self) -> String {
        match self {
            Self::Webhook { url, .. } | Self::Otlp { url, .. } | Self::Slack { url } => url.to_string(),
            Self::Email { server, to, .. } => format!("{} by {}:{}", to.join(", "), server.host, server.port),
            Self::Syslog { address } => match address {
                SyslogAddress::Udp(host, port) => format!("udp://{host}:{port}"),
                SyslogAddress::Tcp(host, port) => format!("tcp://{host}:{port}"),
                SyslogAddress::Tls(host, port) => format!("tls://{host}:{port}"),
                SyslogAddress::Unix(path) => format!("unix://{}", path.display()),
            },
            Self::File { path, .. } => path.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_what_is_none_is_told() {
        let url = Url::parse("https://hooks.example.com/a?b=c").expect("an address");
        assert_eq!((url.host.as_str(), url.port, url.is_tls), ("hooks.example.com", 443, true));
        let url = Url::parse("http://[::1]:8080/").expect("an address");
        assert_eq!((url.host.as_str(), url.port, url.is_tls), ("::1", 8080, false));
        for wrong in ["", "hooks.example.com", "ftp://x/", "https://user:pw@x/", "https:///a", "https://a b/"]
        {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        let tls = SyslogAddress::parse("tls://[2001:db8::1]:6515").expect("an address");
        assert_eq!(tls, SyslogAddress::Tls("2001:db8::1".to_owned(), 6515));
        assert_eq!(SyslogAddress::parse("udp://logs"), Ok(SyslogAddress::Udp("logs".to_owned(), 514)));
        assert_eq!(SyslogAddress::parse("unix:///dev/log"), Ok(SyslogAddress::Unix("/dev/log".into())));
        for wrong in ["logs:514", "udp://", "udp://a b", "unix://dev/log", "udp://a:b", "http://a"] {
            assert!(SyslogAddress::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear_and_not_shown() {
        let login = || Some(("urva".to_owned(), Secret("geheim".to_owned())));
        assert!(MailServer::parse("smtp://mail:25", login()).is_err());
        let server = MailServer::parse("smtps://mail", login()).expect("a server");
        assert_eq!(server.port, 465);
        assert!(!format!("{server:?}").contains("geheim"));
    }
}
