//! What each side of a TCP connection may send and acknowledge, learnt from what passed (Guido van Rooij, "Real stateful
//! TCP packet filtering in IP Filter"). All comparisons are modulo 2^32 (RFC 9293 section 3.4).

use crate::Direction;

use super::{Segment, Tcp, TcpState};

/// The side's window is scaled: it sent the option.
const SCALED: u8 = 1;
/// Nothing is known of its scaling, so it is not held to its window.
const LIBERAL: u8 = 2;
/// It sent something that was not acknowledged yet.
const UNACKNOWLEDGED: u8 = 4;
/// `max_ack` means something.
const HAS_ACKED: u8 = 8;
/// How far behind an acknowledgement may lag, at least: a whole window without scaling, and a little.
const MIN_LAG: u32 = 66_000;
/// The largest window there is (RFC 7323 section 2.3).
const MAX_WINDOW: u32 = 1 << 30;

/// One side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// The sequence number behind the last that it sent.
    end: u32,
    /// The sequence number that it may not send: where its peer's window ends.
    max_end: u32,
    /// Its largest window, shifted; 0 until it has sent anything.
    max_window: u32,
    /// The highest acknowledgement that it sent.
    max_ack: u32,
    scale: u8,
    flags: u8,
}

/// Whether a segment fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is in the window; the window has moved.
    Inside,
    /// It is not, as late segments are not: it does no harm.
    Old,
    /// It is not.
    Outside,
    /// There is nothing to hold it against.
    Unchecked,
}

#[inline]
pub(crate) const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

const fn after(a: u32, b: u32) -> bool {
    before(b, a)
}

impl Side {
    pub(crate) const NONE: Side = Side { end: 0, max_end: 0, max_window: 0, max_ack: 0, scale: 0, flags: 0 };

    /// The side that sent this SYN.
    pub(crate) fn opening(segment: &Segment) -> Side {
        Side::reopened(segment.end, segment.window, segment.scale)
    }

    /// A side whose SYN ended at `end`.
    pub(crate) fn reopened(end: u32, window: u16, scale: Option<u8>) -> Side {
        Side {
            end,
            max_end: end,
            max_window: u32::from(window).max(1),
            max_ack: 0,
            scale: scale.unwrap_or(0),
            flags: if scale.is_some() { SCALED } else { 0 },
        }
    }

    /// Both sides of a connection whose beginning was not seen.
    pub(crate) fn picked_up(segment: &Segment) -> [Side; 2] {
        let max_window = u32::from(segment.window).max(1);
        let first = Side { end: segment.end, max_end: segment.end.wrapping_add(max_window), max_window, ..Side::NONE };
        [Side { flags: LIBERAL, ..first }, Side { flags: LIBERAL, ..Side::NONE }]
    }

    /// The highest acknowledgement that it sent.
    pub(crate) fn acknowledged(&self) -> Option<u32> {
        (self.flags & HAS_ACKED != 0).then_some(self.max_ack)
    }

    #[inline]
    pub(super) fn touch(&self) -> u32 {
        self.end
    }

    /// Whether it is not held to its window.
    pub(crate) fn is_liberal(&self) -> bool {
        self.flags & LIBERAL != 0
    }

    /// From now on it is not held to its window.
    pub(crate) fn set_liberal(&mut self) {
        self.flags |= LIBERAL;
    }

    pub(crate) fn awaits_acknowledgement(&self) -> bool {
        self.flags & UNACKNOWLEDGED != 0
    }

    pub(crate) fn extend(&mut self, end: u32) {
        if after(end, self.end) {
            self.end = end;
            self.flags |= UNACKNOWLEDGED;
        }
    }
}

impl Tcp {
    /// Holds a segment against both windows and moves them.
    #[inline]
    pub(super) fn fit(&mut self, direction: Direction, segment: &Segment) -> Fit {
        let [original, reply] = &mut self.sides;
        let (sender, receiver) = match direction {
            Direction::Original => (original, reply),
            Direction::Reply => (reply, original),
        };
        let again = matches!(self.state, TcpState::SynSent | TcpState::SynRecv) && after(segment.end, sender.end);
        if segment.syn && (sender.max_window == 0 || again) {
            // The first SYN of this side, or another try with a higher number before the connection was open.
            let first = sender.max_window == 0;
            let opening = Side::opening(segment);
            *sender = Side { flags: opening.flags | sender.flags & LIBERAL, max_ack: sender.max_ack, ..opening };
            if direction == Direction::Reply && (sender.flags & receiver.flags & SCALED) == 0 {
                // Both have to offer it (RFC 7323 section 2.2).
                (sender.scale, receiver.scale) = (0, 0);
            }
            if !segment.has_ack && (first || direction == Direction::Reply) {
                return Fit::Unchecked;
            }
        } else if sender.max_window == 0 {
            let window = (u32::from(segment.window) << sender.scale).max(1);
            (sender.end, sender.max_window) = (segment.end, window);
            sender.max_end = segment.end.wrapping_add(window);
            if receiver.max_window == 0 {
                (receiver.end, receiver.max_end) = (segment.ack, segment.ack);
            } else if segment.ack == receiver.end.wrapping_add(1) {
                // The answer to a keep-alive: its byte was never counted.
                receiver.end = segment.ack;
            }
        }
        let (mut seq, mut end) = (segment.seq, segment.end);
        let unset = segment.rst && segment.ack == 0;
        let ack = if segment.has_ack && !unset { segment.ack } else { receiver.end };
        if segment.rst && seq == 0 && self.state == TcpState::SynSent {
            // The answer to a SYN: its sender had no sequence number yet (RFC 9293 section 3.10.7.1).
            (seq, end) = (sender.end, sender.end);
        }
        let not_old = receiver.max_window == 0 || !before(end, sender.end.wrapping_sub(receiver.max_window));
        let not_stale = !before(ack, receiver.end.wrapping_sub(sender.max_window.max(MIN_LAG)));
        let acks_what_was_sent = !after(ack, receiver.end);
        let liberal = sender.flags & LIBERAL != 0;
        if after(seq, sender.max_end) {
            let overshot = end.wrapping_sub(sender.max_end).wrapping_add(1);
            let fits = receiver.max_window != 0 && not_old && not_stale && acks_what_was_sent;
            if fits && overshot <= receiver.max_window {
                // A little more than its peer's window allowed: if that one takes it, its acknowledgement must fit.
                sender.end = end;
                sender.flags |= UNACKNOWLEDGED;
                return if liberal { Fit::Unchecked } else { Fit::Old };
            }
            return if liberal { Fit::Unchecked } else { Fit::Outside };
        }
        if !(acks_what_was_sent && not_old && not_stale) {
            return match (liberal, acks_what_was_sent) {
                (true, _) => Fit::Unchecked,
                (_, true) => Fit::Old,
                (_, false) => Fit::Outside,
            };
        }
        sender.sent(segment, ack, end);
        receiver.allowed(segment, ack, end, sender);
        Fit::Inside
    }
}

impl Side {
    /// Whether it has sent further than another one of the same ends.
    pub(crate) fn is_ahead_of(&self, other: &Side) -> bool {
        after(self.end, other.end)
    }

    /// Moves what it has sent, offered and acknowledged.
    fn sent(&mut self, segment: &Segment, ack: u32, end: u32) {
        let shift = if segment.syn { 0 } else { self.scale };
        self.max_window = self.max_window.max(u32::from(segment.window) << shift);
        self.extend(end);
        if segment.has_ack && (self.flags & HAS_ACKED == 0 || after(ack, self.max_ack)) {
            self.max_ack = ack;
            self.flags |= HAS_ACKED;
        }
    }

    /// Moves what it may send, by what `peer` said.
    fn allowed(&mut self, segment: &Segment, ack: u32, end: u32, peer: &Side) {
        if self.max_window != 0 && after(end, peer.max_end) {
            // The peer wrote past the window that was seen: a later one was not.
            self.max_window = self.max_window.saturating_add(end.wrapping_sub(peer.max_end)).min(MAX_WINDOW);
        }
        let shift = if segment.syn { 0 } else { peer.scale };
        let window = u32::from(segment.window) << shift;
        let limit = ack.wrapping_add(window);
        if !before(limit, self.max_end) {
            // Into a closed window one byte may be sent, to see whether it is open again.
            self.max_end = if window == 0 { limit.wrapping_add(1) } else { limit };
        }
        if ack == self.end {
            self.flags &= !UNACKNOWLEDGED;
        }
    }
}
