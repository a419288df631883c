//! TCP as a tracker sees it: a state for the connection, a window for each side.
//! What a blind attacker sends (RFC 5961) may pass, so that its receiver can answer with a challenge; it changes no state.

mod segment;
mod state;
mod window;

pub(crate) use segment::Segment;
pub use state::TcpState;
pub(crate) use state::{Kind, Next, next};
pub(crate) use window::{Fit, Side};

use crate::{Direction, Reason, Settings};

/// A SYN was ignored: the next ACK of the other side may be a challenge, and acknowledges nothing.
const CHALLENGE: u8 = 1;
/// Both sides sent a SYN before they saw the other's.
const SIMULTANEOUS: u8 = 2;

/// What is known of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp {
    pub(crate) sides: [Side; 2],
    last_seq: u32,
    last_end: u32,
    last_window: u16,
    last_kind: Kind,
    last_direction: Direction,
    last_scale: Option<u8>,
    retransmissions: u8,
    flags: u8,
    pub(crate) state: TcpState,
}

/// What comes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It passes.
    Pass,
    /// It begins a new connection between the same ends.
    Reopen,
    /// It does not pass, and changed nothing.
    Invalid(Reason),
}

impl Tcp {
    /// Nothing known: what connections of other protocols have.
    pub(crate) const NONE: Tcp = Tcp {
        sides: [Side::NONE; 2],
        last_seq: 0,
        last_end: 0,
        last_window: 0,
        last_kind: Kind::None,
        last_direction: Direction::Original,
        last_scale: None,
        retransmissions: 0,
        flags: 0,
        state: TcpState::None,
    };

    /// A connection that `first` begins.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub(crate) fn begin(first: &Segment, settings: &Settings) -> Result<Tcp, Reason> {
        let mut tcp = Tcp::NONE;
        match next(Direction::Original, first.kind, TcpState::None) {
            Next::To(TcpState::SynSent) => tcp.sides[0] = Side::opening(first),
            Next::To(TcpState::Established) if settings.loose => tcp.sides = Side::picked_up(first),
            _ => return Err(Reason::TcpState),
        }
        match tcp.step(Direction::Original, first, false, settings) {
            Step::Pass => Ok(tcp),
            Step::Invalid(reason) => Err(reason),
            Step::Reopen => Err(Reason::TcpState),
        }
    }

    /// Takes a segment into account.
    #[inline]
    pub(crate) fn step(&mut self, direction: Direction, segment: &Segment, assured: bool, settings: &Settings) -> Step {
        let mut state = match next(direction, segment.kind, self.state) {
            Next::Invalid => return Step::Invalid(Reason::TcpState),
            Next::Ignore if self.answers_ignored_syn(direction, segment) => {
                self.resynchronise(direction);
                TcpState::SynRecv
            }
            Next::Ignore => {
                self.ignore(direction, segment);
                return Step::Pass;
            }
            Next::To(TcpState::SynSent) if self.state >= TcpState::TimeWait && self.state != TcpState::SynSent2 => {
                return Step::Reopen;
            }
            Next::To(state) => state,
        };
        match state {
            TcpState::TimeWait
                if self.state == TcpState::LastAck
                    && segment.kind == Kind::Ack
                    && self.last_kind == Kind::Syn
                    && self.last_direction != direction
                    && self.flags & CHALLENGE != 0 =>
            {
                self.flags &= !CHALLENGE;
                return Step::Pass;
            }
            TcpState::SynSent2 => self.flags |= SIMULTANEOUS,
            TcpState::SynRecv
                if direction == Direction::Reply && segment.kind == Kind::Ack && self.flags & SIMULTANEOUS != 0 =>
            {
                state = TcpState::Established;
            }
            TcpState::Close if segment.kind == Kind::Rst => match self.reset(direction, segment, assured) {
                Some(after) => state = after,
                None => return Step::Invalid(Reason::TcpReset),
            },
            _ => {}
        }
        match self.fit(direction, segment, state) {
            Fit::Inside => self.note(direction, segment),
            Fit::Outside if settings.liberal => {}
            Fit::Outside => return Step::Invalid(Reason::TcpWindow),
            Fit::Unchecked => self.remember(direction, segment),
        }
        self.state = state;
        Step::Pass
    }

    /// The state after a reset; `None` if it cannot be meant. In an established connection only the very next sequence
    /// number counts (RFC 5961 section 3.2): another in the window passes, and its receiver sends a challenge.
    fn reset(&self, direction: Direction, segment: &Segment, assured: bool) -> Option<TcpState> {
        let Some(expected) = self.sides[direction.reverse() as usize].acknowledged() else {
            return Some(TcpState::Close);
        };
        let established = self.state == TcpState::Established && assured;
        if segment.seq == 0 && !established {
            return Some(TcpState::Close);
        }
        if window::before(segment.seq, expected) {
            return None;
        }
        let exact = segment.seq == expected;
        // A sender that gives up right behind its last data: that may not have been acknowledged yet.
        let behind_data =
            self.last_kind == Kind::Ack && self.last_direction == direction && self.last_end == segment.seq;
        Some(if !established || exact || behind_data { TcpState::Close } else { self.state })
    }

    /// A SYN/ACK for a SYN that was ignored: both sides know of a connection that the tracker does not.
    fn answers_ignored_syn(&self, direction: Direction, segment: &Segment) -> bool {
        segment.kind == Kind::SynAck
            && self.last_kind == Kind::Syn
            && self.last_direction != direction
            && segment.ack == self.last_end
    }

    fn resynchronise(&mut self, direction: Direction) {
        self.sides[direction.reverse() as usize] = Side::reopened(self.last_end, self.last_window, self.last_scale);
        self.sides[direction as usize] = Side::NONE;
        self.flags = 0;
        self.retransmissions = 0;
    }

    fn ignore(&mut self, direction: Direction, segment: &Segment) {
        self.remember(direction, segment);
        self.flags &= !CHALLENGE;
        if segment.kind == Kind::Syn {
            self.flags |= CHALLENGE;
            self.last_scale = segment.scale;
        }
    }

    fn remember(&mut self, direction: Direction, segment: &Segment) {
        self.last_kind = segment.kind;
        self.last_direction = direction;
        self.last_seq = segment.seq;
        self.last_end = segment.end;
        self.last_window = segment.window;
    }

    /// Counts retransmissions: the same segment again, and nothing between.
    fn note(&mut self, direction: Direction, segment: &Segment) {
        let again = segment.kind == Kind::Ack
            && self.last_kind == Kind::Ack
            && self.last_direction == direction
            && (self.last_seq, self.last_end, self.last_window) == (segment.seq, segment.end, segment.window)
            && segment.end != segment.seq;
        self.retransmissions = if again { self.retransmissions.saturating_add(1) } else { 0 };
        self.remember(direction, segment);
    }

    /// Reads at both ends.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        self.sides[0].touch() ^ self.last_end
    }

    /// More of a segment that came in pieces: its end is at `end`.
    pub(crate) fn extend(&mut self, direction: Direction, end: u32) {
        self.sides[direction as usize].extend(end);
    }

    /// Idle time in seconds.
    pub(crate) fn timeout(&self, replied: bool, settings: &Settings) -> u32 {
        let timers = &settings.timers;
        let mut timeout = timers.tcp(self.state);
        if self.retransmissions >= settings.max_retransmissions {
            timeout = timeout.min(timers.tcp_retransmitting);
        } else if self.sides.iter().any(Side::awaits_acknowledgement) {
            timeout = timeout.min(timers.tcp_unacknowledged);
        }
        if !replied && self.state == TcpState::Established {
            timeout = timeout.min(timers.tcp_pickup);
        }
        timeout
    }
}
