//! Questions that wait for an answer from elsewhere: how many there may be, and how fast they may come. A flood of names that
//! do not exist costs its own port, and neither the control plane nor its neighbours: however many flood, a port that
//! asks little always may.

use std::sync::Arc;

use hashbrown::HashMap;
use wire::Time;

use crate::PortId;
use crate::police::Bucket;

/// Most open questions, in all and of one port; and no port has more than are left for others, so that some always are.
const MOST: (usize, usize) = (4_096, 512);
/// Questions a second of one port in the long run, and at once, that nobody takes from it.
const OWN: (u32, u32) = (100, 200);
/// Further ones, of all ports together.
const SHARED: (u32, u32) = (10_000, 2_000);
/// And of those at most so many of one port.
const RATE: (u32, u32) = (5_000, 1_000);

/// An open question. It counts until it is dropped; nothing else is shared with who holds it.
#[derive(Debug, Default)]
pub(super) struct Open {
    _in_all: Arc<()>,
    _of_port: Arc<()>,
}

/// The open questions of a host.
#[derive(Debug, Default)]
pub(super) struct Budget {
    in_all: Arc<()>,
    shared: Option<Bucket>,
    ports: HashMap<PortId, OfPort>,
}

#[derive(Debug)]
struct OfPort {
    open: Arc<()>,
    own: Bucket,
    rate: Bucket,
}

impl Budget {
    /// Opens a question of a port; `None`: it has too many, or all have.
    pub(super) fn open(&mut self, now: Time, port: PortId) -> Option<Open> {
        let bucket = |(rate, burst)| Bucket::packets(now, rate, burst);
        let new = || OfPort { open: Arc::default(), own: bucket(OWN), rate: bucket(RATE) };
        let OfPort { open, own, rate } = self.ports.entry(port).or_insert_with(new);
        let shared = self.shared.get_or_insert_with(|| bucket(SHARED));
        // One is the count's own.
        let count = |open: &Arc<()>| Arc::strong_count(open) - 1;
        let left = MOST.0.saturating_sub(count(&self.in_all));
        let one = Bucket::cost_of_packets(1);
        let opens =
            count(open) < MOST.1.min(left) && (own.take(now, one) || rate.take(now, one) && shared.take(now, one));
        opens.then(|| Open { _in_all: self.in_all.clone(), _of_port: open.clone() })
    }

    /// Forgets a port.
    pub(super) fn forget(&mut self, port: PortId) {
        self.ports.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_of_one_and_some_are_left_for_others() {
        let (mut budget, now) = (Budget::default(), Time::from_secs(1));
        let mut open: Vec<Open> = (0..600).filter_map(|_| budget.open(now, PortId(1))).collect();
        assert_eq!(open.len(), MOST.1);
        open.pop();
        assert!(budget.open(now, PortId(1)).is_some(), "one was answered");
        for second in 2..100 {
            for port in 1..200 {
                open.extend((0..10).filter_map(|_| budget.open(Time::from_secs(second), PortId(port))));
            }
        }
        assert!(open.len() < MOST.0, "{}", open.len());
        assert!(budget.open(Time::from_secs(100), PortId(1)).is_none(), "it has its part");
        assert!(budget.open(Time::from_secs(100), PortId(1_000)).is_some());
    }

    #[test]
    fn and_so_many_in_a_second() {
        let (mut budget, now) = (Budget::default(), Time::from_secs(1));
        let mut answered = |port, now| (0..20_000).filter(|_| budget.open(now, PortId(port)).is_some()).count();
        let later = now + Duration::from_millis(100);
        assert_eq!((answered(1, now), answered(1, later)), (1_200, 510));
        // What is shared is 2,000 again by now, less the 500 just taken.
        assert_eq!([2, 3, 4].map(|port| answered(port, later)), [1_200, 700, 200], "each keeps its own");
    }
}
