//! Fair shares between ports. A frame of a known flow costs a look-up; one of a new flow costs many times as much, and a
//! flood of them would leave nothing for anybody else's established traffic. So a port that sends mostly such frames, more
//! than are taken, gets small batches in some of the rounds while others have work. Alone it gets all there is.

use hashbrown::HashSet;

use crate::PortId;

/// Frames of a flooding port in one of its rounds.
const LITTLE: usize = 8;
/// It has one round in so many.
const ROUNDS: u32 = 4;

/// Which ports flood.
#[derive(Debug, Default)]
pub(super) struct Shares {
    flooding: HashSet<PortId>,
    round: u32,
}

impl Shares {
    /// Begins a round over these ports; says whether others than flooding ones have work.
    pub(super) fn begin<'a>(&mut self, mut ready: impl Iterator<Item = &'a PortId>) -> bool {
        self.round = self.round.wrapping_add(1);
        ready.any(|port| !self.flooding.contains(port))
    }

    /// Frames that a port may send in this round; `busy`: others have work.
    pub(super) fn frames(&self, port: PortId, busy: bool, usual: usize) -> usize {
        match busy && self.flooding.contains(&port) {
            false => usual,
            true if self.round.is_multiple_of(ROUNDS) => LITTLE,
            true => 0,
        }
    }

    /// Takes note of what a port sent: frames, those of them that no known flow decided, and whether more wait.
    pub(super) fn note(&mut self, port: PortId, frames: usize, new: u64, more: bool) {
        // The host's port is everybody's: floods from outside are limited before they get here.
        if port == PortId::HOST {
            return;
        }
        if more && new * 2 > frames as u64 {
            self.flooding.insert(port);
        } else if !self.flooding.is_empty() {
            self.flooding.remove(&port);
        }
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

    #[test]
    fn a_flood_gets_little_while_others_have_work() {
        let mut shares = Shares::default();
        assert_eq!(shares.frames(FLOOD, true, 64), 64);
        shares.note(FLOOD, 64, 60, true);
        shares.note(A, 64, 0, true);
        let mut taken = 0;
        for _ in 0..100 {
            let busy = shares.begin([A, FLOOD].iter());
            assert_eq!(shares.frames(A, busy, 64), 64);
            taken += shares.frames(FLOOD, busy, 64);
        }
        assert_eq!(taken, 25 * LITTLE);
        let busy = shares.begin([FLOOD].iter());
        assert_eq!(shares.frames(FLOOD, busy, 64), 64, "alone");
    }

    #[test]
    fn a_flood_that_ends_is_forgotten() {
        let mut shares = Shares::default();
        shares.note(FLOOD, 64, 60, true);
        shares.note(FLOOD, 20, 20, false);
        assert_eq!(shares.frames(FLOOD, true, 64), 64);
        shares.note(PortId::HOST, 64, 64, true);
        assert_eq!(shares.frames(PortId::HOST, true, 64), 64);
    }
}
