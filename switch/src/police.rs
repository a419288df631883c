//! Policing: what a port may send, get and flood. A port without limits costs one look at an empty field.
//!
//! What a container sends too fast is dropped here, before anything is looked up; what it gets too fast waits in the turn
//! ([`Shaper`]); floods are counted in packets, by what makes them one.

mod bucket;
mod shaper;
mod storm;

use wire::{Frame, Time};

pub(crate) use bucket::Bucket;
pub(crate) use shaper::{Offer, Shaper};
pub use storm::{Storm, StormLine};
pub(crate) use storm::{Storms, packets, wire_len};

use crate::{DropReason, PortId, Switch};

/// So many bits a second, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits in a second, Ethernet headers included, also those that a super-frame's packets will have; at least 1.
    pub bits: u64,
    /// Bytes that may come at once; 128 MiB at the most. A longer frame passes when all of it is there, and is paid off after.
    pub burst: u32,
}

/// The limits of a port; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policing {
    /// From the container: what comes faster is dropped.
    pub ingress: Option<Rate>,
    /// To the container: what comes faster waits, for a tenth of a second of others' frames at the most.
    pub egress: Option<Rate>,
    /// Packets a second that may be flooded, by their kind.
    pub broadcast: Option<u32>,
    /// As `broadcast`, for group addresses but the broadcast one.
    pub multicast: Option<u32>,
    /// As `broadcast`, for stations that nobody has heard of.
    pub unknown: Option<u32>,
}

/// What is kept of a port with limits.
#[derive(Debug)]
pub(crate) struct Police {
    ingress: Option<Bucket>,
    storms: Storms,
}

impl Police {
    /// Limits from now on, in place of others. `None`: nothing is limited here.
    fn new(now: Time, limits: &Policing, old: Option<&Police>) -> Option<Box<Police>> {
        let (mut storms, mut ingress) = (Storms::new(now, limits), limits.ingress.map(|rate| Bucket::bytes(now, rate)));
        if let Some(old) = old {
            storms = storms.after(now, &old.storms);
            ingress = ingress.map(|bucket| old.ingress.iter().fold(bucket, |bucket, old| bucket.after(now, old)));
        }
        (ingress.is_some() || storms.any()).then(|| Box::new(Police { ingress, storms }))
    }
}

impl Switch {
    pub(crate) fn set_policing(&mut self, now: Time, id: PortId, limits: &Policing) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.police = Police::new(now, limits, port.police.as_deref());
        }
    }

    /// Whether frames from this port are counted at all.
    #[inline]
    pub(crate) fn is_policed(&self, from: PortId) -> bool {
        self.ports.get(&from).is_some_and(|port| port.police.is_some())
    }

    /// Whether a frame may come in.
    pub(crate) fn within_rate(&mut self, now: Time, from: PortId, frame: &Frame) -> bool {
        let police = self.ports.get_mut(&from).and_then(|port| port.police.as_mut());
        police
            .and_then(|police| police.ingress.as_mut())
            .is_none_or(|bucket| bucket.take(now, Bucket::cost(wire_len(frame))))
    }

    /// Whether so many packets of this kind may be flooded; if not, why, told once a minute.
    pub(crate) fn within_storm(
        &mut self,
        now: Time,
        from: PortId,
        kind: Storm,
        packets: u64,
    ) -> Result<(), DropReason> {
        let Some(port) = self.ports.get_mut(&from) else { return Ok(()) };
        let Some(police) = &mut port.police else { return Ok(()) };
        police.storms.take(now, kind, packets).map_err(|tell| {
            if tell {
                self.storms.push(StormLine { port: port.settings.name.clone(), kind });
            }
            kind.reason()
        })
    }

    /// Takes out which ports flood more than they may, if that was not told lately.
    pub fn take_storms(&mut self, out: &mut Vec<StormLine>) {
        out.append(&mut self.storms);
    }
}
