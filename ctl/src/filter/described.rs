//! A packet in words, made into a real one. Words that rules have, too (protocols, ICMP types, flags), mean what they
//! mean there: they are read as part of a rule.

use std::net::IpAddr;

use nat::rules::{Connection, Family, Match, Statuses, Table, Tracking, load};
use nat::{Address, Tuple};
use wire::{Frame, Mac, checksum, protocol};

use crate::api::TracePacket;

/// What is wrong with a description: the word, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unclear {
    /// What is wrong.
    pub why: String,
    /// What helps.
    pub remedy: String,
}

fn unclear(why: impl Into<String>, remedy: impl Into<String>) -> Unclear {
    Unclear { why: why.into(), remedy: remedy.into() }
}

/// A packet that rules can judge.
pub struct Described {
    /// Whose rules.
    pub family: Family,
    /// The packet.
    pub frame: Frame,
    /// What is known of its connection once it was looked up.
    pub tracking: Tracking,
    /// Whether it is the first of its connection, or of one that is announced.
    pub first: bool,
    /// The packet in words.
    pub text: String,
}

/// TCP's SYN and ACK.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// Where an ICMP query's identifier would be.
const IDENTIFIER: u16 = 1;

impl Described {
    /// Makes the packet; its addresses are known by now.
    ///
    /// # Errors
    /// [`Unclear`] with the word that means nothing.
    pub fn of(ask: &TracePacket, src: IpAddr, dst: IpAddr) -> Result<Described, Unclear> {
        let family = match (src, dst) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Family::Ipv4,
            (IpAddr::V6(_), IpAddr::V6(_)) => Family::Ipv6,
            _ => return Err(unclear(format!("{src} and {dst} are of two families"), "give two of one")),
        };
        let state = ask.state.as_deref().unwrap_or("NEW").to_ascii_uppercase();
        let first = matches!(&*state, "NEW" | "RELATED");
        let (number, segment, ports, words) = segment(family, ask, state == "NEW")?;
        let mut frame = Frame::new();
        let room = put_headers(&mut frame, ask, src, dst, number, segment.len())?;
        frame.extend(&segment);
        frame.extend(&vec![0; room]);
        seal(&mut frame, src, dst, number);
        let address = |ip: IpAddr| {
            Address::new(ip).ok_or_else(|| unclear(format!("{ip} is an IPv4 address in disguise"), "write it as IPv4"))
        };
        let original =
            Tuple { src: address(src)?, dst: address(dst)?, src_port: ports.0, dst_port: ports.1, protocol: number };
        let tracking = tracking(&state, original, ask.connmark.unwrap_or(0))?;
        Ok(Described { family, frame, tracking, first, text: format!("{src} > {dst} {words} {state}") })
    }
}

fn tracking(state: &str, original: Tuple, mark: u32) -> Result<Tracking, Unclear> {
    let established = state == "ESTABLISHED";
    let statuses = match established {
        true => Statuses(Statuses::SEEN_REPLY.0 | Statuses::ASSURED.0 | Statuses::CONFIRMED.0),
        false => Statuses::default(),
    };
    match state {
        "NEW" | "ESTABLISHED" | "RELATED" => Ok(Tracking::Known(Connection {
            established,
            related: state == "RELATED",
            statuses,
            mark,
            ..Connection::begun_by(original)
        })),
        "INVALID" => Ok(Tracking::None),
        "UNTRACKED" => Ok(Tracking::Untracked),
        _ => Err(unclear(format!("state {state} is not known"), "use NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED")),
    }
}

/// A word as rules read it: the only rule of a text that has it.
fn as_rule(family: Family, option: &str, word: &str) -> Option<nat::rules::Rule> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | ',' | '_');
    if word.is_empty() || !word.chars().all(plain) {
        return None;
    }
    let set = load(family, &format!("*filter\n-A INPUT {option} {word}\nCOMMIT\n")).ok()?;
    set.table(Table::Filter)?.chains().first()?.rules.first().cloned()
}

/// A protocol's number, by its name or as a number.
pub(super) fn protocol_named(family: Family, word: &str) -> Option<u8> {
    Some(as_rule(family, "-p", word)?.header.protocol?.value)
}

/// Protocol, its header, what a tuple has for ports, and words.
type Segment = (u8, Vec<u8>, (u16, u16), String);

fn segment(family: Family, ask: &TracePacket, new: bool) -> Result<Segment, Unclear> {
    let name = ask.proto.as_deref().unwrap_or("tcp");
    let number = protocol_named(family, name)
        .ok_or_else(|| unclear(format!("protocol {name} is not known"), "use tcp, udp, icmp, or a number from 1"))?;
    let (sport, dport) = (ask.sport.unwrap_or(40_000), ask.dport.unwrap_or(80));
    let mut bytes: Vec<u8> = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    Ok(match (number, family) {
        (protocol::TCP, _) => {
            let flags = match &ask.flags {
                Some(words) => flags(family, words)?,
                None if new => SYN,
                None => ACK,
            };
            // Numbers, and with SYN the option for the largest segment.
            bytes.extend([0, 0, 0, 1, 0, 0, 0, if flags & ACK == 0 { 0 } else { 1 }]);
            let options: &[u8] = if flags & SYN == 0 { &[] } else { &[2, 4, 0x05, 0xb4] };
            bytes.extend([(5 + options.len() as u8 / 4) << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
            bytes.extend(options);
            (number, bytes, (sport, dport), format!("tcp {sport} > {dport} flags {}", shown(flags)))
        }
        (protocol::UDP, _) => {
            bytes.extend([0; 4]);
            (number, bytes, (sport, dport), format!("udp {sport} > {dport}"))
        }
        (protocol::ICMP, Family::Ipv4) | (protocol::ICMPV6, Family::Ipv6) => {
            let (kind, code) = icmp(family, ask.icmp_type.as_deref().unwrap_or("echo-request"))?;
            let [high, low] = IDENTIFIER.to_be_bytes();
            let words = format!("{name} type {kind} code {code}");
            (number, vec![kind, code, 0, 0, high, low, 0, 1], (IDENTIFIER, u16::from(kind)), words)
        }
        _ => (number, vec![0; 8], (0, 0), format!("protocol {number}")),
    })
}

fn flags(family: Family, words: &str) -> Result<u8, Unclear> {
    let rule = as_rule(family, "-p tcp -m tcp --tcp-flags ALL", &words.to_ascii_uppercase());
    let set = rule.and_then(|rule| match rule.matches.first() {
        Some(Match::Tcp(tcp)) => Some(tcp.flags?.value.set),
        _ => None,
    });
    set.ok_or_else(|| unclear(format!("flags {words} are not known"), "use SYN,ACK,FIN,RST,PSH,URG, ALL or NONE"))
}

fn shown(flags: u8) -> String {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    let set: Vec<&str> =
        names.into_iter().enumerate().filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, n)| n).collect();
    if set.is_empty() { "NONE".into() } else { set.join(",") }
}

fn icmp(family: Family, word: &str) -> Result<(u8, u8), Unclear> {
    let option = match family {
        Family::Ipv4 => "-p icmp -m icmp --icmp-type",
        Family::Ipv6 => "-p ipv6-icmp -m icmp6 --icmpv6-type",
    };
    let rule = as_rule(family, option, word);
    let kind = rule.and_then(|rule| match rule.matches.first() {
        Some(Match::Icmp(wanted)) => Some((wanted.value.kind, wanted.value.code.unwrap_or(0))),
        _ => None,
    });
    kind.ok_or_else(|| unclear(format!("ICMP type {word} is not known"), "use a name as rules have it, or TYPE/CODE"))
}

/// Writes Ethernet and IP header; the bytes that are to follow the transport header.
fn put_headers(
    frame: &mut Frame,
    ask: &TracePacket,
    src: IpAddr,
    dst: IpAddr,
    number: u8,
    segment: usize,
) -> Result<usize, Unclear> {
    let header = if src.is_ipv4() { 20 } else { 40 };
    let least = header + segment;
    let length = ask.length.map_or(least, usize::from);
    let room = length.checked_sub(least).ok_or_else(|| {
        unclear(format!("a packet of {length} bytes is too short"), format!("it needs {least} bytes for its headers"))
    })?;
    let from = ask.mac.unwrap_or(Mac([0x02, 0, 0, 0, 0, 0x01]));
    frame.extend(&[0x02, 0, 0, 0, 0, 0x02]);
    frame.extend(&from.0);
    let (ttl, tos) = (ask.ttl.unwrap_or(64), ask.tos.unwrap_or(0));
    let below = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let [high, low] = below(length);
            let mut ip = vec![0x45, tos, high, low, 0, 0, 0x40, 0, ttl, number, 0, 0];
            ip.extend(src.octets());
            ip.extend(dst.octets());
            let sum = checksum::ipv4_header(&ip).to_be_bytes();
            ip[10..12].copy_from_slice(&sum);
            frame.extend(&[0x08, 0x00]);
            frame.extend(&ip);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let [high, low] = below(length - header);
            frame.extend(&[0x86, 0xdd]);
            frame.extend(&[0x60 | tos >> 4, tos << 4, 0, 0, high, low, number, ttl]);
            frame.extend(&src.octets());
            frame.extend(&dst.octets());
        }
        _ => {}
    }
    Ok(room)
}

/// Writes the transport's length and checksum.
fn seal(frame: &mut Frame, src: IpAddr, dst: IpAddr, number: u8) {
    let start = 14 + if src.is_ipv4() { 20 } else { 40 };
    let Some(segment) = frame.bytes_mut().get_mut(start..) else { return };
    let len = segment.len();
    let pseudo = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => checksum::pseudo_ipv4(src.octets(), dst.octets(), number, len as u16),
        (IpAddr::V6(src), IpAddr::V6(dst)) => checksum::pseudo_ipv6(&src.octets(), &dst.octets(), number, len as u32),
        _ => 0,
    };
    let (at, start) = match number {
        protocol::TCP => (16, pseudo),
        protocol::UDP => (6, pseudo),
        protocol::ICMP if src.is_ipv4() => (2, 0),
        protocol::ICMPV6 if src.is_ipv6() => (2, pseudo),
        _ => return,
    };
    if number == protocol::UDP
        && let Some(field) = segment.get_mut(4..6)
    {
        field.copy_from_slice(&(len as u16).to_be_bytes());
    }
    let sum = match !checksum::fold(start + checksum::sum(segment)) {
        0 => 0xffff,
        sum => sum,
    };
    if let Some(field) = segment.get_mut(at..at + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(ask: TracePacket, src: &str, dst: &str) -> Result<Described, Unclear> {
        Described::of(&ask, src.parse().unwrap(), dst.parse().unwrap())
    }

    fn ask(proto: &str) -> TracePacket {
        TracePacket { proto: Some(proto.into()), ..TracePacket::default() }
    }

    #[test]
    fn packets_are_real_ones() {
        for (src, dst, icmp) in [("10.0.0.1", "10.0.0.2", "icmp"), ("fd00::1", "fd00::2", "ipv6-icmp")] {
            for proto in ["tcp", "udp", "6", icmp] {
                let ask = TracePacket { length: Some(301), tos: Some(0xb8), ttl: Some(3), ..ask(proto) };
                let made = described(ask, src, dst).unwrap();
                let headers = wire::parse(made.frame.bytes()).unwrap();
                assert_eq!(wire::checksum::verify_transport(made.frame.bytes(), &headers), Some(true), "{proto} {src}");
                assert_eq!(headers.end as usize, 14 + 301);
                assert_eq!((headers.key.src(), headers.key.dst()), (src.parse().ok(), dst.parse().ok()));
            }
        }
        let other = described(ask("gre"), "10.0.0.1", "10.0.0.2").unwrap();
        assert_eq!(wire::parse(other.frame.bytes()).unwrap().key.protocol(), 47);
    }

    #[test]
    fn words_mean_what_they_mean_in_rules() {
        let with = |flags: &str| TracePacket { flags: Some(flags.into()), ..ask("tcp") };
        let text = described(with("fin,ACK"), "10.0.0.1", "10.0.0.2").unwrap().text;
        assert_eq!(text, "10.0.0.1 > 10.0.0.2 tcp 40000 > 80 flags FIN,ACK NEW");
        let icmp = TracePacket { icmp_type: Some("port-unreachable".into()), ..ask("icmp") };
        let text = described(icmp, "10.0.0.1", "10.0.0.2").unwrap().text;
        assert_eq!(text, "10.0.0.1 > 10.0.0.2 icmp type 3 code 3 NEW");
        let bad = [
            (ask("nix"), "protocol nix"),
            (ask("tcp -j"), "protocol tcp -j"),
            (ask("0"), "protocol 0"),
            (with("SYN,NIX"), "flags SYN,NIX"),
            (TracePacket { state: Some("old".into()), ..ask("udp") }, "state OLD"),
            (TracePacket { length: Some(20), ..ask("udp") }, "20 bytes"),
            (TracePacket { icmp_type: Some("x\nCOMMIT".into()), ..ask("icmp") }, "ICMP type"),
        ];
        for (ask, word) in bad {
            let why = described(ask, "10.0.0.1", "10.0.0.2").err().unwrap();
            assert!(why.why.contains(word) && !why.remedy.is_empty(), "{why:?}");
        }
        assert!(described(ask("tcp"), "10.0.0.1", "fd00::1").err().unwrap().why.contains("two families"));
        assert!(described(ask("tcp"), "::ffff:10.0.0.1", "fd00::1").is_err());
    }
}
