//! The XDP form: a program before `steer` at a NIC, which catches what is the switch's and hands it to the AF_XDP socket of
//! its queue. It takes only what `steer` would send, and leaves to it what no socket can have; so a NIC without such a port,
//! and the time after a crash, which no port outlives, are the other form's.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, XskMap};

use super::devices::{self, Device, Layer};
use super::programs::Programs;
use super::tables::{self, Nic, Table};
use crate::netlink::Netlink;
use crate::xdp::{QUEUES, Xdp, XdpMode, XdpOptions, step};
use crate::{Error, bpf, ethtool};

/// NICs that can have a port at a time. Repeated in bpf/catch.c.
const NICS: u32 = 64;
/// How long a port of a predecessor, on its way out, is waited for.
const CLOSING: Duration = Duration::from_secs(2);
/// The NIC is the host's, too. With zero-copy all its receive buffers would be the switch's, and a switch that stands still
/// would take the host off the network. In generic mode the network stack has joined frames before, and says nothing of it.
const OPTIONS: XdpOptions = XdpOptions { mode: Some(XdpMode::Native), zero_copy: Some(false), busy_poll: false };

/// A port by which a NIC's packets for the switch come, whole frames for this host. It ends when dropped; before that it is
/// to be told to [`Inlets::close`].
#[derive(Debug)]
pub struct Inlet {
    /// The port. What it sends leaves as it is.
    pub port: Xdp,
    /// From 0 to 63; nobody else's as long as it is not closed.
    pub number: u8,
}

/// Opens the ports of NICs. Bound to the network namespace that its threads are in.
pub struct Inlets {
    program: OwnedFd,
    state: Mutex<State>,
}

struct State {
    nics: Table<u32, Nic>,
    sockets: XskMap<MapData>,
    /// By interface index.
    open: BTreeMap<u32, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    number: u8,
    /// None: nothing is caught now.
    mac: Option<[u8; 6]>,
}

impl Inlets {
    pub(super) fn new(programs: &mut Programs, program: OwnedFd) -> Result<Inlets, Error> {
        let (nics, sockets) = (programs.table(tables::NICS)?, programs.sockets(tables::INLETS)?);
        Ok(Inlets { program, state: Mutex::new(State { nics, sockets, open: BTreeMap::new() }) })
    }

    /// Takes what is the switch's from a NIC. It may last two seconds, and the driver may set up its queues anew.
    ///
    /// # Errors
    /// The interface is of a kind that cannot, it has a port already, another XDP program is there, the driver or kernel
    /// cannot, or rights are missing: the text says which.
    pub fn open(&self, ifindex: u32) -> Result<Inlet, Error> {
        let device = fitting(ifindex)?;
        let number = self.reserve(&device)?;
        let opened = self.open_as(&device, number);
        if opened.is_err() {
            self.close(ifindex);
        }
        opened.map(|port| Inlet { port, number })
    }

    fn reserve(&self, device: &Device) -> Result<u8, Error> {
        let refuse = |why: String| Err(Error::UplinkForm { ifname: device.name.clone(), why });
        let mut state = self.state();
        if state.open.contains_key(&device.ifindex) {
            return refuse("it has it already".into());
        }
        let is_free = |number: &u8| state.open.values().all(|entry| entry.number != *number);
        let Some(number) = (0..NICS as u8).find(is_free) else {
            return refuse(format!("{NICS} others have it"));
        };
        // What an interface with more queues left there.
        for queue in 0..QUEUES {
            let _ = state.sockets.unset(first(number) + queue);
        }
        state.open.insert(device.ifindex, Entry { number, mac: None });
        Ok(number)
    }

    fn open_as(&self, device: &Device, number: u8) -> Result<Xdp, Error> {
        let claim = |queue, socket: BorrowedFd<'_>| {
            let outcome = self.state().sockets.set(first(number) + queue, socket.as_raw_fd(), 0);
            outcome.map_err(|error| bpf::cause(error.into()))
        };
        let begun = Instant::now();
        let port = loop {
            // What is longer than a chunk passes by `vsw0`.
            let program = (self.program.as_fd(), false);
            match Xdp::with_program((&device.name, device.ifindex), program, &OPTIONS, claim) {
                Err(Error::Xdp { source, .. })
                    if source.raw_os_error() == Some(libc::EBUSY) && begun.elapsed() < CLOSING =>
                {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(Error::Xdp { ifname, step: step::NATIVE, source })
                    if source.raw_os_error() == Some(libc::EOPNOTSUPP) =>
                {
                    break Err(Error::UplinkForm { ifname, why: "its driver has no native XDP".into() });
                }
                other => break other,
            }
        }?;
        self.state().catch(device)?;
        Ok(port)
    }

    /// Looks whether all is as it was when a NIC's port was opened, and follows its MAC address.
    ///
    /// # Errors
    /// [`Error::UplinkForm`]: it became one that cannot have a port, close it. All others: it could not be found out now.
    pub fn check(&self, ifindex: u32) -> Result<(), Error> {
        let device = fitting(ifindex)?;
        self.state().catch(&device)
    }

    /// No more is caught at a NIC until [`Inlets::check`] finds it fit; its port stays.
    pub fn pause(&self, ifindex: u32) {
        let mut state = self.state();
        // It may be gone.
        let _ = state.nics.remove(&ifindex);
        if let Some(entry) = state.open.get_mut(&ifindex) {
            entry.mac = None;
        }
    }

    /// No more is caught at a NIC; its port is to be dropped. One that has none is no error.
    pub fn close(&self, ifindex: u32) {
        let mut state = self.state();
        // It may be gone.
        let _ = state.nics.remove(&ifindex);
        state.open.remove(&ifindex);
    }

    pub(super) fn close_all(&self) {
        let open: Vec<u32> = self.state().open.keys().copied().collect();
        open.into_iter().for_each(|ifindex| self.close(ifindex));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Has the program catch frames to the interface's MAC address.
    fn catch(&mut self, device: &Device) -> Result<(), Error> {
        let Some(entry) = self.open.get_mut(&device.ifindex) else { return Ok(()) };
        let Some(mac) = device.mac.filter(|mac| entry.mac != Some(*mac)) else { return Ok(()) };
        let mut nic: Nic = [0; 12];
        nic[..6].copy_from_slice(&mac);
        nic[8..].copy_from_slice(&first(entry.number).to_ne_bytes());
        self.nics.put(&device.ifindex, &nic)?;
        entry.mac = Some(mac);
        Ok(())
    }
}

fn first(number: u8) -> u32 {
    u32::from(number) * QUEUES
}

/// An interface of a kind that can have a port.
fn fitting(ifindex: u32) -> Result<Device, Error> {
    let failed = |step| move |source| Error::UplinkDevice { ifindex, step, source };
    let netlink = Netlink::open().map_err(failed("ask over netlink"))?;
    let device = devices::get(&netlink, ifindex).map_err(failed("ask for its kind"))?;
    let all = match ethtool::strips_vlans(&device.name) {
        true => devices::list(&netlink).map_err(|source| Error::List { source })?,
        false => Vec::new(),
    };
    match unfit(&device, &all) {
        Some(why) => Err(Error::UplinkForm { ifname: device.name, why }),
        None => Ok(device),
    }
}

/// Why an interface cannot have a port. `all` are the interfaces that there are, if it takes 802.1Q tags out of frames.
fn unfit(device: &Device, all: &[Device]) -> Option<String> {
    if device.layer() != Some(Layer::Ethernet) || device.mac.is_none() {
        return Some("its packets have no Ethernet header".into());
    }
    if matches!(device.made_of.as_str(), "bond" | "team") {
        return Some(format!("it is a {}, whose frames come by its members' queues", device.made_of));
    }
    // A tag that was taken out is not seen by a program: a frame of a VLAN would look like one of none.
    let has_vlan = all.iter().any(|other| other.made_of == "vlan" && other.below == Some(device.ifindex));
    let name = &device.name;
    has_vlan.then(|| format!("it has VLANs, and takes the tags out of frames (`ethtool -K {name} rxvlan off`)"))
}

impl fmt::Debug for Inlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlets").field("open", &self.state().open.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(ifindex: u32, made_of: &str) -> Device {
        let (name, mac) = (format!("eth{ifindex}"), Some([2; 6]));
        Device { ifindex, kind: libc::ARPHRD_ETHER, name, mac, made_of: made_of.into(), below: None }
    }

    #[test]
    fn interfaces_that_cannot_are_told() {
        let eth1 = device(1, "");
        let vlan = Device { below: Some(1), ..device(5, "vlan") };
        assert_eq!(unfit(&eth1, &[device(2, ""), Device { below: Some(2), ..device(6, "vlan") }]), None);
        let said = unfit(&eth1, &[vlan]).unwrap();
        assert!(said.ends_with("(`ethtool -K eth1 rxvlan off`)"), "{said}");
        assert!(unfit(&device(1, "bond"), &[]).unwrap().contains("members"));
        let tunnel = Device { kind: libc::ARPHRD_NONE, ..device(1, "wireguard") };
        assert!(unfit(&tunnel, &[]).unwrap().contains("no Ethernet"));
    }
}
