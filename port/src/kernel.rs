//! What the kernel has of what came late: tried out, not read off a version, because distributions take features back and
//! forth. Everything happens in a network namespace of its own, so that nobody sees it.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::uplink::tcx;
use crate::xdp::trial;
use crate::{Tap, TapOptions, sockopt};

/// The loopback interface's number, in every namespace.
const LOOPBACK: u32 = 1;
/// Bytes of a segment: any will do.
const SEGMENT: libc::c_int = 1_000;

/// What a kernel may have or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// TCP super-frames on TAP links.
    TapTso,
    /// UDP super-frames on TAP links.
    TapUso,
    /// Many datagrams in one send.
    UdpGso,
    /// Many datagrams in one reception.
    UdpGro,
    /// The programs' hook before all classifiers.
    Tcx,
    /// AF_XDP sockets.
    AfXdp,
    /// Calls of ours drive a card's queues.
    AfXdpBusyPoll,
    /// AF_XDP frames longer than a chunk of memory.
    AfXdpMultiBuffer,
}

impl Feature {
    /// All of them.
    pub const ALL: [Feature; 8] = [
        Feature::TapTso,
        Feature::TapUso,
        Feature::UdpGso,
        Feature::UdpGro,
        Feature::Tcx,
        Feature::AfXdp,
        Feature::AfXdpBusyPoll,
        Feature::AfXdpMultiBuffer,
    ];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::TapTso => "tap_tso",
            Feature::TapUso => "tap_uso",
            Feature::UdpGso => "udp_gso",
            Feature::UdpGro => "udp_gro",
            Feature::Tcx => "tcx",
            Feature::AfXdp => "af_xdp",
            Feature::AfXdpBusyPoll => "af_xdp_busy_poll",
            Feature::AfXdpMultiBuffer => "af_xdp_multi_buffer",
        }
    }

    /// The release of Linux that brought it.
    pub const fn since(self) -> &'static str {
        match self {
            Feature::TapTso => "2.6.27",
            Feature::TapUso => "6.2",
            Feature::UdpGso | Feature::AfXdp => "4.18",
            Feature::UdpGro => "5.0",
            Feature::Tcx | Feature::AfXdpMultiBuffer => "6.6",
            Feature::AfXdpBusyPoll => "5.11",
        }
    }
}

/// What came of trying a feature: `None` it is there, or why not.
pub type Outcome = (Feature, Option<String>);

/// Tries all of them, for some milliseconds.
///
/// # Errors
/// There is no network namespace or no thread to try them in; they may be there all the same.
pub fn probe() -> io::Result<Vec<Outcome>> {
    let inside = || -> io::Result<Vec<Outcome>> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(try_all())
    };
    let outcome = thread::Builder::new().name("probe".into()).spawn(inside)?.join();
    outcome.unwrap_or_else(|_| Err(io::Error::other("the attempt was broken off")))
}

fn try_all() -> Vec<Outcome> {
    let (tso, uso) = match Tap::create("probe", &TapOptions::default()) {
        Ok(tap) => {
            let offloads = tap.offloads();
            let refused = |there| if there { None } else { Some("the kernel refuses it".to_owned()) };
            (refused(offloads.tso4 && offloads.tso6), refused(offloads.uso))
        }
        Err(error) => (Some(error.to_string()), Some(error.to_string())),
    };
    let option = |option, value| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        sockopt::set(socket.as_fd(), libc::SOL_UDP, option, value)
    };
    let trial = trial::run(LOOPBACK);
    vec![
        (Feature::TapTso, tso),
        (Feature::TapUso, uso),
        (Feature::UdpGso, why(option(libc::UDP_SEGMENT, SEGMENT))),
        (Feature::UdpGro, why(option(libc::UDP_GRO, 1))),
        (Feature::Tcx, why(tcx::is_there(LOOPBACK))),
        (Feature::AfXdp, why(trial.sockets)),
        (Feature::AfXdpBusyPoll, why(trial.busy_poll)),
        (Feature::AfXdpMultiBuffer, why(trial.multi_buffer)),
    ]
}

fn why(outcome: io::Result<()>) -> Option<String> {
    outcome.err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_kernel_has_is_found_and_nothing_is_left_behind() {
        let outcomes = probe().unwrap();
        assert_eq!(outcomes.iter().map(|(feature, _)| *feature).collect::<Vec<_>>(), Feature::ALL);
        // Older than the oldest kernel that is supported.
        for feature in [Feature::TapTso, Feature::UdpGso, Feature::UdpGro, Feature::AfXdp, Feature::AfXdpBusyPoll] {
            let reason = outcomes.iter().find(|(one, _)| *one == feature).and_then(|(_, reason)| reason.as_deref());
            assert_eq!(reason, None, "{}", feature.name());
        }
        assert!(nix::net::if_::if_nametoindex("probe").is_err(), "it was in another namespace");
    }

    #[test]
    fn newer_features_are_found_where_the_kernel_is_new() {
        let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u32>().ok());
        let kernel = (numbers.next().unwrap(), numbers.next().unwrap());
        for (feature, reason) in probe().unwrap() {
            let mut since = feature.since().split('.').filter_map(|word| word.parse::<u32>().ok());
            if kernel >= (since.next().unwrap(), since.next().unwrap()) {
                assert_eq!(reason, None, "{} on Linux {release}", feature.name());
            }
        }
    }
}
