//! An interface as a port: its program, a socket for each of its queues, and the rule about what is unfinished.
//! **What leaves is complete**: partial checksums are completed, super-frames cut. What comes from a veth link or a TAP may be
//! unfinished, because nobody told its sender; such frames are told by their checksum and go on as what they are.

use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use wire::{Frame, Gso, Pool, checksum, cut, infer_offload, parse};

use super::program::{Attachment, Program, QUEUES, XdpMode};
use super::promiscuous::Promiscuous;
use super::socket::{Socket, SocketOptions, chunks_of};
use super::umem::{self, CHUNK, Seats};
use super::{step, trial};
use crate::netlink::{ACK, Netlink, Request};
use crate::{Error, Sent, ethtool, interface};

/// How an interface becomes a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpOptions {
    /// The mode; without a word native, or else generic.
    pub mode: Option<XdpMode>,
    /// Whether the card reads and writes the shared memory itself; without a word if it can.
    pub zero_copy: Option<bool>,
    /// Whether calls of the switch drive the card's queues instead of interrupts, where the kernel lets them (Linux 5.11).
    pub busy_poll: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpInfo {
    /// The interface.
    pub interface: String,
    /// Where the program runs.
    pub mode: XdpMode,
    /// Whether the card reads and writes the shared memory itself.
    pub zero_copy: bool,
    /// Whether calls of the switch drive its queues.
    pub busy_poll: bool,
    /// Whether frames longer than a chunk of the shared memory pass, in several of them.
    pub multi_buffer: bool,
    /// How many queues it has.
    pub queues: usize,
    /// Why it is not in native mode, if that was tried.
    pub why_generic: Option<String>,
}

/// Frames that were lost before the switch saw them, or after it had queued them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpStats {
    /// They did not fit a chunk of the shared memory, or as many as a frame can have.
    pub too_long: u64,
    /// They were not taken in time, or no free chunk was there.
    pub overrun: u64,
    /// They came by a queue that has no socket.
    pub unclaimed: u64,
    /// The link did not send them: its queue is full, or nobody is at its other end.
    pub not_sent: u64,
}

/// An interface that the switch has for itself, for as long as this lives.
#[derive(Debug)]
pub struct Xdp {
    // In the order in which it is taken apart.
    _attachment: Attachment,
    sockets: Vec<Socket>,
    /// After the sockets: until then they have their share.
    _seats: Seats<'static>,
    /// Its own; `None`: somebody else's.
    program: Option<Program>,
    _promiscuous: Option<Promiscuous>,
    link: Option<OwnLink>,
    info: XdpInfo,
    /// Whether its frames may carry partial checksums: those of a veth link, whose sender is this machine, and those of a
    /// TAP, which runs the program before it looks at what its writer says of the frame.
    is_unfinished: bool,
    /// Longest frame that the link carries, in bytes.
    longest: usize,
    /// The queue that is looked at first.
    next: usize,
    segments: Vec<u8>,
    /// What of the losses was told already.
    told: XdpStats,
}

/// Largest MTU, in bytes, all packets of which are received in one chunk: the kernel keeps 256 bytes of it for itself, and a
/// frame may have two 802.1Q tags. With a larger one frames come in several, where the kernel has that (Linux 6.6).
pub const MOST_MTU: u32 = CHUNK as u32 - 256 - 14 - 8;
/// Largest MTU, in bytes, with which drivers run a program for frames of one buffer: they keep 256 bytes and the end of a buffer
/// (`skb_shared_info`) for themselves. Most allow a little more, veth 3,506.
const ONE_BUFFER_MTU: u32 = 3_498;

/// Ethernet header, and an 802.1Q tag that does not count.
const HEADERS: usize = 14 + 4;
/// Shorter frames are refused, as a TAP does.
const ETHERNET_HEADER: usize = 14;

impl Xdp {
    /// Takes interface `ifname` of the calling thread's network namespace. Everything that arrives there is the switch's
    /// from now on. It takes some milliseconds, and up to two seconds after another such port of the same interface.
    ///
    /// # Errors
    /// There is no such interface, another XDP program is there, the driver or kernel cannot, or rights are missing: the
    /// text says which.
    pub fn open(ifname: &str, options: &XdpOptions) -> Result<Xdp, Error> {
        let failed = |step| move |source| Error::Xdp { ifname: ifname.to_owned(), step, source };
        let ifindex =
            nix::net::if_::if_nametoindex(ifname).map_err(|_| Error::NoInterface { name: ifname.to_owned() })?;
        let long = needs_long_frames(ifname)?;
        let mut program = Program::load(long).map_err(failed(step::LOAD))?;
        let promiscuous = Promiscuous::new(ifindex).map_err(failed(step::PROMISCUOUS))?;
        let fd = program.fd().try_clone_to_owned().map_err(failed(step::LOAD))?;
        let claim = |queue, socket: BorrowedFd<'_>| program.claim(queue, socket);
        let mut port = Xdp::with_program((ifname, ifindex), (fd.as_fd(), long), options, claim)?;
        port.program = Some(program);
        port._promiscuous = Some(promiscuous);
        // What came before its sockets were there is not the port's.
        port.told = port.stats();
        Ok(port)
    }

    /// Attaches a program to an interface, and opens a socket for each of its queues, of which `claim` tells the program.
    /// `long`: the program is one for frames of several buffers, and the kernel takes them in several chunks.
    ///
    /// # Errors
    /// As [`Xdp::open`].
    pub(crate) fn with_program(
        (ifname, ifindex): (&str, u32),
        (program, long): (BorrowedFd<'_>, bool),
        options: &XdpOptions,
        mut claim: impl FnMut(u32, BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<Xdp, Error> {
        let queues = ethtool::receive_queues(ifname);
        if queues > QUEUES {
            return Err(Error::XdpQueues { ifname: ifname.to_owned(), queues });
        }
        let longest = longest(ifname, long)?;
        let (attachment, mode, why_generic) = attach(program, ifname, ifindex, options.mode)?;
        let zero_copy = if mode == XdpMode::Generic { options.zero_copy.or(Some(false)) } else { options.zero_copy };
        let wanted = SocketOptions { zero_copy, busy_poll: options.busy_poll, long };
        let failed = |(step, source)| Error::Xdp { ifname: ifname.to_owned(), step, source };
        let umem = umem::get().map_err(|source| failed((step::MAP, source)))?;
        let seats = umem.enter(queues as usize).map_err(|source| failed((step::SHARE, source)))?;
        let mut sockets = Vec::new();
        for queue in 0..queues {
            let socket = Socket::open(ifindex, queue, wanted).map_err(failed)?;
            claim(queue, socket.as_fd()).map_err(|source| failed((step::CLAIM, source)))?;
            sockets.push(socket);
        }
        let info = XdpInfo {
            interface: ifname.to_owned(),
            mode,
            zero_copy: sockets.iter().all(Socket::is_zero_copy),
            busy_poll: sockets.iter().all(Socket::is_busy_polled),
            multi_buffer: long,
            queues: sockets.len(),
            why_generic,
        };
        let mut port = Xdp {
            _attachment: attachment,
            sockets,
            _seats: seats,
            program: None,
            _promiscuous: None,
            link: None,
            info,
            is_unfinished: ethtool::driver(ifname).is_ok_and(|driver| matches!(driver.as_str(), "veth" | "tun")),
            longest,
            next: 0,
            segments: Vec::new(),
            told: XdpStats::default(),
        };
        port.told = port.stats();
        Ok(port)
    }

    /// Has the link itself removed with the port: it was made for it.
    ///
    /// # Errors
    /// The link is gone, or the kernel has no socket left.
    pub fn own_link(&mut self) -> Result<(), Error> {
        let ifname = &self.info.interface;
        let failed = |source| Error::Xdp { ifname: ifname.clone(), step: "watch over it", source };
        let netlink = Netlink::open().map_err(failed)?;
        let ifindex = nix::net::if_::if_nametoindex(ifname.as_str()).map_err(|errno| failed(errno.into()))?;
        self.link = Some(OwnLink { netlink, ifindex });
        Ok(())
    }

    /// What it is.
    pub fn info(&self) -> &XdpInfo {
        &self.info
    }

    /// What the poller watches: readable when frames have come.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.sockets.iter().map(|socket| socket.as_fd().as_raw_fd())
    }

    /// Appends up to `most` received frames to `batch`. Those longer than a chunk of the shared memory are copied to frames of
    /// `pool`, and count for as many chunks as they had. Returns whether more wait.
    pub fn receive(&mut self, batch: &mut Vec<Frame>, most: usize, pool: &mut Pool) -> bool {
        let first = batch.len();
        for _ in 0..self.sockets.len() {
            let taken = batch.len() - first;
            if taken == most {
                break;
            }
            let queue = self.next % self.sockets.len();
            self.sockets[queue].receive(batch, most - taken, pool);
            self.next = queue + 1;
        }
        // Their first lines are in the sender's cache, or the card's: fetched all at once, the waits overlap.
        black_box(batch[first..].iter().filter_map(|frame| frame.bytes().first()).fold(0, |all, byte| all | byte));
        if self.is_unfinished {
            let mtu = (self.longest - HEADERS) as u16;
            batch[first..].iter_mut().for_each(|frame| mark_partial(frame, mtu));
        }
        self.is_ready()
    }

    /// Whether received frames wait. A look at memory, no call.
    pub fn is_ready(&self) -> bool {
        self.sockets.iter().any(Socket::is_ready)
    }

    /// Queues a frame for [`Xdp::flush`]; where its bytes are in the shared memory, without a copy.
    pub fn send(&mut self, mut frame: Frame, pool: &mut Pool) -> Sent {
        let outcome = self.finish(&mut frame);
        if outcome != Sent::Done || frame.offload.gso() != Gso::None {
            pool.put(frame);
            return outcome;
        }
        // One queue sends, so that frames keep their order.
        let Some(socket) = self.sockets.first_mut() else { return Sent::Gone };
        let len = frame.len();
        let queued = match frame.into_loan() {
            Ok(loan) => socket.send_lent(loan, len).is_ok(),
            Err(frame) => {
                let queued = socket.send_copy(frame.bytes());
                pool.put(frame);
                queued
            }
        };
        if queued { Sent::Done } else { Sent::Full }
    }

    /// Completes a frame; a super-frame is cut and its segments are queued.
    fn finish(&mut self, frame: &mut Frame) -> Sent {
        let Some(socket) = self.sockets.first_mut() else { return Sent::Gone };
        if frame.len() < ETHERNET_HEADER {
            return Sent::Refused;
        }
        if socket.is_down() && socket.flush() == Sent::Down {
            return Sent::Down;
        }
        if frame.offload.gso() == Gso::None {
            if frame.len() > self.longest {
                return Sent::TooBig;
            }
            let partial = frame.offload.partial_checksum().is_some();
            let complete = !partial || checksum::complete(frame).is_ok();
            return if complete { Sent::Done } else { Sent::Refused };
        }
        let Ok(headers) = parse(frame.bytes()) else { return Sent::Refused };
        self.segments.clear();
        let Ok(cut) = cut(frame, &headers, &[], &mut self.segments) else { return Sent::Refused };
        if cut.segment_len > self.longest {
            return Sent::TooBig;
        }
        // All or none of them.
        let fits = socket.has_room_for_copies(cut.count * chunks_of(cut.segment_len));
        if fits && self.segments.chunks(cut.segment_len).all(|segment| socket.send_copy(segment)) {
            Sent::Done
        } else {
            Sent::Full
        }
    }

    /// Whether frames are queued.
    pub fn is_dirty(&self) -> bool {
        self.sockets.first().is_some_and(Socket::is_dirty)
    }

    /// Sends what is queued. Anything but `Done`: some of it waits for the next call, or is lost with the interface.
    pub fn flush(&mut self) -> Sent {
        self.sockets.first_mut().map_or(Sent::Gone, Socket::flush)
    }

    /// Whether the interface is gone, alone or with its namespace: nothing else tells. Follows its MTU, too, unless it is a
    /// link of the port's own: that one keeps its MTU, and its namespace need not be the calling thread's. To be asked now and
    /// then: queues that had no memory to receive into have another chance.
    pub fn is_gone(&mut self) -> bool {
        if self.link.is_none()
            && let Ok(longest) = longest(&self.info.interface, self.info.multi_buffer)
        {
            self.longest = longest;
        }
        self.sockets.iter_mut().for_each(Socket::refill);
        self.sockets.first_mut().is_none_or(|socket| socket.probe() == Sent::Gone)
    }

    /// What was lost since the last call.
    pub fn newly_lost(&mut self) -> XdpStats {
        let now = self.stats();
        let before = std::mem::replace(&mut self.told, now);
        XdpStats {
            too_long: now.too_long.saturating_sub(before.too_long),
            overrun: now.overrun.saturating_sub(before.overrun),
            unclaimed: now.unclaimed.saturating_sub(before.unclaimed),
            not_sent: now.not_sent.saturating_sub(before.not_sent),
        }
    }

    /// What was lost since it was opened.
    pub fn stats(&self) -> XdpStats {
        let start = XdpStats { unclaimed: self.program.as_ref().map_or(0, Program::unclaimed), ..XdpStats::default() };
        self.sockets.iter().map(Socket::stats).fold(start, |sum, socket| XdpStats {
            too_long: sum.too_long + socket.too_long,
            overrun: sum.overrun + socket.ring_full + socket.no_chunk,
            not_sent: sum.not_sent + socket.not_sent,
            ..sum
        })
    }
}

/// Whether frames are to come in several chunks: only where they have to, or native mode would refuse the MTU, for drivers pay for it.
fn needs_long_frames(ifname: &str) -> Result<bool, Error> {
    let mtu = interface::mtu(ifname)?;
    if mtu <= ONE_BUFFER_MTU {
        return Ok(false);
    }
    let there = trial::multi_buffer();
    if let Err(error) = &there
        && mtu > MOST_MTU
    {
        tracing::warn!(ifname, mtu, %error, "longer packets than {MOST_MTU} bytes are not received (Linux 6.6 does that)");
    }
    Ok(there.is_ok())
}

/// Longest frame that a link carries, in bytes, and its sockets take.
fn longest(ifname: &str, long: bool) -> Result<usize, Error> {
    let most = if long { usize::from(u16::MAX) + HEADERS } else { CHUNK };
    Ok((interface::mtu(ifname)? as usize + HEADERS).min(most))
}

/// Attaches in the mode that is asked for, or the best; why not in the better one.
fn attach(
    program: BorrowedFd<'_>,
    ifname: &str,
    ifindex: u32,
    mode: Option<XdpMode>,
) -> Result<(Attachment, XdpMode, Option<String>), Error> {
    let attach = |mode| {
        let step = if mode == XdpMode::Native { step::NATIVE } else { step::GENERIC };
        let failed = |source| Error::Xdp { ifname: ifname.to_owned(), step, source };
        Attachment::new(program, ifindex, mode).map_err(failed)
    };
    if let Some(mode) = mode {
        return Ok((attach(mode)?, mode, None));
    }
    match attach(XdpMode::Native) {
        Ok(attachment) => Ok((attachment, XdpMode::Native, None)),
        // What generic mode would not help.
        Err(Error::Xdp { source, ifname, step }) if is_final(&source) => Err(Error::Xdp { source, ifname, step }),
        Err(error) => Ok((attach(XdpMode::Generic)?, XdpMode::Generic, Some(error.to_string()))),
    }
}

fn is_final(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST | libc::EPERM | libc::EACCES | libc::ENODEV))
}

/// A frame whose checksum is that of its pseudo-header alone is unfinished, and is marked so. Where that was its real checksum
/// by chance, completing it changes nothing. One of TCP that is longer than the link carries is a super-frame.
fn mark_partial(frame: &mut Frame, mtu: u16) {
    if let Ok(headers) = parse(frame.bytes())
        && checksum::is_partial(frame.bytes(), &headers)
        && let Some(offload) = infer_offload(&headers, mtu)
    {
        frame.offload = offload;
    }
}

/// A link that goes with its port.
#[derive(Debug)]
struct OwnLink {
    netlink: Netlink,
    ifindex: u32,
}

impl Drop for OwnLink {
    fn drop(&mut self) {
        const RTM_DELLINK: u16 = 17;
        let mut info = [0; 16];
        info[4..8].copy_from_slice(&self.ifindex.to_ne_bytes());
        match self.netlink.ask(Request::new(RTM_DELLINK, ACK, &info)) {
            // It went with its other end.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
            Err(error) => tracing::warn!(ifindex = self.ifindex, %error, "a link cannot be removed"),
            Ok(_) => {}
        }
    }
}
