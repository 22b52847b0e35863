//! Syslog: datagrams, or a stream in which each message is preceded by its length (RFC 6587, RFC 5425).
//!
//! A stream of syslog has no answers. A batch counts as delivered once the other end has closed the stream after ours: then it has read
//! all of it. Of datagrams nobody knows whether they arrived.

use super::Failure;
use super::stream::Stream;
use crate::{SyslogAddress, Trust};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UdpSocket, UnixDatagram, lookup_host};

/// Bytes of one datagram over UDP, which one IP packet holds; RFC 5426 asks receivers to take 2,048.
const DATAGRAM_LIMIT: usize = 8 << 10;

#[derive(Debug)]
pub(super) struct Syslog {
    address: SyslogAddress,
    trust: Trust,
    open: Option<Stream>,
}

impl Syslog {
    pub(super) fn new(address: SyslogAddress, trust: Trust) -> Self {
        Self { address, trust, open: None }
    }

    pub(super) async fn send(&mut self, line: &[u8]) -> Result<(), Failure> {
        let sent = match &self.address {
            SyslogAddress::Udp(host, port) => datagram(host, *port, line).await,
            SyslogAddress::Unix(path) => match UnixDatagram::unbound() {
                Ok(socket) => socket.send_to(line, path).await.map(|_| ()),
                Err(error) => Err(error),
            },
            SyslogAddress::Tcp(..) | SyslogAddress::Tls(..) => self.stream(line).await,
        };
        sent.map_err(|error| {
            self.open = None;
            Failure::later(format!("cannot send: {error}"))
        })
    }

    /// Ends the stream, and waits until the other end has ended it too.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let Some(mut stream) = self.open.take() else { return Ok(()) };
        let ended = async {
            // A stream that was broken off by then can be ended without an error.
            stream.check()?;
            stream.shutdown().await?;
            let mut said = [0; 512];
            while stream.read(&mut said).await? > 0 {}
            stream.check()
        };
        match ended.await {
            // Many end a stream of TLS without saying so.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            other => other.map_err(|error| Failure::later(format!("the stream broke: {error}"))),
        }
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    async fn stream(&mut self, line: &[u8]) -> io::Result<()> {
        let mut stream = match (self.open.take(), &self.address) {
            (Some(stream), _) => stream,
            (None, SyslogAddress::Tls(host, port)) => Stream::connect(host, *port, Some(&self.trust)).await?,
            (None, SyslogAddress::Tcp(host, port)) => Stream::connect(host, *port, None).await?,
            (None, _) => return Err(io::Error::other("no stream")),
        };
        let mut framed = format!("{} ", line.len()).into_bytes();
        framed.extend_from_slice(line);
        stream.write_all(&framed).await?;
        stream.flush().await?;
        self.open = Some(stream);
        Ok(())
    }
}

async fn datagram(host: &str, port: u16, line: &[u8]) -> io::Result<()> {
    let address =
        lookup_host((host, port)).await?.next().ok_or_else(|| io::Error::other("the host has no address"))?;
    let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    socket.send(&line[..line.len().min(DATAGRAM_LIMIT)]).await.map(|_| ())
}
