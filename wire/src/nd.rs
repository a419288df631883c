//! Neighbour discovery (RFC 4861): reading messages with all the checks of its sections 6.1, 7.1 and 8.1, and answering
//! solicitations. No table and no policy.

mod options;

use std::net::Ipv6Addr;

use crate::extensions::{FRAGMENT, extensions};
use crate::word::put;
use crate::{Fragment, Frame, Headers, IPV6_HEADER, Layer3, Mac, Malformed, checksum, ether_type, link, protocol};
use options::{SOURCE_LINK, TARGET_LINK, link_address};

/// A message that passed the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who has this address?
    Solicitation {
        /// The address that is asked for; never multicast.
        target: Ipv6Addr,
        /// Who asks. `None` in duplicate address detection, and where the sender left it out.
        source_mac: Option<Mac>,
    },
    /// I have this address.
    Advertisement {
        /// The address that is had; never multicast.
        target: Ipv6Addr,
        /// Who has it.
        target_mac: Option<Mac>,
        /// The sender is a router (R).
        router: bool,
        /// It answers a solicitation (S).
        solicited: bool,
        /// What was known before is to be replaced (O).
        replace: bool,
    },
    /// Where are the routers?
    RouterSolicitation,
    /// I am a router.
    RouterAdvertisement,
    /// Another router is better.
    Redirect,
}

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// All nodes of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Length of an advertisement with its option, in bytes.
const ADVERTISEMENT_LEN: usize = 32;

/// The neighbour discovery message in a frame; `None` if it holds something else.
///
/// # Errors
/// For messages that must be ignored: [`Malformed::HopLimit`], [`Malformed::Checksum`] (a partial one as well: Linux
/// always completes ICMPv6 itself), [`Malformed::Fragmented`] (RFC 6980 section 5), [`Malformed::Truncated`], and
/// [`Malformed::Discovery`] for code, options and addresses.
pub fn parse(frame: &[u8], headers: &Headers) -> Result<Option<Message>, Malformed> {
    if headers.layer3 != Layer3::Ipv6
        || headers.key.protocol() != protocol::ICMPV6
        || headers.fragment == Fragment::Later
    {
        return Ok(None);
    }
    let packet = frame.get(usize::from(headers.l3)..headers.end as usize).ok_or(Malformed::Truncated)?;
    let message = frame.get(usize::from(headers.l4)..headers.end as usize).ok_or(Malformed::Truncated)?;
    // A first fragment without the ICMPv6 header hides what it is (RFC 7112 section 5): truncated, too.
    let (Some(&kind), Some(ip)) = (message.first(), packet.first_chunk::<IPV6_HEADER>()) else {
        return Err(Malformed::Truncated);
    };
    // Length without options.
    let fixed = match kind {
        ROUTER_SOLICITATION => 8,
        ROUTER_ADVERTISEMENT => 16,
        SOLICITATION | ADVERTISEMENT => 24,
        REDIRECT => 40,
        _ => return Ok(None),
    };
    if headers.fragment != Fragment::Whole || extensions(frame, headers).any(|(number, _)| number == FRAGMENT) {
        return Err(Malformed::Fragmented);
    }
    if ip[7] != 255 {
        return Err(Malformed::HopLimit);
    }
    let (body, options) = message.split_at_checked(fixed).ok_or(Malformed::Truncated)?;
    if checksum::verify_transport(frame, headers) != Some(true) {
        return Err(Malformed::Checksum);
    }
    if body[1] != 0 {
        return Err(Malformed::Discovery);
    }
    let source_mac = link_address(options, SOURCE_LINK)?;
    let target_mac = link_address(options, TARGET_LINK)?;
    let [src, dst] = [address(ip, 8), address(ip, 24)];
    let sound = |sound: bool| if sound { Ok(()) } else { Err(Malformed::Discovery) };
    // RFC 4291 section 2.7: a multicast address is never a source; an answer would go to all of its listeners.
    sound(!src.is_multicast())?;
    Ok(Some(match kind {
        SOLICITATION => {
            let target = address(body, 8);
            sound(!target.is_multicast())?;
            sound(!src.is_unspecified() || (is_solicited_node(dst) && source_mac.is_none()))?;
            Message::Solicitation { target, source_mac }
        }
        ADVERTISEMENT => {
            let target = address(body, 8);
            let [router, solicited, replace] = [0x80, 0x40, 0x20].map(|flag| body[4] & flag != 0);
            sound(!target.is_multicast())?;
            sound(!solicited || !dst.is_multicast())?;
            Message::Advertisement { target, target_mac, router, solicited, replace }
        }
        ROUTER_SOLICITATION => {
            sound(!src.is_unspecified() || source_mac.is_none())?;
            Message::RouterSolicitation
        }
        ROUTER_ADVERTISEMENT => {
            sound(src.is_unicast_link_local())?;
            Message::RouterAdvertisement
        }
        _ => {
            let (target, destination) = (address(body, 8), address(body, 24));
            sound(src.is_unicast_link_local() && !destination.is_multicast())?;
            sound(target.is_unicast_link_local() || target == destination)?;
            Message::Redirect
        }
    }))
}

/// Writes into `out` what `owner_mac` would say to the solicitation for `target` that had these headers: to the one who
/// asked; to all nodes if that was duplicate address detection, from the unspecified address (RFC 4861 section 7.2.4).
/// The tag is that of the solicitation.
pub fn advertise(out: &mut Frame, solicitation: &Headers, target: Ipv6Addr, owner_mac: Mac) {
    let asker = match solicitation.key.src() {
        Some(std::net::IpAddr::V6(src)) if !src.is_unspecified() => Some(src),
        _ => None,
    };
    let (dst, dst_mac) = match asker {
        Some(src) => (src, solicitation.key.src_mac()),
        None => (ALL_NODES, Mac([0x33, 0x33, 0, 0, 0, 1])),
    };
    link::begin(out, dst_mac, owner_mac, solicitation.tag, ether_type::IPV6);
    out.extend(&[0x60, 0, 0, 0, 0, ADVERTISEMENT_LEN as u8, protocol::ICMPV6, 255]);
    out.extend(&target.octets());
    out.extend(&dst.octets());
    let mut message = [0; ADVERTISEMENT_LEN];
    message[0] = ADVERTISEMENT;
    // S only towards the one who asked; O, because the owner itself is speaking.
    message[4] = if asker.is_some() { 0x60 } else { 0x20 };
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&[TARGET_LINK, 1]);
    message[26..32].copy_from_slice(&owner_mac.0);
    let pseudo = checksum::pseudo_ipv6(&target.octets(), &dst.octets(), protocol::ICMPV6, ADVERTISEMENT_LEN as u32);
    let sum = !checksum::fold(pseudo + checksum::sum(&message));
    put(&mut message, 2, sum);
    out.extend(&message);
}

/// The multicast address at which the owner of `address` listens for solicitations (RFC 4291 section 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}

/// The address at `at`; `bytes` were checked to hold it.
fn address(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    Ipv6Addr::from(octets)
}
