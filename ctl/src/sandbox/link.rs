//! What a link in a sandbox is to look like, and how its name is chosen.
//! Pure: nothing here talks to the kernel, whose rules on names and sizes are checked before anything is made.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use wire::Mac;

/// The longest name of a link, in bytes (IFNAMSIZ without its final zero).
const NAME_LIMIT: usize = 15;
/// The longest alias of a link, in bytes (IFALIASZ without its final zero).
const ALIAS_LIMIT: usize = 255;
/// The smallest MTU with which the kernel keeps IPv6 on a link (RFC 8200 clause 5).
const IPV6_MTU: u32 = 1280;

/// A link to be made in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// The name; `None` takes the lowest free ethN.
    pub ifname: Option<String>,
    /// The station's address.
    pub mac: Mac,
    /// Bytes of an IP packet, 68 to 65,521 (what a TAP takes).
    pub mtu: u32,
    /// Addresses with the prefix lengths of their subnets.
    pub addresses: Vec<IpNet>,
    /// Routes to other subnets of the network: where to, and by which gateway.
    pub routes: Vec<(IpNet, IpAddr)>,
    /// Gateways for everything else, at most one of each family. One is used if the sandbox has no default route of its
    /// family yet.
    pub gateways: Vec<IpAddr>,
    /// The largest super-frame that the sandbox's kernel hands over, in bytes.
    pub gso_max_size: u32,
    /// For humans, shown by `ip link`: `vswitch:RED`. Cut at 255 bytes.
    pub alias: String,
}

impl LinkSpec {
    /// What is wrong with the request, if anything, as the end of "link NAME in sandbox PATH: ...".
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.ifname.as_deref().is_some_and(|name| !is_name(name)) {
            return Some("not a link name (1 to 15 bytes without spaces, `/`, `:` or `%`, and not `.`, `..` or `lo`)");
        }
        if !self.mac.is_station() {
            return Some("the MAC address is a group address or zero");
        }
        if !(68..=65521).contains(&self.mtu) {
            return Some("the MTU is not between 68 and 65521");
        }
        if self.mtu < IPV6_MTU && self.addresses.iter().any(|net| net.addr().is_ipv6()) {
            return Some("IPv6 needs an MTU of at least 1280");
        }
        None
    }

    /// The alias, cut where the kernel's limit is, at a character's boundary.
    pub(super) fn alias(&self) -> &str {
        &self.alias[..self.alias.floor_char_boundary(ALIAS_LIMIT)]
    }
}

/// Whether the kernel takes `name` for a link as it is. `%` is its pattern sign, and `all` and `default` are the
/// names of sysctl directories, so a link of that name would share its settings with all others.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && !matches!(name, "." | ".." | "lo" | "all" | "default")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%'))
}

/// The lowest ethN that is not among `names`.
pub(super) fn lowest_free(names: &HashSet<String>) -> String {
    (0..=names.len()).map(|number| format!("eth{number}")).find(|name| !names.contains(name)).unwrap_or_default()
}

/// A name for the moment between making a link in the host's namespace and moving it: 14 bytes, 44 random bits.
pub(super) fn temporary() -> String {
    format!("vsw{:011x}", rand::random::<u64>() & 0xfff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LinkSpec {
        LinkSpec {
            ifname: None,
            mac: Mac([2, 0x42, 10, 10, 10, 2]),
            mtu: 1450,
            addresses: vec!["10.10.10.2/24".parse().unwrap()],
            routes: Vec::new(),
            gateways: Vec::new(),
            gso_max_size: 61_000,
            alias: "vswitch:RED".into(),
        }
    }

    #[test]
    fn names_follow_the_kernel() {
        for good in ["eth0", "a", "fifteen-bytes-x", "net.10", "e@1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "lo", "all", "default", "sixteen-bytes-xx", "a b", "a/b", "a:1", "eth%d", "é", "\t"]
        {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_lowest_free_number_is_taken() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        assert_eq!(lowest_free(&names(&[])), "eth0");
        assert_eq!(lowest_free(&names(&["lo", "eth1"])), "eth0");
        assert_eq!(lowest_free(&names(&["lo", "eth0", "eth1", "eth3"])), "eth2");
        assert_eq!(lowest_free(&names(&["eth0", "eth1"])), "eth2");
    }

    #[test]
    fn temporary_names_are_link_names_and_differ() {
        let (one, two) = (temporary(), temporary());
        assert!(is_name(&one) && is_name(&two), "{one} {two}");
        assert_ne!(one, two);
    }

    #[test]
    fn a_bad_request_is_named() {
        assert_eq!(spec().problem(), None);
        assert!(LinkSpec { ifname: Some("a/b".into()), ..spec() }.problem().unwrap().contains("link name"));
        assert!(LinkSpec { mac: Mac::BROADCAST, ..spec() }.problem().unwrap().contains("MAC"));
        assert!(LinkSpec { mac: Mac::ZERO, ..spec() }.problem().unwrap().contains("MAC"));
        assert!(LinkSpec { mtu: 67, ..spec() }.problem().unwrap().contains("MTU"));
        assert!(LinkSpec { mtu: 70_000, ..spec() }.problem().unwrap().contains("MTU"));
        let v6 = vec!["fd00::2/64".parse().unwrap()];
        assert!(LinkSpec { mtu: 1279, addresses: v6.clone(), ..spec() }.problem().unwrap().contains("IPv6"));
        assert_eq!(LinkSpec { mtu: 1280, addresses: v6, ..spec() }.problem(), None);
    }

    #[test]
    fn a_long_alias_is_cut_between_characters() {
        let spec = LinkSpec { alias: "ä".repeat(200), ..spec() };
        assert_eq!(spec.alias().len(), 254);
        assert_eq!(spec.alias().chars().count(), 127);
    }
}
