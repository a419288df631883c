//! Which subnet a network gets when nobody names one (I1).

use ipam::{Error, Plan, choose_subnet, global_plans, local_plans, overlap};
use ipnet::IpNet;
use proptest::prelude::*;
use rstest::rstest;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn nets(text: &str) -> Vec<IpNet> {
    text.split_whitespace().map(net).collect()
}

#[test]
fn local_networks_get_dockers_pools_in_dockers_order() {
    let mut used = Vec::new();
    while let Ok(cidr) = choose_subnet(&local_plans(), &used) {
        assert_eq!(overlap(&cidr, &used), None);
        used.push(cidr);
    }
    let wide = (17..=31).map(|b| format!("172.{b}.0.0/16"));
    let narrow = (0..16).map(|c| format!("192.168.{}.0/20", c * 16));
    let expected: Vec<String> = wide.chain(narrow).collect();
    assert_eq!(used.iter().map(IpNet::to_string).collect::<Vec<_>>(), expected);

    let error = choose_subnet(&local_plans(), &used).unwrap_err();
    assert!(matches!(error, Error::NoFreeSubnet { used: 31, .. }));
    let text = error.to_string();
    assert!(text.contains("172.17.0.0/16 in /16") && text.contains("(31 known)"), "{text}");
}

#[rstest]
#[case("", "10.0.0.0/24")]
#[case("10.0.0.0/24 10.0.2.0/24", "10.0.1.0/24")]
#[case("10.0.0.77/32", "10.0.1.0/24")]
#[case("10.0.0.128/25 10.0.1.0/30", "10.0.2.0/24")]
#[case("10.0.0.0/9", "10.128.0.0/24")]
#[case("10.0.0.0/9 10.64.0.0/24 10.128.0.9/32", "10.128.1.0/24")]
#[case("fd00::/8 a00::/8 172.17.0.0/16", "10.0.0.0/24")]
#[case("0.0.0.0/0 ::/0 10.0.0.0/24", "10.0.1.0/24")]
#[case("0.0.0.0/1 128.0.0.0/1", "10.0.0.0/24")]
#[case("10.0.0.5/24", "10.0.1.0/24")] // A row with host bits still takes its whole prefix.
fn i1_the_first_free_subnet_overlaps_nothing_in_use(#[case] used: &str, #[case] chosen: &str) {
    assert_eq!(choose_subnet(&global_plans(), &nets(used)), Ok(net(chosen)));
}

#[test]
fn the_last_subnet_is_found_and_after_it_nothing() {
    let plans = [Plan::new(net("255.255.0.0/16"), 24).unwrap()];
    let mut used: Vec<IpNet> = (0..255).map(|c| net(&format!("255.255.{c}.0/24"))).collect();
    assert_eq!(choose_subnet(&plans, &used), Ok(net("255.255.255.0/24")));
    used.push(net("255.255.255.255/32"));
    assert!(matches!(choose_subnet(&plans, &used), Err(Error::NoFreeSubnet { .. })));
    assert!(matches!(choose_subnet(&[], &[]), Err(Error::NoFreeSubnet { .. })));
}

#[test]
fn ipv6_plans_work_as_well() {
    let plans = [Plan::new(net("fd12:3456:789a::/48"), 64).unwrap()];
    let used = nets("fd12:3456:789a::/64 fd12:3456:789a:1::5/128 10.0.0.0/8");
    assert_eq!(choose_subnet(&plans, &used), Ok(net("fd12:3456:789a:2::/64")));
    let end = [Plan::new(net("ffff:ffff:ffff:ffff::/64"), 128).unwrap()];
    let all = nets("ffff:ffff:ffff:ffff::/64");
    assert!(matches!(choose_subnet(&end, &all), Err(Error::NoFreeSubnet { .. })));
}

#[test]
fn sixty_five_thousand_networks_are_searched() {
    let used: Vec<IpNet> = (0..65_535u32).map(|n| net(&format!("10.{}.{}.0/24", n / 256, n % 256))).collect();
    assert_eq!(choose_subnet(&global_plans(), &used), Ok(net("10.255.255.0/24")));
}

#[rstest]
#[case("10.0.0.0/16", "10.0.5.0/24", true)]
#[case("10.0.5.0/24", "10.0.0.0/16", true)]
#[case("10.0.5.0/24", "10.0.6.0/24", false)]
#[case("10.0.5.0/24", "0.0.0.0/0", false)]
#[case("10.0.5.0/24", "::/0", false)]
#[case("fd00::/64", "fd00::53/128", true)]
fn overlap_names_what_is_in_the_way(#[case] cidr: &str, #[case] other: &str, #[case] hit: bool) {
    let used = [net("192.0.2.0/24"), net(other)];
    assert_eq!(overlap(&net(cidr), &used), hit.then_some(&used[1]));
}

#[rstest]
#[case("10.0.0.1/8", 24, "write 10.0.0.0/8")]
#[case("10.0.0.0/16", 8, "use a size from 16 to 32")]
#[case("10.0.0.0/16", 33, "use a size from 16 to 32")]
#[case("0.0.0.0/0", 8, "whole address space")]
#[case("fd00::/48", 129, "use a size from 48 to 128")]
fn a_bad_plan_is_refused(#[case] base: &str, #[case] size: u8, #[case] text: &str) {
    let error = Plan::new(net(base), size).unwrap_err();
    assert!(error.to_string().contains(text), "{error}");
    // Nor does one that was put together by hand do harm.
    assert_eq!(choose_subnet(&[Plan { base: net(base), size }], &[]), Err(error));
    let row = format!("base = '{base}'\nsize = {size}");
    let error = toml::from_str::<Plan>(&row).unwrap_err().to_string();
    assert!(error.contains(text), "{error}");
}

#[test]
fn a_plan_is_read_as_docker_writes_it() {
    let plan: Plan = toml::from_str("base = '10.10.0.0/16'\nsize = 24").unwrap();
    assert_eq!(plan, Plan::new(net("10.10.0.0/16"), 24).unwrap());
    assert!(toml::from_str::<Plan>("base = '10.10.0.0/16'\nsize = 24\nstep = 2").is_err());
}

proptest! {
    #[test]
    fn i1_chosen_is_the_first_that_a_plain_search_finds(
        used in prop::collection::vec((any::<u16>(), 16u8..=32), 0..40),
        size in 20u8..=28,
    ) {
        let base = net("10.7.0.0/16");
        let used: Vec<IpNet> = used.into_iter().map(|(low, len)| {
            net(&format!("10.7.{}.{}/{}", low >> 8, low & 255, len.max(18)))
        }).collect();
        let plain = base.subnets(size).unwrap().find(|cidr| overlap(cidr, &used).is_none());
        prop_assert_eq!(choose_subnet(&[Plan { base, size }], &used).ok(), plain);
    }
}
