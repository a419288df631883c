//! ARP and ND answered from the endpoint table: a question about a known address never leaves the host.

use std::net::IpAddr;

use wire::{Frame, Headers, Layer3, Mac, Pool, arp, nd, protocol};

use crate::bridge::Bridge;

/// The answer to a question about a known address, or `None`: not such a question, or the asker's own business.
///
/// The question is of a VLAN, and may be to the gateway or not: that one is in every VLAN, but speaks no tags.
pub(crate) fn answer(
    bridge: &Bridge,
    within: (u16, bool),
    frame: &[u8],
    headers: &Headers,
    pool: &mut Pool,
) -> Option<Frame> {
    match headers.layer3 {
        Layer3::Arp => {
            let question = arp::parse(frame, headers).filter(|arp| arp.request)?;
            let owner = known(bridge, within, IpAddr::V4(question.target), headers)?;
            let mut reply = pool.get();
            arp::reply(&mut reply, &question, headers.key.src_mac(), owner, headers.tag);
            Some(reply)
        }
        Layer3::Ipv6 if headers.key.protocol() == protocol::ICMPV6 => {
            let message = nd::parse(frame, headers).ok()??;
            let nd::Message::Solicitation { target, .. } = message else { return None };
            let owner = known(bridge, within, IpAddr::V6(target), headers)?;
            let mut reply = pool.get();
            nd::advertise(&mut reply, headers, target, owner);
            Some(reply)
        }
        _ => None,
    }
}

/// The owner of `address`, unless the asker owns it: a probe for its own address must not find a conflict (RFC 5227,
/// RFC 4862 section 5.4).
fn known(bridge: &Bridge, (vlan, bare): (u16, bool), address: IpAddr, headers: &Headers) -> Option<Mac> {
    let owner = bridge.neighbours.get(&address).copied().filter(|owner| *owner != headers.key.src_mac())?;
    let there = match bridge.vlans.is_empty() {
        true => true,
        false if bridge.is_gateway(owner) => bare,
        false => bridge.fdb.home(owner) == vlan,
    };
    there.then_some(owner)
}
