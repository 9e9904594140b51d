//! The socket: requests out, answers and refusals in.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket as Raw, SocketAddr};
use rustix::net::sockopt::Timeout;

use super::attributes::Attributes;
use super::kernel::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSGERR_ATTR_MSG,
};
use super::message::{HEADER, Message};
use crate::link_error::{LinkError, Result};

/// The kernel fills datagrams of a dump up to what is read at once, 32 KiB at most.
const BUFFER: usize = 64 * 1024;

/// How long the kernel may take. It answers at once, but behind whoever holds the lock on all
/// links; forever would hang a start behind a broken driver.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many answers always fit in the socket's receive buffer.
const BATCH: usize = 32;

/// Dumps that the kernel says were disturbed by a change are asked for again, so often.
const DUMPS: usize = 8;

/// A large dump; more links than a machine has.
const LARGEST_DUMP: usize = 256 << 20;

/// `MSG_TRUNC`: say how long the datagram was, not how much of it fitted.
const MSG_TRUNC: i32 = 0x20;

/// The kernel's no: why, in a number and, where it has one, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error number, positive.
    pub errno: i32,
    /// The kernel's sentence.
    pub text: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.errno))?;
        match &self.text {
            Some(text) => write!(f, ": {}", text.trim_end_matches('.')),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// Whether it was this number.
    pub fn is(&self, errno: rustix::io::Errno) -> bool {
        self.errno == errno.raw_os_error()
    }

    /// As an error of what was being done to a link.
    pub fn while_doing(self, action: impl Into<String>, link: impl Into<String>) -> LinkError {
        LinkError::Refused {
            link: link.into(),
            action: action.into(),
            refusal: self,
        }
    }
}

/// What became of one request of several: what the kernel told, or its no.
pub type Outcome = std::result::Result<Vec<Vec<u8>>, Refusal>;

/// A socket to the kernel's route family, in the namespace of the thread that opened it.
pub struct Socket {
    raw: Raw,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// One in the calling thread's namespace.
    pub fn open() -> Result<Socket> {
        let broken = |source| LinkError::Netlink {
            action: "opening a socket",
            source,
        };
        let raw = Raw::new(NETLINK_ROUTE).map_err(broken)?;
        raw.set_cap_ack(true).map_err(broken)?;
        raw.set_ext_ack(true).map_err(broken)?;
        rustix::net::sockopt::set_socket_timeout(raw.as_fd(), Timeout::Recv, Some(PATIENCE))
            .map_err(|error| broken(error.into()))?;
        // Answers to a filtered dump are filtered by the kernel; where it cannot (before 4.20),
        // the reader looks anyway.
        let _ = raw.set_netlink_get_strict_chk(true);
        Ok(Socket {
            raw,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// One request; what was told in answer, if anything.
    pub fn ask(&mut self, message: &Message) -> Result<Outcome> {
        let mut outcomes = self.exchange(std::slice::from_ref(message))?;
        outcomes.pop().ok_or_else(|| unreadable("no answer"))
    }

    /// Several requests in one system call, each done or refused on its own, in order.
    pub fn exchange(&mut self, messages: &[Message]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(messages.len());
        for batch in messages.chunks(BATCH) {
            self.exchange_batch(batch, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn exchange_batch(&mut self, messages: &[Message], outcomes: &mut Vec<Outcome>) -> Result<()> {
        let first = self.sequence.wrapping_add(1);
        let mut out = Vec::with_capacity(messages.len() * 256);
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            message.sealed(NLM_F_REQUEST | NLM_F_ACK, self.sequence, &mut out);
        }
        self.send(&out)?;
        let mut waiting: Vec<(Vec<Vec<u8>>, Option<Outcome>)> = Vec::new();
        waiting.resize_with(messages.len(), Default::default);
        let mut open = messages.len();
        while open > 0 {
            let length = self.receive()?;
            for frame in Frames::new(self.buffer.get(..length).unwrap_or_default()) {
                let at = frame.sequence.wrapping_sub(first) as usize;
                let Some((told, outcome)) = waiting.get_mut(at) else {
                    continue;
                };
                match frame.answer() {
                    Answer::Told if outcome.is_none() => told.push(frame.body.to_vec()),
                    Answer::Done if outcome.is_none() => {
                        *outcome = Some(Ok(std::mem::take(told)));
                        open -= 1;
                    }
                    Answer::Refused(refusal) if outcome.is_none() => {
                        *outcome = Some(Err(refusal));
                        open -= 1;
                    }
                    Answer::Nothing | Answer::Told | Answer::Done | Answer::Refused(_) => {}
                }
            }
        }
        outcomes.extend(waiting.into_iter().filter_map(|(_, outcome)| outcome));
        Ok(())
    }

    /// Everything of a kind, as `read` makes of each; what it makes nothing of is left out.
    pub fn dump<T>(
        &mut self,
        message: &Message,
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<std::result::Result<Vec<T>, Refusal>> {
        for _ in 0..DUMPS {
            let mut found = Vec::new();
            match self.dump_once(message, |body| found.extend(read(body)))? {
                Ok(Steadiness::Steady) => return Ok(Ok(found)),
                Ok(Steadiness::Disturbed) => {}
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(LinkError::Netlink {
            action: "listing while everything changes",
            source: io::ErrorKind::ResourceBusy.into(),
        })
    }

    fn dump_once(
        &mut self,
        message: &Message,
        mut read: impl FnMut(&[u8]),
    ) -> Result<std::result::Result<Steadiness, Refusal>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut out = Vec::new();
        message.sealed(NLM_F_REQUEST | NLM_F_DUMP, self.sequence, &mut out);
        self.send(&out)?;
        let mut steadiness = Steadiness::Steady;
        let mut total = 0;
        loop {
            let length = self.receive()?;
            total += length;
            if total > LARGEST_DUMP {
                return Err(unreadable("a list without end"));
            }
            for frame in Frames::new(self.buffer.get(..length).unwrap_or_default()) {
                if frame.sequence != self.sequence {
                    continue;
                }
                if frame.flags & NLM_F_DUMP_INTR != 0 {
                    steadiness = Steadiness::Disturbed;
                }
                match frame.answer() {
                    Answer::Told => read(frame.body),
                    Answer::Done => return Ok(Ok(steadiness)),
                    Answer::Refused(refusal) => return Ok(Err(refusal)),
                    Answer::Nothing => {}
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let kernel = SocketAddr::new(0, 0);
        let sent = self
            .raw
            .send_to(bytes, &kernel, 0)
            .map_err(|source| LinkError::Netlink {
                action: "sending",
                source,
            })?;
        if sent != bytes.len() {
            return Err(unreadable("a request that was cut short"));
        }
        Ok(())
    }

    /// One datagram of the kernel's, in the buffer.
    fn receive(&mut self) -> Result<usize> {
        loop {
            let mut into = self.buffer.as_mut_slice();
            let (length, from) = match self.raw.recv_from(&mut into, MSG_TRUNC) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(LinkError::Netlink {
                        action: "receiving",
                        source,
                    });
                }
            };
            if length > BUFFER {
                return Err(unreadable("an answer larger than any that is sent"));
            }
            // Other processes may write to the socket as well; they are not the kernel.
            if from.port_number() == 0 {
                return Ok(length);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Steadiness {
    Steady,
    Disturbed,
}

fn unreadable(what: &'static str) -> LinkError {
    LinkError::Netlink {
        action: what,
        source: io::ErrorKind::InvalidData.into(),
    }
}

/// The messages in a datagram. Ends at the first that does not fit.
pub struct Frames<'a>(&'a [u8]);

/// One message of the kernel's.
pub struct Frame<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

enum Answer {
    Told,
    Done,
    Refused(Refusal),
    Nothing,
}

impl<'a> Frames<'a> {
    /// Those in this datagram.
    pub fn new(datagram: &'a [u8]) -> Frames<'a> {
        Frames(datagram)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let header: [u8; HEADER] = *self.0.first_chunk()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let body = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Frame {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body,
        })
    }
}

impl Frame<'_> {
    fn answer(&self) -> Answer {
        match self.kind {
            NLMSG_NOOP => Answer::Nothing,
            NLMSG_DONE | NLMSG_ERROR => match self.refusal() {
                Some(refusal) => Answer::Refused(refusal),
                None => Answer::Done,
            },
            _ => Answer::Told,
        }
    }

    /// What an error message, or the end of a dump, says: nothing if all is well.
    pub fn refusal(&self) -> Option<Refusal> {
        if !matches!(self.kind, NLMSG_ERROR | NLMSG_DONE) {
            return None;
        }
        // Errors are negative; the end of a dump may say something positive.
        let number = i32::from_ne_bytes(*self.body.first_chunk()?);
        let errno = (number < 0).then(|| number.checked_neg().unwrap_or(i32::MAX))?;
        Some(Refusal {
            errno,
            text: self.sentence(),
        })
    }

    /// The extended acknowledgement: behind the number, and behind the request if that is sent
    /// back with it.
    fn sentence(&self) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let mut at = 4;
        if self.kind == NLMSG_ERROR {
            let request: [u8; 4] = *self.body.get(at..)?.first_chunk()?;
            at += if self.flags & NLM_F_CAPPED == 0 {
                usize::try_from(u32::from_ne_bytes(request))
                    .ok()?
                    .checked_next_multiple_of(4)?
            } else {
                HEADER
            };
        }
        let told = Attributes::after(self.body, at).get(NLMSGERR_ATTR_MSG)?;
        Some(told.text())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::netlink::kernel::{AF_UNSPEC, RTM_GETLINK, RTM_NEWLINK};
    use crate::netlink::link_message;

    fn frame(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Message::new(kind, flags, body).sealed(0, 7, &mut bytes);
        bytes
    }

    fn refusal(kind: u16, flags: u16, body: &[u8]) -> Option<Refusal> {
        Frames::new(&frame(kind, flags, body))
            .next()
            .unwrap()
            .refusal()
    }

    #[test]
    fn a_refusal_has_its_number_and_the_kernel_s_sentence_with_and_without_the_request() {
        let sentence = Message::attributes().text(NLMSGERR_ATTR_MSG, "Invalid scope");
        let number = (-22i32).to_ne_bytes();
        let request = frame(RTM_NEWLINK, 0, &[AF_UNSPEC; 20]);
        let expected = Some(Refusal {
            errno: 22,
            text: Some("Invalid scope".to_owned()),
        });
        let capped = [&number[..], &request[..16], sentence.bytes()].concat();
        assert_eq!(
            refusal(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, &capped),
            expected
        );
        let whole = [&number[..], &request[..], sentence.bytes()].concat();
        assert_eq!(refusal(NLMSG_ERROR, NLM_F_ACK_TLVS, &whole), expected);
        let done = [&number[..], sentence.bytes()].concat();
        assert_eq!(refusal(NLMSG_DONE, NLM_F_ACK_TLVS, &done), expected);
        let said = refusal(NLMSG_ERROR, NLM_F_ACK_TLVS, &whole).unwrap();
        let shown = said.while_doing("moving", "eth0").to_string();
        assert_eq!(
            shown,
            "moving eth0: Invalid argument (os error 22): Invalid scope"
        );
    }

    #[test]
    fn an_acknowledgement_is_no_refusal_and_neither_is_one_cut_short() {
        assert_eq!(refusal(NLMSG_ERROR, 0, &[0; 20]), None);
        assert_eq!(refusal(NLMSG_DONE, 0, &[]), None);
        let number = (-1i32).to_ne_bytes();
        let bare = Some(Refusal {
            errno: 1,
            text: None,
        });
        assert_eq!(refusal(NLMSG_ERROR, NLM_F_ACK_TLVS, &number), bare);
        assert_eq!(
            refusal(NLMSG_ERROR, NLM_F_ACK_TLVS, &i32::MIN.to_ne_bytes())
                .unwrap()
                .errno,
            i32::MAX
        );
    }

    #[test]
    fn frames_end_where_their_datagram_does() {
        let two = [
            frame(RTM_NEWLINK, 0, &[1; 5]),
            vec![0; 3],
            frame(NLMSG_DONE, 0, &[]),
        ]
        .concat();
        let lengths: Vec<usize> = Frames::new(&two).map(|frame| frame.body.len()).collect();
        assert_eq!(lengths, [5, 0]);
        assert_eq!(Frames::new(&two[..20]).count(), 0);
        assert_eq!(Frames::new(&[0; 64]).count(), 0);
    }

    #[test]
    fn several_requests_are_each_answered_in_order_however_many_and_whatever_fails() {
        let namespace = crate::Netns::create().unwrap();
        let mut socket = namespace.run(Socket::open).unwrap().unwrap();
        let ask = |name: &str| link_message(RTM_GETLINK, 0, 0, 0).text(3, name);
        let requests: Vec<Message> = (0..100)
            .map(|number| ask(if number % 3 == 0 { "nope" } else { "lo" }))
            .collect();
        let outcomes = socket.exchange(&requests).unwrap();
        assert_eq!(outcomes.len(), 100);
        for (number, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(told) => assert_eq!((number % 3 != 0, told.len()), (true, 1)),
                Err(refusal) => assert!(number % 3 == 0 && refusal.is(rustix::io::Errno::NODEV)),
            }
        }
    }
}
