//! Our programs at the ingress of interfaces, whichever hook they are at. Invariant: after `put` an interface has exactly one
//! of them, and while one is replaced it never has none.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::devices::{self, Layer};
use super::filter::{self, Filter};
use super::programs::Role;
use super::sys::{self, Description};
use super::tcx;
use crate::Error;
use crate::netlink::Netlink;

/// Where programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Linux 6.6. Goes before every classifier, and shares an interface well with others.
    Tcx,
    /// A classifier at a clsact qdisc: every kernel.
    Filter,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Tcx => "tcx",
            Hook::Filter => "clsact",
        })
    }
}

/// One of our programs at an interface.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) role: Role,
    pub(super) program: OwnedFd,
    pub(super) maps: Vec<u32>,
    /// None: at tcx.
    filter: Option<Filter>,
}

#[derive(Debug)]
pub(super) struct Hooks {
    netlink: Netlink,
    hook: Hook,
}

impl Hooks {
    /// For the calling thread's network namespace; the best hook unless one is named.
    pub(super) fn new(link: &str, hook: Option<Hook>) -> Result<Hooks, Error> {
        let ifindex = devices::index_of(link)?;
        let netlink = Netlink::open().map_err(at(ifindex, "ask over netlink"))?;
        let hook = hook.unwrap_or_else(|| if tcx::is_there(ifindex).is_ok() { Hook::Tcx } else { Hook::Filter });
        Ok(Hooks { netlink, hook })
    }

    pub(super) fn hook(&self) -> Hook {
        self.hook
    }

    pub(super) fn layer(&self, ifindex: u32) -> Result<Layer, Error> {
        let device = devices::get(&self.netlink, ifindex).map_err(at(ifindex, "ask for its kind"))?;
        device.layer().ok_or(Error::UplinkDeviceKind { ifindex, kind: device.kind })
    }

    /// Every interface with our programs there.
    pub(super) fn survey(&self) -> Result<Vec<(u32, Vec<Installed>)>, Error> {
        let devices = devices::list(&self.netlink).map_err(|source| Error::List { source })?;
        devices.iter().map(|device| Ok((device.ifindex, self.installed(device.ifindex)?))).collect()
    }

    /// Makes `program` the only one of ours at this interface.
    pub(super) fn put(&self, ifindex: u32, program: BorrowedFd<'_>) -> Result<(), Error> {
        let failed = at(ifindex, "attach the program");
        let id = sys::describe(program).map_err(&failed)?.id;
        let mut old = self.installed(ifindex)?;
        let replaced = old.iter().position(|one| one.filter.is_some() == (self.hook == Hook::Filter));
        let replaced = replaced.map(|index| old.swap_remove(index));
        let is_there = match &replaced {
            Some(one) => sys::describe(one.program.as_fd()).map_err(&failed)?.id == id,
            None => false,
        };
        if !is_there {
            match self.hook {
                Hook::Tcx => tcx::put(ifindex, program, replaced.as_ref()),
                Hook::Filter => {
                    let filter = replaced.as_ref().and_then(|one| one.filter.as_ref());
                    filter::put(&self.netlink, ifindex, program, filter)
                }
            }
            .map_err(&failed)?;
        }
        old.iter().try_for_each(|one| self.remove(ifindex, one))
    }

    /// Whether one of ours is at this interface.
    pub(super) fn is_on(&self, ifindex: u32) -> bool {
        self.installed(ifindex).is_ok_and(|installed| !installed.is_empty())
    }

    /// Removes ours from this interface.
    pub(super) fn clear(&self, ifindex: u32) -> Result<(), Error> {
        self.installed(ifindex)?.iter().try_for_each(|one| self.remove(ifindex, one))
    }

    /// Removes ours from every interface, as far as possible.
    pub(super) fn clear_all(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for (ifindex, installed) in self.survey()? {
            for one in installed {
                outcome = outcome.and(self.remove(ifindex, &one));
            }
        }
        outcome
    }

    fn remove(&self, ifindex: u32, one: &Installed) -> Result<(), Error> {
        let outcome = match &one.filter {
            Some(filter) => filter::remove(&self.netlink, ifindex, filter),
            None => tcx::remove(ifindex, one.program.as_fd()),
        };
        match outcome {
            // Gone already, alone or with its interface.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(()),
            other => other.map_err(at(ifindex, "remove the program")),
        }
    }

    fn installed(&self, ifindex: u32) -> Result<Vec<Installed>, Error> {
        let failed = at(ifindex, "see what is attached");
        let at_tcx = tcx::list(ifindex).map_err(&failed)?.into_iter().map(|id| (id, None));
        let filters = filter::list(&self.netlink, ifindex).map_err(&failed)?;
        let filters = filters.into_iter().map(|filter| (filter.program, Some(filter)));
        let mut found = Vec::new();
        for (id, filter) in at_tcx.chain(filters) {
            // It may have gone since.
            let program = match sys::program(id) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                other => other.map_err(&failed)?,
            };
            let Description { name, maps, .. } = sys::describe(program.as_fd()).map_err(&failed)?;
            if let Some(role) = Role::of(&name) {
                found.push(Installed { role, program, maps, filter });
            }
        }
        Ok(found)
    }
}

fn at(ifindex: u32, step: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::UplinkDevice { ifindex, step, source }
}
