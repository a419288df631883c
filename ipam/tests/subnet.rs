//! Which subnets are accepted, what they reserve, and what the refusal says (I1, I2).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipam::{Error, Pool, Subnet};
use ipnet::IpNet;
use rstest::rstest;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `range` and `gateway` may be empty; `aux` is `name=address,...`.
fn subnet(cidr: &str, range: &str, gateway: &str, aux: &str) -> Result<Subnet, Error> {
    let aux: BTreeMap<String, IpAddr> = aux
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, address)| (name.to_owned(), ip(address)))
        .collect();
    let range = (!range.is_empty()).then(|| net(range));
    let gateway = (!gateway.is_empty()).then(|| ip(gateway));
    Subnet::new(net(cidr), range, gateway, aux)
}

#[rstest]
#[case("10.10.10.0/24", "", "10.10.10.1")]
#[case("10.10.10.0/24", "r=10.10.10.1,s=10.10.10.2", "10.10.10.3")]
#[case("10.10.10.4/30", "", "10.10.10.5")]
#[case("10.10.10.4/31", "", "10.10.10.4")]
#[case("fd00:1::/64", "", "fd00:1::1")]
#[case("fd00:1::2/127", "", "fd00:1::2")]
fn default_gateway_is_the_first_usable_address(#[case] cidr: &str, #[case] aux: &str, #[case] gateway: &str) {
    assert_eq!(subnet(cidr, "", "", aux).unwrap().gateway, Some(ip(gateway)));
}

#[rstest]
#[case("10.10.10.7/32")]
#[case("fd00:1::7/128")]
fn a_subnet_of_one_address_leaves_it_to_the_endpoint(#[case] cidr: &str) {
    let subnet = subnet(cidr, "", "", "").unwrap();
    assert_eq!(subnet.gateway, None);
    let pool = Pool::new(subnet);
    assert_eq!(pool.usage(0).capacity, 1);
    assert_eq!(pool.candidate("a", None, 0), Ok(net(cidr).addr()));
}

#[rstest]
#[case("10.1.2.3/24", "", "", "", "subnet 10.1.2.3/24: host bits are set; write 10.1.2.0/24")]
#[case("fd00::1/64", "", "", "", "subnet fd00::1/64: host bits are set; write fd00::/64")]
#[case("10.1.0.0/16", "10.1.4.1/24", "", "", "range 10.1.4.1/24: host bits are set; write 10.1.4.0/24")]
#[case("10.1.0.0/16", "10.2.0.0/24", "", "", "range 10.2.0.0/24 is not inside it")]
#[case("10.1.0.0/16", "10.0.0.0/8", "", "", "range 10.0.0.0/8 is not inside it")]
#[case("10.1.0.0/16", "fd00::/64", "", "", "range fd00::/64 is not inside it")]
#[case("10.1.0.0/16", "10.1.0.0/32", "", "", "range 10.1.0.0/32 has no usable address")]
#[case("10.1.0.0/16", "", "10.2.0.1", "", "gateway 10.2.0.1 is not inside it")]
#[case("10.1.0.0/16", "", "fd00::1", "", "gateway fd00::1 is not inside it")]
#[case("10.1.0.0/16", "", "10.1.0.0", "", "gateway 10.1.0.0 is the network address")]
#[case("10.1.0.0/16", "", "10.1.255.255", "", "gateway 10.1.255.255 is the broadcast address")]
#[case("fd00::/64", "", "fd00::", "", "gateway fd00:: is the subnet-router anycast address")]
#[case("10.1.0.0/16", "", "", "r=10.2.0.1", "auxiliary address r 10.2.0.1 is not inside it")]
#[case("10.1.0.0/16", "", "", "r=10.1.255.255", "auxiliary address r 10.1.255.255 is the broadcast")]
#[case("10.1.0.0/16", "", "10.1.0.9", "r=10.1.0.9", "auxiliary address r and gateway are both 10.1.0.9")]
#[case("10.1.0.0/16", "", "", "r=10.1.0.9,s=10.1.0.9", "auxiliary address s and auxiliary address r are both")]
#[case("127.1.0.0/16", "", "", "", "overlaps 127.0.0.0/8, loopback")]
#[case("224.0.0.0/24", "", "", "", "overlaps 224.0.0.0/4, multicast")]
#[case("0.0.0.0/0", "", "", "", "overlaps 0.0.0.0/8")]
#[case("::/0", "", "", "", "overlaps ::/128")]
#[case("ff02::/64", "", "", "", "overlaps ff00::/8, multicast")]
#[case("::ffff:10.0.0.0/104", "", "", "", "IPv4-mapped")]
fn a_bad_subnet_is_refused_by_name(
    #[case] cidr: &str,
    #[case] range: &str,
    #[case] gateway: &str,
    #[case] aux: &str,
    #[case] text: &str,
) {
    let error = subnet(cidr, range, gateway, aux).unwrap_err();
    assert!(matches!(error, Error::BadSubnet { .. }), "{error:?}");
    assert!(error.to_string().contains(text), "{error}");
    assert!(error.to_string().starts_with(&format!("subnet {}: ", net(cidr))), "{error}");
}

#[test]
fn what_an_address_is_kept_for() {
    let subnet = subnet("10.1.0.0/24", "", "10.1.0.254", "printer=10.1.0.9").unwrap();
    let what = |address| subnet.reserved(ip(address));
    assert_eq!(what("10.1.0.0").as_deref(), Some("the network address"));
    assert_eq!(what("10.1.0.255").as_deref(), Some("the broadcast address"));
    assert_eq!(what("10.1.0.254").as_deref(), Some("the gateway"));
    assert_eq!(what("10.1.0.9").as_deref(), Some("the auxiliary address printer"));
    assert_eq!(what("10.1.0.1"), None);
    assert_eq!(what("fd00::"), None);
    assert_eq!(subnet.check(ip("10.1.0.1")), Ok(()));
    let error = subnet.check(ip("fd00::1")).unwrap_err();
    assert_eq!(error.to_string(), "subnet 10.1.0.0/24: address fd00::1 is not inside it; choose one that is");
}

#[test]
fn a_row_survives_writing_and_reading() {
    for written in [
        subnet("10.1.0.0/16", "10.1.5.0/24", "10.1.0.254", "a=10.1.0.9,b=10.1.0.10").unwrap(),
        subnet("fd00:1::/64", "", "", "").unwrap(),
        subnet("10.1.0.7/32", "", "", "").unwrap(),
    ] {
        let text = toml::to_string(&written).unwrap();
        assert_eq!(toml::from_str::<Subnet>(&text).unwrap(), written, "{text}");
    }
}

#[rstest]
#[case("cidr = '10.1.0.1/16'", "write 10.1.0.0/16")]
#[case("cidr = '10.1.0.0/16'\ngateway = '10.2.0.1'", "gateway 10.2.0.1 is not inside it")]
#[case("cidr = '10.1.0.0/16'\nexclude = '10.1.0.9'", "unknown field `exclude`")]
#[case("range = '10.1.0.0/16'", "missing field `cidr`")]
#[case("cidr = '10.1.0.0/33'", "invalid IP address syntax")]
fn a_bad_row_is_refused(#[case] row: &str, #[case] text: &str) {
    let error = toml::from_str::<Subnet>(row).unwrap_err().to_string();
    assert!(error.contains(text), "{error}");
}
