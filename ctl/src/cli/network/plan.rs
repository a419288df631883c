//! Which range, gateway and reserved address belongs to which subnet: docker gives them as separate
//! lists and matches them by containment. What does not fit is refused before anything is asked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::api::NewSubnet;
use crate::cli::error::Error;
use crate::cli::value::Pair;

/// The subnets with everything that belongs to each, in the order given.
pub(super) fn plan(
    subnets: &[IpNet],
    ranges: &[IpNet],
    gateways: &[IpAddr],
    aux_addresses: Vec<Pair>,
) -> Result<Vec<NewSubnet>, Error> {
    let mut planned: Vec<(IpNet, NewSubnet)> = Vec::with_capacity(subnets.len());
    for &subnet in subnets {
        if let Some((other, _)) = planned.iter().find(|(other, _)| overlap(*other, subnet)) {
            return Err(wrong(format!("subnets {other} and {subnet} overlap"), "give subnets that share no address"));
        }
        planned.push((subnet, NewSubnet { subnet: Some(subnet), ..NewSubnet::default() }));
    }
    for &range in ranges {
        let place = find(&mut planned, &format!("--ip-range {range}"), |subnet| subnet.contains(&range))?;
        if let Some(other) = place.ip_range.replace(range) {
            return Err(twice("--ip-range", &other, &range));
        }
    }
    for &gateway in gateways {
        let place = find(&mut planned, &format!("--gateway {gateway}"), |subnet| subnet.contains(&gateway))?;
        if let Some(other) = place.gateway.replace(gateway) {
            return Err(twice("--gateway", &other, &gateway));
        }
    }
    let mut names = BTreeMap::new();
    for Pair { key, value } in aux_addresses {
        let option = format!("--aux-address {key}={value}");
        let address: IpAddr =
            value.parse().map_err(|_| wrong(format!("{option}: {value} is no address"), "give NAME=ADDRESS"))?;
        if let Some(other) = names.insert(key.clone(), address) {
            return Err(wrong(format!("{option}: the name has {other} already"), "give each address its own name"));
        }
        let place = find(&mut planned, &option, |subnet| subnet.contains(&address))?;
        place.aux_addresses.insert(key, address);
    }
    Ok(planned.into_iter().map(|(_, subnet)| subnet).collect())
}

fn find<'a>(
    planned: &'a mut [(IpNet, NewSubnet)],
    option: &str,
    holds: impl Fn(&IpNet) -> bool,
) -> Result<&'a mut NewSubnet, Error> {
    let fitting = planned.iter_mut().find(|(subnet, _)| holds(subnet));
    fitting.map(|(_, place)| place).ok_or_else(|| {
        wrong(format!("{option} lies in none of the subnets"), "give the subnet that contains it with --subnet")
    })
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

fn twice(option: &str, one: &dyn std::fmt::Display, other: &dyn std::fmt::Display) -> Error {
    wrong(format!("{option} {one} and {other} are for the same subnet"), "give one for each subnet")
}

fn wrong(error: String, remedy: &str) -> Error {
    Error::Usage { error, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    #[test]
    fn everything_goes_to_the_subnet_that_contains_it() {
        let planned = plan(
            &nets(&["10.0.0.0/24", "fd00:1::/64"]),
            &nets(&["10.0.0.128/25"]),
            &addresses(&["fd00:1::1", "10.0.0.254"]),
            vec![pair("printer=10.0.0.9")],
        )
        .unwrap();
        assert_eq!(planned.len(), 2);
        assert_eq!(planned[0].ip_range, Some("10.0.0.128/25".parse().unwrap()));
        assert_eq!(planned[0].gateway, Some("10.0.0.254".parse().unwrap()));
        assert_eq!(planned[0].aux_addresses["printer"], "10.0.0.9".parse::<IpAddr>().unwrap());
        assert_eq!(planned[1].gateway, Some("fd00:1::1".parse().unwrap()));
        assert_eq!(planned[1].ip_range, None);
    }

    #[test]
    fn nothing_given_leaves_the_choice_to_the_daemon() {
        assert_eq!(plan(&[], &[], &[], vec![]).unwrap(), []);
    }

    #[test]
    fn what_fits_no_subnet_is_refused_by_name() {
        let subnets = nets(&["10.0.0.0/24"]);
        let text = |result: Result<_, Error>| result.map(|_: Vec<NewSubnet>| ()).unwrap_err().to_string();
        let outside = "lies in none of the subnets";
        assert_eq!(text(plan(&[], &[], &addresses(&["10.0.0.1"]), vec![])), format!("--gateway 10.0.0.1 {outside}"));
        assert_eq!(
            text(plan(&subnets, &nets(&["10.0.0.0/23"]), &[], vec![])),
            format!("--ip-range 10.0.0.0/23 {outside}")
        );
        assert_eq!(
            text(plan(&subnets, &[], &[], vec![pair("a=10.0.1.1")])),
            format!("--aux-address a=10.0.1.1 {outside}")
        );
        assert_eq!(text(plan(&subnets, &[], &[], vec![pair("a=b")])), "--aux-address a=b: b is no address");
    }

    #[test]
    fn one_of_each_for_a_subnet() {
        let subnets = nets(&["10.0.0.0/24"]);
        assert!(plan(&nets(&["10.0.0.0/24", "10.0.0.0/16"]), &[], &[], vec![]).is_err());
        assert!(plan(&subnets, &nets(&["10.0.0.0/25", "10.0.0.128/25"]), &[], vec![]).is_err());
        assert!(plan(&subnets, &[], &addresses(&["10.0.0.1", "10.0.0.2"]), vec![]).is_err());
        assert!(plan(&subnets, &[], &[], vec![pair("a=10.0.0.1"), pair("a=10.0.0.2")]).is_err());
    }
}
