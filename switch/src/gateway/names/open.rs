//! Questions that wait for an answer from elsewhere: how many there may be, and how fast they may come. A flood of names that
//! do not exist costs its own port, and not the control plane.

use std::sync::Arc;

use hashbrown::HashMap;
use wire::Time;

use crate::PortId;
use crate::police::Bucket;

/// Most open questions, in all and of one port.
const MOST: (usize, usize) = (4_096, 512);
/// Questions a second of one port in the long run, and at once.
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
    ports: HashMap<PortId, (Arc<()>, Bucket)>,
}

impl Budget {
    /// Opens a question of a port; `None`: it has too many, or all have.
    pub(super) fn open(&mut self, now: Time, port: PortId) -> Option<Open> {
        let new = || (Arc::default(), Bucket::packets(now, RATE.0, RATE.1));
        let (of_port, bucket) = self.ports.entry(port).or_insert_with(new);
        // One is the count's own.
        let is_open = |count: &Arc<()>, most| Arc::strong_count(count) <= most;
        let opens =
            is_open(&self.in_all, MOST.0) && is_open(of_port, MOST.1) && bucket.take(now, Bucket::cost_of_packets(1));
        opens.then(|| Open { _in_all: self.in_all.clone(), _of_port: of_port.clone() })
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
    fn so_many_of_one_and_so_many_in_all() {
        let (mut budget, now) = (Budget::default(), Time::from_secs(1));
        let mut open: Vec<Open> = (0..600).filter_map(|_| budget.open(now, PortId(1))).collect();
        assert_eq!(open.len(), MOST.1);
        open.pop();
        assert!(budget.open(now, PortId(1)).is_some(), "one was answered");
        for port in 2..20 {
            open.extend((0..600).filter_map(|_| budget.open(now, PortId(port))));
        }
        assert_eq!(open.len(), MOST.0);
    }

    #[test]
    fn and_so_many_in_a_second() {
        let (mut budget, now) = (Budget::default(), Time::from_secs(1));
        let mut answered = |now| (0..20_000).filter(|_| budget.open(now, PortId(1)).is_some()).count();
        assert_eq!(answered(now), 1_000);
        assert_eq!(answered(now + Duration::from_millis(100)), 500);
    }
}
