//! Joining (GRO): the segments of one flow, received one after the other, become a super-frame that a container's kernel
//! takes in one piece. What is joined can be cut into the same segments again; what cannot is left alone.
//! Never reorders: a segment that does not fit first pushes out what is held.

mod pattern;
mod segment;

use crate::checksum::{self, fold};
use crate::word::{get, put};
use crate::{FlowKey, Frame, Gso, Headers, Layer3, Offload, Pool};
use pattern::Pattern;
use segment::{MAX_PACKET, PSH, Segment};

/// Most datagrams in one UDP super-frame (UDP_MAX_SEGMENTS of Linux before 6.9).
const MAX_DATAGRAMS: usize = 64;

/// What became of a segment.
#[derive(Debug)]
pub enum Push {
    /// It is held; more may follow.
    Taken,
    /// It was the last that fits: here is the frame that ends with it. Nothing is held now.
    Full(Frame),
    /// It was not taken. Here is what was held, if anything, to be passed on first; then push the segment again, or, if
    /// nothing was held, pass it on as it is: it cannot be joined.
    Flushed(Option<Frame>),
    /// It was not taken, because its IPv4 header checksum or its transport checksum is wrong (or partial: see
    /// [`checksum::is_partial`]). What is held is still held: call [`Joiner::flush`] before passing the segment on.
    BadChecksum,
}

/// Holds at most one frame under construction, from one run of frames that were received together.
#[derive(Debug, Default)]
pub struct Joiner {
    udp: bool,
    held: Option<Held>,
}

impl Joiner {
    /// Joins TCP alone.
    pub fn new() -> Joiner {
        Joiner::default()
    }

    /// Whether UDP is joined as well: the receiver must know [`Gso::Udp`] (Linux 6.2 and later).
    pub fn with_udp(self, udp: bool) -> Joiner {
        Joiner { udp, ..self }
    }

    /// The flow of the frame that is held.
    pub fn key(&self) -> Option<&FlowKey> {
        self.held.as_ref().map(|held| &held.headers.key)
    }

    /// Tries to take a segment, which is `bytes` with its `headers`. A first one is copied into a frame of `pool`, others
    /// are appended to it. Checksums are verified before anything is taken; link padding is left out.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], headers: &Headers, pool: &mut Pool) -> Push {
        match Segment::of(bytes, headers, self.udp) {
            Some(segment) => self.take(&segment, pool),
            None => Push::Flushed(self.flush()),
        }
    }

    /// Tries to take bytes that were not parsed: `None`, and nothing happened, unless they are of the same flow as what is
    /// held and have headers of the same length. One comparison with the segment before replaces a parse and a look-up.
    #[inline]
    pub fn push_next(&mut self, bytes: &[u8], pool: &mut Pool) -> Option<Push> {
        let held = self.held.as_mut()?;
        if let Some(full) = held.push_next(bytes) {
            return Some(match self.held.take_if(|_| full) {
                Some(held) => Push::Full(held.finish()),
                None => Push::Taken,
            });
        }
        let headers = held.first().headers_of_next(bytes)?;
        Some(self.push(bytes, &headers, pool))
    }

    fn take(&mut self, segment: &Segment<'_>, pool: &mut Pool) -> Push {
        if let Some(held) = &self.held
            && !held.continues(segment)
        {
            return Push::Flushed(self.flush());
        }
        if !segment.is_sound() {
            return Push::BadChecksum;
        }
        let full = match &mut self.held {
            Some(held) => held.append(segment),
            None => self.held.insert(Held::start(segment, pool.get())).is_full(segment.is_pushed()),
        };
        match self.held.take_if(|_| full) {
            Some(held) => Push::Full(held.finish()),
            None => Push::Taken,
        }
    }

    /// The frame that is held, finished: a super-frame, or an ordinary one if it is of one segment.
    pub fn flush(&mut self) -> Option<Frame> {
        self.held.take().map(Held::finish)
    }
}

/// The frame under construction: the first segment's headers, and the payloads of all.
#[derive(Debug)]
struct Held {
    frame: Frame,
    headers: Headers,
    pattern: Pattern,
    /// Payload bytes of each segment but the last.
    size: usize,
    count: usize,
    /// TCP sequence number that the next segment must have.
    sequence: u32,
    pushed: bool,
}

impl Held {
    fn start(segment: &Segment<'_>, mut frame: Frame) -> Held {
        frame.fill(segment.bytes);
        let size = segment.payload().len();
        let sequence = segment.sequence().wrapping_add(size as u32);
        let (headers, pattern) = (*segment.headers, Pattern::of(segment));
        Held { frame, headers, pattern, size, count: 1, sequence, pushed: segment.is_pushed() }
    }

    fn first(&self) -> Segment<'_> {
        Segment { bytes: self.frame.bytes(), headers: &self.headers }
    }

    /// Appends bytes that were not parsed, if they are plainly the next segment of this run; says whether the run ends with
    /// it. `None`, and nothing happened: they may be, but look closer.
    #[inline]
    fn push_next(&mut self, bytes: &[u8]) -> Option<bool> {
        if !self.pattern.fits(self.frame.bytes(), bytes) {
            return None;
        }
        let headers = Headers { end: bytes.len() as u32, ..self.headers };
        let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
        let segment = Segment { bytes, headers: &headers };
        let (first, len) = (self.first(), segment.payload().len());
        let whole = match headers.layer3 {
            Layer3::Ipv4 => usize::from(get(bytes, l3 + 2)) == bytes.len() - l3,
            _ => usize::from(get(bytes, l3 + 4)) == bytes.len() - l4,
        };
        let counted = match segment.is_tcp() {
            true => segment.sequence() == self.sequence,
            false => get(bytes, l4 + 6) != 0 && usize::from(get(bytes, l4 + 4)) == bytes.len() - l4,
        };
        let fits = whole
            && counted
            && len <= self.size
            && self.packet_len() + len <= MAX_PACKET
            && self.has_next_id(&first, &segment)
            && segment.is_sound();
        fits.then(|| self.append(&segment))
    }

    /// Whether the identification, if it means something, counts on.
    fn has_next_id(&self, first: &Segment<'_>, segment: &Segment<'_>) -> bool {
        first.has_free_id() || segment.id() == first.id().wrapping_add(self.count as u16)
    }

    /// Whether the segment is the next of this run.
    fn continues(&self, segment: &Segment<'_>) -> bool {
        let len = segment.payload().len();
        let first = self.first();
        len <= self.size
            && self.packet_len() + len <= MAX_PACKET
            && (!segment.is_tcp() || segment.sequence() == self.sequence)
            && first.is_alike(segment)
            && self.has_next_id(&first, segment)
    }

    /// Appends a segment that continues this run; says whether the run ends with it.
    fn append(&mut self, segment: &Segment<'_>) -> bool {
        let payload = segment.payload();
        if !self.frame.extend(payload) {
            return true;
        }
        self.count += 1;
        self.sequence = self.sequence.wrapping_add(payload.len() as u32);
        self.pushed = segment.is_pushed();
        self.is_full(self.pushed || payload.len() < self.size)
    }

    /// Whether no further segment can follow; `ended` if the last one said so.
    fn is_full(&self, ended: bool) -> bool {
        ended || self.packet_len() + self.size > MAX_PACKET || (!self.first().is_tcp() && self.count == MAX_DATAGRAMS)
    }

    /// Length of the IP packet so far, in bytes.
    fn packet_len(&self) -> usize {
        self.frame.len() - usize::from(self.headers.l3)
    }

    fn finish(mut self) -> Frame {
        if self.count == 1 {
            self.frame.offload = Offload::VALID;
            return self.frame;
        }
        let tcp = self.first().is_tcp();
        let (l3, l4) = (usize::from(self.headers.l3), usize::from(self.headers.l4));
        let (packet_len, len) = (self.packet_len(), self.frame.len() - l4);
        // The device that cuts the frame adds the sum of the rest to the pseudo-header's.
        let pseudo = checksum::pseudo(self.frame.bytes(), &self.headers, len).map_or(0, fold);
        let (ip, transport) = self.frame.bytes_mut()[l3..].split_at_mut(l4 - l3);
        let gso = if self.headers.layer3 == Layer3::Ipv4 {
            put(ip, 2, packet_len as u16);
            let sum = checksum::ipv4_header(ip);
            put(ip, 10, sum);
            if tcp { Gso::Tcp4 } else { Gso::Udp }
        } else {
            put(ip, 4, (packet_len - ip.len()) as u16);
            if tcp { Gso::Tcp6 } else { Gso::Udp }
        };
        let offset = if tcp { 16 } else { 6 };
        put(transport, offset, pseudo);
        if !tcp {
            put(transport, 4, len as u16);
        } else if self.pushed {
            transport[13] |= PSH;
        }
        self.frame.offload =
            Offload::segmented(gso, self.size as u16, self.headers.payload, self.headers.l4, offset as u16);
        self.frame
    }
}
