//! Rings between the kernel and one thread: one side writes entries and moves the producer's index, the other reads them and
//! moves the consumer's. Indices run freely and wrap at 2^32; both sides see an entry before the index that covers it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Entries that may stand in a ring: plain numbers.
pub(super) trait Entry: Copy {}
impl Entry for u64 {}
impl Entry for libc::xdp_desc {}

/// Entries of each ring: a power of two.
pub(super) const ENTRIES: u32 = 2048;

/// The mapping of one ring. The socket lives on as long as it does.
#[derive(Debug)]
struct Ring<T> {
    base: NonNull<u8>,
    len: usize,
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
}

// SAFETY: the mapping belongs to this value alone on our side, whichever thread has it; what the kernel does on the other
// side is ordered by the atomic indices.
unsafe impl<T: Entry> Send for Ring<T> {}

impl<T: Entry> Ring<T> {
    /// Maps the ring that lies at `page_offset` of the socket.
    fn map(fd: BorrowedFd<'_>, offsets: &libc::xdp_ring_offset, page_offset: libc::off_t) -> io::Result<Ring<T>> {
        let len = offsets.desc as usize + ENTRIES as usize * size_of::<T>();
        let fits = |offset: u64, size: usize| offset as usize + size <= len && offset.is_multiple_of(size as u64);
        let word = size_of::<AtomicU32>();
        if ![offsets.producer, offsets.consumer, offsets.flags].iter().all(|offset| fits(*offset, word))
            || !offsets.desc.is_multiple_of(align_of::<T>() as u64)
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        // SAFETY: a new mapping of the socket's memory, which touches no memory that anybody has.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, fd.as_raw_fd(), page_offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::InvalidData)?;
        // SAFETY: all four offsets lie in the mapping, which was checked above, aligned for what is there.
        let at = |offset: u64| unsafe { base.add(offset as usize) };
        Ok(Ring {
            base,
            len,
            producer: at(offsets.producer).cast(),
            consumer: at(offsets.consumer).cast(),
            flags: at(offsets.flags).cast(),
            entries: at(offsets.desc).cast(),
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: it points into the mapping, which lives as long as this value; the kernel uses it atomically, too.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: as above.
        let flags = unsafe { self.flags.as_ref() };
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn entry(&self, index: u32) -> NonNull<T> {
        // SAFETY: the index is less than ENTRIES, and the mapping has so many entries from there on.
        unsafe { self.entries.add((index % ENTRIES) as usize) }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is of this value's own making, and nothing that points into it outlives this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// A ring that we fill.
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// Where the next entry goes; the kernel sees those before it once they are published.
    next: u32,
    /// What the kernel had consumed when we last looked.
    consumed: u32,
}

impl<T: Entry> Producer<T> {
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        offsets: &libc::xdp_ring_offset,
        page_offset: libc::off_t,
    ) -> io::Result<Producer<T>> {
        Ok(Producer { ring: Ring::map(fd, offsets, page_offset)?, next: 0, consumed: 0 })
    }

    /// Whether so many more entries fit.
    pub(super) fn has_room(&mut self, entries: u32) -> bool {
        let free = |next: u32, consumed: u32| ENTRIES.saturating_sub(next.wrapping_sub(consumed));
        if free(self.next, self.consumed) < entries {
            self.consumed = self.ring.consumer().load(Ordering::Acquire);
        }
        free(self.next, self.consumed) >= entries
    }

    /// Appends an entry, if there is room; it is published later.
    pub(super) fn push(&mut self, entry: T) -> bool {
        if !self.has_room(1) {
            return false;
        }
        // SAFETY: the slot is in the mapping and aligned. It is ours: the kernel has consumed what was there, and sees
        // this one only when it is published.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the kernel what was appended.
    pub(super) fn publish(&mut self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// How many entries the kernel has not consumed yet.
    pub(super) fn outstanding(&mut self) -> u32 {
        self.consumed = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.consumed)
    }

    /// The entries that the kernel has not consumed, for when it no longer will.
    pub(super) fn unconsumed(&mut self) -> impl Iterator<Item = T> + '_ {
        let first = self.next.wrapping_sub(self.outstanding().min(ENTRIES));
        // SAFETY: the slot is in the mapping, aligned, and was written by `push`.
        (0..self.next.wrapping_sub(first))
            .map(move |index| unsafe { self.ring.entry(first.wrapping_add(index)).read() })
    }

    /// Whether the kernel wants to be told of new entries.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that the kernel fills.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    next: u32,
    /// What the kernel had produced when we last looked.
    produced: u32,
}

impl<T: Entry> Consumer<T> {
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        offsets: &libc::xdp_ring_offset,
        page_offset: libc::off_t,
    ) -> io::Result<Consumer<T>> {
        Ok(Consumer { ring: Ring::map(fd, offsets, page_offset)?, next: 0, produced: 0 })
    }

    /// The oldest entry; its place is free again once it is released.
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.next == self.produced {
            self.produced = self.ring.producer().load(Ordering::Acquire);
            if self.next == self.produced {
                return None;
            }
        }
        // SAFETY: the slot is in the mapping and aligned, and its entry, plain numbers, was written before the producer's
        // index that covers it was read.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Whether another entry is there.
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.produced && self.next == self.ring.producer().load(Ordering::Acquire)
    }

    /// Gives the places of the entries taken so far back to the kernel.
    pub(super) fn release(&mut self) {
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}
