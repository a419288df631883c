//! Who gets which address of a pool, and what a refusal says (I2, I3).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipam::{Error, Lease, Pool, State, Subnet, Usage};

const NOW: u64 = 1_700_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(cidr: &str, range: Option<&str>) -> Pool {
    let range = range.map(|range| range.parse().unwrap());
    Pool::new(Subnet::new(cidr.parse().unwrap(), range, None, BTreeMap::new()).unwrap())
}

fn lease(address: &str, owner: &str, state: State) -> Lease {
    Lease { address: ip(address), owner: owner.to_owned(), host: "h1".to_owned(), state }
}

/// What a host does when the store agrees.
fn take(pool: &mut Pool, owner: &str, want: Option<&str>) -> Result<IpAddr, Error> {
    let address = pool.candidate(owner, want.map(ip), NOW)?;
    pool.insert(lease(&address.to_string(), owner, State::Held));
    Ok(address)
}

#[test]
fn i2_lowest_free_address_both_families() {
    for (cidr, first, second) in [("10.1.0.0/24", "10.1.0.2", "10.1.0.3"), ("fd00:1::/64", "fd00:1::2", "fd00:1::3")] {
        let mut pool = pool(cidr, None);
        assert_eq!(take(&mut pool, "a", None), Ok(ip(first)));
        assert_eq!(take(&mut pool, "b", None), Ok(ip(second)));
        assert_eq!(take(&mut pool, "a", None), Ok(ip(first)), "idempotent by owner");
        assert_eq!(pool.remove(ip(first)), Some(lease(first, "a", State::Held)));
        assert_eq!(pool.get(ip(first)), None);
        assert_eq!(take(&mut pool, "c", None), Ok(ip(first)));
        assert_eq!(pool.dump().map(|l| l.owner.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    }
}

#[test]
fn i2_static_address_may_be_outside_the_range_but_not_the_subnet() {
    let mut pool = pool("10.1.0.0/16", Some("10.1.5.0/30"));
    assert_eq!(take(&mut pool, "a", Some("10.1.9.9")), Ok(ip("10.1.9.9")));
    assert_eq!(take(&mut pool, "a", Some("10.1.9.9")), Ok(ip("10.1.9.9")));
    assert_eq!(take(&mut pool, "a", None), Ok(ip("10.1.9.9")));
    // The range's own edges are ordinary addresses of the subnet.
    assert_eq!(take(&mut pool, "b", None), Ok(ip("10.1.5.0")));
    assert_eq!(pool.usage(NOW), Usage { capacity: 4, held: 2, resting: 0, available: 3 });
    let refusal = |want| pool.candidate("c", Some(ip(want)), NOW).unwrap_err().to_string();
    assert_eq!(refusal("10.2.0.1"), "subnet 10.1.0.0/16: address 10.2.0.1 is not inside it; choose one that is");
    assert_eq!(refusal("10.1.9.9"), "address 10.1.9.9 is held by a on host h1; choose another or release that one");
    assert_eq!(refusal("10.1.0.1"), "address 10.1.0.1 is the gateway; choose another");
    assert_eq!(refusal("10.1.0.0"), "address 10.1.0.0 is the network address; choose another");
    assert_eq!(refusal("10.1.255.255"), "address 10.1.255.255 is the broadcast address; choose another");
}

#[test]
fn an_owner_has_one_address_and_is_told_so() {
    let mut pool = pool("10.1.0.0/24", None);
    take(&mut pool, "a", None).unwrap();
    assert_eq!(
        take(&mut pool, "a", Some("10.1.0.9")).unwrap_err().to_string(),
        "a holds address 10.1.0.2 already and asks for 10.1.0.9; release the first one before"
    );
}

#[test]
fn i2_a_released_address_rests_before_others_get_it() {
    let mut pool = pool("10.1.0.0/24", None);
    let address = take(&mut pool, "a", None).unwrap();
    let until = NOW + 60_000;
    let rested = lease("10.1.0.2", "a", State::Resting { until });
    assert_eq!(pool.rest(address, "a", until), Ok(rested.clone()));
    assert_eq!(pool.rest(address, "a", until + 9), Ok(rested.clone()), "again: the first end stays");
    assert_eq!(pool.usage(NOW), Usage { capacity: 253, held: 0, resting: 1, available: 252 });

    assert_eq!(pool.candidate("b", None, NOW), Ok(ip("10.1.0.3")));
    assert_eq!(
        pool.candidate("b", Some(address), until - 1).unwrap_err().to_string(),
        "address 10.1.0.2 rests after its release by a until 1700000060000 ms Unix time; choose another or try again then"
    );
    assert_eq!(pool.candidate("a", Some(address), NOW), Ok(address));
    assert_eq!(pool.candidate("a", None, NOW), Ok(address), "its last owner may come back");
    assert_eq!(pool.candidate("a", Some(ip("10.1.0.7")), NOW), Ok(ip("10.1.0.7")));

    // Over is free, whether or not somebody has called expire.
    assert_eq!(pool.candidate("b", None, until), Ok(address));
    assert_eq!(pool.candidate("b", Some(address), until), Ok(address));
    assert_eq!(pool.usage(until), Usage { capacity: 253, held: 0, resting: 0, available: 253 });
    assert_eq!(pool.expire(until - 1), []);
    assert_eq!(pool.expire(until), [rested]);
    assert_eq!(pool.candidate("b", None, NOW), Ok(address));
}

#[test]
fn only_the_owner_releases() {
    let mut pool = pool("10.1.0.0/24", None);
    let address = take(&mut pool, "a", None).unwrap();
    assert!(matches!(pool.rest(address, "b", NOW + 1), Err(Error::InUse { owner, .. }) if owner == "a"));
    pool.rest(address, "a", NOW + 1).unwrap();
    assert!(matches!(pool.rest(address, "b", NOW + 1), Err(Error::Resting { owner, .. }) if owner == "a"));
    assert_eq!(pool.rest(ip("10.1.0.9"), "a", NOW), Err(Error::NotLeased { address: ip("10.1.0.9") }));
    assert_eq!(pool.rest(ip("fd00::9"), "a", NOW), Err(Error::NotLeased { address: ip("fd00::9") }));
}

#[test]
fn i3_exhaustion_says_who_holds_what() {
    let mut pool = pool("10.1.0.0/29", None);
    for owner in ["a", "b", "c", "d", "e"] {
        take(&mut pool, owner, None).unwrap();
    }
    let text = pool.candidate("x", None, NOW).unwrap_err().to_string();
    assert_eq!(
        text,
        "no address is free in 10.1.0.0/29: of 5, 5 are held (10.1.0.2 by a on host h1, 10.1.0.3 by b on host h1, \
         10.1.0.4 by c on host h1, 10.1.0.5 by d on host h1, ...) and 0 rest; remove endpoints or use a larger \
         subnet or range"
    );
    for (address, owner) in [("10.1.0.2", "a"), ("10.1.0.3", "b"), ("10.1.0.5", "d"), ("10.1.0.6", "e")] {
        pool.rest(ip(address), owner, NOW + 60_000).unwrap();
    }
    let text = pool.candidate("x", None, NOW).unwrap_err().to_string();
    assert!(
        text.contains("of 5, 1 is held (10.1.0.4 by c on host h1) and 4 rest, the first until 1700000060000 ms"),
        "{text}"
    );
    assert_eq!(pool.candidate("c", None, NOW), Ok(ip("10.1.0.4")), "a full pool still knows its own");
    assert_eq!(pool.candidate("x", None, NOW + 60_000), Ok(ip("10.1.0.2")));
}

#[test]
fn point_to_point_subnets_have_one_address_to_give() {
    for (cidr, address) in [("10.1.0.0/31", "10.1.0.1"), ("fd00::/127", "fd00::1")] {
        let mut pool = pool(cidr, None);
        assert_eq!(take(&mut pool, "a", None), Ok(ip(address)));
        assert!(matches!(take(&mut pool, "b", None), Err(Error::Exhausted(_))));
    }
}

#[test]
fn rows_that_do_not_belong_change_nothing() {
    let mut pool = pool("10.1.0.0/24", None);
    pool.insert(lease("10.2.0.5", "a", State::Held));
    pool.insert(lease("::a01:2", "a", State::Held));
    assert_eq!(pool.dump().count(), 0);
    // A row for the gateway is shown, but gives its owner nothing, and its end frees nothing.
    pool.insert(lease("10.1.0.1", "a", State::Resting { until: 1 }));
    assert_eq!(pool.candidate("a", None, 0), Ok(ip("10.1.0.2")));
    assert_eq!(pool.candidate("a", None, NOW), Ok(ip("10.1.0.2")));
    assert_eq!(pool.usage(NOW).available, 253);
    assert_eq!(pool.expire(NOW).len(), 1);
    assert_eq!(pool.candidate("a", None, NOW), Ok(ip("10.1.0.2")));
    pool.insert(lease("10.1.0.1", "a", State::Held));
    assert_eq!(pool.candidate("a", None, NOW), Ok(ip("10.1.0.2")));
}

#[test]
fn a_new_row_replaces_the_old_one_in_every_index() {
    let mut pool = pool("10.1.0.0/24", None);
    pool.insert(lease("10.1.0.2", "a", State::Resting { until: NOW + 5 }));
    pool.insert(lease("10.1.0.2", "b", State::Held));
    assert_eq!(pool.candidate("a", None, NOW), Ok(ip("10.1.0.3")));
    assert_eq!(pool.candidate("b", None, NOW), Ok(ip("10.1.0.2")));
    assert_eq!(pool.expire(u64::MAX), []);
    assert_eq!(pool.usage(NOW), Usage { capacity: 253, held: 1, resting: 0, available: 252 });
}

#[test]
fn a_subnet_put_together_by_hand_does_no_harm() {
    let cases = [("::/0", None, None), ("0.0.0.0/0", None, None), ("10.1.2.3/24", Some("fd00::/64"), Some("fd00::1"))];
    for (cidr, range, gateway) in cases {
        let (range, gateway) = (range.map(|r: &str| r.parse().unwrap()), gateway.map(ip));
        let subnet = Subnet { cidr: cidr.parse().unwrap(), range, gateway, aux: BTreeMap::new() };
        let pool = Pool::new(subnet);
        assert!(pool.candidate("a", None, NOW).is_ok());
        assert!(pool.usage(NOW).available > 0);
    }
}

#[test]
fn a_full_16_is_filled_refused_and_emptied() {
    let mut pool = pool("10.1.0.0/16", None);
    for n in 0..65_533 {
        take(&mut pool, &format!("o{n}"), None).unwrap();
    }
    assert_eq!(pool.usage(NOW), Usage { capacity: 65_533, held: 65_533, resting: 0, available: 0 });
    assert!(matches!(take(&mut pool, "x", None), Err(Error::Exhausted(_))));
    for n in 0..65_533 {
        let owner = format!("o{n}");
        let address = pool.candidate(&owner, None, NOW).unwrap();
        pool.rest(address, &owner, NOW + 1).unwrap();
    }
    assert_eq!(pool.expire(NOW + 1).len(), 65_533);
}

#[test]
fn a_lease_row_survives_writing_and_reading() {
    for state in [State::Held, State::Resting { until: NOW }] {
        let written = lease("fd00::5", "web/RED", state);
        let text = toml::to_string(&written).unwrap();
        assert_eq!(toml::from_str::<Lease>(&text).unwrap(), written, "{text}");
    }
    let newer = "address = '10.1.0.2'\nowner = 'a'\nhost = 'h1'\nstate = 'held'\nsince = 3";
    assert_eq!(toml::from_str::<Lease>(newer).unwrap(), lease("10.1.0.2", "a", State::Held));
}
