//! Where the subnet of a network comes from when nobody names one. Knows only prefixes: which of them
//! are taken (networks, routes and resolvers of the host) the caller says.

use std::fmt;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::spans::{Spans, address, bounds};

/// A block that is cut into subnets of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row")]
pub struct Plan {
    /// The block.
    pub base: IpNet,
    /// Prefix length of its subnets, from that of the base to that of an address.
    pub size: u8,
}

/// A plan as it is written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    base: IpNet,
    size: u8,
}

impl TryFrom<Row> for Plan {
    type Error = Error;

    fn try_from(row: Row) -> Result<Plan, Error> {
        Plan::new(row.base, row.size)
    }
}

impl Plan {
    /// Checks a plan.
    ///
    /// # Errors
    /// [`Error::BadPlan`] for host bits in `base`, a base of length 0, or a size that does not fit it.
    pub fn new(base: IpNet, size: u8) -> Result<Plan, Error> {
        let bad = |why| Err(Error::BadPlan { base, size, why });
        let (least, most) = (base.prefix_len(), base.max_prefix_len());
        if base != base.trunc() {
            return bad(format!("host bits are set; write {}", base.trunc()));
        }
        if least == 0 {
            return bad("it is the whole address space; choose a part".to_owned());
        }
        if size < least {
            return bad(format!("a subnet of it would be larger than the pool; use a size from {least} to {most}"));
        }
        if size > most {
            return bad(format!("an address has only {most} bits; use a size from {least} to {most}"));
        }
        Ok(Plan { base, size })
    }

    const fn v4(a: u8, b: u8, len: u8, size: u8) -> Plan {
        let base = Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, 0, 0), len);
        Plan { base: IpNet::V4(base), size }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in /{}", self.base, self.size)
    }
}

/// Docker's pools for networks of one host: 172.17 to 172.31 in /16, then 192.168.0.0/16 in /20.
const LOCAL: [Plan; 7] = [
    Plan::v4(172, 17, 16, 16),
    Plan::v4(172, 18, 16, 16),
    Plan::v4(172, 19, 16, 16),
    Plan::v4(172, 20, 14, 16),
    Plan::v4(172, 24, 14, 16),
    Plan::v4(172, 28, 14, 16),
    Plan::v4(192, 168, 16, 20),
];

/// Docker's pool for networks across hosts.
const GLOBAL: [Plan; 1] = [Plan::v4(10, 0, 8, 24)];

/// The pools for networks of one host, unless the configuration sets others.
pub fn local_plans() -> Vec<Plan> {
    LOCAL.to_vec()
}

/// The pools for networks across hosts, unless the configuration sets others.
pub fn global_plans() -> Vec<Plan> {
    GLOBAL.to_vec()
}

/// The first subnet of the plans that overlaps none of `used`.
///
/// Default routes in `used` do not count, and neither do the halves that VPNs install in place of one
/// (0.0.0.0/1 and 128.0.0.0/1): they say where unknown traffic goes, not that every address is taken.
///
/// # Errors
/// [`Error::NoFreeSubnet`] if all are taken, [`Error::BadPlan`] for a plan that [`Plan::new`] refuses.
pub fn choose_subnet(plans: &[Plan], used: &[IpNet]) -> Result<IpNet, Error> {
    let (mut v4, mut v6) = (Spans::default(), Spans::default());
    for net in used.iter().filter(|net| counts(net)) {
        let (first, last) = bounds(net);
        let spans = if net.addr().is_ipv4() { &mut v4 } else { &mut v6 };
        spans.insert(first, last);
    }
    for plan in plans {
        let Plan { base, size } = Plan::new(plan.base, plan.size)?;
        let taken = if base.addr().is_ipv4() { &v4 } else { &v6 };
        let Some(first) = first_gap(&base, size, taken) else {
            continue;
        };
        let cidr = IpNet::new(address(first, &base), size);
        return cidr.map_err(|e| Error::BadPlan { base, size, why: e.to_string() });
    }
    let names: Vec<String> = plans.iter().map(Plan::to_string).collect();
    Err(Error::NoFreeSubnet { plans: names.join(", "), used: used.len() })
}

/// The first of `used` that overlaps `cidr`; default routes and their halves do not count, as in [`choose_subnet`].
pub fn overlap<'a>(cidr: &IpNet, used: &'a [IpNet]) -> Option<&'a IpNet> {
    used.iter().filter(|net| counts(net)).find(|net| net.contains(cidr) || cidr.contains(*net))
}

fn counts(net: &IpNet) -> bool {
    net.prefix_len() > 1
}

/// First number of the first subnet that is free. Jumps behind what is in the way, so that a large block in
/// use costs one step, not one for each subnet in it.
fn first_gap(base: &IpNet, size: u8, taken: &Spans) -> Option<u128> {
    let mask = 1u128.checked_shl(u32::from(base.max_prefix_len() - size))? - 1;
    let (mut first, end) = bounds(base);
    loop {
        let last = first.checked_add(mask).filter(|last| *last <= end)?;
        let Some((_, behind)) = taken.overlapping(first, last) else {
            return Some(first);
        };
        first = (behind.checked_add(1)?).checked_add(mask)? & !mask;
    }
}
