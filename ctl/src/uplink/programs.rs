//! The programs that steer packets at the NICs, if the kernel could load them. Without them nothing is steered, and all
//! that is asked for here is done already.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use port::{Error, Form, Inlets, Published, Steering, Uplink, UplinkStats};

/// They, or nothing.
#[derive(Default)]
pub(super) struct Programs(Option<Uplink>);

impl Programs {
    /// Loads them for the host's link, or says why not. The data thread's end comes with them.
    pub(super) fn load(link: &str, form: Form) -> (Programs, Option<Steering>, Option<String>) {
        match Uplink::open(link, form) {
            Ok((uplink, steering)) => (Programs(Some(uplink)), Some(steering), None),
            Err(error) => (Programs(None), None, Some(error.to_string())),
        }
    }

    pub(super) fn are_loaded(&self) -> bool {
        self.0.is_some()
    }

    /// How they are attached, for people.
    pub(super) fn form(&self) -> Option<String> {
        self.0.as_ref().map(|uplink| uplink.hook().to_string())
    }

    /// With the XDP form, who opens its ports.
    pub(super) fn inlets(&self) -> Option<Arc<Inlets>> {
        self.0.as_ref()?.inlets().cloned()
    }

    /// Why there is no XDP form, although it was asked for.
    pub(super) fn without_xdp(&self) -> Option<String> {
        Some(self.0.as_ref()?.without_xdp()?.to_string())
    }

    /// The interfaces that are steered.
    pub(super) fn attached(&self) -> BTreeSet<u32> {
        self.0.iter().flat_map(Uplink::attached).collect()
    }

    pub(super) fn attach(&mut self, index: u32) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |uplink| uplink.attach(index))
    }

    pub(super) fn detach(&mut self, index: u32) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |uplink| uplink.detach(index))
    }

    pub(super) fn set_locals(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |uplink| uplink.set_locals(addresses))
    }

    pub(super) fn publish(
        &mut self,
        protocol: u8,
        at: Published,
        ports: RangeInclusive<u16>,
        on: bool,
    ) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |uplink| uplink.publish(protocol, at, ports, on))
    }

    pub(super) fn drop_inherited_ports(&mut self) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), Uplink::drop_inherited_ports)
    }

    pub(super) fn drop_inherited_mappings(&mut self) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), Uplink::drop_inherited_mappings)
    }

    pub(super) fn stats(&self) -> Option<UplinkStats> {
        self.0.as_ref().map(Uplink::stats)
    }

    /// Removes them from every interface.
    pub(super) fn unload(&mut self) -> Result<(), Error> {
        self.0.take().map_or(Ok(()), Uplink::close)
    }
}
