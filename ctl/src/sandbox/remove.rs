//! Removing a link of the switch from a sandbox, where dropping its descriptor cannot (a left-over, or a descriptor
//! that another process still holds). Idempotent; never touches a link that is not the switch's: a TAP, or a veth link that says so.

use nix::libc;

use super::{Error, Netns, thread};

/// Removes the link `ifname` from `netns`; that it is not there is fine.
///
/// # Errors
/// [`Error::Foreign`] when the link is not the switch's, [`Error::Link`] when the kernel refuses.
pub async fn remove(netns: &Netns, ifname: &str) -> Result<(), Error> {
    let sandbox = netns.reference().path.display().to_string();
    let ifname = ifname.to_owned();
    thread::inside(netns, async move |inside| {
        let step = "remove the link";
        let refused = |source| Error::Link { ifname: ifname.clone(), sandbox: sandbox.clone(), step, source };
        match inside.find(&ifname).await.map_err(refused)? {
            None => Ok(()),
            Some((_, false)) => Err(Error::Foreign { ifname, sandbox }),
            Some((index, true)) => match inside.delete(index).await {
                // It went in between: with its descriptor, or with the namespace.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
                result => result.map_err(refused),
            },
        }
    })
    .await
}
