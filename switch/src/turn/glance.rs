//! AF_XDP ports that are looked at instead of watched. A watched socket tells its poller of every frame that comes and of every one
//! that was sent, which costs an eighth of what a small frame costs; whether its ring holds something is one look at memory.
//! So a port that keeps the thread busy is taken off the poll set until the thread sleeps.
//! Invariant: a thread that sleeps for long watches all its ports.

use std::time::Duration;

use hashbrown::HashMap;
use mio::unix::SourceFd;
use port::Port;

use super::Turn;
use crate::PortId;

/// So many batches since the thread slept last make a port a busy one.
const STREAK: u32 = 32;
/// Looking at more than this would cost more than being told.
const MOST: usize = 16;

/// A port that the kernel does not watch now is looked at again so soon.
const RETRY: Duration = Duration::from_millis(1);

/// Which ports those are.
#[derive(Debug, Default)]
pub(super) struct Glances {
    streaks: HashMap<PortId, u32>,
    ports: Vec<PortId>,
}

impl Glances {
    /// A batch came from this port, or went there. Whether it is to be looked at from now on.
    fn is_due(&mut self, id: PortId) -> bool {
        if self.ports.len() >= MOST || self.ports.contains(&id) {
            return false;
        }
        let streak = self.streaks.entry(id).or_default();
        *streak += 1;
        *streak >= STREAK
    }

    /// The port goes. Whether it was one of them, and is in no poll set.
    pub(super) fn forget(&mut self, id: PortId) -> bool {
        self.streaks.remove(&id);
        let place = self.ports.iter().position(|port| *port == id);
        place.map(|place| self.ports.swap_remove(place)).is_some()
    }
}

impl Turn {
    /// A batch came from this port, or went there.
    pub(super) fn note_batch(&mut self, id: PortId) {
        let Some(Port::Xdp(xdp)) = self.ports.get(&id) else { return };
        if !self.glances.is_due(id) {
            return;
        }
        for descriptor in xdp.descriptors() {
            if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&descriptor)) {
                tracing::warn!(port = id.0, %error, "the poll loop does not let go of the port");
            }
        }
        self.glances.ports.push(id);
    }

    /// Looks at the ports that nobody tells of.
    pub(super) fn glance(&mut self) {
        for index in 0..self.glances.ports.len() {
            let id = self.glances.ports[index];
            if matches!(self.ports.get(&id), Some(Port::Xdp(xdp)) if xdp.is_ready()) {
                self.wake(id);
            }
        }
    }

    /// Before a wait: one that is a sleep watches them again. What has come meanwhile ends it at once.
    pub(super) fn watch_all(&mut self, wait: Option<Duration>) -> Option<Duration> {
        if wait == Some(Duration::ZERO) {
            return wait;
        }
        self.glances.streaks.clear();
        for id in std::mem::take(&mut self.glances.ports) {
            let Some(port) = self.ports.get(&id) else { continue };
            if let Err(error) = self.register(id, port) {
                tracing::warn!(port = id.0, %error, "the poll loop does not take the port again yet");
                self.glances.ports.push(id);
            }
        }
        if self.glances.ports.is_empty() { wait } else { Some(wait.map_or(RETRY, |wait| wait.min(RETRY))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_due_once_and_only_so_many_are() {
        let mut glances = Glances::default();
        let due = |glances: &mut Glances, id| (0..2 * STREAK).filter(|_| glances.is_due(id)).count();
        assert_eq!((0..STREAK - 1).filter(|_| glances.is_due(PortId(1))).count(), 0, "not for a burst");
        assert!(glances.is_due(PortId(1)));
        glances.ports.push(PortId(1));
        assert_eq!(due(&mut glances, PortId(1)), 0, "it is one of them");
        glances.ports.extend((2..=MOST as u32).map(PortId));
        assert_eq!(due(&mut glances, PortId(99)), 0, "there are enough");
        assert!(glances.forget(PortId(1)) && !glances.forget(PortId(1)));
    }
}
