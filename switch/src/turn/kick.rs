//! What AF_XDP ports need besides: one call a round to send what was queued, a look now and then whether their interface is
//! still there, which nothing else tells, and what the kernel lost before the switch saw it, or after it had queued it.

use std::time::Duration;

use port::xdp::XdpStats;
use port::{Port, Sent};
use wire::Time;

use super::Turn;
use crate::{DropReason, PortId, Switch};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// AF_XDP ports that something is to be done about.
#[derive(Debug, Default)]
pub(super) struct Kicks {
    /// Those with frames that the kernel was not told of, or did not take yet.
    dirty: Vec<PortId>,
    /// When to look whether they are still there; `None`: there are none.
    next: Option<Time>,
}

impl Kicks {
    pub(super) fn push(&mut self, id: PortId) {
        self.dirty.push(id);
    }

    /// Whether frames wait for the next round.
    pub(super) fn any(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// When it wants to look again.
    pub(super) fn next_look(&self) -> Option<Time> {
        self.next
    }

    /// There is a port to be looked at.
    pub(super) fn watch(&mut self, now: Time) {
        self.next.get_or_insert(now + LOOK);
    }
}

impl Turn {
    /// Sends what is queued at all ports.
    pub(super) fn kick(&mut self) {
        // Nothing is sent meanwhile: there are no others when it is given back.
        let mut dirty = std::mem::take(&mut self.kicks.dirty);
        dirty.retain(|&id| {
            let Some(Port::Xdp(xdp)) = self.ports.get_mut(&id) else { return false };
            let sent = xdp.flush();
            self.note_batch(id);
            if sent == Sent::Gone {
                self.gone(id);
            }
            // The next round goes on.
            sent == Sent::Full
        });
        self.kicks.dirty = dirty;
    }

    /// Looks at all AF_XDP ports, if it is time.
    pub(super) fn look_after(&mut self, now: Time) {
        if self.kicks.next.is_none_or(|next| now < next) {
            return;
        }
        self.count_lost();
        let gone = |(id, port): (&PortId, &mut Port)| match port {
            Port::Xdp(xdp) => xdp.is_gone().then_some(*id),
            Port::Tap(_) => None,
        };
        let gone: Vec<PortId> = self.ports.iter_mut().filter_map(gone).collect();
        gone.into_iter().for_each(|id| self.gone(id));
        let any = self.ports.values().any(|port| matches!(port, Port::Xdp(_)));
        self.kicks.next = any.then(|| now + LOOK);
    }

    /// Counts what the kernel lost at all AF_XDP ports.
    pub(super) fn count_lost(&mut self) {
        for (id, port) in &mut self.ports {
            if let Port::Xdp(xdp) = port {
                count_lost(&mut self.switch, id.known_as(), xdp.newly_lost());
            }
        }
    }
}

/// Counts what the kernel lost at a port.
pub(super) fn count_lost(switch: &mut Switch, id: PortId, lost: XdpStats) {
    switch.missed(id, DropReason::PortTooLong, lost.too_long);
    switch.missed(id, DropReason::PortOverrun, lost.overrun);
    switch.missed(id, DropReason::PortUnclaimed, lost.unclaimed);
    switch.missed(id, DropReason::PortFull, lost.not_sent);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn each_loss_has_its_reason() {
        let mut switch = Switch::new(Limits::default(), 1);
        count_lost(&mut switch, PortId(1), XdpStats { too_long: 1, overrun: 2, unclaimed: 3, not_sent: 4 });
        let reasons =
            [DropReason::PortTooLong, DropReason::PortOverrun, DropReason::PortUnclaimed, DropReason::PortFull];
        assert_eq!(reasons.map(|reason| switch.counters().dropped(reason)), [1, 2, 3, 4]);
    }
}
