//! Kinds of addresses, as routing sees them: the bits of `-m addrtype`, with the kernel's values.

/// In the order in which they are saved; the bit is the place.
pub(in crate::rules) const NAMES: [&str; 12] = [
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
];

/// The bit of a kind, by name in any case.
pub(in crate::rules) fn bit(name: &str) -> Option<u16> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|place| 1 << place)
}
