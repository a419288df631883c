//! IP protocols (IANA registry), with the names that `/etc/protocols` gives them.

/// What is said for "any protocol"; 0 in a rule.
const ANY: [&str; 4] = ["all", "ip", "hopopt", "0"];

const NAMES: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
    ("icmpv6", 58),
    ("mh", 135),
    ("ipv6-mh", 135),
];

/// The number of a protocol, by name in any case, or by number. 0 is any.
pub(in crate::rules) fn number(word: &str) -> Option<u8> {
    if ANY.iter().any(|name| name.eq_ignore_ascii_case(word)) {
        return Some(0);
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.parse().ok();
    }
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, number)| number)
}

/// The name of a protocol.
pub(in crate::rules) fn name(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|&&(_, known)| known == number).map(|&(name, _)| name)
}
