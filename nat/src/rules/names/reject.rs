//! What `--reject-with` takes, and what is sent for it (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).

use crate::rules::{Family, Reject};

const V4: &[(&str, &str, Reject)] = &[
    ("icmp-net-unreachable", "net-unreach", Reject::Icmp(0)),
    ("icmp-host-unreachable", "host-unreach", Reject::Icmp(1)),
    ("icmp-proto-unreachable", "proto-unreach", Reject::Icmp(2)),
    ("icmp-port-unreachable", "port-unreach", Reject::Icmp(3)),
    ("icmp-net-prohibited", "net-prohib", Reject::Icmp(9)),
    ("icmp-host-prohibited", "host-prohib", Reject::Icmp(10)),
    ("tcp-reset", "tcp-rst", Reject::TcpReset),
    ("icmp-admin-prohibited", "admin-prohib", Reject::Icmp(13)),
];

const V6: &[(&str, &str, Reject)] = &[
    ("icmp6-no-route", "no-route", Reject::Icmpv6(0)),
    ("icmp6-adm-prohibited", "adm-prohibited", Reject::Icmpv6(1)),
    ("icmp6-addr-unreachable", "addr-unreach", Reject::Icmpv6(3)),
    ("icmp6-port-unreachable", "port-unreach", Reject::Icmpv6(4)),
    ("tcp-reset", "tcp-reset", Reject::TcpReset),
    ("icmp6-policy-fail", "policy-fail", Reject::Icmpv6(5)),
    ("icmp6-reject-route", "reject-route", Reject::Icmpv6(6)),
];

/// Without `--reject-with`: a port is unreachable.
pub(in crate::rules) const fn default(family: Family) -> Reject {
    match family {
        Family::Ipv4 => Reject::Icmp(3),
        Family::Ipv6 => Reject::Icmpv6(4),
    }
}

const fn names(family: Family) -> &'static [(&'static str, &'static str, Reject)] {
    match family {
        Family::Ipv4 => V4,
        Family::Ipv6 => V6,
    }
}

/// A kind by name, or by its short name.
pub(in crate::rules) fn named(family: Family, word: &str) -> Option<Reject> {
    let names = names(family);
    let exact =
        names.iter().find(|(name, short, _)| word.eq_ignore_ascii_case(name) || word.eq_ignore_ascii_case(short));
    exact.map(|&(.., reject)| reject)
}

/// The name of a kind.
pub(in crate::rules) fn name(family: Family, reject: Reject) -> &'static str {
    names(family).iter().find(|&&(.., known)| known == reject).map_or("tcp-reset", |&(name, ..)| name)
}
