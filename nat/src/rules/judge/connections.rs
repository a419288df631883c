//! What `-m connlimit` remembers: which connections each address (or network) has been seen with.
//! Closed ones are left out when that can change the answer, and of few always, at most once in a tick.

use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use wire::Time;

use super::Malformed;
use super::packet::{Packet, Surroundings, Tracking};
use super::seen::Seen;
use crate::rules::address::ip;
use crate::rules::pick::has_ports;
use crate::rules::{Connlimit, Network};
use crate::{Address, Tuple};

/// How long a count is good for, as a tick of the kernel.
const TICK: Duration = Duration::from_millis(4);
/// Connections of one address of which closed ones are left out whenever they are looked at.
const FEW: usize = 64;
/// Connections that one rule remembers.
const MOST: usize = 1 << 18;

#[derive(Default)]
struct Seats {
    taken: HashSet<Tuple>,
    swept: Time,
}

/// The connections of one rule.
#[derive(Default)]
pub(super) struct Connections {
    by: HashMap<u128, Seats>,
    all: usize,
}

impl Connections {
    /// Whether the packet's address has as many connections as the rule wants, with the packet's own.
    pub(super) fn test<S: Surroundings + ?Sized>(
        &mut self,
        now: Time,
        wanted: Connlimit,
        seen: &Seen,
        packet: &Packet<'_>,
        around: &mut S,
    ) -> Result<bool, Malformed> {
        let own = own(seen, packet)?;
        let number = if wanted.by_destination { seen.destination } else { seen.source };
        let key = number & Network::prefix_mask(seen.family, wanted.prefix.into());
        if self.all >= MOST {
            self.sweep(now, around);
        }
        let seats = self.by.entry(key).or_default();
        if !seats.taken.contains(&own) {
            if self.all >= MOST {
                return Err(Malformed);
            }
            seats.taken.insert(own);
            self.all += 1;
        }
        // Below the limit closed ones do not matter, unless one is made again and counted elsewhere: without them there would
        // be still fewer. So of many they may wait.
        let count = seats.taken.len();
        if (count > wanted.limit as usize || count <= FEW) && now.since(seats.swept) >= TICK {
            let before = seats.taken.len();
            seats.taken.retain(|tuple| *tuple == own || around.is_open(tuple));
            seats.swept = now;
            self.all -= before - seats.taken.len();
        }
        Ok((seats.taken.len() > wanted.limit as usize) == wanted.above)
    }

    /// Leaves out all that are closed.
    fn sweep<S: Surroundings + ?Sized>(&mut self, now: Time, around: &mut S) {
        self.by.retain(|_, seats| {
            if now.since(seats.swept) >= TICK {
                seats.taken.retain(|tuple| around.is_open(tuple));
                seats.swept = now;
            }
            !seats.taken.is_empty()
        });
        self.all = self.by.values().map(|seats| seats.taken.len()).sum();
    }
}

/// The connection's tuple; one of its own making for a packet that has none.
fn own(seen: &Seen, packet: &Packet<'_>) -> Result<Tuple, Malformed> {
    if let Tracking::Known(connection) = &packet.tracking {
        return Ok(connection.original);
    }
    let address = |number| Address::new(ip(seen.family, number)).ok_or(Malformed);
    let ports = match seen.transport(packet).first_chunk::<4>() {
        _ if !has_ports(seen.protocol) => [0, 0],
        Some(&[a, b, c, d]) if seen.offset == 0 => [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])],
        _ => return Err(Malformed),
    };
    let (src, dst) = (address(seen.source)?, address(seen.destination)?);
    Ok(Tuple { src, dst, src_port: ports[0], dst_port: ports[1], protocol: seen.protocol })
}
