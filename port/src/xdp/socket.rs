//! One AF_XDP socket: the frames of one queue of an interface. Knows rings and chunks, not ports or programs: whoever has
//! the program that sends frames here puts the socket into its map.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use wire::{Frame, Loan, Pool};

use super::joint::Joint;
use super::ledger::Ledger;
use super::ring::{Consumer, ENTRIES, Producer};
use super::step;
use super::umem::{self, CHUNK, Chunk, LEAST, MOST, Umem};
use crate::{Sent, sockopt};

/// How a socket takes its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    /// Whether the card reads and writes the shared memory itself. Without a word: if it can.
    pub(crate) zero_copy: Option<bool>,
    /// Whether calls of ours drive the card's queue instead of interrupts, as far as the kernel lets them.
    pub(crate) busy_poll: bool,
    /// Whether it takes frames longer than a chunk, in several of them.
    pub(crate) long: bool,
}

/// What was lost at a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketStats {
    /// Frames that were lost because they did not fit a chunk, or as many as a frame can have.
    pub(crate) too_long: u64,
    /// Frames that were lost because no free chunk was there.
    pub(crate) no_chunk: u64,
    /// Frames that were lost because they were not taken in time.
    pub(crate) ring_full: u64,
    /// Frames that were lost because the link did not take them.
    pub(crate) not_sent: u64,
}

// The kernel never has more chunks to receive into than the ring has places: no frame is lost there, nor the end of one.
const _: () = assert!(MOST <= ENTRIES as usize);

/// Frames refilled or sent at once before the shared list of free chunks is asked again.
const SPARE: usize = 128;
/// How long another socket of the same queue, on its way out, is waited for.
const CLOSING: Duration = Duration::from_secs(2);
/// How often the kernel is asked to go on sending, without progress that it shows.
const KICKS: usize = 4;
/// Descriptors that a call takes at the most (TX_BATCH_SIZE, net/xdp/xsk.c). Before Linux 6.17 it may take them all and show it later.
const BUDGET: usize = 32;
/// Places of the ring that stay free where frames take several: a device that is full has the kernel go back to the begin of
/// a frame, part of which it has shown as taken.
const KEPT: usize = Frame::MAX_LEN.div_ceil(CHUNK) - 1;
/// How long what is being sent is waited for at the end, and how long a card may take to let go of the memory.
const DRAIN: Duration = Duration::from_millis(100);
const LET_GO: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Socket {
    /// Before the descriptor, which goes with them.
    rx: Consumer<libc::xdp_desc>,
    tx: Producer<libc::xdp_desc>,
    fill: Producer<u64>,
    done: Consumer<u64>,
    fd: OwnedFd,
    /// After the descriptor: they are free again once it is closed.
    chunks: Chunks,
    zero_copy: bool,
    busy_poll: bool,
    long: bool,
    joint: Joint,
    /// Frames that the link dropped when it was to send them.
    not_sent: u64,
    /// Whether there is something that the kernel was not told of.
    dirty: bool,
    down: bool,
}

impl Socket {
    /// Opens a socket for queue `queue` of interface `ifindex`, in the calling thread's network namespace.
    ///
    /// # Errors
    /// What could not be done, and why.
    pub(crate) fn open(ifindex: u32, queue: u32, options: SocketOptions) -> Result<Socket, (&'static str, io::Error)> {
        let wanted: &[bool] = match options.zero_copy {
            Some(true) => &[true],
            Some(false) => &[false],
            None => &[true, false],
        };
        let mut last = (step::BIND, io::ErrorKind::Unsupported.into());
        for &zero_copy in wanted {
            // A socket that could not be bound is of no further use.
            let mut socket = Socket::unbound(zero_copy, options.long)?;
            socket.refill();
            match socket.bind(ifindex, queue) {
                Ok(()) => {
                    socket.chunks.let_go = if zero_copy { LET_GO } else { Duration::ZERO };
                    socket.busy_poll = options.busy_poll && prefer_busy_poll(socket.fd.as_fd()).is_ok();
                    return Ok(socket);
                }
                Err(error) => last = (step::BIND, error),
            }
            if last.1.raw_os_error() == Some(libc::EBUSY) {
                break;
            }
        }
        Err(last)
    }

    fn unbound(zero_copy: bool, long: bool) -> Result<Socket, (&'static str, io::Error)> {
        let at = |step| move |error| (step, error);
        let umem = umem::get().map_err(at(step::MAP))?;
        let chunks = Chunks::new(umem);
        let fd = create(umem)?;
        let rings = at(step::RINGS);
        for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING] {
            sockopt::set(fd.as_fd(), libc::SOL_XDP, ring, ENTRIES).map_err(rings)?;
        }
        let offsets: libc::xdp_mmap_offsets =
            sockopt::get(fd.as_fd(), libc::SOL_XDP, libc::XDP_MMAP_OFFSETS).map_err(rings)?;
        Ok(Socket {
            rx: Consumer::map(fd.as_fd(), &offsets.rx, libc::XDP_PGOFF_RX_RING).map_err(rings)?,
            tx: Producer::map(fd.as_fd(), &offsets.tx, libc::XDP_PGOFF_TX_RING).map_err(rings)?,
            fill: Producer::map(fd.as_fd(), &offsets.fr, libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t)
                .map_err(rings)?,
            done: Consumer::map(fd.as_fd(), &offsets.cr, libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t)
                .map_err(rings)?,
            fd,
            chunks,
            zero_copy,
            busy_poll: false,
            long,
            joint: Joint::default(),
            not_sent: 0,
            dirty: false,
            down: false,
        })
    }

    fn bind(&self, ifindex: u32, queue: u32) -> io::Result<()> {
        let flags = match self.zero_copy {
            // A card tells when it wants to be woken. Copies are made in calls of ours, and on arrival.
            true => libc::XDP_ZEROCOPY | libc::XDP_USE_NEED_WAKEUP,
            false => libc::XDP_COPY,
        };
        let flags = if self.long { flags | libc::XDP_USE_SG } else { flags };
        let begun = Instant::now();
        loop {
            let Err(error) = bind(self.fd.as_fd(), ifindex, queue, flags) else { return Ok(()) };
            // A socket that was closed a moment ago is let go of later.
            if error.raw_os_error() != Some(libc::EBUSY) || begun.elapsed() > CLOSING {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the card reads and writes the memory itself.
    pub(crate) fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Whether calls of ours drive the queue.
    pub(crate) fn is_busy_polled(&self) -> bool {
        self.busy_poll
    }

    /// Whether frames wait to be taken.
    pub(crate) fn is_ready(&self) -> bool {
        !self.rx.is_empty()
    }

    /// Appends received frames to `batch`, those of `most` chunks; of longer ones buffers of their own are made, from `pool`.
    pub(crate) fn receive(&mut self, batch: &mut Vec<Frame>, most: usize, pool: &mut Pool) {
        if self.busy_poll && self.rx.is_empty() {
            self.poll_receive();
        }
        let mut taken = 0;
        while taken < most {
            let Some(desc) = self.rx.pop() else { break };
            // The kernel hands back what it was given, and nothing else.
            let Some(chunk) = self.chunks.receiving.remove(desc.addr) else { continue };
            taken += 1;
            let offset = (desc.addr as usize % CHUNK).saturating_sub(Frame::HEADROOM);
            let frame = Frame::lent(self.chunks.umem.lend(chunk, offset), desc.len as usize);
            let is_last = desc.options & libc::XDP_PKT_CONTD == 0;
            if self.long && (!is_last || self.joint.is_open()) {
                batch.extend(self.joint.add(frame, is_last, pool));
            } else {
                batch.push(frame);
            }
        }
        if taken > 0 {
            self.rx.release();
        }
        // Where nothing was free, nothing comes.
        if taken > 0 || self.chunks.receiving.count() < LEAST {
            self.refill();
        }
    }

    /// Gives the kernel chunks to receive into, up to this socket's share. A socket that has none is not heard of again: to
    /// be called now and then whether or not frames come.
    pub(crate) fn refill(&mut self) {
        let chunks = &mut self.chunks;
        let wanted = chunks.umem.share().saturating_sub(chunks.receiving.count());
        let mut given = 0;
        while given < wanted {
            let Some(chunk) = chunks.take_to_receive(wanted - given) else { break };
            if !self.fill.push(u64::from(chunk) * CHUNK as u64) {
                chunks.spare.push(chunk);
                break;
            }
            chunks.receiving.insert(chunk);
            given += 1;
        }
        if given > 0 {
            self.fill.publish();
        }
        if self.zero_copy && self.fill.needs_wakeup() {
            self.poll_receive();
        }
    }

    /// Whether copies can be queued that take so many chunks.
    pub(crate) fn has_room_for_copies(&mut self, chunks: usize) -> bool {
        self.has_room(chunks) && self.chunks.reserve(chunks)
    }

    fn has_room(&mut self, chunks: usize) -> bool {
        let kept = if self.long { KEPT } else { 0 };
        let chunks = u32::try_from(chunks + kept).unwrap_or(u32::MAX);
        if self.tx.has_room(chunks) {
            return true;
        }
        self.flush();
        self.tx.has_room(chunks)
    }

    /// Queues a frame that lies in a chunk, as it is; [`Socket::flush`] sends it. `len` bytes after [`Frame::HEADROOM`].
    ///
    /// # Errors
    /// The loan, when there is no room or it is not of this memory.
    pub(crate) fn send_lent(&mut self, loan: Loan, len: usize) -> Result<(), Loan> {
        if !self.has_room(1) {
            return Err(loan);
        }
        let Some((chunk, begin)) = self.chunks.umem.locate(loan.bytes()) else { return Err(loan) };
        loan.reclaim();
        self.queue(chunk, begin + Frame::HEADROOM as u64, len, true);
        Ok(())
    }

    /// Queues a copy of a frame, all of it or nothing; [`Socket::flush`] sends it. `false`: there is no room, or the frame
    /// takes several chunks, and the socket takes none such.
    pub(crate) fn send_copy(&mut self, bytes: &[u8]) -> bool {
        let pieces = bytes.chunks(CHUNK);
        let count = pieces.len();
        if count > 1 && !self.long || !self.has_room_for_copies(count) {
            return false;
        }
        for (number, piece) in pieces.enumerate() {
            let Some(chunk) = self.chunks.spare.pop() else { return false };
            self.chunks.umem.bytes(chunk, 0)[..piece.len()].copy_from_slice(piece);
            self.queue(chunk, u64::from(chunk) * CHUNK as u64, piece.len(), number + 1 == count);
        }
        true
    }

    fn queue(&mut self, chunk: Chunk, addr: u64, len: usize, is_last: bool) {
        self.chunks.sending.insert(chunk);
        let options = if is_last { 0 } else { libc::XDP_PKT_CONTD };
        // There is room: everybody who comes here has asked.
        self.tx.push(libc::xdp_desc { addr, len: len as u32, options });
        self.dirty = true;
    }

    /// Whether something was queued that the kernel has not taken.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Lets the kernel send what was queued, and takes back what it has sent.
    pub(crate) fn flush(&mut self) -> Sent {
        self.tx.publish();
        let mut left = self.tx.outstanding();
        let mut without_progress = 0;
        let outcome = loop {
            if left == 0 || self.zero_copy && !self.tx.needs_wakeup() {
                break Sent::Done;
            }
            match self.kick() {
                Ok(()) if self.zero_copy => break Sent::Done,
                Ok(()) => {}
                Err(error) => match error.raw_os_error() {
                    // Each time a frame is spent.
                    Some(libc::EBUSY) if !self.zero_copy => without_progress = 0,
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => {}
                    Some(libc::ENETDOWN) => break Sent::Down,
                    Some(libc::ENXIO | libc::ENODEV) => break Sent::Gone,
                    _ => break Sent::Refused,
                },
            }
            // A full queue of the interface sends none.
            let now = self.tx.outstanding();
            without_progress = if now < left { 0 } else { without_progress + 1 };
            left = now;
            if without_progress >= KICKS + left as usize / BUDGET {
                break Sent::Full;
            }
        };
        self.down = outcome == Sent::Down;
        self.dirty = left > 0 && !self.zero_copy && outcome == Sent::Full;
        self.reap();
        outcome
    }

    /// Whether the interface is there and up.
    pub(crate) fn probe(&mut self) -> Sent {
        match self.kick() {
            Err(error) => match error.raw_os_error() {
                Some(libc::ENXIO | libc::ENODEV) => Sent::Gone,
                Some(libc::ENETDOWN) => Sent::Down,
                _ => Sent::Done,
            },
            Ok(()) => Sent::Done,
        }
    }

    /// Whether the interface was down when something was sent last.
    pub(crate) fn is_down(&self) -> bool {
        self.down
    }

    /// Takes back the chunks of frames that have been sent.
    fn reap(&mut self) {
        let chunks = &mut self.chunks;
        let mut any = false;
        while let Some(address) = self.done.pop() {
            any = true;
            chunks.spare.extend(chunks.sending.remove(address));
        }
        if any {
            self.done.release();
        }
        if chunks.spare.len() > 2 * SPARE {
            chunks.umem.put(chunks.spare.drain(SPARE..));
        }
    }

    fn kick(&mut self) -> io::Result<()> {
        // SAFETY: no memory is touched: the message is empty and goes nowhere but to the socket's own rings.
        let result =
            unsafe { libc::sendto(self.fd.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // The link has dropped a frame (NET_XMIT_DROP, net/xdp/xsk.c).
        self.not_sent += u64::from(!self.zero_copy && error.raw_os_error() == Some(libc::EBUSY));
        Err(error)
    }

    /// Lets the kernel go on receiving. What it says tells nothing that is not seen in the rings.
    fn poll_receive(&self) {
        let (nothing, nobody) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no memory is touched: the buffer is empty, and no address is asked for.
        unsafe { libc::recvfrom(self.fd.as_raw_fd(), nothing, 0, libc::MSG_DONTWAIT, nobody, std::ptr::null_mut()) };
    }

    /// What the kernel counted.
    pub(crate) fn stats(&self) -> SocketStats {
        // rx_dropped, rx_invalid_descs, tx_invalid_descs, rx_ring_full, rx_fill_ring_empty_descs, tx_ring_empty_descs.
        let counted = sockopt::get(self.fd.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS);
        // Where frames are copied, one without a chunk counts as lost, too; a card asks for chunks ahead of frames. One
        // that has less than it takes of several is lost as well, and then none is for its length.
        let [lost, _, _, ring_full, empty, _]: [u64; 6] = counted.unwrap_or_default();
        let no_chunk = match (self.long, self.zero_copy) {
            (true, _) => lost,
            (false, true) => 0,
            (false, false) => empty.min(lost),
        };
        SocketStats { too_long: lost - no_chunk + self.joint.too_long(), no_chunk, ring_full, not_sent: self.not_sent }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let end = Instant::now() + DRAIN;
        self.flush();
        while self.chunks.sending.count() > 0 && !self.down && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
            if self.flush() == Sent::Gone {
                break;
            }
        }
        let Socket { tx, chunks, .. } = self;
        tx.unconsumed().for_each(|desc| chunks.spare.extend(chunks.sending.remove(desc.addr)));
    }
}

/// The chunks that a socket has, on both sides.
#[derive(Debug)]
struct Chunks {
    umem: &'static Umem,
    receiving: Ledger,
    sending: Ledger,
    spare: Vec<Chunk>,
    /// How long the card may use them after the socket was closed.
    let_go: Duration,
}

impl Chunks {
    fn new(umem: &'static Umem) -> Chunks {
        let none = || Ledger::new(umem.chunks());
        let spare = Vec::with_capacity(2 * SPARE + ENTRIES as usize);
        Chunks { umem, receiving: none(), sending: none(), spare, let_go: Duration::ZERO }
    }

    /// Whether there are so many spare ones to send from.
    fn reserve(&mut self, chunks: usize) -> bool {
        if self.spare.len() < chunks {
            self.umem.take(&mut self.spare, chunks.max(SPARE));
        }
        let enough = self.spare.len() >= chunks;
        if !enough {
            // Others may make do with them.
            self.umem.put(self.spare.drain(..));
        }
        enough
    }

    /// A free one to receive into, the first of `wanted`.
    fn take_to_receive(&mut self, wanted: usize) -> Option<Chunk> {
        if self.spare.is_empty() {
            self.umem.take_to_receive(&mut self.spare, wanted.min(SPARE));
        }
        self.spare.pop()
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        thread::sleep(self.let_go);
        if self.sending.count() > 0 {
            // The interface may still read them: others must not write there, ever.
            tracing::warn!(chunks = self.sending.count(), "an interface did not send what it was given");
        }
        self.umem.put(self.receiving.drain().into_iter().chain(self.spare.drain(..)));
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How many chunks a copy of `len` bytes takes. That of the longest frame takes 17: the kernel allows as many
/// (MAX_SKB_FRAGS), cards with zero-copy fewer, but more than the frames have that they carry.
pub(super) const fn chunks_of(len: usize) -> usize {
    len.div_ceil(CHUNK)
}

/// A socket that knows nothing.
pub(super) fn open() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket that knows its memory, and is bound to nothing.
pub(super) fn create(umem: &Umem) -> Result<OwnedFd, (&'static str, io::Error)> {
    let fd = open().map_err(|error| (step::OPEN, error))?;
    let memory = libc::xdp_umem_reg {
        addr: umem.address(),
        len: umem.len() as u64,
        chunk_size: CHUNK as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    sockopt::set(fd.as_fd(), libc::SOL_XDP, libc::XDP_UMEM_REG, memory).map_err(|error| (step::REGISTER, error))?;
    Ok(fd)
}

/// Binds a socket to a queue of an interface of the calling thread's network namespace.
pub(super) fn bind(socket: BorrowedFd<'_>, ifindex: u32, queue: u32, flags: u16) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the pointer and length describe `address`, which outlives the call; the kernel only reads it.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has calls of ours drive the interface's queue: 64 frames at a time, for up to 20 µs. Linux 5.11.
pub(super) fn prefer_busy_poll(fd: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::set(fd, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, 1)?;
    sockopt::set(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, 20)?;
    sockopt::set(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, 64)
}
