//! Admission: may this frame come in here at all? Addresses that no station has, and the source guard: an endpoint sends
//! as itself and nobody else. What is decided here depends on the flow key alone, except for ARP and ND.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::{Gso, Headers, Layer3, Mac, Offload, arp, ether_type, nd, protocol};

use crate::{DropReason, Guard};

/// Checks the offload metadata against the headers. Each frame has its own: no cached flow may answer for it.
///
/// Whoever completes a partial checksum writes where the sender said; anywhere but in a checksum field, that would forge
/// what the guard has looked at. Behind the transport header it is the sender's own business: a tunnel in a container
/// leaves the checksum of what it carries to the device, too.
#[inline]
pub(crate) fn offload(offload: Offload, headers: &Headers) -> Result<(), DropReason> {
    if offload.gso() == Gso::Unknown {
        return Err(DropReason::BadOffload);
    }
    let Some((start, offset)) = offload.partial_checksum() else { return Ok(()) };
    let fits = match headers.key.protocol() {
        protocol::TCP if start == headers.l4 => offset == 16,
        protocol::UDP if start == headers.l4 => offset == 6,
        // Linux never leaves these to a device, and they are judged by their content.
        protocol::ICMPV6 => false,
        _ => headers.layer3 != Layer3::Arp && start >= headers.payload,
    };
    if fits { Ok(()) } else { Err(DropReason::BadOffload) }
}

/// Checks the link layer's addresses, and its tag.
pub(crate) fn link(headers: &Headers) -> Result<(), DropReason> {
    if !headers.key.src_mac().is_station() {
        return Err(DropReason::BadSource);
    }
    // IEEE 802.1Q table 9-2: 0xFFF is reserved.
    if headers.key.tag() & 0x0fff == 0x0fff {
        return Err(DropReason::BadVlan);
    }
    if headers.key.dst_mac().is_link_local_control() {
        return Err(DropReason::LinkLocalControl);
    }
    Ok(())
}

/// Checks that the frame is the endpoint's own.
pub(crate) fn guard(guard: &Guard, frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
    if headers.key.src_mac() != guard.mac {
        return Err(DropReason::GuardMac);
    }
    match headers.layer3 {
        Layer3::Arp => guard_arp(guard, frame, headers),
        Layer3::Ipv4 => match headers.key.src() {
            Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) if is_dhcp_client(headers) => Ok(()),
            Some(src) if guard.addresses.contains(&src) => Ok(()),
            _ => Err(DropReason::GuardIp),
        },
        Layer3::Ipv6 => guard_ipv6(guard, frame, headers),
        // A second tag would hide an address from this check.
        Layer3::Other if matches!(headers.key.ether_type(), ether_type::VLAN | ether_type::QINQ) => {
            Err(DropReason::GuardIp)
        }
        Layer3::Other => Ok(()),
    }
}

fn guard_arp(guard: &Guard, frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
    let arp = arp::parse(frame, headers).ok_or(DropReason::Malformed)?;
    let own = arp.sender.is_unspecified() || guard.addresses.contains(&IpAddr::V4(arp.sender));
    if own && arp.sender_mac == guard.mac { Ok(()) } else { Err(DropReason::GuardArp) }
}

fn guard_ipv6(guard: &Guard, frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
    let Some(IpAddr::V6(src)) = headers.key.src() else { return Err(DropReason::GuardIp) };
    let icmp = headers.key.protocol() == protocol::ICMPV6;
    let mine = |address: Ipv6Addr| is_link_local_of(guard.mac, address) || guard.addresses.contains(&address.into());
    // `::` is the source of duplicate address detection and of the multicast reports that go with it.
    if !(mine(src) || src.is_unspecified() && icmp) {
        return Err(DropReason::GuardIp);
    }
    if !icmp {
        return Ok(());
    }
    match nd::parse(frame, headers) {
        Err(_) => Err(DropReason::Malformed),
        Ok(Some(nd::Message::RouterAdvertisement | nd::Message::Redirect)) => Err(DropReason::GuardNd),
        Ok(Some(nd::Message::Advertisement { target, target_mac, .. })) => {
            let honest = mine(target) && target_mac.is_none_or(|mac| mac == guard.mac);
            if honest { Ok(()) } else { Err(DropReason::GuardNd) }
        }
        Ok(Some(nd::Message::Solicitation { source_mac: Some(mac), .. })) if mac != guard.mac => {
            Err(DropReason::GuardNd)
        }
        // Claiming another's address while that one tests it takes it away (RFC 4862 section 5.4.3). Endpoints' addresses
        // are answered for by the switch; link-local ones are in no table.
        Ok(Some(nd::Message::Solicitation { target, .. }))
            if src.is_unspecified() && target.is_unicast_link_local() && !mine(target) =>
        {
            Err(DropReason::GuardNd)
        }
        Ok(_) => Ok(()),
    }
}

/// Whether `address` is the link-local one that belongs to `mac` (RFC 4291 appendix A), as Linux makes it.
fn is_link_local_of(Mac([a, b, c, d, e, f]): Mac, address: Ipv6Addr) -> bool {
    address.octets() == [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}

fn is_dhcp_client(headers: &Headers) -> bool {
    let key = &headers.key;
    key.protocol() == protocol::UDP && (key.src_port(), key.dst_port()) == (68, 67)
}
