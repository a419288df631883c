//! How often something may happen: `-m limit` and `-m hashlimit`. Rates are kept in the units in which iptables hands them
//! to the kernel, so that what is saved is what was loaded.

/// `-m limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Time between two packets, in 1/10,000 s; not 0.
    pub period: u32,
    /// How many may come at once; not 0.
    pub burst: u32,
}

impl Limit {
    /// `period`s in a second.
    pub(crate) const SCALE: u64 = 10_000;
    /// Without `--limit`: 3 an hour.
    pub(crate) const PERIOD: u32 = 12_000_000;
    /// Without `--limit-burst`.
    pub(crate) const BURST: u32 = 5;
}

/// What `-m hashlimit` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Packets.
    Packets {
        /// Time between two packets, in 1/1,000,000 s; not 0.
        period: u64,
        /// How many may come at once; not 0.
        burst: u32,
    },
    /// Bytes, in chunks of 16.
    Bytes {
        /// What a chunk costs, of 2³² in a second; not 0.
        cost: u32,
        /// How many whole seconds may come at once; 0 if nothing was said.
        burst: u32,
    },
}

impl Quota {
    /// `period`s in a second.
    pub(crate) const SCALE: u64 = 1_000_000;

    /// Bytes in a second, from what 16 of them cost.
    pub(crate) const fn bytes(cost: u32) -> u64 {
        ((u32::MAX / if cost == 0 { 1 } else { cost }) as u64).saturating_sub(1) << 4
    }

    /// What 16 bytes cost, from bytes in a second.
    pub(crate) const fn cost(bytes: u64) -> u32 {
        (u32::MAX as u64 / ((bytes >> 4) + 1)) as u32
    }
}

/// What packets have in common that share a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HashMode {
    /// `srcip`
    pub source: bool,
    /// `srcport`
    pub source_port: bool,
    /// `dstip`
    pub destination: bool,
    /// `dstport`
    pub destination_port: bool,
}

/// `-m hashlimit`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hashlimit {
    /// Rules with the same name share their quotas, as the first of them has it.
    pub name: Box<str>,
    /// `--hashlimit-above`, not `--hashlimit-upto`.
    pub above: bool,
    /// How much.
    pub quota: Quota,
    /// For whom.
    pub mode: HashMode,
    /// Prefix length by which sources are one.
    pub source_prefix: u8,
    /// Prefix length by which destinations are one.
    pub destination_prefix: u8,
    /// Buckets of the kernel's table; 0 if nothing was said. It bounds the entries if `max` does not.
    pub size: u32,
    /// Entries at most; 0 if nothing was said.
    pub max: u32,
    /// Milliseconds between looking for old entries.
    pub gc_interval: u32,
    /// Milliseconds after which an unused entry is forgotten.
    pub expire: u32,
}

impl Hashlimit {
    /// Without `--hashlimit-htable-gcinterval`.
    pub(crate) const GC_INTERVAL: u32 = 1_000;
    /// Without `--hashlimit-burst`.
    pub(crate) const BURST: u32 = 5;
    /// Bytes are counted: without `--hashlimit-htable-expire`, and with no burst, or one.
    const EXPIRE_BYTES: [u32; 2] = [15_000, 60_000];

    /// What `expire` is when nothing was said.
    pub(crate) fn default_expire(quota: Quota) -> u32 {
        match quota {
            Quota::Packets { period, .. } => unit(period, Quota::SCALE).1 * 1_000,
            Quota::Bytes { burst, .. } => Hashlimit::EXPIRE_BYTES[usize::from(burst > 0)],
        }
    }
}

const UNITS: [(&str, u32); 4] = [("day", 86_400), ("hour", 3_600), ("min", 60), ("sec", 1)];

/// How a period is written: the unit in which it loses least, its seconds, and how many.
pub(crate) fn unit(period: u64, scale: u64) -> (&'static str, u32, u64) {
    let period = period.max(1);
    let mut best = UNITS[0];
    for unit in &UNITS[1..] {
        let whole = u64::from(unit.1) * scale;
        if period > whole || whole / period < whole % period {
            break;
        }
        best = *unit;
    }
    (best.0, best.1, u64::from(best.1) * scale / period)
}
