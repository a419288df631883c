//! 802.1Q: which VLAN a frame is in, by the port that it comes from, and how it leaves by another.
//!
//! A network is one untagged LAN, as long as no port says otherwise; among its plain ports tags pass as they are. An access
//! port belongs to one VLAN without seeing tags; a trunk carries several with their tags. No frame leaves its VLAN.

use hashbrown::HashMap;
use wire::{FlowKey, ether_type};

use crate::{DropReason, PortId};

/// The network itself: plain ports, tunnels.
pub(crate) const UNTAGGED: u16 = 0;
/// Where a trunk's untagged frames would be if it has no native VLAN: nobody else is there.
const NOWHERE: u16 = 0x0fff;
/// The part of a tag that names the VLAN; the rest is priority (PCP, DEI).
const VID: u16 = 0x0fff;

/// What a port has to do with VLANs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VlanMode {
    /// Nothing: it is in the untagged network, whatever tags its frames have.
    #[default]
    Plain,
    /// It is in this VLAN, 1 to 4094, and sees no tags.
    Access(u16),
    /// It carries these VLANs with their tags.
    Trunk {
        /// They.
        tagged: VlanSet,
        /// The VLAN of its frames without a tag; 0 is the untagged network. `None`: it must not send any.
        native: Option<u16>,
    },
}

/// Some of the VLANs 1 to 4094.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlanSet(Box<[u64; 64]>);

impl VlanSet {
    /// Whether a VLAN is among them.
    pub fn contains(&self, vlan: u16) -> bool {
        self.0.get(usize::from(vlan / 64)).is_some_and(|word| word & 1 << (vlan % 64) != 0)
    }
}

impl FromIterator<u16> for VlanSet {
    /// Numbers out of range are left out.
    fn from_iter<I: IntoIterator<Item = u16>>(vlans: I) -> VlanSet {
        let mut words = Box::new([0; 64]);
        for vlan in vlans.into_iter().filter(|vlan| (1..NOWHERE).contains(vlan)) {
            words[usize::from(vlan / 64)] |= 1 << (vlan % 64);
        }
        VlanSet(words)
    }
}

/// How a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    AsIs,
    /// With this tag (PCP, DEI, VID), or without.
    Retagged(Option<u16>),
}

/// The ports of a bridge that have to do with VLANs.
#[derive(Debug, Default)]
pub(crate) struct Vlans {
    ports: HashMap<PortId, VlanMode>,
}

impl Vlans {
    /// Whether none has.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    pub(crate) fn set(&mut self, port: PortId, mode: VlanMode) {
        match mode {
            VlanMode::Plain => drop(self.ports.remove(&port)),
            mode => drop(self.ports.insert(port, mode)),
        }
    }

    /// The VLAN of a port's frames without a tag.
    pub(crate) fn untagged_of(&self, port: PortId) -> u16 {
        match self.ports.get(&port) {
            None | Some(VlanMode::Plain) => UNTAGGED,
            Some(VlanMode::Access(vlan)) => *vlan,
            Some(VlanMode::Trunk { native, .. }) => native.unwrap_or(NOWHERE),
        }
    }

    /// The VLAN of a frame that came by a port. A tag without a VLAN is a priority and no more (section 9.6); what sees no
    /// tags sends none, and a service tag names none of these VLANs.
    pub(crate) fn enter(&self, from: PortId, key: &FlowKey) -> Result<u16, DropReason> {
        let vid = key.tag() & VID;
        match self.ports.get(&from) {
            None | Some(VlanMode::Plain) => Ok(UNTAGGED),
            Some(_) if key.is_service_tagged() => Err(DropReason::NotMember),
            Some(VlanMode::Access(vlan)) if vid == 0 => Ok(*vlan),
            Some(VlanMode::Trunk { native: Some(native), .. }) if vid == 0 || vid == *native => Ok(*native),
            Some(VlanMode::Trunk { tagged, .. }) if tagged.contains(vid) => Ok(vid),
            Some(VlanMode::Access(_) | VlanMode::Trunk { .. }) => Err(DropReason::NotMember),
        }
    }

    /// Whether a frame has no VLAN on the wire, so that the gateway may be meant.
    pub(crate) fn is_bare(&self, from: PortId, key: &FlowKey) -> bool {
        key.tag() & VID == 0 || !self.ports.contains_key(&from)
    }

    /// How a frame of a VLAN leaves by a port, if at all.
    pub(crate) fn leave(&self, vlan: u16, key: &FlowKey, port: PortId) -> Result<Leave, DropReason> {
        let (tag, vid) = (key.tag(), key.tag() & VID);
        let untagged = match self.ports.get(&port) {
            // Tags pass as they are among plain ports.
            None | Some(VlanMode::Plain) if vlan == UNTAGGED => return Ok(Leave::AsIs),
            // And nowhere else: there they would name another VLAN.
            _ if vlan == UNTAGGED && (vid != 0 || key.is_service_tagged()) => false,
            Some(VlanMode::Access(member)) => *member == vlan,
            Some(VlanMode::Trunk { native, tagged }) => {
                if *native != Some(vlan) && tagged.contains(vlan) {
                    let new = tag & !VID | vlan;
                    return Ok(if new == tag { Leave::AsIs } else { Leave::Retagged(Some(new)) });
                }
                *native == Some(vlan)
            }
            None | Some(VlanMode::Plain) => false,
        };
        // What is behind the tag would be the first one then, and name a VLAN that nobody has checked.
        match (untagged, matches!(key.ether_type(), ether_type::VLAN | ether_type::QINQ)) {
            (false, _) => Err(DropReason::NotMember),
            (true, true) => Err(DropReason::SecondTag),
            (true, false) if vid == 0 => Ok(Leave::AsIs),
            (true, false) => Ok(Leave::Retagged(None)),
        }
    }
}
