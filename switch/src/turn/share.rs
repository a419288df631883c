//! Fair shares between ports. A frame of a known flow costs a look-up; one of a new flow costs many times as much, here and
//! where it ends. A flood of them would leave nothing for anybody else's established traffic. So a port that sends mostly such
//! frames, more than are taken, is limited while others have work. Alone it gets all there is.

use std::time::Duration;

use hashbrown::HashSet;
use wire::Time;

use crate::PortId;

/// Frames that flooding ports may send, all together, while others have work: about a tenth of a CPU.
const PER_MILLISECOND: u64 = 20;
/// Such frames at once: longer than that others never wait.
const AT_ONCE: u64 = 16;
/// Others have work for so long after their last frame.
const WORKING: Duration = Duration::from_millis(10);

/// Which ports flood, and what they may.
#[derive(Debug, Default)]
pub(super) struct Shares {
    flooding: HashSet<PortId>,
    /// Millionths of frames.
    tokens: u64,
    filled: Time,
    worked: Worked,
}

/// Who worked last, and who did last before that: a port is not its own neighbour.
#[derive(Debug, Default)]
struct Worked {
    last: Option<(PortId, Time)>,
    before: Option<(PortId, Time)>,
}

impl Worked {
    fn note(&mut self, port: PortId, now: Time) {
        if self.last.is_some_and(|(last, _)| last != port) {
            self.before = self.last;
        }
        self.last = Some((port, now));
    }

    /// Whether somebody but this port has work.
    fn others(&self, port: PortId, now: Time) -> bool {
        let mut all = self.last.into_iter().chain(self.before);
        all.any(|(worker, when)| worker != port && now.since(when) <= WORKING)
    }
}

impl Shares {
    /// Frames that a port may send now, of as many as are usual.
    pub(super) fn frames(&mut self, now: Time, port: PortId, usual: usize) -> usize {
        if self.flooding.is_empty() || !self.flooding.contains(&port) || !self.worked.others(port, now) {
            return usual;
        }
        let elapsed = now.since(self.filled).min(WORKING).as_nanos() as u64;
        self.tokens = (self.tokens + elapsed * PER_MILLISECOND).min(AT_ONCE * 1_000_000);
        self.filled = now;
        (self.tokens / 1_000_000) as usize
    }

    /// Takes note of what a port sent: frames, those of them that no known flow decided, and whether more wait.
    pub(super) fn note(&mut self, now: Time, port: PortId, frames: usize, new: u64, more: bool) {
        self.tokens = self.tokens.saturating_sub(match self.flooding.contains(&port) {
            true => frames as u64 * 1_000_000,
            false => 0,
        });
        // The host's port is everybody's: floods from outside are limited before they get here.
        let floods = port != PortId::HOST && more && new * 2 > frames as u64;
        if floods {
            self.flooding.insert(port);
            return;
        }
        // What little of a flood is taken at a time tells nothing about its end, unless nothing is left.
        if !more {
            self.flooding.remove(&port);
        }
        if !self.flooding.contains(&port) {
            self.worked.note(port, now);
        }
    }

    /// Whether any port floods.
    pub(super) fn any_flood(&self) -> bool {
        !self.flooding.is_empty()
    }

    /// Whether all of these ports have to wait for their share.
    pub(super) fn all_wait<'a>(&self, now: Time, mut ready: impl Iterator<Item = &'a PortId>) -> bool {
        self.tokens < 1_000_000 && ready.all(|port| self.flooding.contains(port) && self.worked.others(*port, now))
    }

    /// Forgets a port.
    pub(super) fn forget(&mut self, port: PortId) {
        self.flooding.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PortId = PortId(1);
    const FLOOD: PortId = PortId(2);

    fn flooded() -> (Shares, Time) {
        let (mut shares, now) = (Shares::default(), Time::from_secs(1));
        assert_eq!(shares.frames(now, FLOOD, 64), 64);
        shares.note(now, FLOOD, 64, 60, true);
        (shares, now)
    }

    #[test]
    fn a_flood_gets_its_share_while_others_have_work() {
        let (mut shares, mut now) = flooded();
        let mut taken = 0;
        for _ in 0..10_000 {
            now = now + Duration::from_micros(10);
            assert_eq!(shares.frames(now, A, 64), 64);
            shares.note(now, A, 5, 0, true);
            let frames = shares.frames(now, FLOOD, 64);
            assert!(frames <= AT_ONCE as usize);
            taken += frames;
            shares.note(now, FLOOD, frames, frames as u64, true);
            assert!(shares.all_wait(now, [FLOOD].iter()) && !shares.all_wait(now, [A, FLOOD].iter()));
        }
        assert!((1_900..=2_020).contains(&taken), "{taken} in 100 ms");
        now = now + WORKING + Duration::from_millis(1);
        assert_eq!(shares.frames(now, FLOOD, 64), 64, "alone");
    }

    #[test]
    fn a_port_that_floods_in_bursts_is_not_its_own_neighbour() {
        let (mut shares, mut now) = (Shares::default(), Time::from_secs(1));
        for _ in 0..10 {
            now = now + Duration::from_micros(500);
            shares.note(now, FLOOD, 64, 64, true);
            assert_eq!(shares.frames(now, FLOOD, 64), 64, "alone");
            assert!(!shares.all_wait(now, [FLOOD].iter()));
            shares.note(now, FLOOD, 64, 64, false);
        }
        shares.note(now, A, 1, 0, false);
        shares.note(now, FLOOD, 64, 64, true);
        assert!(shares.frames(now, FLOOD, 64) <= AT_ONCE as usize, "beside another");
        shares.note(now, FLOOD, 1, 1, false);
        shares.note(now, FLOOD, 64, 64, true);
        assert!(shares.frames(now, FLOOD, 64) <= AT_ONCE as usize, "its own work hides nobody else's");
    }

    #[test]
    fn a_flood_that_ends_is_forgotten() {
        let (mut shares, now) = flooded();
        shares.note(now, A, 1, 0, false);
        shares.note(now, FLOOD, 3, 3, false);
        assert_eq!(shares.frames(now, FLOOD, 64), 64);
        shares.note(now, PortId::HOST, 64, 64, true);
        assert_eq!(shares.frames(now, PortId::HOST, 64), 64);
    }
}
