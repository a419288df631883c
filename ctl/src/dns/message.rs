//! A query from what a person writes, and an answer as a person reads it. For `vsctl`; containers send their own.

use std::fmt::Write;
use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, ResourceRecord};

use crate::api::DnsRecord;

/// Types that have a name here.
const TYPES: [(&str, u16); 13] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("HTTPS", 65),
    ("CAA", 257),
    ("ANY", 255),
];

/// The message that asks for a name, or for the name of an address.
///
/// # Errors
/// What is wrong, and what is wanted.
pub(crate) fn query(name: &str, kind: Option<&str>) -> Result<Vec<u8>, (String, &'static str)> {
    let address: Option<IpAddr> = name.parse().ok();
    let name = address.map_or_else(|| name.to_owned(), reverse);
    let kind = kind.unwrap_or(if address.is_some() { "PTR" } else { "A" });
    let kind = type_named(kind)
        .ok_or_else(|| (format!("type {kind:?} is not known"), "give one such as A, AAAA, SRV or TYPE65"))?;
    let wrong = || (format!("{name:?} is no domain name"), "give one such as web or web.example.com");
    ::dns::Name::from_text(&name).ok_or_else(wrong)?;
    let labels = Name::new(name.strip_suffix('.').unwrap_or(&name)).map_err(|_| wrong())?;
    let mut packet = Packet::new_query(rand::random());
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let kind = QTYPE::try_from(kind).map_err(|_| wrong())?;
    packet.questions.push(Question::new(labels, kind, CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(|_| wrong())
}

/// The name that belongs to an address (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            digits.fold(String::new(), |text, digit| format!("{text}{digit:x}.")) + "ip6.arpa"
        }
    }
}

fn type_named(text: &str) -> Option<u16> {
    let text = text.to_ascii_uppercase();
    let known = TYPES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    known.or_else(|| text.strip_prefix("TYPE")?.parse().ok())
}

fn type_name(number: u16) -> String {
    TYPES.iter().find(|(_, known)| *known == number).map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).into())
}

/// The status of a reply and the records of its answer; `None` if it makes no sense.
pub(crate) fn read(reply: &[u8]) -> Option<(String, Vec<DnsRecord>)> {
    let status = match reply.get(3)? & 0x0f {
        0 => "NOERROR".into(),
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        3 => "NXDOMAIN".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        other => format!("RCODE{other}"),
    };
    let packet = Packet::parse(reply).ok()?;
    Some((status, packet.answers.iter().map(record).collect()))
}

fn record(record: &ResourceRecord<'_>) -> DnsRecord {
    let kind = type_name(u16::from(record.rdata.type_code()));
    DnsRecord { name: record.name.to_string(), kind, ttl: record.ttl, data: data(record) }
}

fn data(record: &ResourceRecord<'_>) -> String {
    match &record.rdata {
        RData::A(a) => std::net::Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(a) => std::net::Ipv6Addr::from(a.address).to_string(),
        RData::CNAME(name) => name.0.to_string(),
        RData::NS(name) => name.0.to_string(),
        RData::PTR(name) => name.0.to_string(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
        RData::TXT(text) => String::try_from(text.clone()).unwrap_or_else(|_| raw(record)),
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.mname, soa.rname, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
        ),
        _ => raw(record),
    }
}

/// The data as RFC 3597 section 5 writes what nobody knows.
fn raw(record: &ResourceRecord<'_>) -> String {
    let mut packet = Packet::new_reply(0);
    packet.answers.push(ResourceRecord::new(Name::new_unchecked(""), CLASS::IN, 0, record.rdata.clone()));
    let bytes = packet.build_bytes_vec().unwrap_or_default();
    // Behind the header, the root, type, class, TTL and length.
    let data = bytes.get(12 + 1 + 10..).unwrap_or_default();
    let mut text = format!("\\# {}", data.len());
    for (at, byte) in data.iter().enumerate() {
        let gap = if at == 0 { " " } else { "" };
        // Into a string it cannot fail.
        let _ = write!(text, "{gap}{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use simple_dns::TYPE;

    use super::*;

    #[test]
    fn a_query_is_what_was_written() {
        let asked = |name: &str, kind: Option<&str>| {
            let bytes = query(name, kind).unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            let question = &packet.questions[0];
            (question.qname.to_string(), question.qtype)
        };
        assert_eq!(asked("web.RED.", None), ("web.RED".into(), TYPE::A.into()));
        assert_eq!(asked("_80._tcp.web", Some("srv")), ("_80._tcp.web".into(), TYPE::SRV.into()));
        assert_eq!(asked("10.1.0.2", None), ("2.0.1.10.in-addr.arpa".into(), TYPE::PTR.into()));
        let v6 = asked("fd00::12", None).0;
        assert!(v6.starts_with("2.1.0.0.") && v6.ends_with(".0.0.d.f.ip6.arpa") && v6.len() == 72, "{v6}");
        assert!(query("web", Some("TYPE65")).is_ok() && query("web", Some("BOGUS")).is_err());
        assert!(query("a..b", None).is_err() && query(&"x".repeat(64), None).is_err());
    }

    #[test]
    fn an_answer_is_read_whatever_its_type() {
        let mut reply = query("a", None).unwrap();
        (reply[2], reply[3], reply[7]) = (0x81, 0x80, 2);
        reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x07");
        reply.extend_from_slice(b"\xc0\x0c\xff\x01\0\x01\0\0\0\x05\0\x02\xab\x01");
        let (status, records) = read(&reply).unwrap();
        let shown: Vec<_> =
            records.iter().map(|record| format!("{} {} {}", record.kind, record.ttl, record.data)).collect();
        assert_eq!(
            (status.as_str(), shown),
            ("NOERROR", vec!["A 60 10.0.0.7".into(), "TYPE65281 5 \\# 2 ab01".into()])
        );
        reply[3] = 5;
        assert_eq!(read(&reply).unwrap().0, "REFUSED");
        assert!(read(&reply[..20]).is_none() && read(&[]).is_none());
    }
}
