//! The socket between a caller and the process it is setting up.
//!
//! Packets: a kind, then for reports a step, an error number and a subject. A descriptor (the
//! terminal) travels as ancillary data. The socket is closed by `execve`, and its end of file,
//! read by the caller after it has said "go", means that the program runs.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::error::{ExecCause, ExecError, Failure, Step, Warning};

/// Longest packet: a header and a subject of at most a path's length.
const PACKET_MAX: usize = 8 + SUBJECT_MAX;
const SUBJECT_MAX: usize = 4096;

/// What goes over the socket.
#[derive(Debug)]
pub(crate) enum Message {
    /// Init: everything is set up; it waits to be started.
    Ready,
    /// Init: a step failed; it is leaving.
    Failed(Failure),
    /// Init: the program cannot be executed; it is leaving.
    ExecFailed(ExecError),
    /// Init: a limit could not be set; it goes on.
    Warned(Warning),
    /// Init: the master end of its terminal. Another child: what it was sent to fetch.
    Descriptor(OwnedFd),
    /// Init: namespaces and mounts are there; it waits for the caller's hooks.
    HooksWanted,
    /// Caller: go on (user namespace mapped, or hooks have run).
    GoOn,
    /// Caller: execute the program.
    Start,
}

const READY: u8 = 1;
const FAILED: u8 = 2;
const EXEC_FAILED: u8 = 3;
const WARNED: u8 = 4;
const DESCRIPTOR: u8 = 5;
const HOOKS_WANTED: u8 = 6;
const GO_ON: u8 = 7;
const START: u8 = 8;

/// The two ends of a new channel, both closed by `execve`.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Send one message.
pub(crate) fn send(socket: BorrowedFd<'_>, message: &Message) -> io::Result<()> {
    let (packet, fd) = encode(message);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = fd.as_slice();
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    retry_on_intr(|| {
        sendmsg(
            socket,
            &[IoSlice::new(&packet)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
    })?;
    Ok(())
}

/// What a look at a socket gave.
pub(crate) enum Heard {
    /// This.
    Message(Message),
    /// The other end is closed.
    End,
    /// Nothing for the moment.
    NothingYet,
}

/// Receive one message; `None` when the other end is closed.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    receive_with(socket, RecvFlags::CMSG_CLOEXEC)
}

/// Receive a message if one is there.
pub(crate) fn try_receive(socket: BorrowedFd<'_>) -> io::Result<Heard> {
    match receive_with(socket, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT) {
        Ok(Some(message)) => Ok(Heard::Message(message)),
        Ok(None) => Ok(Heard::End),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Heard::NothingYet),
        Err(error) => Err(error),
    }
}

fn receive_with(socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<Option<Message>> {
    let mut packet = [0u8; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut packet)],
            &mut ancillary,
            flags,
        )
    });
    let received = match received {
        // The other end was closed with something of ours unread.
        Err(Errno::CONNRESET) => return Ok(None),
        received => received?,
    };
    let mut fd = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fds.into_iter().next();
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::MSGSIZE.into());
    }
    match decode(packet.get(..received.bytes).unwrap_or_default(), fd) {
        Some(message) => Ok(Some(message)),
        None => Err(Errno::BADMSG.into()),
    }
}

fn encode(message: &Message) -> (Vec<u8>, Option<BorrowedFd<'_>>) {
    let report = |kind, detail, errno: i32, subject: &str| {
        let mut packet = vec![kind, detail, 0, 0];
        packet.extend_from_slice(&errno.to_le_bytes());
        let mut end = subject.len().min(SUBJECT_MAX);
        while !subject.is_char_boundary(end) {
            end -= 1;
        }
        packet.extend_from_slice(subject.get(..end).unwrap_or_default().as_bytes());
        (packet, None)
    };
    match message {
        Message::Ready => report(READY, 0, 0, ""),
        Message::Failed(failure) => report(
            FAILED,
            failure.step.number(),
            failure.errno,
            &failure.subject,
        ),
        Message::ExecFailed(error) => {
            report(EXEC_FAILED, error.cause as u8, error.errno, &error.program)
        }
        Message::Warned(warning) => report(
            WARNED,
            warning.step.number(),
            warning.errno,
            &warning.subject,
        ),
        Message::Descriptor(fd) => (report(DESCRIPTOR, 0, 0, "").0, Some(fd.as_fd())),
        Message::HooksWanted => report(HOOKS_WANTED, 0, 0, ""),
        Message::GoOn => report(GO_ON, 0, 0, ""),
        Message::Start => report(START, 0, 0, ""),
    }
}

fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Option<Message> {
    let (&[kind, detail, _, _], rest) = packet.split_first_chunk::<4>()?;
    let (errno, subject) = rest.split_first_chunk::<4>()?;
    let errno = i32::from_le_bytes(*errno);
    let subject = || String::from_utf8_lossy(subject).into_owned();
    Some(match kind {
        READY => Message::Ready,
        FAILED => Message::Failed(Failure {
            step: Step::from_number(detail)?,
            subject: subject(),
            errno,
        }),
        EXEC_FAILED => Message::ExecFailed(ExecError {
            program: subject(),
            cause: match detail {
                0 => ExecCause::NotInPath,
                1 => ExecCause::NotFound,
                2 => ExecCause::Forbidden,
                3 => ExecCause::Refused,
                _ => return None,
            },
            errno,
        }),
        WARNED => Message::Warned(Warning {
            step: Step::from_number(detail)?,
            subject: subject(),
            errno,
        }),
        DESCRIPTOR => Message::Descriptor(fd?),
        HOOKS_WANTED => Message::HooksWanted,
        GO_ON => Message::GoOn,
        START => Message::Start,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(message: &Message) -> Message {
        let (ours, theirs) = pair().unwrap();
        send(ours.as_fd(), message).unwrap();
        receive(theirs.as_fd()).unwrap().unwrap()
    }

    #[test]
    fn a_failure_arrives_with_its_step_number_and_subject() {
        let failure = Failure {
            step: Step::Mount,
            subject: "/proc".to_owned(),
            errno: 1,
        };
        match passed(&Message::Failed(failure.clone())) {
            Message::Failed(arrived) => assert_eq!(arrived, failure),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_subject_longer_than_a_path_is_cut_between_characters() {
        let error = ExecError {
            program: "é".repeat(SUBJECT_MAX),
            cause: ExecCause::NotFound,
            errno: 2,
        };
        match passed(&Message::ExecFailed(error)) {
            Message::ExecFailed(arrived) => {
                assert_eq!(arrived.program, "é".repeat(SUBJECT_MAX / 2));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_descriptor_travels_and_a_closed_end_is_the_end() {
        let (ours, theirs) = pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        send(ours.as_fd(), &Message::Descriptor(writer)).unwrap();
        let Some(Message::Descriptor(writer)) = receive(theirs.as_fd()).unwrap() else {
            panic!("no terminal")
        };
        rustix::io::write(writer, b"x").unwrap();
        assert_eq!(rustix::io::read(reader, &mut [0u8; 2][..]).unwrap(), 1);
        drop(ours);
        assert!(receive(theirs.as_fd()).unwrap().is_none());
    }

    #[test]
    fn packets_that_are_no_messages_are_refused() {
        assert!(decode(&[], None).is_none());
        assert!(decode(&[READY, 0, 0], None).is_none());
        assert!(decode(&[99, 0, 0, 0, 0, 0, 0, 0], None).is_none());
        assert!(decode(&[FAILED, 255, 0, 0, 1, 0, 0, 0], None).is_none());
        assert!(decode(&[DESCRIPTOR, 0, 0, 0, 0, 0, 0, 0], None).is_none());
    }
}
