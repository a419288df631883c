//! A host for uplink tests, in the calling thread's namespace: `vsw0` with the programs, and `nic0`, a TAP whose far end
//! is the test, so that every frame on the wire is written and read by hand. And namespaces to be outside in.
#![allow(dead_code, reason = "each test program uses its part")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use etherparse::{PacketBuilder, PacketBuilderStep, SlicedPacket, TransportSlice};
use nix::sched::{CloneFlags, unshare};
use port::xdp::{Xdp, set_memory};
use port::{FiveTuple, Form, Hook, Received, Sent, Steering, Tap, TapOptions, Uplink, UplinkStats};
use wire::{Frame, Pool};

use super::namespace::{eventually, ip, within};

pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub(crate) const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// How what is steered comes to the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) hook: Hook,
    pub(crate) form: Form,
}

/// The hooks that the running kernel has, the best one first.
pub(crate) fn hooks() -> Vec<Hook> {
    within(|| {
        let _link = tap("vsw0");
        let best = Uplink::open("vsw0", Form::Tc).unwrap().0.hook();
        if best == Hook::Tcx { vec![Hook::Tcx, Hook::Filter] } else { vec![Hook::Filter] }
    })
}

pub(crate) fn best() -> Way {
    Way { hook: hooks()[0], form: Form::Tc }
}

/// All hooks, and the XDP form at the best.
pub(crate) fn ways() -> Vec<Way> {
    let hooks = hooks();
    let by_link = hooks.iter().map(|hook| Way { hook: *hook, form: Form::Tc });
    by_link.chain([Way { hook: hooks[0], form: Form::Xdp }]).collect()
}

/// The test, on a new host for each form.
pub(crate) fn in_both_forms(test: impl Fn(Host) + Sync) {
    let hook = best().hook;
    thread::scope(|scope| {
        for form in [Form::Tc, Form::Xdp] {
            let test = &test;
            scope.spawn(move || within(|| test(Host::new(Way { hook, form }))));
        }
    });
}

/// The port of an interface, if the uplink has the XDP form.
pub(crate) fn inlet(uplink: &Uplink, ifname: &str) -> Option<Xdp> {
    uplink.inlets().map(|inlets| inlets.open(index(ifname)).unwrap().port)
}

pub(crate) fn tap(name: &str) -> Tap {
    Tap::create(name, &TapOptions::default()).unwrap()
}

/// The link to the switch, as the daemon sets it up. A predecessor's goes with its descriptor, of which a child of another
/// test has a copy until it runs its program.
pub(crate) fn link() -> Tap {
    let link = eventually("vsw0 of our own", || Tap::create("vsw0", &TapOptions::default()).ok());
    ip("addr add 169.254.86.1/24 dev vsw0");
    ip("addr add fd76:7377:3000::1/64 dev vsw0 nodad");
    ip("link set vsw0 up arp off");
    std::fs::write("/proc/sys/net/ipv4/conf/vsw0/forwarding", "1").unwrap();
    std::fs::write("/proc/sys/net/ipv6/conf/vsw0/forwarding", "1").unwrap();
    link
}

pub(crate) fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

pub(crate) fn mac_of(name: &str) -> [u8; 6] {
    let output = Command::new("ip").args(["-br", "link", "show", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut mac = [0; 6];
    for (byte, digits) in mac.iter_mut().zip(text.split_whitespace().nth(2).unwrap().split(':')) {
        *byte = u8::from_str_radix(digits, 16).unwrap();
    }
    mac
}

pub(crate) struct Host {
    pub(crate) link: Tap,
    /// With the XDP form.
    pub(crate) inlet: Option<Xdp>,
    pub(crate) nic: Tap,
    pub(crate) nic_mac: [u8; 6],
    pub(crate) uplink: Uplink,
    pub(crate) steering: Steering,
    before: UplinkStats,
}

impl Host {
    pub(crate) fn new(way: Way) -> Host {
        set_memory(8 << 20);
        let nic = tap("nic0");
        ip("addr add 10.1.0.1/24 dev nic0");
        ip("addr add fd01::1/64 dev nic0 nodad");
        ip("link set nic0 up");
        ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev nic0");
        ip("neigh add fd01::2 lladdr 02:00:00:00:00:02 dev nic0");
        std::fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0").unwrap();
        std::fs::write("/proc/sys/net/ipv6/icmp/ratelimit", "0").unwrap();
        let link = link();
        let (mut uplink, steering) = Uplink::open_at("vsw0", way.hook, way.form).unwrap();
        uplink.attach(index("nic0")).unwrap();
        uplink.set_locals(&[HOST.into(), HOST6.into()]).unwrap();
        let inlet = inlet(&uplink, "nic0");
        assert_eq!(inlet.is_some(), way.form == Form::Xdp);
        Host { link, inlet, nic, nic_mac: mac_of("nic0"), uplink, steering, before: UplinkStats::default() }
    }

    /// What was counted since the last call, whichever way it came.
    pub(crate) fn counted(&mut self) -> UplinkStats {
        let now = self.uplink.stats();
        let before = std::mem::replace(&mut self.before, now);
        UplinkStats {
            steered: now.steered - before.steered,
            passed_to_socket: now.passed_to_socket - before.passed_to_socket,
            held: now.held - before.held,
            stale: now.stale - before.stale,
            limited: now.limited - before.limited,
            fragments: now.fragments - before.fragments,
            failed: now.failed - before.failed,
            by_xdp: 0,
            departed: now.departed - before.departed,
            no_route: now.no_route - before.no_route,
            too_big: now.too_big - before.too_big,
            malformed: now.malformed - before.malformed,
            write_errors: now.write_errors - before.write_errors,
        }
    }

    pub(crate) fn ether(&self) -> PacketBuilderStep<etherparse::Ethernet2Header> {
        PacketBuilder::ethernet2(PEER_MAC, self.nic_mac)
    }

    /// A frame arrives at the host's interface.
    pub(crate) fn arrive(&mut self, bytes: &[u8]) {
        assert_eq!(self.nic.send(&mut Frame::from_bytes(bytes)).unwrap(), Sent::Done);
    }

    /// It arrives, and comes to the switch as it is.
    pub(crate) fn steered(&mut self, bytes: &[u8]) {
        self.steering.beat();
        self.arrive(bytes);
        self.comes_to_the_switch(bytes);
        assert_eq!(self.counted(), UplinkStats { steered: 1, ..UplinkStats::default() });
    }

    /// A frame comes to the switch as it arrived, by the way that is wanted.
    pub(crate) fn comes_to_the_switch(&mut self, bytes: &[u8]) {
        receive_until(&mut self.link, self.inlet.as_mut(), "steered frame", |frame| frame.bytes() == bytes);
    }

    /// It arrives, and the program takes no notice.
    pub(crate) fn passed(&mut self, bytes: &[u8]) {
        self.arrive(bytes);
        assert_eq!(self.counted(), UplinkStats::default());
    }

    /// It arrives, and is left to a socket.
    pub(crate) fn left_to_socket(&mut self, bytes: &[u8]) {
        self.arrive(bytes);
        assert_eq!(self.counted(), UplinkStats { passed_to_socket: 1, ..UplinkStats::default() });
    }

    pub(crate) fn udp(&self, from: u16, to: u16) -> Vec<u8> {
        let builder = self.ether().ipv4(PEER.octets(), HOST.octets(), 60).udp(from, to);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, b"question").unwrap();
        bytes
    }

    pub(crate) fn udp6(&self, from: u16, to: u16) -> Vec<u8> {
        let builder = self.ether().ipv6(PEER6.octets(), HOST6.octets(), 60).udp(from, to);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, b"question").unwrap();
        bytes
    }

    pub(crate) fn syn(&self, from: u16, to: u16) -> Vec<u8> {
        let builder = self.ether().ipv4(PEER.octets(), HOST.octets(), 60).tcp(from, to, 1000, 65000).syn();
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[]).unwrap();
        bytes
    }

    pub(crate) fn syn6(&self, from: u16, to: u16) -> Vec<u8> {
        let builder = self.ether().ipv6(PEER6.octets(), HOST6.octets(), 60).tcp(from, to, 1000, 65000).syn();
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[]).unwrap();
        bytes
    }
}

/// A flow of IPv4 between the host and the peer.
pub(crate) fn flow(protocol: u8, local: u16, remote: u16) -> FiveTuple {
    FiveTuple { protocol, local: (HOST.into(), local), remote: (PEER.into(), remote) }
}

/// A flow of IPv6 between the host and the peer.
pub(crate) fn flow6(protocol: u8, local: u16, remote: u16) -> FiveTuple {
    FiveTuple { protocol, local: (HOST6.into(), local), remote: (PEER6.into(), remote) }
}

/// Reads until a frame satisfies `wanted`.
pub(crate) fn read_until(tap: &mut Tap, what: &str, mut wanted: impl FnMut(&Frame) -> bool) -> Frame {
    let mut frame = Frame::new();
    eventually(what, || match tap.receive(&mut frame).unwrap() {
        Received::Frame if wanted(&frame) => Some(()),
        Received::Gone => panic!("the link is gone"),
        _ => None,
    });
    frame
}

/// Reads from the port, or from the link if there is none, until a frame satisfies `wanted`.
pub(crate) fn receive_until(
    link: &mut Tap,
    inlet: Option<&mut Xdp>,
    what: &str,
    wanted: impl Fn(&Frame) -> bool,
) -> Frame {
    let Some(inlet) = inlet else { return read_until(link, what, wanted) };
    let mut batch = Vec::new();
    eventually(what, || {
        inlet.receive(&mut batch, 1, &mut Pool::new(1));
        batch.pop().filter(|frame| wanted(frame))
    })
}

/// Whether a frame that satisfies `wanted` comes within some time.
pub(crate) fn comes(tap: &mut Tap, time: Duration, mut wanted: impl FnMut(&Frame) -> bool) -> bool {
    let mut frame = Frame::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        match tap.receive(&mut frame).unwrap() {
            Received::Frame if wanted(&frame) => return true,
            Received::Empty => thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
    }
    false
}

/// Whether it is an ICMP or ICMPv6 message that says that a port is unreachable: the host had no socket for a packet.
pub(crate) fn says_unreachable(frame: &Frame) -> bool {
    match SlicedPacket::from_ethernet(frame.bytes()).ok().and_then(|packet| packet.transport) {
        Some(TransportSlice::Icmpv4(icmp)) => (icmp.type_u8(), icmp.code_u8()) == (3, 3),
        Some(TransportSlice::Icmpv6(icmp)) => (icmp.type_u8(), icmp.code_u8()) == (1, 4),
        _ => false,
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A namespace outside, with a thread in it that does what it is told. Ends when dropped.
pub(crate) struct Outside {
    jobs: mpsc::Sender<Job>,
    path: String,
}

impl Outside {
    pub(crate) fn new() -> Outside {
        let (jobs, received) = mpsc::channel::<Job>();
        let (told, path) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            told.send(format!("/proc/{}/task/{}/ns/net", std::process::id(), nix::unistd::gettid())).unwrap();
            received.into_iter().for_each(|job| job());
        });
        Outside { jobs, path: path.recv().unwrap() }
    }

    /// For `ip link set ... netns`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Runs there; sockets that it makes stay there.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(done.send(job())))).unwrap();
        result.recv().expect("the job outside panicked")
    }
}

/// A veth pair with addresses: `nic0` here, `eth0` outside.
pub(crate) fn wire_up(outside: &Outside) {
    ip(&format!("link add nic0 type veth peer name eth0 netns {}", outside.path()));
    ip("addr add 10.1.0.1/24 dev nic0");
    ip("addr add fd01::1/64 dev nic0 nodad");
    ip("link set nic0 up");
    outside.run(|| {
        ip("addr add 10.1.0.2/24 dev eth0");
        ip("addr add fd01::2/64 dev eth0 nodad");
        ip("link set eth0 up");
    });
}

pub(crate) fn addresses() -> [IpAddr; 2] {
    [HOST.into(), HOST6.into()]
}
