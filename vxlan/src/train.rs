//! Trains: datagrams of equal size for one peer and one source port, which leave in one send (UDP_SEGMENT).
//! Within one (peer, source port) the order of frames is kept: a frame that does not fit couples to a new train behind.

use std::net::IpAddr;

use wire::{Frame, Gso, Headers};

use crate::{HEADER_LEN, Vni, encode};

/// Longest payload of one send, in bytes: what fits an IPv6 datagram, which is the smaller one with its headers.
const MAX_SEND: usize = 65_487;
/// Most segments of one send (UDP_MAX_SEGMENTS of Linux before 6.9).
const MAX_SEGMENTS: usize = 64;
/// A train this long takes no further frame: a whole super-frame should not be split over two sends.
const COUPLE_BELOW: usize = 16_384;

/// Datagrams of `segment` bytes each, the last one perhaps shorter.
#[derive(Debug)]
pub struct Train {
    /// Where it goes.
    pub to: IpAddr,
    /// What chooses the source port.
    pub entropy: u32,
    /// Outer ECN bits.
    pub ecn: u8,
    segment: usize,
    bytes: Vec<u8>,
    closed: bool,
}

impl Train {
    /// The sends that it makes: bytes, and the size of each datagram in them. Never more than one send takes.
    pub fn sends(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let segments = (MAX_SEND / self.segment).clamp(1, MAX_SEGMENTS);
        self.bytes.chunks(segments * self.segment).map(|bytes| (bytes, self.segment))
    }

    /// How many datagrams it holds.
    pub fn datagrams(&self) -> usize {
        self.bytes.len().div_ceil(self.segment)
    }
}

/// The trains of one turn, in the order in which they were started.
#[derive(Debug, Default)]
pub struct Trains {
    trains: Vec<Train>,
    spare: Vec<Vec<u8>>,
}

impl Trains {
    /// Encapsulates `frame` for network `vni` towards `to`. `lane` decides which frames may share a train: equal lanes
    /// use the same source port.
    ///
    /// # Errors
    /// When the frame's offload metadata contradicts its headers; nothing was added then.
    pub fn push(
        &mut self,
        to: IpAddr,
        lane: u32,
        vni: Vni,
        frame: &Frame,
        headers: &Headers,
    ) -> Result<(), wire::CutError> {
        let segment = HEADER_LEN + wire::segment_len(frame, headers);
        let ecn = wire::ecn(frame.bytes(), headers).unwrap_or(0);
        let open = self.trains.iter().rposition(|t| t.entropy == lane && t.to == to);
        let fits = |t: &Train| !t.closed && t.ecn == ecn && segment <= t.segment && t.bytes.len() < COUPLE_BELOW;
        let at = match open.filter(|&at| fits(&self.trains[at])) {
            // Several segments, shorter than the train's, would be more than one short one.
            Some(at) if segment == self.trains[at].segment || frame.offload.gso() == Gso::None => at,
            _ => {
                let bytes = self.spare.pop().unwrap_or_default();
                self.trains.push(Train { to, entropy: lane, ecn, segment, bytes, closed: false });
                self.trains.len() - 1
            }
        };
        let train = &mut self.trains[at];
        let cut = wire::cut(frame, headers, &encode(vni), &mut train.bytes);
        match cut {
            Ok(cut) => train.closed = cut.last_len != train.segment,
            Err(_) if train.bytes.is_empty() => {
                if let Some(train) = self.trains.pop() {
                    self.spare.push(train.bytes);
                }
            }
            Err(_) => {}
        }
        cut.map(|_| ())
    }

    /// The trains made so far.
    pub fn iter(&self) -> impl Iterator<Item = &Train> {
        self.trains.iter()
    }

    /// How many trains there are.
    pub fn len(&self) -> usize {
        self.trains.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// Forgets all trains and keeps their memory.
    pub fn clear(&mut self) {
        for mut train in self.trains.drain(..) {
            train.bytes.clear();
            self.spare.push(train.bytes);
        }
    }
}
