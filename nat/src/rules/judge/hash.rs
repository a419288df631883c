//! What `-m limit` and `-m hashlimit` remember: how much may still come, for whom. Time is kept in nanoseconds and credit
//! in what passes meanwhile, where the kernel counts ticks; the effect is the same, without the ticks' steps.

use std::time::Duration;

use hashbrown::HashMap;
use wire::{Time, protocol};

use super::Malformed;
use super::packet::Packet;
use super::seen::Seen;
use crate::rules::{Family, Hashlimit, Limit, Network, Quota};

/// Entries of a table that is given no size: the kernel's 8 for each of its 8,192 buckets.
const ENTRIES: u32 = 65_536;
/// Entries that no table goes beyond.
const MOST: u32 = 1 << 20;

/// Credit that grows with time, up to a limit, and is spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    at: Option<Time>,
    credit: u64,
}

impl Bucket {
    /// A full one, once it is used first.
    pub(super) const fn new() -> Bucket {
        Bucket { at: None, credit: 0 }
    }

    /// Lets credit grow to `now`.
    fn fill(&mut self, now: Time, most: u64, grown: impl FnOnce(Duration) -> u64) {
        self.credit = match self.at {
            None => most,
            Some(at) => self.credit.saturating_add(grown(now.since(at))).min(most),
        };
        self.at = Some(now);
    }

    fn spend(&mut self, cost: u64) -> bool {
        let enough = self.credit >= cost;
        if enough {
            self.credit -= cost;
        }
        enough
    }

    /// Takes one packet, if it may come: periods of `cost` nanoseconds, `burst` of them at once.
    fn take(&mut self, now: Time, cost: u64, burst: u32) -> bool {
        let nanoseconds = |passed: Duration| u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        self.fill(now, cost.saturating_mul(burst.into()), nanoseconds);
        self.spend(cost)
    }

    /// `-m limit`
    pub(super) fn limit(&mut self, now: Time, limit: Limit) -> bool {
        self.take(now, u64::from(limit.period) * (1_000_000_000 / Limit::SCALE), limit.burst)
    }
}

/// Whom an entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Key {
    source: u128,
    destination: u128,
    ports: [u16; 2],
}

struct Entry {
    bucket: Bucket,
    /// Whole seconds that may still be had at once, where bytes are counted.
    seconds: u32,
    expires: Time,
}

/// The table that all rules with one name share.
pub(super) struct Quotas {
    /// As the first of them has it.
    settings: Hashlimit,
    entries: HashMap<Key, Entry>,
    swept: Time,
}

/// A second's credit where bytes are counted: a chunk of 16 costs what the rule says.
const SECOND: u64 = 1 << 32;

impl Quotas {
    pub(super) fn new(settings: &Hashlimit) -> Quotas {
        Quotas { settings: settings.clone(), entries: HashMap::new(), swept: Time::ZERO }
    }

    /// Whether the packet is within its quota. A table that is full takes nobody new: such packets are dropped.
    pub(super) fn take(&mut self, now: Time, seen: &Seen, packet: &Packet<'_>) -> Result<bool, Malformed> {
        let key = self.key(seen, packet)?;
        let lifetime = Duration::from_millis(self.settings.expire.into());
        let quota = self.settings.quota;
        let stale = self.entries.get(&key).is_none_or(|entry| entry.expires <= now);
        if stale {
            self.sweep(now);
            if self.entries.len() >= self.most() && !self.entries.contains_key(&key) {
                return Err(Malformed);
            }
            let seconds = if let Quota::Bytes { burst, .. } = quota { burst } else { 0 };
            self.entries.insert(key, Entry { bucket: Bucket::new(), seconds, expires: now });
        }
        let entry = self.entries.get_mut(&key).ok_or(Malformed)?;
        entry.expires = now + lifetime;
        Ok(match quota {
            Quota::Packets { period, burst } => {
                entry.bucket.take(now, period.saturating_mul(1_000_000_000 / Quota::SCALE), burst)
            }
            Quota::Bytes { cost, .. } => {
                let grown =
                    |passed: Duration| (passed.as_nanos().min(1 << 40) * u128::from(SECOND) / 1_000_000_000) as u64;
                entry.bucket.fill(now, SECOND, grown);
                let cost = (seen.len() as u64 / 16 + 1).saturating_mul(cost.into()).min(SECOND);
                if entry.bucket.credit < cost && entry.seconds > 0 {
                    entry.seconds -= 1;
                    entry.bucket.credit = SECOND;
                }
                entry.bucket.spend(cost)
            }
        })
    }

    fn most(&self) -> usize {
        let Hashlimit { size, max, .. } = self.settings;
        let wanted = match (max, size) {
            (0, 0) => ENTRIES,
            (0, size) => size.saturating_mul(8),
            (max, size) => max.max(size),
        };
        wanted.min(MOST) as usize
    }

    /// Forgets old entries, not more often than the rule says.
    fn sweep(&mut self, now: Time) {
        if now.since(self.swept) >= Duration::from_millis(self.settings.gc_interval.into()) {
            self.swept = now;
            self.entries.retain(|_, entry| entry.expires > now);
        }
    }

    fn key(&self, seen: &Seen, packet: &Packet<'_>) -> Result<Key, Malformed> {
        let Hashlimit { mode, source_prefix, destination_prefix, .. } = self.settings;
        let mut key = Key::default();
        if mode.source {
            key.source = seen.source & Network::prefix_mask(seen.family, source_prefix.into());
        }
        if mode.destination {
            key.destination = seen.destination & Network::prefix_mask(seen.family, destination_prefix.into());
        }
        if mode.source_port || mode.destination_port {
            let [source, destination] = ports(seen, packet)?;
            key.ports =
                [if mode.source_port { source } else { 0 }, if mode.destination_port { destination } else { 0 }];
        }
        Ok(key)
    }
}

/// The first two words of protocols that have ports there. IPv4 fragments are read as if they had them, as the kernel does.
fn ports(seen: &Seen, packet: &Packet<'_>) -> Result<[u16; 2], Malformed> {
    let at = match seen.protocol {
        _ if seen.family == Family::Ipv6 && seen.offset != 0 => return Ok([0, 0]),
        // ESP, DCCP, SCTP, UDP-Lite; the authentication header has its index behind a word.
        protocol::TCP | protocol::UDP | 33 | 50 | 132 | 136 => 0,
        51 => 4,
        // No next header: the kernel finds nothing to read on from.
        59 if seen.family == Family::Ipv6 => return Err(Malformed),
        _ => return Ok([0, 0]),
    };
    let words = seen.transport(packet).get(at..at + 4).ok_or(Malformed)?;
    Ok([u16::from_be_bytes([words[0], words[1]]), u16::from_be_bytes([words[2], words[3]])])
}
