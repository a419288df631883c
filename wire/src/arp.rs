//! ARP (RFC 826) for IPv4 over Ethernet: reading messages, answering requests. No table and no policy.

use std::net::Ipv4Addr;

use crate::{Frame, Headers, Layer3, Mac, ether_type, link};

/// A request or a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// A request (operation 1), or else a reply (operation 2).
    pub request: bool,
    /// Who says so: one station's address, never a group or zero.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227 section 2.1.1), which must not be learnt.
    pub sender: Ipv4Addr,
    /// Without meaning in a request.
    pub target_mac: Mac,
    /// Whose MAC address is asked for, or who asked.
    pub target: Ipv4Addr,
}

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const PREFIX: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// Length of a message, in bytes.
const LEN: usize = 28;

impl Arp {
    /// Whether the sender claims the address that it asks for: an announcement (RFC 5227 section 3).
    pub fn is_announcement(&self) -> bool {
        self.sender == self.target
    }
}

/// The ARP message in a frame. `None` if there is none, or one that is neither request nor reply, not IPv4 over Ethernet,
/// cut short, or sent in the name of a group address (RFC 1812 section 3.3.2): such are neither learnt nor answered.
pub fn parse(frame: &[u8], headers: &Headers) -> Option<Arp> {
    if headers.layer3 != Layer3::Arp {
        return None;
    }
    let message = frame.get(usize::from(headers.l3)..)?.first_chunk::<LEN>()?;
    let (prefix, rest) = message.split_first_chunk::<6>()?;
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (sender_mac, rest) = rest.split_first_chunk::<6>()?;
    let (sender, rest) = rest.split_first_chunk::<4>()?;
    let (target_mac, target) = rest.split_first_chunk::<6>()?;
    let request = match u16::from_be_bytes(*operation) {
        1 => true,
        2 => false,
        _ => return None,
    };
    let sender_mac = Mac(*sender_mac);
    (*prefix == PREFIX && sender_mac.is_station()).then_some(Arp {
        request,
        sender_mac,
        sender: Ipv4Addr::from(*sender),
        target_mac: Mac(*target_mac),
        target: Ipv4Addr::from(*target.first_chunk::<4>()?),
    })
}

/// Writes the answer to the request `to` into `out`: `owner_mac` has the address that was asked for. The frame goes to
/// `to_mac` with `tag` (PCP, DEI, VID).
pub fn reply(out: &mut Frame, to: &Arp, to_mac: Mac, owner_mac: Mac, tag: Option<u16>) {
    link::begin(out, to_mac, owner_mac, tag, ether_type::ARP);
    out.extend(&PREFIX);
    out.extend(&[0, 2]);
    out.extend(&owner_mac.0);
    out.extend(&to.target.octets());
    out.extend(&to.sender_mac.0);
    out.extend(&to.sender.octets());
}
