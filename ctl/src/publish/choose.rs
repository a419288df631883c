//! Which of the host's ports a publication gets: those it names, the first free of a range, or consecutive ones of the
//! kernel's range for automatic ports, going on where the last choice ended, as Docker does.

use std::fs;
use std::sync::atomic::{AtomicU16, Ordering};

use super::bind::{Bound, bind_all};
use super::holder::holder;
use super::{Error, Ports, Publication, Spec};

/// Where Docker looks when the kernel does not say (RFC 6335's dynamic ports, less the first).
const FALLBACK: Ports = Ports { first: 49_153, last: 65_535 };

/// Where the next automatic choice begins.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Chooses and binds the host's ports, for which there must be room (`make_room`). Blocks for some microseconds for
/// each port.
///
/// # Errors
/// Who or what is in the way. Nothing stays bound.
pub fn bind(spec: &Spec, known: &[Publication]) -> Result<Bound, Error> {
    let claimed = |host: Ports| known.iter().find(|publication| publication.conflicts(spec, host));
    match spec.host {
        Some(host) if host.count() == spec.ports.count() => match claimed(host) {
            Some(other) => Err(Error::Held { holder: other.claim() }),
            None => exactly(spec, host),
        },
        Some(host) => first_free(spec, host, claimed),
        None => automatic(spec, range(), &reserved(), claimed),
    }
}

fn exactly(spec: &Spec, host: Ports) -> Result<Bound, Error> {
    let sockets = bind_all(spec.at, spec.protocol, host).map_err(|refused| refused.because(spec.at, spec.protocol))?;
    Ok(Bound { host, sockets })
}

fn first_free<'a>(
    spec: &Spec,
    host: Ports,
    claimed: impl Fn(Ports) -> Option<&'a Publication>,
) -> Result<Bound, Error> {
    let (at, protocol) = (spec.at, spec.protocol);
    let one = |port| Ports { first: port, last: port };
    for host in (host.first..=host.last).map(one).filter(|host| claimed(*host).is_none()) {
        match bind_all(at, protocol, host) {
            Ok(sockets) => return Ok(Bound { host, sockets }),
            Err(refused) if refused.is_taken() => {}
            Err(refused) => return Err(refused.because(at, protocol)),
        }
    }
    // Looked for only now: it takes a while, on a host with many processes a long one.
    let first = host.first;
    let holder = claimed(one(first)).map_or_else(|| holder(protocol, at, first), Publication::claim);
    Err(Error::NoneFree { at, ports: host, protocol, holder })
}

fn automatic<'a>(
    spec: &Spec,
    range: Ports,
    reserved: &[Ports],
    claimed: impl Fn(Ports) -> Option<&'a Publication>,
) -> Result<Bound, Error> {
    let count = spec.ports.count();
    let exhausted = || Error::Exhausted { count, range, protocol: spec.protocol };
    let mut next = Some(NEXT.load(Ordering::Relaxed)).filter(|next| (range.first..=range.last).contains(next));
    let mut tried = 0;
    while tried < range.count() {
        let first = next.unwrap_or(range.first);
        let Some(host) = Ports::from(first, count).filter(|host| host.last <= range.last) else {
            // Too near to the end: from the beginning again.
            tried += usize::from(range.last - first) + 1;
            next = None;
            continue;
        };
        let skip = reserved.iter().copied().find(|other| other.overlaps(host));
        let last = match skip.or_else(|| claimed(host).map(Publication::host)) {
            Some(taken) => taken.last.max(first),
            None => match bind_all(spec.at, spec.protocol, host) {
                Ok(sockets) => {
                    NEXT.store(host.last.wrapping_add(1), Ordering::Relaxed);
                    return Ok(Bound { host, sockets });
                }
                Err(refused) if refused.is_taken() => refused.port,
                Err(refused) => return Err(refused.because(spec.at, spec.protocol)),
            },
        };
        tried += usize::from(last - first) + 1;
        next = last.checked_add(1).filter(|next| *next <= range.last);
    }
    Err(exhausted())
}

/// The kernel's range for automatic ports.
fn range() -> Ports {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if 0 < first && first <= last => Ports { first, last },
        _ => FALLBACK,
    }
}

/// Ports that the operator keeps for others: `8080,9148-9150`.
fn reserved() -> Vec<Ports> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let read = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(Ports { first: first.parse().ok()?, last: last.parse().ok()? })
    };
    text.trim().split(',').filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::super::{At, Protocol};
    use super::*;

    fn spec(text: &str) -> Spec {
        text.parse().unwrap()
    }

    /// Consecutive ports that nobody has just now; high ones below the kernel's automatic range.
    fn free(count: usize) -> Ports {
        static LAST: AtomicU16 = AtomicU16::new(0);
        let base = 10_000 + (std::process::id() % 100) as u16 * 150;
        (0..200)
            .filter_map(|_| Ports::from(base + LAST.fetch_add(count as u16, Ordering::Relaxed), count))
            .find(|ports| bind_all(At::Any, Protocol::Tcp, *ports).is_ok())
            .unwrap()
    }

    #[test]
    fn one_socket_serves_both_families() {
        let Ports { first: port, .. } = free(1);
        let bound = bind(&spec(&format!("{port}:80")), &[]).unwrap();
        assert_eq!((bound.host, bound.sockets.len()), (Ports { first: port, last: port }, 1));
        for address in ["127.0.0.1", "::1"] {
            let address: std::net::IpAddr = address.parse().unwrap();
            TcpStream::connect((address, port)).unwrap();
        }
        drop(bound);
        bind(&spec(&format!("{port}:80")), &[]).expect("connections of before are no reason to refuse");
    }

    #[test]
    fn a_range_is_bound_whole_or_not_at_all() {
        let host = free(5);
        let taken = TcpListener::bind(("127.0.0.1", host.last)).unwrap();
        let error = bind(&spec(&format!("{host}:80-84")), &[]).unwrap_err().to_string();
        assert_eq!(error, format!("vswitchd itself listens on 127.0.0.1:{}/tcp", host.last));
        for port in host.first..host.last {
            assert!(TcpListener::bind(("0.0.0.0", port)).is_ok(), "{port} is still bound");
        }
        drop(taken);
        assert_eq!(bind(&spec(&format!("{host}:80-84")), &[]).unwrap().sockets.len(), 5);
    }

    #[test]
    fn our_own_rules_are_named_also_when_their_sockets_are_not_there() {
        let Ports { first: port, .. } = free(1);
        let asked = spec(&format!("{port}:80"));
        let known = [Publication { id: 1, name: "web0".into(), network: None, asked, spec: asked }];
        let error = bind(&spec(&format!("127.0.0.1:{port}:81")), &known).unwrap_err().to_string();
        assert_eq!(error, format!("port web0 publishes 0.0.0.0:{port}/tcp"));
        assert!(bind(&spec(&format!("{port}:81/udp")), &known).is_ok());
    }

    #[test]
    fn the_first_free_port_of_a_range_is_taken() {
        let host = free(3);
        let _first = UdpSocket::bind(("0.0.0.0", host.first)).unwrap();
        let asked = spec(&format!("{host}:53/udp"));
        let second = bind(&asked, &[]).unwrap();
        assert_eq!(second.host.first, host.first + 1);
        let _third = bind(&asked, &[]).unwrap();
        let error = bind(&asked, &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("no port of {host}/udp is free")) && error.contains("0.0.0.0"), "{error}");
    }

    #[test]
    fn automatic_ports_are_consecutive_and_skip_what_is_taken() {
        let range = free(20);
        let _taken = TcpListener::bind(("0.0.0.0", range.first + 4)).unwrap();
        let kept = Ports { first: range.first + 6, last: range.first + 7 };
        let five = spec("127.0.0.1::80-84");
        let one = automatic(&five, range, &[kept], |_| None).unwrap();
        assert_eq!(one.host.first, range.first + 8);
        let two = automatic(&five, range, &[kept], |_| None).unwrap();
        assert_eq!(two.host.first, range.first + 13, "it goes on after the last");
        let error = automatic(&five, range, &[kept], |_| None).unwrap_err().to_string();
        assert!(error.starts_with("no 5 consecutive free tcp ports"), "{error}");
    }

    #[test]
    fn ten_thousand_ports_take_a_moment_and_a_descriptor_each() {
        let alone = std::thread::spawn(|| {
            // Needs root: a namespace in which all ports are free.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let start = std::time::Instant::now();
            super::super::make_room(10_000).unwrap();
            let bound = bind(&spec("10000-19999:20000-29999"), &[]).unwrap();
            (bound.sockets.len(), start.elapsed())
        });
        let (count, took) = alone.join().unwrap();
        assert_eq!(count, 10_000);
        // Half a second is promised of an optimised build; this one is not, and shares the machine.
        assert!(took < std::time::Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn a_long_range_without_a_free_port_is_refused_at_once() {
        let alone = std::thread::spawn(|| {
            // Needs root: a namespace in which nobody else takes ports.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            super::super::make_room(5_000).unwrap();
            let _taken = bind(&spec("10000-14999:10000-14999"), &[]).unwrap();
            let start = std::time::Instant::now();
            (bind(&spec("10000-14999:80"), &[]).unwrap_err().to_string(), start.elapsed())
        });
        let (error, took) = alone.join().unwrap();
        assert!(error.ends_with("the first: vswitchd itself listens on [::]:10000/tcp"), "{error}");
        // Looking for the holder of each would take minutes.
        assert!(took < std::time::Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn an_address_that_is_not_here_is_refused() {
        let error = bind(&spec("192.0.2.77:8080:80"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "no interface of this host has address 192.0.2.77");
        assert!(error.remedy().contains("ip address"));
    }
}
