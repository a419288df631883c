//! Seeds for the name server: messages, and the same in datagrams and streams to a gateway.

use super::Seed;

/// A query: identifier, flags, counts, name, type, class, and what follows.
pub(super) fn query(id: u8, name: &str, kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12 ^ id, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!rest.is_empty())];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, kind, 0, 1]);
    message.extend(rest);
    message
}

/// EDNS of that version, with an option that nobody knows.
fn edns(version: u8) -> [u8; 17] {
    [0, 0, 41, 0x10, 0, 0, version, 0x80, 0, 0, 6, 0xfd, 0xe9, 0, 2, 1, 2]
}

/// The seeds of `dns_respond`.
pub(super) fn seeds() -> Vec<Seed> {
    let mut response = query(0, "web", 1, &[]);
    response[2] |= 0x80;
    response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 1, 1, 1]);
    response[7] = 1;
    let mut looped = query(0, "web", 1, &[]);
    looped[12..14].copy_from_slice(&[0xc0, 12]);
    let rows = vec![
        ("a", query(0, "web", 1, &[])),
        ("aaaa", query(0, "C1.Red", 28, &edns(0))),
        ("ptr", query(0, "3.1.1.10.in-addr.arpa", 12, &[])),
        ("ptr6", query(0, &format!("3.0.0.0.1.0.0.0.{}0.0.d.f.ip6.arpa", "0.".repeat(20)), 12, &[])),
        ("srv", query(0, "_80._tcp.web.blue", 33, &edns(0))),
        ("other", query(0, "example.org", 1, &[])),
        ("refused", query(1, "example.org", 16, &[])),
        ("version", query(0, "web", 1, &edns(1))),
        ("any", query(0, "a.b", 255, &[])),
        ("localhost", query(0, "localhost", 28, &[])),
        ("root", query(0, "", 2, &[])),
        ("twice", query(0, "web", 1, &[edns(0), edns(0)].concat())),
        ("response", response),
        ("looped", looped),
    ];
    rows.into_iter().map(|(name, bytes)| ("dns_respond", name, bytes)).collect()
}
