//! The memory that AF_XDP sockets and the switch share: chunks of one size, mapped once for the whole process and never
//! unmapped. Every socket registers all of it, so that a frame which came in by one leaves by another without a copy.
//! (The kernel's own sharing of a UMEM gives all sockets the zero-copy mode of the first.)
//! Invariant: a chunk's number is in one place only: the free list, a loan, or the ledger of the socket that has it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use wire::Loan;

/// Bytes of a chunk: a page, the largest that the kernel allows.
pub(super) const CHUNK: usize = 4096;

/// What is mapped unless [`set_memory`] says otherwise, in bytes.
const USUAL: usize = 64 << 20;
/// Least and most that can be asked for, in bytes.
const RANGE: std::ops::RangeInclusive<usize> = (1 << 20)..=(8 << 30);
/// Chunks that a socket may always have to receive into.
pub(super) const LEAST: usize = 64;
/// Chunks that one ever has to receive into.
pub(super) const MOST: usize = 1024;
/// Sockets that are reckoned with at the least.
const FEWEST: usize = 2;

static SIZE: AtomicUsize = AtomicUsize::new(USUAL);
static UMEM: OnceLock<Umem> = OnceLock::new();

/// The number of a chunk that nobody else has.
pub(super) type Chunk = u32;

#[derive(Debug)]
pub(super) struct Umem {
    /// Address of the first byte; a multiple of the page size.
    base: usize,
    chunks: usize,
    free: Mutex<Vec<Chunk>>,
    sockets: AtomicUsize,
}

/// Sets how much memory AF_XDP ports share, in bytes, 1 MiB to 8 GiB; other numbers become the nearest of these. It is taken
/// when the first such port is made, and stays.
pub fn set_memory(bytes: usize) {
    SIZE.store(bytes.clamp(*RANGE.start(), *RANGE.end()), Ordering::Relaxed);
}

/// The process's memory, mapped by the first who asks.
pub(super) fn get() -> io::Result<&'static Umem> {
    // Two who ask at once: one of the mappings is not needed.
    if UMEM.get().is_none()
        && let Err(second) = UMEM.set(Umem::map(SIZE.load(Ordering::Relaxed))?)
    {
        second.unmap();
    }
    UMEM.get().ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Chunks in use and in all, of memory that is there.
pub(super) fn usage() -> Option<(usize, usize)> {
    UMEM.get().map(|umem| (umem.chunks - umem.free().len(), umem.chunks))
}

/// The end of a loan.
fn give_back(bytes: &'static mut [u8]) {
    if let Some(umem) = UMEM.get() {
        let chunk = umem.chunk_of(bytes);
        umem.free().extend(chunk);
    }
}

impl Umem {
    pub(super) fn map(len: usize) -> io::Result<Umem> {
        let chunks = len / CHUNK;
        let len = chunks * CHUNK;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping, which touches no memory that anybody has.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        for advice in [libc::MADV_HUGEPAGE, libc::MADV_DONTFORK] {
            // SAFETY: the range is the mapping made above. Both are only about how it is backed and inherited; where the
            // kernel knows them not, nothing is lost but speed.
            unsafe { libc::madvise(base, len, advice) };
        }
        let free = (0..chunks as Chunk).rev().collect();
        Ok(Umem { base: base.expose_provenance(), chunks, free: Mutex::new(free), sockets: AtomicUsize::new(0) })
    }

    /// Takes the mapping back.
    pub(super) fn unmap(self) {
        // SAFETY: the mapping is of this value's own making, and no chunk of it was handed out: it was never published.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(self.base), self.len()) };
    }

    /// Address of the first byte, for the kernel.
    pub(super) fn address(&self) -> u64 {
        self.base as u64
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.chunks * CHUNK
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> usize {
        self.chunks
    }

    /// All sockets of a port come, before the first of them takes anything.
    ///
    /// # Errors
    /// Too little memory for the least share of each.
    pub(super) fn enter(&self, sockets: usize) -> io::Result<Seats<'_>> {
        let seats = Seats { umem: self, sockets };
        let all = self.sockets.fetch_add(sockets, Ordering::Relaxed) + sockets;
        if all * LEAST > self.receiving() || self.left() < sockets * LEAST {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(seats)
    }

    /// How many chunks a socket should have to receive into: as many as every socket could have once more of what is left.
    /// So each of those that entered gets the least at least, something is left for who comes later, and who has more than
    /// others gives it back as it receives.
    pub(super) fn share(&self) -> usize {
        (self.left() / self.sockets.load(Ordering::Relaxed).max(FEWEST)).clamp(LEAST, MOST)
    }

    /// How many are free to receive into.
    fn left(&self) -> usize {
        self.free().len().saturating_sub(self.sending())
    }

    /// How many are for what is sent: a quarter.
    fn sending(&self) -> usize {
        self.chunks - self.receiving()
    }

    fn receiving(&self) -> usize {
        self.chunks / 4 * 3
    }

    /// Moves up to `most` free chunks to `to`, to send from.
    pub(super) fn take(&self, to: &mut Vec<Chunk>, most: usize) {
        self.take_but(to, most, 0);
    }

    /// The same, to receive into: none of those that are for what is sent.
    pub(super) fn take_to_receive(&self, to: &mut Vec<Chunk>, most: usize) {
        self.take_but(to, most, self.sending());
    }

    fn take_but(&self, to: &mut Vec<Chunk>, most: usize, kept: usize) {
        let mut free = self.free();
        let rest = free.len().saturating_sub(most).max(kept).min(free.len());
        to.extend(free.drain(rest..));
    }

    /// Takes chunks back.
    pub(super) fn put(&self, chunks: impl IntoIterator<Item = Chunk>) {
        self.free().extend(chunks);
    }

    /// The bytes of a chunk from `offset` on.
    pub(super) fn bytes(&self, chunk: Chunk, offset: usize) -> &'static mut [u8] {
        let (at, offset) = (chunk as usize % self.chunks * CHUNK, offset.min(CHUNK));
        let first: *mut u8 = std::ptr::with_exposed_provenance_mut(self.base + at + offset);
        // SAFETY: the range lies in one chunk of the mapping, which is never unmapped. Who has a chunk's number has the
        // chunk alone (the invariant above), and gives the number away for the reference here.
        unsafe { std::slice::from_raw_parts_mut(first, CHUNK - offset) }
    }

    /// The same as a loan.
    pub(super) fn lend(&self, chunk: Chunk, offset: usize) -> Loan {
        Loan::new(self.bytes(chunk, offset), give_back)
    }

    /// The chunk that a part of it belongs to, and where in the memory that part begins; `None`: bytes of somebody else.
    pub(super) fn locate(&self, bytes: &[u8]) -> Option<(Chunk, u64)> {
        let at = bytes.as_ptr().addr().checked_sub(self.base).filter(|at| *at < self.len())?;
        Some(((at / CHUNK) as Chunk, at as u64))
    }

    fn chunk_of(&self, bytes: &'static mut [u8]) -> Option<Chunk> {
        self.locate(bytes).map(|(chunk, _)| chunk)
    }

    fn free(&self) -> MutexGuard<'_, Vec<Chunk>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The count of a port's sockets, until it goes.
#[derive(Debug)]
pub(super) struct Seats<'a> {
    umem: &'a Umem,
    sockets: usize,
}

impl Drop for Seats<'_> {
    fn drop(&mut self) {
        self.umem.sockets.fetch_sub(self.sockets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_lent_and_come_back() {
        let umem = get().unwrap();
        let mut taken = Vec::new();
        umem.take(&mut taken, 2);
        let [one, two] = taken[..] else { panic!("{taken:?}") };
        let mut loan = umem.lend(one, 256);
        loan.bytes_mut().fill(7);
        assert_eq!(loan.bytes().len(), CHUNK - 256);
        assert_eq!(umem.locate(&loan.bytes()[10..]), Some((one, u64::from(one) * CHUNK as u64 + 266)));
        assert_eq!(umem.locate(&[1, 2, 3]), None);
        drop(loan);
        umem.put([two]);
        // Others may take and give meanwhile, but never these two at once.
        taken.clear();
        umem.take(&mut taken, umem.chunks());
        let mut sorted = taken.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), taken.len(), "none is there twice");
        umem.put(taken);
    }

    #[test]
    fn what_is_too_small_is_refused() {
        let umem = Umem::map(1 << 20).unwrap();
        assert_eq!(umem.chunks(), 256);
        let two = umem.enter(2).unwrap();
        let one = umem.enter(1).unwrap();
        assert_eq!(umem.enter(1).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        drop(one);
        assert_eq!(umem.enter(2).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        let mut taken = Vec::new();
        umem.take_to_receive(&mut taken, 192 - 63);
        assert!(umem.enter(1).is_err(), "too few are free");
        umem.put(taken.pop());
        drop(umem.enter(1).unwrap());
        drop(two);
        umem.unmap();
    }

    /// As sockets do when they open: each fills its ring.
    fn fill(umem: &Umem, sockets: usize) -> Vec<Vec<Chunk>> {
        let fill = |_| {
            let mut ring = Vec::new();
            umem.take_to_receive(&mut ring, umem.share());
            ring
        };
        (0..sockets).map(fill).collect()
    }

    #[test]
    fn every_socket_has_something_to_receive_into_and_a_quarter_stays() {
        for (ports, queues) in [(1, 1), (1, 32), (1, 64), (2, 64), (3, 32), (40, 1)] {
            let umem = Umem::map(USUAL).unwrap();
            let mut seats = Vec::new();
            for port in 0..ports {
                seats.push(umem.enter(queues).unwrap());
                for ring in fill(&umem, queues) {
                    assert!((LEAST..=MOST).contains(&ring.len()), "port {port} of {queues}: {}", ring.len());
                }
            }
            let mut rest = Vec::new();
            umem.take_to_receive(&mut rest, umem.chunks());
            assert_eq!(umem.free().len(), umem.chunks() / 4, "these are for what is sent");
            assert_eq!(umem.share(), LEAST);
            umem.take(&mut rest, 1);
            assert_eq!(umem.free().len(), umem.chunks() / 4 - 1);
            drop(seats);
            umem.unmap();
        }
    }
}
