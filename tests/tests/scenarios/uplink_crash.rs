//! The host's own traffic, and the switch's, while a daemon dies, is replaced, or ends [X2, O6].

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;
use tests::outside::OUTER;
use tests::pcap::Capture;
use tests::traffic::service::{self, Service, Talk};
use tests::{Edge, Host, Outside, Place, Station, scenario, wait};

const PUBLISHED: u16 = 8080;

/// How long a crash is held for a successor.
const HELD: Duration = Duration::from_secs(10);

/// A connection whose outer end is held here: it can speak when the switch is dead.
struct Outgoing {
    outer: TcpStream,
    inner: TcpStream,
}

impl Outgoing {
    fn open(from: &Station, outside: &Outside) -> Result<Outgoing> {
        let at = SocketAddr::new(Outside::FAR4, 7070);
        let listener = outside.enter(|| Ok(TcpListener::bind(at)?))?;
        let inner = from.enter(|| Ok(TcpStream::connect_timeout(&at, Duration::from_secs(3))?))?;
        let outer = listener.accept()?.0;
        Ok(Outgoing { outer, inner })
    }

    fn speak(&mut self) -> Result<()> {
        self.outer.write_all(b"anybody there?").context("the outer end of a container's connection has been reset")
    }

    /// Whatever was said before, what is said now arrives.
    fn passes_both_ways(&mut self) -> Result<()> {
        for (from, to) in [(&self.inner, &self.outer), (&self.outer, &self.inner)] {
            let (mut from, mut to) = (from, to);
            // What was lost before is sent again first, after a pause that has grown.
            to.set_read_timeout(Some(HELD))?;
            from.write_all(b"still there?")?;
            ensure!(to.read(&mut [0; 64])? > 0);
        }
        Ok(())
    }

    fn is_reset(&mut self) -> bool {
        let _ = self.outer.set_read_timeout(Some(Duration::from_millis(10)));
        let read = self.outer.read(&mut [0; 1]);
        !matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// What the host does for itself, from and to outside.
struct Own {
    served: Talk,
    asking: Talk,
    at: SocketAddr,
    _services: (Service, Service),
}

impl Own {
    fn start(edge: &Edge) -> Result<Own> {
        let (at, far) = (SocketAddr::new(edge.host().outer4(), 9000), SocketAddr::new(Outside::FAR4, 9001));
        let services = (Service::tcp(edge.host(), at)?, Service::tcp(&edge.outside, far)?);
        Ok(Own {
            served: Talk::open(&edge.outside, at)?,
            asking: Talk::open(edge.host(), far)?,
            at,
            _services: services,
        })
    }

    /// Fails unless open connections go on and new ones come about.
    fn ensure_untouched(&mut self, edge: &Edge) -> Result<()> {
        self.served.exchange(20_000).context("the host's service")?;
        self.asking.exchange(20_000).context("the host's own connection")?;
        Talk::open(&edge.outside, self.at).context("the host's service")?.exchange(1000)
    }
}

/// Programs at the ingress of a host's interface, in whichever form the kernel has.
fn programs_at(host: &Host, link: &str) -> Result<usize> {
    let filters = host.exec(&["tc", "filter", "show", "dev", link, "ingress"])?;
    let filters = filters.lines().filter(|line| line.contains("direct-action")).count();
    // Kernels before 6.6 have no other form.
    let tcx = host.enter(|| Ok(SchedClassifier::query_tcx(link, TcAttachType::Ingress)))?;
    Ok(filters + tcx.map_or(0, |(_, programs)| programs.len()))
}

fn ensure_nothing_left(host: &Host) -> Result<()> {
    for link in [OUTER, "lo"] {
        ensure!(programs_at(host, link)? == 0, "a program is left at {link}");
    }
    ensure!(!host.exec(&["tc", "qdisc", "show"])?.contains("clsact"));
    let links = host.exec(&["ip", "-br", "link"])?;
    ensure!(links.lines().count() == 2, "left on the host: {links}");
    for family in ["-4", "-6"] {
        let routes = host.exec(&["ip", family, "route", "show", "table", "all"])?;
        ensure!(!routes.contains("vsw0") && !routes.contains("10.30.0."), "{routes}");
    }
    ensure!(host.exec(&["nft", "list", "ruleset"])?.trim().is_empty());
    Ok(())
}

#[test]
fn a_killed_daemons_connections_are_held_for_its_successor_and_the_host_goes_on() {
    scenario(|lab| {
        let mut edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80"])?;
        let _web = Service::tcp(&web, "[::]:80".parse()?)?;
        let published = SocketAddr::new(edge.host().outer4(), PUBLISHED);
        let mut own = Own::start(&edge)?;
        let mut into = Talk::open(&edge.outside, published)?;
        let mut quiet = Talk::open(&edge.outside, published)?;
        let mut out = Outgoing::open(&web, &edge.outside)?;
        own.ensure_untouched(&edge)?;
        ensure!(programs_at(edge.host(), OUTER)? == 1);

        let capture = Capture::start(edge.host(), OUTER, "tcp")?;
        edge.daemon.kill9()?;
        let killed = Instant::now();
        into.say()?;
        out.speak()?;
        while killed.elapsed() < Duration::from_secs(2) {
            own.ensure_untouched(&edge)?;
            std::thread::sleep(Duration::from_millis(50));
        }
        // New ones are held as well: no answer is better than a refusal.
        let error = Talk::open(&edge.outside, published).err().context("a dead switch accepts connections")?;
        ensure!(format!("{error:#}").contains("EINPROGRESS"), "{error:#}");
        ensure!(!into.is_ended() && !out.is_reset(), "a connection of the dead switch was reset");
        ensure!(killed.elapsed() < HELD);
        own.ensure_untouched(&edge)?;
        let pcap = capture.stop()?;
        ensure!(pcap.count("tcp.port == 8080")? > 3, "nothing was captured");
        ensure!(pcap.count("tcp.flags.reset == 1 && (tcp.port == 8080 || tcp.port == 7070)")? == 0, "resets");

        edge.daemon.resume()?;
        ensure!(programs_at(edge.host(), OUTER)? == 1, "not one program after a restart");
        ensure!(programs_at(edge.host(), "vsw0")? == 1, "not one program after a restart");
        wait::until(Duration::from_secs(5), "the published port to work again", || {
            Talk::open(&edge.outside, published)?.exchange(64 * 1024)
        })?;
        Talk::open(&web, SocketAddr::new(Outside::FAR4, 9001))?.exchange(1000)?;
        own.ensure_untouched(&edge)?;
        // What was open goes on: both ends still know each other.
        quiet.exchange(10_000).context("a connection into a container, over the crash")?;
        out.passes_both_ways().context("a connection out of a container, over the crash")?;

        // Once more, and then an end in order.
        edge.daemon.kill9()?;
        edge.daemon.resume()?;
        ensure!(programs_at(edge.host(), OUTER)? == 1, "not one program after two restarts");
        own.ensure_untouched(&edge)?;
        edge.daemon.stop()?;
        ensure_nothing_left(edge.host())?;
        own.ensure_untouched(&edge)?;
        service::refused(&edge.outside, published)
    });
}

#[test]
fn without_a_successor_everything_passes_after_ten_seconds() {
    scenario(|lab| {
        let mut edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80"])?;
        let _web = Service::tcp(&web, "[::]:80".parse()?)?;
        let published = SocketAddr::new(edge.host().outer4(), PUBLISHED);
        let mut own = Own::start(&edge)?;
        let mut out = Outgoing::open(&web, &edge.outside)?;
        edge.daemon.kill9()?;
        let killed = Instant::now();
        // The host's kernel, which knows nothing of it, answers: the rule of the switch is over.
        wait::until(HELD + Duration::from_secs(3), "a refusal", || service::refused(&edge.outside, published))?;
        ensure!(killed.elapsed() > HELD - Duration::from_secs(1), "refused after {:?}", killed.elapsed());
        wait::until(Duration::from_secs(5), "a reset", || {
            let _ = out.speak();
            ensure!(out.is_reset(), "not yet");
            Ok(())
        })?;
        own.ensure_untouched(&edge)?;
        // A late successor is as good as any.
        edge.daemon.resume()?;
        wait::until(Duration::from_secs(5), "the published port to work again", || {
            Talk::open(&edge.outside, published)?.exchange(1000)
        })?;
        ensure!(programs_at(edge.host(), OUTER)? == 1);
        edge.daemon.stop()?;
        ensure_nothing_left(edge.host())
    });
}
