//! The way between the host's interfaces and the switch: two BPF programs around a link (a TAP in the host's
//! namespace). `steer`, at the ingress of each interface, sends to the link what belongs to the switch; `depart`, at the
//! ingress of the link, sends out what the switch writes. With the XDP form `Inlets` opens AF_XDP ports that what is
//! steered comes by, before `steer`. This is the control thread's end; `Steering` is the data thread's. Knows tables and
//! hooks, not why a port or flow is in them.

mod devices;
mod filter;
mod hook;
mod inlets;
mod predecessor;
mod programs;
mod published;
mod stats;
mod steering;
mod sys;
mod tables;
pub(crate) mod tcx;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::sync::Arc;

use wire::Mac;

use crate::Error;
use devices::Layer;
use hook::Hooks;
use predecessor::Predecessor;
use programs::Programs;
use published::PublishedPorts;
use tables::{Address, Cell, Config, MappingKey, Table};

pub use hook::Hook;
pub use inlets::{Inlet, Inlets};
pub use published::Published;
pub use stats::UplinkStats;
pub use steering::{FiveTuple, Steering};

/// Destination of frames that the switch writes to the link for the outside. Frames to the link's own address are for
/// the host.
pub const OUT_MAC: Mac = Mac([0x02, 0x76, 0x73, 0x77, 0x00, 0x01]);

/// SO_MARK of the sockets by which the daemon holds published ports: `steer` takes no notice of such a listener or
/// unconnected socket. In no bit that Kubernetes, Calico, Cilium or Tailscale give a meaning.
pub const SOCKET_MARK: u32 = 0x3056;

/// How many mappings can be steered at a time: as many as the connection tracker has connections by default.
pub const MAX_MAPPINGS: u32 = 262_144;

/// How what is steered comes from the NICs to the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// By the link: super-frames stay whole.
    #[default]
    Tc,
    /// From the driver by AF_XDP, where [`Inlets`] opens a port; by the link where not. More small packets.
    Xdp,
}

/// The programs, their tables, and where they are attached. They outlive it: only [`Uplink::close`] removes them, so
/// that after a crash what belongs to the switch is held for a successor.
///
/// Bound to the network namespace of the thread that opened it: use it on threads in that namespace only.
#[derive(Debug)]
pub struct Uplink {
    link: String,
    link_index: u32,
    hooks: Hooks,
    programs: Programs,
    config: Cell<Config>,
    local_table: Table<Address, u8>,
    locals: BTreeSet<Address>,
    published: PublishedPorts,
    inherited_table: Table<MappingKey, u8>,
    /// The predecessor's mappings, while they count.
    inherited: Vec<MappingKey>,
    attached: BTreeSet<u32>,
    stats: stats::Counters,
    inlets: Option<Arc<Inlets>>,
    /// Why there is no XDP form, although it is asked for.
    without_xdp: Option<Error>,
}

impl Uplink {
    /// Loads the programs for the link named `link`, in the calling thread's network namespace, and attaches `depart`
    /// to it. What a predecessor left in this namespace is taken over: its local addresses, ports and mappings stay in
    /// force, and its programs are replaced where they are, one by one, without a moment in which packets pass. So a
    /// namespace can have only one at a time: whoever opens a second one ends the first.
    ///
    /// # Errors
    /// There is no such link, the kernel is older than 5.15, or CAP_SYS_ADMIN is missing.
    pub fn open(link: &str, form: Form) -> Result<(Uplink, Steering), Error> {
        let hooks = Hooks::new(link, None)?;
        Uplink::open_on(link, hooks, form)
    }

    /// As [`Uplink::open`], at the hook that is named instead of the best that the kernel has.
    ///
    /// # Errors
    /// As [`Uplink::open`]; or the kernel does not have this hook.
    pub fn open_at(link: &str, hook: Hook, form: Form) -> Result<(Uplink, Steering), Error> {
        let hooks = Hooks::new(link, Some(hook))?;
        Uplink::open_on(link, hooks, form)
    }

    fn open_on(link: &str, hooks: Hooks, form: Form) -> Result<(Uplink, Steering), Error> {
        let link_index = devices::index_of(link)?;
        let predecessor = Predecessor::find(&hooks)?;
        let inherited = predecessor.mappings();
        let mut programs = Programs::load(link, inherited.len(), form)?;
        let mut config = programs.cell(tables::CONFIG)?;
        config.set([link_index, u32::from(!inherited.is_empty())])?;
        let mut inherited_table = programs.table(tables::INHERITED)?;
        inherited.iter().try_for_each(|key| inherited_table.put(key, &1))?;
        let mut local_table = programs.table(tables::LOCALS)?;
        let locals = predecessor.locals();
        locals.iter().try_for_each(|address| local_table.put(address, &1))?;
        let published = PublishedPorts::new(programs.table(tables::PUBLISHED)?, predecessor.published())?;
        let failures = stats::Failures::default();
        let stats = stats::Counters::new(&mut programs, failures.clone())?;
        let mut steering = Steering::new(&mut programs, failures)?;
        // Alive before the first packet is judged.
        steering.beat();
        let (inlets, without_xdp) = match programs.catch.take() {
            Some(Ok(program)) => (Some(Arc::new(Inlets::new(&mut programs, program)?)), None),
            Some(Err(source)) => (None, Some(Error::UplinkXdp { source })),
            None => (None, None),
        };

        let mut uplink = Uplink {
            link: link.to_owned(),
            link_index,
            hooks,
            programs,
            config,
            local_table,
            locals,
            published,
            inherited_table,
            inherited,
            attached: BTreeSet::new(),
            stats,
            inlets,
            without_xdp,
        };
        uplink.hooks.put(link_index, uplink.programs.depart.as_fd())?;
        for ifindex in predecessor.steered {
            match uplink.attach(ifindex) {
                // It vanished since.
                Err(Error::UplinkDevice { source, .. }) if source.raw_os_error() == Some(libc::ENODEV) => {}
                other => other?,
            }
        }
        Ok((uplink, steering))
    }

    /// Interface index of the link.
    pub fn link(&self) -> u32 {
        self.link_index
    }

    /// The hook in use.
    pub fn hook(&self) -> Hook {
        self.hooks.hook()
    }

    /// With the XDP form: who opens its ports, to be used on any thread of the namespace. None with the other, and where the
    /// kernel has not what is needed.
    pub fn inlets(&self) -> Option<&Arc<Inlets>> {
        self.inlets.as_ref()
    }

    /// Why there is no XDP form, although it was asked for.
    pub fn without_xdp(&self) -> Option<&Error> {
        self.without_xdp.as_ref()
    }

    /// Attaches `steer` to the ingress of an interface; nothing happens when it is there already.
    ///
    /// # Errors
    /// There is no such interface, it is the link itself, or its kind is unknown: neither Ethernet nor without a
    /// link-layer header.
    pub fn attach(&mut self, ifindex: u32) -> Result<(), Error> {
        if ifindex == self.link_index {
            return Err(Error::UplinkIsLink { link: self.link.clone() });
        }
        let program = match self.hooks.layer(ifindex)? {
            Layer::Ethernet => &self.programs.steer,
            Layer::Ip => &self.programs.steer_l3,
        };
        self.hooks.put(ifindex, program.as_fd())?;
        self.attached.insert(ifindex);
        Ok(())
    }

    /// Removes `steer` from an interface, whose port pauses, if it has one. One that is gone, or had none, is no error.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn detach(&mut self, ifindex: u32) -> Result<(), Error> {
        self.attached.remove(&ifindex);
        self.inlets.iter().for_each(|inlets| inlets.pause(ifindex));
        self.hooks.clear(ifindex)
    }

    /// The interfaces that have `steer` now: those attached before, without the vanished and those that it was removed
    /// from by somebody else.
    pub fn attached(&self) -> impl Iterator<Item = u32> + '_ {
        self.attached.iter().copied().filter(|ifindex| self.hooks.is_on(*ifindex))
    }

    /// The host's own addresses, all of them, without those of loopback and of the link. Only packets to these are
    /// looked at.
    ///
    /// # Errors
    /// More than 16,384 addresses; some are then missing.
    pub fn set_locals(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        let wanted: BTreeSet<Address> = addresses.iter().copied().map(tables::address).collect();
        let gone: Vec<Address> = self.locals.difference(&wanted).copied().collect();
        for address in gone {
            self.local_table.remove(&address)?;
            self.locals.remove(&address);
        }
        for address in wanted {
            if !self.locals.contains(&address) {
                self.local_table.put(&address, &1)?;
                self.locals.insert(address);
            }
        }
        Ok(())
    }

    /// Steers these ports, or no longer. A range costs one write, whatever its length.
    ///
    /// # Errors
    /// More than 1,024 pairs of address and protocol.
    pub fn publish(&mut self, protocol: u8, at: Published, ports: RangeInclusive<u16>, on: bool) -> Result<(), Error> {
        self.published.set(protocol, at, ports, on)
    }

    /// Forgets the ports that a predecessor published and nobody published again: to be called when all rules have been
    /// published. Until then they stay in force, so that no packet slips through.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn drop_inherited_ports(&mut self) -> Result<(), Error> {
        self.published.drop_inherited()
    }

    /// Forgets the mappings that a predecessor had; those in [`Steering`] stay. To be called when connections have had
    /// time to come back.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn drop_inherited_mappings(&mut self) -> Result<(), Error> {
        if self.inherited.is_empty() {
            return Ok(());
        }
        self.config.set([self.link_index, 0])?;
        let mut all = std::mem::take(&mut self.inherited).into_iter();
        all.try_for_each(|key| self.inherited_table.remove(&key))
    }

    /// What the programs counted since they were loaded.
    pub fn stats(&self) -> UplinkStats {
        self.stats.read()
    }

    /// Removes both classifiers from every interface of the namespace, and closes all ports: nothing is left once those are
    /// dropped.
    ///
    /// # Errors
    /// The kernel refuses somewhere; everything else is removed nevertheless.
    pub fn close(self) -> Result<(), Error> {
        self.inlets.iter().for_each(|inlets| inlets.close_all());
        self.hooks.clear_all()
    }
}
