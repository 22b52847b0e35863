//! Transports: how a message gets to where it goes, and what a failure means.

mod email;
mod file;
mod http;
mod stream;
mod syslog;

use crate::fit::fit;
use crate::format::{self, message_id};
use crate::signature::{Key, seconds};
use crate::{Kind, Output, Trust};
use email::Mail;
use evidence::Timestamp;
use file::Lines;
use http::{Http, Request};
use std::time::Duration;
use store::Delivery;
use syslog::Syslog;

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The receiver is away, busy, or set up otherwise than the config thinks: it is tried again, not before this time is over.
    Later {
        /// What went wrong, for people.
        error: String,
        /// What the receiver asked for.
        after: Option<Duration>,
    },
    /// The receiver will never take this message.
    Never {
        /// What went wrong, for people.
        error: String,
    },
}

impl Failure {
    /// What went wrong.
    pub fn error(&self) -> &str {
        match self {
            Self::Later { error, .. } | Self::Never { error } => error,
        }
    }

    pub(crate) fn later(error: impl Into<String>) -> Self {
        Self::Later { error: error.into(), after: None }
    }
}

/// An output, ready to deliver.
#[derive(Debug)]
pub struct Transport {
    kind: Kind,
    way: Way,
    timeout: Duration,
}

#[derive(Debug)]
enum Way {
    Http(Http),
    Mail(Box<Mail>),
    Syslog(Syslog),
    Lines(Lines),
}

impl Transport {
    /// Prepares an output; nothing is sent or opened yet. Whom TLS trusts is read already.
    ///
    /// # Errors
    /// Where the output's settings cannot be used, such as an address of mail that is none.
    pub fn new(output: &Output, trust: &Trust) -> Result<Self, String> {
        let kind = output.kind.clone();
        let way = match &kind {
            Kind::Webhook { url, .. } | Kind::Slack { url } | Kind::Otlp { url, .. } => {
                Way::Http(Http::new(url.clone(), trust.clone()))
            }
            Kind::Email { server, from, to } => Way::Mail(Box::new(Mail::new(server, from, to, trust)?)),
            Kind::Syslog { address } => Way::Syslog(Syslog::new(address.clone(), trust.clone())),
            Kind::File { path, max_bytes, kept, .. } => {
                Way::Lines(Lines::new(path.clone(), *max_bytes, *kept))
            }
        };
        Ok(Self { kind, way, timeout: output.timeout })
    }

    /// Sends one message. What it returns is final for requests and mails; for files and syslog only once [`Transport::settle`] has returned.
    ///
    /// # Errors
    /// [`Failure`] says whether it is worth trying again.
    pub async fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Result<(), Failure> {
        let limit = self.kind.message_limit();
        let sent = match (&mut self.way, &self.kind) {
            (Way::Lines(lines), Kind::File { format, .. }) => {
                return lines.write(&fit(delivery, limit, |delivery| format.render(delivery)));
            }
            (Way::Syslog(syslog), _) => {
                let line = fit(delivery, limit, format::syslog);
                tokio::time::timeout(self.timeout, syslog.send(&line)).await
            }
            (Way::Mail(mail), _) => {
                let body = fit(delivery, limit, format::body);
                let (subject, id) = (format::subject(delivery), message_id(delivery));
                let sending = mail.send(&id, &subject, body);
                tokio::time::timeout(self.timeout, sending).await
            }
            (Way::Http(http), kind) => {
                let request = request(kind, delivery, limit, now);
                tokio::time::timeout(self.timeout, http.post(request)).await
            }
            (Way::Lines(_), _) => return Err(Failure::later("the output is no file")),
        };
        sent.unwrap_or_else(|_| {
            self.hang_up();
            Err(Failure::later(format!("no answer within {} s", self.timeout.as_secs())))
        })
    }

    /// Makes sure that all that was sent since the last call has arrived: a file is on disk, the other end of a stream has read it.
    ///
    /// # Errors
    /// Nothing of it counts as delivered then.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        match &mut self.way {
            Way::Lines(lines) => lines.sync(),
            Way::Syslog(syslog) => {
                let settled = tokio::time::timeout(self.timeout, syslog.settle()).await;
                settled.unwrap_or_else(|_| Err(Failure::later("the other end of the stream does not end it")))
            }
            Way::Http(http) => {
                http.close();
                Ok(())
            }
            Way::Mail(_) => Ok(()),
        }
    }

    /// Whether what was sent counts only after [`Transport::settle`].
    pub(crate) fn settles_later(&self) -> bool {
        matches!(self.way, Way::Lines(_) | Way::Syslog(_))
    }

    fn hang_up(&mut self) {
        match &mut self.way {
            Way::Http(http) => http.close(),
            Way::Syslog(syslog) => syslog.close(),
            Way::Mail(_) | Way::Lines(_) => {}
        }
    }
}

fn request(kind: &Kind, delivery: &Delivery, limit: usize, now: Timestamp) -> Request {
    let authorization =
        |token: &Option<crate::Secret>| token.as_ref().map(|token| format!("Bearer {}", token.0));
    match kind {
        Kind::Webhook { format, key, token, .. } => {
            let body = fit(delivery, limit, |delivery| format.body(delivery));
            let mut headers = signed(key.as_ref(), delivery, now, &body);
            headers.extend(authorization(token).map(|value| ("authorization", value)));
            let media = "application/json";
            Request { body, media, headers }
        }
        Kind::Otlp { token, .. } => {
            let headers = authorization(token).map(|value| ("authorization", value)).into_iter().collect();
            Request { body: fit(delivery, limit, format::logs), media: "application/json", headers }
        }
        _ => Request {
            body: fit(delivery, limit, format::slack),
            media: "application/json",
            headers: Vec::new(),
        },
    }
}

fn signed(
    key: Option<&Key>,
    delivery: &Delivery,
    now: Timestamp,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let id = message_id(delivery);
    let mut headers = vec![("webhook-timestamp", seconds(now).to_string())];
    headers.extend(key.map(|key| ("webhook-signature", key.sign(&id, now, body))));
    headers.push(("webhook-id", id));
    headers
}
