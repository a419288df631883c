//! Matches on the transport header. Later fragments have none, and pass no such match, negated or not.

use super::seen::Seen;
use super::{Malformed, Packet};
use crate::rules::{Family, FlagTest, IcmpType, Not, Ports, PortsOf, Tcp};

/// Bytes of a TCP header without options.
const TCP: usize = 20;
/// Bytes that must be there of UDP and of ICMP.
const UDP: usize = 8;
const ICMP: usize = 8;

fn ports(header: [u8; 4]) -> (u16, u16) {
    let [a, b, c, d] = header;
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Whether it is a segment between the ports wanted; the rest of the match is asked only then.
pub(super) fn tcp_ports(wanted: &Tcp, seen: &Seen, packet: &Packet<'_>) -> Result<bool, Malformed> {
    if seen.offset != 0 {
        // A fragment that begins 8 bytes into the header would overwrite flags and options (RFC 3128).
        return if seen.family == Family::Ipv4 && seen.offset == 1 { Err(Malformed) } else { Ok(false) };
    }
    let header = seen.transport(packet).first_chunk::<TCP>().ok_or(Malformed)?;
    let (source, destination) = ports([header[0], header[1], header[2], header[3]]);
    Ok(wanted.source.holds(|ports| ports.contains(source))
        && wanted.destination.holds(|ports| ports.contains(destination)))
}

/// Whether a segment has the flags and the option wanted.
pub(super) fn tcp_flags(wanted: &Tcp, seen: &Seen, packet: &Packet<'_>) -> Result<bool, Malformed> {
    let bytes = seen.transport(packet);
    let header = bytes.first_chunk::<TCP>().ok_or(Malformed)?;
    let test = |flags: &FlagTest| header[13] & flags.mask == flags.set;
    if !wanted.flags.is_none_or(|flags| flags.holds(test)) {
        return Ok(false);
    }
    let Some(option) = wanted.option else { return Ok(true) };
    let length = usize::from(header[12] >> 4) * 4;
    let options = bytes.get(TCP..length).ok_or(Malformed)?;
    Ok(option.holds(|&kind| has_option(options, kind)))
}

fn has_option(options: &[u8], kind: u8) -> bool {
    let mut rest = options;
    while let [first, ..] = *rest {
        if first == kind {
            return true;
        }
        let step = match rest.get(1) {
            _ if first < 2 => 1,
            Some(&length) => usize::from(length).max(1),
            None => 1,
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    false
}

pub(super) fn udp(
    source: Not<Ports>,
    destination: Not<Ports>,
    seen: &Seen,
    packet: &Packet<'_>,
) -> Result<bool, Malformed> {
    if seen.offset != 0 {
        return Ok(false);
    }
    let header = seen.transport(packet).first_chunk::<UDP>().ok_or(Malformed)?;
    let (from, to) = ports([header[0], header[1], header[2], header[3]]);
    Ok(source.holds(|ports| ports.contains(from)) && destination.holds(|ports| ports.contains(to)))
}

pub(super) fn icmp(wanted: Not<IcmpType>, seen: &Seen, packet: &Packet<'_>) -> Result<bool, Malformed> {
    if seen.offset != 0 {
        return Ok(false);
    }
    let &[kind, code, ..] = seen.transport(packet).first_chunk::<ICMP>().ok_or(Malformed)?;
    Ok(wanted.holds(|wanted| {
        let any = seen.family == Family::Ipv4 && wanted.kind == u8::MAX;
        any || wanted.kind == kind && wanted.code.is_none_or(|wanted| wanted == code)
    }))
}

pub(super) fn multiport(
    of: PortsOf,
    list: &Not<Box<[Ports]>>,
    seen: &Seen,
    packet: &Packet<'_>,
) -> Result<bool, Malformed> {
    if seen.offset != 0 {
        return Ok(false);
    }
    let (source, destination) = ports(*seen.transport(packet).first_chunk::<4>().ok_or(Malformed)?);
    let fits = |range: &Ports| match of {
        PortsOf::Source => range.contains(source),
        PortsOf::Destination => range.contains(destination),
        PortsOf::Either => range.contains(source) || range.contains(destination),
    };
    Ok(list.holds(|list| list.iter().any(fits)))
}
