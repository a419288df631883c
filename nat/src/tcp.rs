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

/// A SYN was ignored while the last ACK was awaited: the next ACK of the other side may be a challenge, and acknowledges
/// nothing.
const CHALLENGE: u8 = 1;
/// Both sides sent a SYN before they saw the other's.
const SIMULTANEOUS: u8 = 2;
/// A side has closed while the other was open, or has refused what the other began.
const CLOSING: u8 = 4;

/// What is known of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp {
    pub(crate) sides: [Side; 2],
    last_end: u32,
    last_ack: u32,
    last_len: u16,
    last_window: u16,
    last_kind: Kind,
    last_direction: Direction,
    last_scale: Option<u8>,
    retransmissions: u8,
    flags: u8,
    pub(crate) state: TcpState,
}

/// What else is known of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The other side has answered before.
    pub(crate) replied: bool,
    /// It is not given up early.
    pub(crate) assured: bool,
}

/// What comes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It passes.
    Pass,
    /// It passes, and nothing follows from it: it is old, or its receiver knows better.
    Ignored,
    /// It begins a new connection between the same ends.
    Reopen,
    /// It does not pass, and changed nothing.
    Invalid(Reason),
    /// It does not pass; but both sides seem to be closing what was seen differently here.
    Diverged(Reason),
}

impl Tcp {
    /// Nothing known: what connections of other protocols have.
    pub(crate) const NONE: Tcp = Tcp {
        sides: [Side::NONE; 2],
        last_end: 0,
        last_ack: 0,
        last_len: 0,
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
        match tcp.step(Direction::Original, first, Held { replied: false, assured: false }, settings) {
            Step::Pass | Step::Ignored => Ok(tcp),
            Step::Invalid(reason) | Step::Diverged(reason) => Err(reason),
            Step::Reopen => Err(Reason::TcpState),
        }
    }

    /// Takes a segment into account.
    #[inline]
    pub(crate) fn step(&mut self, direction: Direction, segment: &Segment, held: Held, settings: &Settings) -> Step {
        let mut old = self.state;
        let mut state = match next(direction, segment.kind, old) {
            Next::Invalid => return Step::Invalid(Reason::TcpState),
            Next::To(TcpState::SynSent) if old >= TcpState::TimeWait && self.is_over(direction) => return Step::Reopen,
            Next::To(TcpState::SynSent) if old < TcpState::TimeWait => TcpState::SynSent,
            Next::To(TcpState::SynSent) | Next::Ignore if self.answers_ignored_syn(direction, segment) => {
                self.resynchronise(direction);
                old = TcpState::SynSent;
                TcpState::SynRecv
            }
            Next::To(TcpState::SynSent) | Next::Ignore => {
                self.ignore(direction, segment);
                return Step::Ignored;
            }
            Next::To(state) => state,
        };
        let mut unchecked = false;
        match state {
            TcpState::TimeWait
                if old == TcpState::LastAck
                    && segment.kind == Kind::Ack
                    && self.last_kind == Kind::Syn
                    && self.last_direction != direction
                    && self.flags & CHALLENGE != 0 =>
            {
                self.flags &= !CHALLENGE;
                return Step::Ignored;
            }
            TcpState::SynSent2 => self.flags |= SIMULTANEOUS,
            TcpState::SynRecv
                if direction == Direction::Reply && segment.kind == Kind::Ack && self.flags & SIMULTANEOUS != 0 =>
            {
                state = TcpState::Established;
            }
            TcpState::Close if segment.kind == Kind::Rst => match self.reset(direction, segment, held) {
                Some(reset) => (state, unchecked) = reset,
                None => return Step::Invalid(Reason::TcpReset),
            },
            _ => {}
        }
        let fit = if unchecked { Fit::Unchecked } else { self.fit(direction, segment) };
        match fit {
            Fit::Inside => self.note(direction, segment),
            _ if settings.liberal => {}
            Fit::Unchecked => {}
            Fit::Old => return Step::Ignored,
            Fit::Outside => return self.refuse(direction, segment, held),
        }
        (self.last_kind, self.last_direction) = (segment.kind, direction);
        let refused = segment.kind == Kind::Rst && direction == Direction::Reply && !held.replied;
        if old != state && state == TcpState::FinWait || refused {
            self.flags |= CLOSING;
        }
        self.state = state;
        Step::Pass
    }

    /// Whether the connection is over, so that a SYN may begin another: it was closed, or this side has reset it.
    fn is_over(&self, direction: Direction) -> bool {
        self.flags & CLOSING != 0 || self.last_direction == direction && self.last_kind == Kind::Rst
    }

    /// The state after a reset, and whether it need not be in the window; `None` if it cannot be meant. In an established
    /// connection only the very next sequence number counts (RFC 5961 section 3.2): another in the window passes, and its
    /// receiver sends a challenge.
    fn reset(&self, direction: Direction, segment: &Segment, held: Held) -> Option<(TcpState, bool)> {
        let old = self.state;
        if matches!(
            old,
            TcpState::FinWait | TcpState::CloseWait | TcpState::LastAck | TcpState::TimeWait | TcpState::Close
        ) {
            // The ends may have moved on already.
            return Some((TcpState::Close, true));
        }
        let mut state = TcpState::Close;
        if let Some(expected) = self.sides[direction.reverse() as usize].acknowledged()
            && self.last_kind != Kind::Syn
        {
            let established = old == TcpState::Established && held.assured;
            if segment.seq == 0 && !established {
                return Some((state, false));
            }
            if window::before(segment.seq, expected) {
                return None;
            }
            // A sender that gives up right behind its last data: that may not have been acknowledged yet.
            let behind_data =
                self.last_kind == Kind::Ack && self.last_direction == direction && self.last_end == segment.seq;
            if !established || segment.seq == expected || behind_data {
                return Some((state, false));
            }
            state = old;
        }
        // An answer to a SYN or an ACK that was let through though it did not fit.
        let answers = (held.replied && self.last_kind == Kind::Syn || !held.assured && self.last_kind == Kind::Ack)
            && self.last_direction != direction
            && segment.ack == self.last_end;
        let answers_challenge = old == TcpState::SynSent
            && self.last_kind == Kind::Ack
            && self.last_direction == Direction::Reply
            && segment.seq == self.last_ack;
        Some((state, answers || answers_challenge))
    }

    /// Refuses a segment. One that closes is remembered: if the other side answers in kind, the connection is out of step.
    fn refuse(&mut self, direction: Direction, segment: &Segment, held: Held) -> Step {
        if held.assured && matches!(segment.kind, Kind::Rst | Kind::Fin) {
            if self.last_direction != direction && matches!(self.last_kind, Kind::Rst | Kind::Fin) {
                return Step::Diverged(Reason::TcpWindow);
            }
            (self.last_kind, self.last_direction) = (segment.kind, direction);
        }
        Step::Invalid(Reason::TcpWindow)
    }

    /// A SYN/ACK for a SYN that was ignored: both sides know of a connection that the tracker does not.
    fn answers_ignored_syn(&self, direction: Direction, segment: &Segment) -> bool {
        segment.kind == Kind::SynAck
            && self.last_kind == Kind::Syn
            && self.last_direction != direction
            && segment.ack == self.last_end
    }

    fn resynchronise(&mut self, direction: Direction) {
        let liberal = self.sides[direction as usize].is_liberal();
        self.sides[direction.reverse() as usize] = Side::reopened(self.last_end, self.last_window, self.last_scale);
        self.sides[direction as usize] = Side::NONE;
        if liberal {
            self.sides[direction as usize].set_liberal();
        }
        self.flags = 0;
        self.retransmissions = 0;
    }

    fn ignore(&mut self, direction: Direction, segment: &Segment) {
        (self.last_kind, self.last_direction) = (segment.kind, direction);
        (self.last_end, self.last_len, self.last_window) = (segment.end, segment.len(), segment.window);
        if segment.kind == Kind::Syn && direction == Direction::Original {
            self.flags &= !(CHALLENGE | SIMULTANEOUS);
            self.last_scale = segment.scale;
            if self.state == TcpState::LastAck {
                self.flags |= CHALLENGE;
            }
        }
        if self.state == TcpState::SynSent && segment.kind == Kind::Ack && direction == Direction::Reply {
            self.last_ack = segment.ack;
        }
    }

    /// Counts retransmissions: the same segment again, and nothing between.
    fn note(&mut self, direction: Direction, segment: &Segment) {
        if segment.kind != Kind::Ack {
            return;
        }
        let last = (self.last_end, self.last_len, self.last_ack, self.last_window);
        let this = (segment.end, segment.len(), segment.ack, segment.window);
        if self.last_direction == direction && last == this {
            self.retransmissions = self.retransmissions.saturating_add(1);
            return;
        }
        (self.last_end, self.last_len, self.last_ack, self.last_window) = this;
        self.retransmissions = 0;
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
        } else if self.last_kind == Kind::Rst {
            timeout = timers.tcp_close;
        } else if self.sides.iter().any(Side::awaits_acknowledgement) {
            timeout = timeout.min(timers.tcp_unacknowledged);
        } else if self.last_window == 0 {
            timeout = timeout.min(timers.tcp_retransmitting);
        }
        if !replied && self.state == TcpState::Established {
            timeout = timeout.min(timers.tcp_pickup);
        }
        timeout
    }
}
