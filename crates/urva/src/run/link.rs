//! The socket between sensor and detector: frames of bounded length, each end saying first who it is.
//!
//! Owns: framing, the version check, and handing a new socket to the sensor over its control socket.
//! Refuses: trust in lengths. A frame longer than [`FRAME_MAX`] ends the connection.

use anyhow::{Context, bail, ensure};
use evidence::{Gap, PROTOCOL_VERSION, Timestamp};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longest frame in bytes: a script's head and tail, 6 MiB of arguments and the environment fit well.
pub(super) const FRAME_MAX: usize = 32 * 1024 * 1024;
/// Most frames are shorter. A length is believed so far that this much memory is taken before the bytes are there.
pub(super) const FRAME_USUAL: usize = 64 * 1024;
/// How long the other process may take to start: a database that was not closed in order is checked first.
const GREET_WITHIN: Duration = Duration::from_secs(30);
/// Longest message that goes with a new socket.
const REPLACED_MAX: usize = 4096;

/// The first frame in each direction.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    version: String,
}

/// What the detector answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Everything up to this number is on disk.
    pub(super) number: u64,
    /// Keys of texts that were compiled at run time, judged, and harmless: they need not be sent again.
    pub(super) harmless: Vec<u64>,
    /// Processes that are stopped until their texts are judged, and what is to become of them.
    pub(super) judged: Vec<Judged>,
}

/// A verdict on a text of a process that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Judged {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) is_malicious: bool,
}

/// Says who we are, and hears who the other end is.
pub(super) fn greet(stream: &mut UnixStream) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(GREET_WITHIN))?;
    let greeted = exchange(stream);
    stream.set_read_timeout(None)?;
    greeted
}

fn exchange(stream: &mut UnixStream) -> anyhow::Result<()> {
    let own = Hello { protocol: PROTOCOL_VERSION, version: env!("CARGO_PKG_VERSION").to_owned() };
    stream.write_all(&frame(&own)?).context("greeting the other process")?;
    let Some(other) = read_frame::<Hello>(stream)? else {
        bail!("the other process ended before it said anything")
    };
    ensure!(
        other == own,
        "the other process is urva {} with protocol {}, this one is {} with {}: restart urva",
        other.version,
        other.protocol,
        own.version,
        own.protocol,
    );
    Ok(())
}

/// A value as a frame: its length as four bytes, little endian, and its postcard form.
pub(super) fn frame(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(value, vec![0; 4]).context("encoding a message")?;
    let length = frame.len() - 4;
    ensure!(length <= FRAME_MAX, "a message of {length} bytes is longer than the {FRAME_MAX} allowed");
    frame[..4].copy_from_slice(&u32::try_from(length)?.to_le_bytes());
    Ok(frame)
}

/// A [`evidence::Numbered`] as a frame, of its number and its message as postcard has it.
pub(super) fn frame_of(number: u64, message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(message.len() + 14);
    frame.extend_from_slice(&[0; 4]);
    // A number always has a form, and the vector grows as it must.
    frame = postcard::to_extend(&number, frame).unwrap_or_default();
    frame.extend_from_slice(message);
    let length = u32::try_from(frame.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(head) = frame.first_chunk_mut() {
        *head = length.to_le_bytes();
    }
    frame
}

/// The next value, or `None` where the other end has closed.
pub(super) fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> anyhow::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error).context("reading from the other process"),
    }
    let length = u32::from_le_bytes(length) as usize;
    ensure!(length <= FRAME_MAX, "a message of {length} bytes is longer than the {FRAME_MAX} allowed");
    // A vector that starts empty would grow by many small reads.
    let mut bytes = Vec::with_capacity(length.min(FRAME_USUAL));
    stream.take(length as u64).read_to_end(&mut bytes).context("reading from the other process")?;
    ensure!(bytes.len() == length, "the other process ended in the middle of a message");
    postcard::from_bytes(&bytes).map(Some).context("decoding a message")
}

/// Why the sensor gets a new socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// When the detector before ended.
    pub(super) since: Timestamp,
    /// How.
    pub(super) reason: String,
}

/// What the supervisor tells the sensor over its control socket. Only a new socket has a descriptor with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// A new socket to the detector; absent for the first one is why.
    Socket(Option<Replaced>),
    /// Is the sensor at work? It answers [`Word::Here`].
    Ping,
    /// Something to be recorded.
    Record(Box<Gap>),
    /// The end of the control socket, which follows, is meant.
    Stop,
}

/// What the sensor answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// The probes are attached, and a detector listens.
    Watching,
    /// It is at work.
    Here,
    /// The probe has seen a canary.
    Seen,
    /// The detector has taken a canary, after all that came before it.
    Stored,
    /// Processes may be held from now on: the id of the kernel's table of them.
    Holding(u32),
}

/// Gives an order that has no descriptor.
pub(super) fn order(control: impl AsFd, order: &Order) -> anyhow::Result<()> {
    let message = postcard::to_stdvec(order)?;
    // A sensor that does not read may not stop the supervisor.
    rustix::net::send(control, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
        .context("giving the sensor an order")?;
    Ok(())
}

/// Answers; a supervisor that is gone, or does not read, hears nothing.
pub(super) fn say(control: impl AsFd, word: Word) {
    if let Ok(message) = postcard::to_stdvec(&word) {
        let _ = rustix::net::send(control, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// The next answer; waits for it. `None` where the sensor has ended.
pub(super) fn hear(control: impl AsFd) -> Option<Word> {
    let mut bytes = [0; 16];
    let (length, _) = rustix::net::recv(control, &mut bytes[..], RecvFlags::empty()).ok()?;
    postcard::from_bytes(bytes.get(..length)?).ok()
}

/// Hands `socket` to the process at the other end of `control`. `replaced` is absent for the first one.
pub(super) fn hand_over(
    control: impl AsFd,
    socket: impl AsFd,
    replaced: Option<&Replaced>,
) -> anyhow::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket.as_fd()];
    ensure!(ancillary.push(SendAncillaryMessage::ScmRights(&sockets)), "no room for a descriptor");
    let message = postcard::to_stdvec(&Order::Socket(replaced.cloned()))?;
    ensure!(message.len() <= REPLACED_MAX, "the reason for a new socket is too long");
    rustix::net::sendmsg(control, &[IoSlice::new(&message)], &mut ancillary, SendFlags::NOSIGNAL)
        .context("handing a socket to the sensor")?;
    Ok(())
}

/// Waits for the next order, and the socket that may be with it. `None` where the other end has closed.
pub(super) fn take_order(control: impl AsFd) -> anyhow::Result<Option<(Order, Option<OwnedFd>)>> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; REPLACED_MAX];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = loop {
        match rustix::net::recvmsg(&control, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.context("waiting for the supervisor")?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let socket = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    let order = postcard::from_bytes(&bytes[..received.bytes]).context("decoding the supervisor's order")?;
    Ok(Some((order, socket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::{Container, Message, Numbered};
    use proptest::prelude::*;

    #[test]
    fn a_value_crosses_the_socket() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(&frame(&Stored { number: 7, harmless: vec![9], judged: vec![] }).unwrap()).unwrap();
        drop(here);
        assert_eq!(
            read_frame::<Stored>(&mut there).unwrap(),
            Some(Stored { number: 7, harmless: vec![9], judged: vec![] })
        );
        assert_eq!(read_frame::<Stored>(&mut there).unwrap(), None);
    }

    #[test]
    fn a_number_can_be_put_before_a_message() {
        for number in [0, 127, 128, u64::MAX] {
            let message = Message::Container(Container::pending("c", None));
            let whole = frame(&Numbered { number, message: message.clone() }).unwrap();
            assert_eq!(frame_of(number, &postcard::to_stdvec(&message).unwrap()), whole);
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused() {
        let mut endless = &[0xff; 64][..];
        assert!(read_frame::<Stored>(&mut endless).is_err());
    }

    #[test]
    fn ends_of_different_versions_refuse_each_other() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let stranger = Hello { protocol: PROTOCOL_VERSION + 1, version: "9.9.9".to_owned() };
        there.write_all(&frame(&stranger).unwrap()).unwrap();
        let refusal = greet(&mut here).unwrap_err().to_string();
        assert!(refusal.contains("9.9.9") && refusal.contains("restart urva"), "{refusal}");
    }

    #[test]
    fn a_socket_is_handed_over_with_its_reason() {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let (mut kept, given) = UnixStream::pair().unwrap();
        let replaced = Replaced { since: Timestamp(7), reason: "the detector ended".to_owned() };
        hand_over(&here, &given, Some(&replaced)).unwrap();
        drop(given);
        let (heard, socket) = take_order(&there).unwrap().unwrap();
        assert_eq!(heard, Order::Socket(Some(replaced)));
        UnixStream::from(socket.unwrap()).write_all(b"x").unwrap();
        let mut byte = [0];
        kept.read_exact(&mut byte).unwrap();
        order(&here, &Order::Ping).unwrap();
        assert_eq!(take_order(&there).unwrap().unwrap().0, Order::Ping);
        say(&there, Word::Here);
        assert_eq!(hear(&here), Some(Word::Here));
        drop(here);
        assert!(take_order(&there).unwrap().is_none(), "a closed control socket means stop");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_frame::<evidence::Numbered>(&mut &bytes[..]);
        }
    }
}
