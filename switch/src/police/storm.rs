//! Storm control: how many packets a second a port may have flooded, by what makes them a flood. Answers of the switch
//! itself and what goes to one place are no floods.

use std::sync::Arc;
use std::time::Duration;

use wire::{Frame, Gso, Headers, Mac, Time};

use super::{Bucket, Policing};
use crate::DropReason;

/// What makes a frame go to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storm {
    /// The broadcast address.
    Broadcast,
    /// Another group address.
    Multicast,
    /// A station that nobody has heard of.
    Unknown,
}

/// A port floods more than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StormLine {
    /// The port's name.
    pub port: Arc<str>,
    /// With what.
    pub kind: Storm,
}

/// Time between two lines about the same port and kind.
const TOLD: Duration = Duration::from_secs(60);
/// Packets that may come at once whatever the rate: ARP and neighbour discovery come in handfuls.
const LEAST_BURST: u32 = 8;

#[derive(Debug)]
pub(crate) struct Storms {
    kinds: [Option<(Bucket, Option<Time>)>; 3],
}

impl Storm {
    /// What a frame that is to be flooded is.
    pub(crate) fn of(dst: Mac) -> Storm {
        match dst {
            Mac::BROADCAST => Storm::Broadcast,
            group if group.is_group() => Storm::Multicast,
            _ => Storm::Unknown,
        }
    }

    pub(crate) fn reason(self) -> DropReason {
        match self {
            Storm::Broadcast => DropReason::StormBroadcast,
            Storm::Multicast => DropReason::StormMulticast,
            Storm::Unknown => DropReason::StormUnknown,
        }
    }
}

impl Storms {
    /// A tenth of a second's packets may come at once.
    pub(super) fn new(now: Time, limits: &Policing) -> Storms {
        let bucket = |rate: u32| (Bucket::packets(now, rate, (rate / 10).max(LEAST_BURST)), None);
        Storms { kinds: [limits.broadcast, limits.multicast, limits.unknown].map(|rate| rate.map(bucket)) }
    }

    /// Goes on where others were.
    pub(super) fn after(mut self, now: Time, old: &Storms) -> Storms {
        for (kind, old) in self.kinds.iter_mut().zip(&old.kinds) {
            if let (Some((bucket, told)), Some((old, was_told))) = (kind, old) {
                (*bucket, *told) = (bucket.clone().after(now, old), *was_told);
            }
        }
        self
    }

    pub(super) fn any(&self) -> bool {
        self.kinds.iter().any(Option::is_some)
    }

    /// Takes note of packets. `Err`: too many; whether it is to be told.
    pub(super) fn take(&mut self, now: Time, kind: Storm, packets: u64) -> Result<(), bool> {
        let Some((bucket, told)) = &mut self.kinds[kind as usize] else { return Ok(()) };
        if bucket.take(now, Bucket::cost_of_packets(packets)) {
            return Ok(());
        }
        let tell = told.is_none_or(|told| now.since(told) >= TOLD);
        if tell {
            *told = Some(now);
        }
        Err(tell)
    }
}

/// Packets that a frame is on a wire: a super-frame is many.
pub(crate) fn packets(frame: &Frame, headers: &Headers) -> u64 {
    segments(frame, headers.payload.into()) as u64
}

/// Bytes that a frame is on a wire: each packet of a super-frame has headers of its own. Only its metadata says where they
/// end; who sends wrong ones pays for what he says.
pub(crate) fn wire_len(frame: &Frame) -> usize {
    let Some((start, _)) = frame.offload.partial_checksum().filter(|_| frame.offload.gso() != Gso::None) else {
        return frame.len();
    };
    let start = usize::from(start);
    let transport = match frame.offload.gso() {
        Gso::Udp => 8,
        _ => frame.bytes().get(start + 12).map_or(20, |offset| usize::from(offset >> 4).max(5) * 4),
    };
    let header = (start + transport).min(frame.len());
    frame.len() + (segments(frame, header) - 1).saturating_mul(header)
}

fn segments(frame: &Frame, header: usize) -> usize {
    let size = usize::from(frame.offload.gso_size());
    if frame.offload.gso() == Gso::None || size == 0 {
        return 1;
    }
    frame.len().saturating_sub(header).div_ceil(size).max(1)
}
