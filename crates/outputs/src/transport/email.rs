//! Mail, by a server that takes it. TLS is spoken or nothing is sent, unless the config says that it is not.

use super::Failure;
use crate::{MailServer, MailTls, Trust};
use evidence::text::escape;
use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// Codes that blame the mail rather than who sends it or to whom: too large, or not wanted for what is in it.
const NEVER: [u16; 2] = [552, 554];

pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Mail {
    pub(super) fn new(server: &MailServer, from: &str, to: &[String], trust: &Trust) -> Result<Self, String> {
        let mailbox = |text: &str| {
            text.parse::<Mailbox>()
                .map_err(|error| format!("{} is no address: {error}", escape(text.as_bytes())))
        };
        let to: Vec<Mailbox> = to.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .hello_name(ClientId::default())
            .timeout(None)
            .tls(tls(server, trust)?);
        if let Some((user, password)) = &server.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.0.clone()));
        }
        Ok(Self { transport: builder.build(), from: mailbox(from)?, to })
    }

    pub(super) async fn send(&self, id: &str, subject: &str, body: Vec<u8>) -> Result<(), Failure> {
        let never =
            |error: &dyn std::fmt::Display| Failure::Never { error: format!("no mail can be made: {error}") };
        let mut builder: MessageBuilder = Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let message = builder.body(body).map_err(|error| never(&error))?;
        let to = self.to.iter().map(|to| to.email.clone()).collect();
        let envelope = Envelope::new(Some(self.from.email.clone()), to).map_err(|error| never(&error))?;
        match self.transport.send_raw(&envelope, &message.formatted()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let said = escape(chain(&error).as_bytes()).to_string();
                let is_final = error.status().is_some_and(|code| NEVER.contains(&u16::from(code)));
                Err(if is_final { Failure::Never { error: said } } else { Failure::later(said) })
            }
        }
    }
}

fn tls(server: &MailServer, trust: &Trust) -> Result<Tls, String> {
    if server.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters =
        TlsParameters::builder(server.host.clone()).certificate_store(CertificateStore::None);
    for certificate in &trust.certificates {
        // One that cannot be read is trusted by nobody.
        if let Ok(certificate) = Certificate::from_der(certificate.to_vec()) {
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    let parameters = parameters.build().map_err(|error| error.to_string())?;
    Ok(match server.tls {
        MailTls::Immediate => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
