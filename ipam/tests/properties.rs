//! Random histories of one pool, checked after every step against a plain search through every address (I2, I3).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipam::{Error, Lease, Pool, State, Subnet};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Debug)]
enum Step {
    Take { owner: u8, want: Option<u8> },
    Rest { owner: u8, of: u8, time: u64 },
    Remove { at: u8 },
    Expire,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u8..12, prop::option::weighted(0.3, 0u8..18)).prop_map(|(owner, want)| Step::Take { owner, want }),
        4 => (0u8..12, 0u8..18, 0u64..40).prop_map(|(owner, of, time)| Step::Rest { owner, of, time }),
        1 => (0u8..18).prop_map(|at| Step::Remove { at }),
        1 => Just(Step::Expire),
        2 => (0u64..30).prop_map(Step::Wait),
    ]
}

/// Sixteen addresses each, some with a range, a gateway or auxiliary addresses in the way.
fn subnet() -> impl Strategy<Value = Subnet> {
    select(vec![
        ("10.1.0.16/28", "", "", ""),
        ("10.1.0.16/28", "10.1.0.24/29", "10.1.0.25", "10.1.0.30"),
        ("10.1.0.16/28", "10.1.0.16/30", "10.1.0.30", "10.1.0.17"),
        ("10.1.0.16/31", "", "", ""),
        ("fd00::10/124", "", "", ""),
        ("fd00::10/124", "fd00::18/125", "fd00::19", "fd00::1f"),
        ("fd00::10/127", "", "", ""),
        ("fd00::10/128", "", "", ""),
    ])
    .prop_map(|(cidr, range, gateway, aux)| {
        let aux = aux.parse().ok().map(|address| ("other".to_owned(), address));
        Subnet::new(cidr.parse().unwrap(), range.parse().ok(), gateway.parse().ok(), aux.into_iter().collect()).unwrap()
    })
}

/// The address `offset` above the subnet's first one, inside or not.
fn at(cidr: IpNet, offset: u8) -> IpAddr {
    match cidr.network() {
        IpAddr::V4(first) => (first.to_bits() + u32::from(offset)).to_be_bytes().into(),
        IpAddr::V6(first) => (first.to_bits() + u128::from(offset)).to_be_bytes().into(),
    }
}

/// What the pool should say, by looking at each address in turn.
struct Plain {
    subnet: Subnet,
    leases: BTreeMap<IpAddr, Lease>,
}

impl Plain {
    fn dynamic(&self) -> Vec<IpAddr> {
        let range = self.subnet.range.unwrap_or(self.subnet.cidr);
        let all = (0..16).map(|offset| at(self.subnet.cidr, offset));
        all.filter(|a| range.contains(a) && self.subnet.check(*a).is_ok()).collect()
    }

    fn free(&self, address: IpAddr, now: u64) -> bool {
        self.leases.get(&address).is_none_or(|lease| lease.is_over(now))
    }

    fn own(&self, owner: &str, now: u64) -> Option<IpAddr> {
        let mut own = self.leases.values().filter(|lease| lease.owner == owner && !lease.is_over(now));
        let held = own.clone().find(|lease| lease.is_held());
        held.or_else(|| own.find(|lease| self.dynamic().contains(&lease.address))).map(|lease| lease.address)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn i2_i3_any_history(subnet in subnet(), steps in prop::collection::vec(step(), 1..80)) {
        let cidr = subnet.cidr;
        let mut pool = Pool::new(subnet.clone());
        let mut plain = Plain { subnet, leases: BTreeMap::new() };
        let mut now = 1_000;
        for step in steps {
            match step {
                Step::Take { owner, want } => {
                    let owner = format!("o{owner}");
                    let want = want.map(|offset| at(cidr, offset));
                    let own = plain.own(&owner, now);
                    let before = want.map(|want| plain.free(want, now));
                    match pool.candidate(&owner, want, now) {
                        Ok(address) => {
                            prop_assert!(plain.subnet.check(address).is_ok(), "reserved or outside: {address}");
                            if let Some(lease) = plain.leases.get(&address) {
                                prop_assert!(lease.is_over(now) || lease.owner == owner, "two owners of {address}");
                            }
                            let lowest = || plain.dynamic().into_iter().find(|a| plain.free(*a, now));
                            prop_assert_eq!(Some(address), want.or(own).or_else(lowest));
                            let lease = Lease { address, owner: owner.clone(), host: "h".to_owned(), state: State::Held };
                            pool.insert(lease.clone());
                            plain.leases.insert(address, lease);
                            prop_assert_eq!(pool.candidate(&owner, want, now), Ok(address), "idempotent");
                            prop_assert_eq!(pool.candidate(&owner, None, now), Ok(address), "idempotent");
                        }
                        Err(Error::Exhausted(full)) => {
                            prop_assert_eq!((want, own), (None, None));
                            prop_assert!(plain.dynamic().iter().all(|a| !plain.free(*a, now)));
                            prop_assert_eq!(full.capacity, u128::from(full.held + full.resting));
                        }
                        Err(Error::InUse { owner: other, .. } | Error::Resting { owner: other, .. }) => {
                            prop_assert_eq!(before, Some(false));
                            prop_assert_ne!(other, owner);
                        }
                        Err(Error::HoldsAnother { held, .. }) => prop_assert_eq!(Some(held), own),
                        Err(_) => prop_assert!(plain.subnet.check(want.unwrap()).is_err()),
                    }
                }
                Step::Rest { owner, of, time } => {
                    let (owner, address, until) = (format!("o{owner}"), at(cidr, of), now + time);
                    match (pool.rest(address, &owner, until), plain.leases.get_mut(&address)) {
                        (Ok(rested), Some(lease)) => {
                            prop_assert_eq!(&lease.owner, &owner);
                            if lease.is_held() {
                                lease.state = State::Resting { until };
                            }
                            prop_assert_eq!(&rested, lease);
                        }
                        (Err(Error::NotLeased { .. }), None) => {}
                        (Err(Error::InUse { .. }), Some(lease)) => {
                            prop_assert!(lease.is_held() && lease.owner != owner);
                        }
                        (Err(Error::Resting { .. }), Some(lease)) => {
                            prop_assert!(!lease.is_held() && lease.owner != owner);
                        }
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                Step::Remove { at: offset } => {
                    let address = at(cidr, offset);
                    prop_assert_eq!(pool.remove(address), plain.leases.remove(&address));
                }
                Step::Expire => {
                    let mut gone = pool.expire(now);
                    gone.sort_by_key(|lease| lease.address);
                    let over: Vec<Lease> = plain.leases.values().filter(|l| l.is_over(now)).cloned().collect();
                    prop_assert_eq!(gone, over);
                    plain.leases.retain(|_, lease| !lease.is_over(now));
                }
                Step::Wait(time) => now += time,
            }
            prop_assert!(pool.dump().eq(plain.leases.values()));
            let usage = pool.usage(now);
            let dynamic = plain.dynamic();
            prop_assert_eq!(usage.capacity, dynamic.len() as u128);
            prop_assert_eq!(usage.available, dynamic.iter().filter(|a| plain.free(**a, now)).count() as u128);
            prop_assert_eq!(usage.held, plain.leases.values().filter(|l| l.is_held()).count() as u64);
            let resting = plain.leases.values().filter(|l| !l.is_held() && !l.is_over(now)).count();
            prop_assert_eq!(usage.resting, resting as u64);
        }
    }
}
