//! Staying on one CPU while traffic flows. A scheduler moves a thread that wakes and is woken often to those that it talks
//! to: beside a sender, whose every write it then waits for, throughput is a third lower than beside a receiver. Where the
//! thread stays, senders find another CPU by themselves.
//!
//! Where another thread spins on the same CPU, as the data thread of a second daemon may, both wait for each other while
//! a CPU beside them is idle, and whoever they talk to has to wake it. So a thread whose CPU is always wanted moves on,
//! once. From time to time it roams for a moment, so that a CPU that others need as well is left.

use std::time::Duration;

use port::cpu::{self, CpuSet};
use wire::Time;

/// Traffic flows for so long before the thread settles.
const TRIAL: Duration = Duration::from_millis(10);
/// It stays for so long.
const TERM: Duration = Duration::from_secs(4);
/// Without frames for so long it roams.
const PATIENCE: Duration = Duration::from_millis(20);
/// A crowd is borne for this time and up to as much again by chance: of two that meet one is to go, not both.
const TOLERANCE: Duration = Duration::from_millis(5);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Stay,
    Leave,
    Roam,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// Frames have come close together since then.
    Trial(Time),
    Settled(Stay),
}

/// The thread is on one CPU.
#[derive(Debug)]
struct Stay {
    until: Time,
    /// How long it bears a crowd; `None`: it has moved on once already, and others are there as well.
    tolerance: Option<Duration>,
    /// Since when others have always wanted this CPU.
    crowded: Option<Time>,
}

/// The calling thread's.
#[derive(Debug, Default)]
pub(super) struct Perch {
    state: State,
    /// The CPUs to roam, while the thread stays on one.
    roamed: Option<CpuSet>,
}

impl Perch {
    /// After a round with frames; `dense`: they come close together.
    pub(super) fn worked(&mut self, now: Time, dense: bool) {
        let next = self.state.worked(now, dense);
        self.follow(next);
    }

    /// After a round without; the last frame came at `last`. `crowded`: others want this CPU all the time.
    pub(super) fn rested(&mut self, now: Time, last: Time, crowded: bool) {
        let next = self.state.rested(now, last, crowded);
        self.follow(next);
    }

    /// The longest sleep.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.roamed.is_some().then_some(PATIENCE)
    }

    /// A CPU that cannot be kept, or left, is no reason to stop.
    fn follow(&mut self, next: Option<Move>) {
        let outcome = match next {
            Some(Move::Stay) => cpu::stay().map(|roamed| self.roamed = roamed),
            Some(Move::Leave) => self.roamed.as_ref().map_or(Ok(()), cpu::move_on),
            Some(Move::Roam) => self.roamed.take().map_or(Ok(()), |cpus| cpu::roam(&cpus)),
            None => return,
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "the data thread's CPU cannot be chosen");
        }
    }
}

impl State {
    fn worked(&mut self, now: Time, dense: bool) -> Option<Move> {
        match *self {
            State::Idle if dense => *self = State::Trial(now),
            State::Trial(_) if !dense => *self = State::Idle,
            State::Trial(since) if now.since(since) >= TRIAL => {
                let tolerance = TOLERANCE + TOLERANCE.mul_f32(rand::random());
                *self = State::Settled(Stay { until: now + TERM, tolerance: Some(tolerance), crowded: None });
                return Some(Move::Stay);
            }
            State::Settled(Stay { until, .. }) if now >= until => {
                *self = State::Idle;
                return Some(Move::Roam);
            }
            _ => {}
        }
        None
    }

    fn rested(&mut self, now: Time, last: Time, crowded: bool) -> Option<Move> {
        if now.since(last) < PATIENCE {
            let State::Settled(stay) = self else { return None };
            stay.crowded = crowded.then(|| stay.crowded.unwrap_or(now));
            let (since, tolerance) = (stay.crowded?, stay.tolerance?);
            return (now.since(since) >= tolerance).then(|| {
                (stay.crowded, stay.tolerance) = (None, None);
                Move::Leave
            });
        }
        let settled = matches!(self, State::Settled(_));
        *self = State::Idle;
        settled.then_some(Move::Roam)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn it_settles_while_frames_come_close_together() {
        let mut state = State::default();
        assert_eq!(state.worked(ms(0), true), None);
        assert_eq!(state.worked(ms(9), true), None, "not for a burst");
        assert_eq!(state.worked(ms(9), false), None, "which ends");
        assert_eq!(state.worked(ms(11), true), None);
        assert_eq!(state.worked(ms(21), true), Some(Move::Stay));
        assert_eq!(state.worked(ms(4_020), false), None, "a slower moment changes nothing");
        assert_eq!(state.worked(ms(4_021), true), Some(Move::Roam), "others get their chance");
        assert_eq!(state.worked(ms(4_022), true), None);
        assert_eq!(state.worked(ms(4_032), true), Some(Move::Stay));
    }

    #[test]
    fn it_roams_when_nothing_comes() {
        let mut state = State::default();
        assert_eq!(state.worked(ms(0), true), None);
        assert_eq!(state.worked(ms(10), true), Some(Move::Stay));
        assert_eq!(state.rested(ms(29), ms(10), false), None);
        assert_eq!(state.rested(ms(30), ms(10), true), Some(Move::Roam));
        assert_eq!(state.rested(ms(60), ms(10), false), None, "once");
    }

    #[test]
    fn it_leaves_a_crowd_once() {
        let mut state = State::default();
        assert_eq!(state.worked(ms(0), true), None);
        assert_eq!(state.worked(ms(10), true), Some(Move::Stay));
        assert_eq!(state.rested(ms(11), ms(10), true), None, "a moment");
        assert_eq!(state.rested(ms(12), ms(10), false), None, "that passes");
        assert_eq!(state.rested(ms(13), ms(10), true), None);
        assert_eq!(state.rested(ms(23), ms(22), true), Some(Move::Leave));
        for at in 24..200 {
            assert_eq!(state.rested(ms(at), ms(at), true), None, "others are everywhere");
        }
    }
}
