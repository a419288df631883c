//! Whose rules: all networks' of this host or one network's, and of which address family.

use nat::rules::Family;

/// A rule set's place. A packet meets the global rules first, then those of its network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The network's id; none: all networks of this host.
    pub network: Option<String>,
    /// Whose addresses.
    pub family: Family,
}

impl Scope {
    /// For refusals and events; `name` is the network's.
    pub fn object(&self, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("{} filter of network {name}", self.family),
            None => format!("global {} filter", self.family),
        }
    }
}

/// `ipv4` or `ipv6`.
pub const fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

/// The family of that name.
pub fn family_named(name: &str) -> Option<Family> {
    [Family::Ipv4, Family::Ipv6].into_iter().find(|family| family_name(*family) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_by_name() {
        let scope = |network: Option<&str>| Scope { network: network.map(str::to_owned), family: Family::Ipv6 };
        assert_eq!(scope(None).object(None), "global IPv6 filter");
        assert_eq!(scope(Some("11")).object(Some("RED")), "IPv6 filter of network RED");
        for family in [Family::Ipv4, Family::Ipv6] {
            assert_eq!(family_named(family_name(family)), Some(family));
        }
        assert_eq!(family_named("IPv4"), None);
    }
}
