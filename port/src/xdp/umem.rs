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
/// Chunks that a socket may always have to receive into, and as many as one ever has.
const SHARE: std::ops::RangeInclusive<usize> = 64..=1024;

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

    /// A socket comes: it may have at least the least share.
    ///
    /// # Errors
    /// Too little memory for one more.
    pub(super) fn enter(&self) -> io::Result<()> {
        let sockets = self.sockets.fetch_add(1, Ordering::Relaxed) + 1;
        if sockets * SHARE.start() > self.receiving() || self.free().len() < *SHARE.start() {
            self.leave();
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    /// A socket goes.
    pub(super) fn leave(&self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many chunks a socket should have to receive into. A quarter of all is for what is sent.
    pub(super) fn share(&self) -> usize {
        let fair = self.receiving() / self.sockets.load(Ordering::Relaxed).max(1);
        fair.clamp(*SHARE.start(), *SHARE.end())
    }

    fn receiving(&self) -> usize {
        self.chunks / 4 * 3
    }

    /// Moves up to `most` free chunks to `to`.
    pub(super) fn take(&self, to: &mut Vec<Chunk>, most: usize) {
        let mut free = self.free();
        let rest = free.len().saturating_sub(most);
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
    fn what_is_too_small_is_refused_and_shares_shrink() {
        let umem = Umem::map(1 << 20).unwrap();
        assert_eq!(umem.chunks(), 256);
        for sockets in 1..=3 {
            umem.enter().unwrap();
            assert_eq!(umem.share(), 192 / sockets);
        }
        assert_eq!(umem.enter().unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        umem.leave();
        assert_eq!(umem.share(), 96);
        umem.unmap();
    }
}
