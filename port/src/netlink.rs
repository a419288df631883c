//! Requests over rtnetlink: one message, and its answers until they end. Knows headers and attributes, not what they
//! say. The socket belongs to the namespace it was opened in, whatever thread uses it later.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const EXCL: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;

#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
}

/// A message of an answer, without its header.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
}

/// A message in the making: header, fixed part, attributes.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Request { bytes }
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        attribute(&mut self.bytes, kind, value);
        self
    }
}

/// Appends an attribute, padded.
pub(crate) fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`; ends where they stop making sense.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        // The highest bits say how to read it.
        Some((kind & 0x3fff, value))
    })
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Netlink {
    /// In the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Netlink> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        Ok(Netlink { socket })
    }

    /// Sends a request and gathers its answers. One with ACK is answered by an error or none.
    pub(crate) fn ask(&self, request: Request) -> io::Result<Vec<Answer>> {
        let mut message = request.bytes;
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        sendto(self.socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let len = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(len) => len,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let mut rest = &buffer[..len];
            while let (Some(len), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
                let Some(body) = rest.get(HEADER..len as usize) else { break };
                match kind {
                    DONE => return Ok(answers),
                    ERROR => {
                        // A negative error number; 0 acknowledges.
                        let errno = u32_at(body, 0).map_or(0, |errno| (errno as i32).saturating_neg());
                        return if errno == 0 { Ok(answers) } else { Err(io::Error::from_raw_os_error(errno)) };
                    }
                    _ => answers.push(Answer { body: body.to_vec() }),
                }
                rest = rest.get((len as usize).next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}
