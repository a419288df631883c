//! Rows of any kind are refused or obey the rules; a pool with any leases proposes only what is free.

use ipam::{Lease, Pool, State, Subnet};
use serde::Deserialize;

use super::json::read;

/// A subnet with its leases, as a test writes it down.
#[derive(Deserialize)]
struct Leased {
    subnet: Subnet,
    leases: Vec<Lease>,
}

/// The input is JSON: a subnet, a lease, or `{"subnet", "leases"}`.
pub fn run(data: &[u8]) {
    if let Some(subnet) = read::<Subnet>(data) {
        check(&subnet);
    }
    if let Some(lease) = read::<Lease>(data) {
        assert_eq!(lease.is_held(), lease.state == State::Held);
    }
    let Ok(Leased { subnet, leases }) = serde_json::from_slice(data) else { return };
    check(&subnet);
    let mut pool = Pool::new(subnet);
    leases.into_iter().take(100).for_each(|lease| pool.insert(lease));
    for now in [0, 1_000, u64::MAX] {
        propose(&mut pool.clone(), now);
        pool.expire(now);
        assert!(pool.dump().all(|lease| !lease.is_over(now)));
        propose(&mut pool, now);
    }
}

fn propose(pool: &mut Pool, now: u64) {
    let usage = pool.usage(now);
    assert!(usage.available <= usage.capacity, "{usage:?}");
    let owner = "h0/somebody new";
    let proposed = pool.candidate(owner, None, now);
    let known = pool.dump().any(|lease| lease.owner == owner);
    match proposed {
        Err(_) => assert!(usage.available == 0, "{usage:?}"),
        Ok(address) if !known => {
            assert_eq!(pool.subnet().check(address), Ok(()));
            assert!(pool.get(address).is_none_or(|lease| lease.is_over(now)), "{address} is somebody else's");
            assert_ne!(usage.available, 0);
            pool.insert(Lease { address, owner: owner.into(), host: "h0".into(), state: State::Held });
            assert_eq!(pool.candidate(owner, None, now), Ok(address), "the same owner gets the same address");
            assert!(pool.rest(address, owner, now.saturating_add(60_000)).is_ok());
            pool.remove(address);
        }
        Ok(_) => {}
    }
}

fn check(subnet: &Subnet) {
    assert_eq!(subnet.cidr, subnet.cidr.trunc(), "no host bits");
    assert!(subnet.range.is_none_or(|range| subnet.cidr.contains(&range)));
    for address in subnet.gateway.iter().chain(subnet.aux.values()) {
        assert!(subnet.contains(*address) && subnet.reserved(*address).is_some(), "{address}");
        assert!(subnet.check(*address).is_err());
    }
}
