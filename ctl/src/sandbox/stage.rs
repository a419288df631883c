//! Making a link in the host's namespace for a runtime that moves links into its sandboxes by itself: with MAC address and
//! MTU, down, without addresses. As long as the TAP's descriptor has not been handed out, dropping it removes the link.

use nix::net::if_::if_nametoindex;
use port::{Tap, TapOptions};

use super::thread::OWN;
use super::{Error, LinkSpec, thread};
use crate::netlink::Netlink;

/// Makes the link `spec.ifname`. Addresses and routes of the specification are left to the runtime.
///
/// # Errors
/// Any [`Error`]; nothing is left behind then.
pub async fn stage(spec: &LinkSpec) -> Result<Tap, Error> {
    let (spec, sandbox) = (spec.clone(), OWN.to_owned());
    let ifname = spec.ifname.clone().unwrap_or_else(super::link::temporary);
    if let Some(problem) = spec.problem() {
        return Err(Error::Unusable { ifname, sandbox, problem });
    }
    thread::run(OWN, move || {
        let broken = |source| Error::Thread { sandbox: OWN.to_owned(), source };
        let failed = |step, source| Error::Link { ifname: ifname.clone(), sandbox: OWN.to_owned(), step, source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(broken)?;
        // The descriptor holds the namespace that it is opened in.
        thread::enter_own()?;
        let tap = Tap::create(&ifname, &TapOptions::default()).map_err(|source| Error::Port { sandbox, source })?;
        let index = if_nametoindex(ifname.as_str()).map_err(|errno| failed("find the new link", errno.into()))?;
        runtime.block_on(async {
            let host = Netlink::open().map_err(broken)?;
            let dressed = host.dress(index, spec.mac, spec.mtu, spec.alias()).await;
            dressed.map_err(|source| failed("set MAC address and MTU", source))?;
            if let Err(error) = host.limit_super_frames(index, spec.gso_max_size).await {
                // Only speed is lost: a super-frame then takes two sends.
                tracing::debug!(%error, "gso_max_size refused");
            }
            Ok(tap)
        })
    })
    .await
}
