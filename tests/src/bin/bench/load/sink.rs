//! Where small frames end: sockets that nobody reads. Full after a few datagrams, they count each further one as refused, so a
//! receiver costs nothing but the kernel's own work.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use tests::{Netns, Place};

/// Frames that are still on their way when the sender stops are counted after this time.
const DRAIN: Duration = Duration::from_millis(100);

/// The sockets of one place, on some ports of one address.
pub(crate) struct Sink {
    place: Netns,
    _sockets: Vec<UdpSocket>,
}

impl Sink {
    /// Opens them.
    pub(crate) fn open(place: &impl Place, address: Ipv4Addr, ports: Range<u16>) -> Result<Sink> {
        let place = place.netns()?;
        let sockets = place.enter(|| {
            ports
                .map(|port| {
                    let socket = UdpSocket::bind((address, port)).context("cannot open a sink")?;
                    setsockopt(&socket, sockopt::RcvBuf, &1)?;
                    Ok(socket)
                })
                .collect::<Result<_>>()
        })?;
        Ok(Sink { place, _sockets: sockets })
    }

    /// Does `work`, and returns what it did and how many datagrams came meanwhile.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
        let before = self.place.enter(received)?;
        let outcome = work()?;
        thread::sleep(DRAIN);
        Ok((outcome, self.place.enter(received)? - before))
    }

    /// Datagrams so far.
    pub(crate) fn count(&self) -> Result<u64> {
        self.place.enter(received)
    }
}

/// Datagrams that the UDP of the thread's namespace got, read or refused by their socket. One frame that carries several
/// datagrams (UDP GSO) is split before, so this counts datagrams; the link's counters would count it once.
/// `/proc/net` would be the namespace of the process's first thread.
fn received() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().context("no UDP counters")?, lines.next().context("no UDP counters")?);
    Ok(names
        .split_whitespace()
        .zip(values.split_whitespace())
        .filter(|(name, _)| matches!(*name, "InDatagrams" | "RcvbufErrors"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum())
}
