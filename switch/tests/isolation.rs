//! No frame of one network ever comes out at a port of another [N3]: whatever the rules, addresses and MACs. What two
//! containers say to each other's mappings outside is no exception of rules: the host's address is where both meet
//! (RFC 4787 REQ-9), and each has to speak first.

mod world;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use nat::rules::{Family, Program, load};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use switch::{BridgeId, BridgeSettings, Gateway, Place, PortId, Route, Update};
use wire::{Frame, Mac};
use world::{BLUE, Host, OnTheWire, RED, ip, mac};

const UPLINK: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
const OUT: Mac = port::OUT_MAC;
const HOST: [IpAddr; 2] = [v4([198, 51, 100, 1]), v6(0x77, 1)];
const FAR: [IpAddr; 2] = [v4([203, 0, 113, 9]), v6(0x99, 9)];
const VNI: u32 = 42;
/// Ports of each network: one guarded, one not.
const PORTS: [(BridgeId, [u32; 2]); 2] = [(RED, [1, 2]), (BLUE, [3, 4])];

const fn v4(octets: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = octets;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host))
}

/// RED has 10.10.10.0/24 and fd00::/64, BLUE 10.20.20.0/24 and fd00:20::/64; the last byte says who.
fn of_red(last: u8) -> [IpAddr; 2] {
    [ip(last).into(), v6(0, last.into())]
}

fn of_blue(last: u8) -> [IpAddr; 2] {
    [v4([10, 20, 20, last]), v6(0x20, last.into())]
}

fn blue_mac(last: u8) -> Mac {
    Mac::from_ipv4(Ipv4Addr::new(10, 20, 20, last))
}

/// RED reaches another host by VXLAN, BLUE is on this one alone. Both have a way outside, and to the host.
fn host() -> Host {
    let mut host = Host::new(1);
    for (id, vni, of, mac) in
        [(RED, Some(VNI), of_red as fn(u8) -> [IpAddr; 2], mac as fn(u8) -> Mac), (BLUE, None, of_blue, blue_mac)]
    {
        let addresses =
            of(1).map(|ip| format!("{ip}/{}", if ip.is_ipv4() { 24 } else { 64 }).parse().unwrap()).to_vec();
        let gateway = Some(Gateway { mac: mac(1), addresses, internal: false, host_access: true });
        let vni = vni.map(|vni| switch::Vni::new(vni).unwrap());
        host.apply(Update::Bridge {
            id,
            settings: BridgeSettings { gateway, ..BridgeSettings::new("net", vni, 1450) },
        });
        let ports = PORTS.iter().find(|(network, _)| *network == id).unwrap().1;
        for (port, last, guarded) in [(ports[0], 2, true), (ports[1], 3, false)] {
            let (id, bridge, mac, addresses) = (PortId(port), id, mac(last), of(last).to_vec());
            let guard = guarded.then(|| switch::Guard { mac, addresses: addresses.clone() });
            let name = format!("p{port}").as_str().into();
            host.apply(Update::Port { id, settings: switch::PortSettings { name, bridge, guard } });
            host.apply(Update::Endpoint { bridge, mac, addresses, place: Place::Port(id) });
        }
    }
    host.remote(RED, ip(4), v4([192, 0, 2, 2]));
    host.apply(Update::Uplink { mac: Some(UPLINK) });
    let route = |to: &str, source| Route { to: to.parse().unwrap(), source, mtu: 1500 };
    let routes = vec![route("0.0.0.0/0", HOST[0]), route("::/0", HOST[1])];
    host.apply(Update::Host { addresses: HOST.to_vec(), routes });
    host
}

/// A packet in numbers; each picks from a list.
#[derive(Clone, Debug)]
struct Sent {
    /// From a port of RED or BLUE, the uplink, or the tunnel.
    from: u8,
    six: bool,
    /// Whether sender and next hop are as they ought to be.
    honest: (bool, bool),
    macs: (u8, u8),
    ends: (u8, u8),
    protocol: u8,
    ports: (u16, u16),
    flags: u8,
    ttl: u8,
    /// Offset and flags of IPv4.
    fragment: u16,
    len: usize,
}

fn macs() -> [Mac; 12] {
    let group = Mac([0x01, 0, 0x5e, 0, 0, 1]);
    let rest = [UPLINK, OUT, Mac::BROADCAST, group];
    [
        mac(1),
        mac(2),
        mac(3),
        mac(4),
        blue_mac(1),
        blue_mac(2),
        blue_mac(3),
        blue_mac(9),
        rest[0],
        rest[1],
        rest[2],
        rest[3],
    ]
}

fn ends(six: bool) -> [IpAddr; 16] {
    let of = |both: [IpAddr; 2]| both[usize::from(six)];
    let odd = [
        [Ipv4Addr::BROADCAST.into(), "ff02::1".parse().unwrap()],
        [v4([10, 20, 20, 255]), "fe80::1".parse().unwrap()],
        [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        [v4([169, 254, 86, 2]), "fd76:7377:3000::2".parse().unwrap()],
    ];
    [
        of(of_red(1)),
        of(of_red(2)),
        of(of_red(3)),
        of(of_red(4)),
        of(of_red(9)),
        of(of_blue(1)),
        of(of_blue(2)),
        of(of_blue(3)),
        of(of_blue(9)),
        of(HOST),
        of(FAR),
        of([v4([203, 0, 113, 10]), v6(0x99, 10)]),
        of(odd[0]),
        of(odd[1]),
        of(odd[2]),
        of(odd[3]),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let likely = || proptest::bool::weighted(0.7);
    // The host and the outside more often than others: that is where the ways of two networks meet.
    let end = || prop_oneof![3 => 0..16u8, 1 => Just(9), 1 => Just(10)];
    let ports = || select(vec![53u16, 80, 81, 4_000, 8_080]);
    (
        (0..8u8, any::<bool>(), (likely(), likely()), (0..12u8, 0..12u8), (0..16u8, end())),
        (0..8u8, (ports(), ports()), any::<u8>(), select(vec![1u8, 2, 64, 255])),
        (select(vec![0u16, 0, 0, 0, 0x4000, 0x2000, 0x2002, 0x0002]), 0..100usize),
    )
        .prop_map(|((from, six, honest, macs, ends), (protocol, ports, flags, ttl), (fragment, len))| Sent {
            from,
            six,
            honest,
            macs,
            ends,
            protocol,
            ports,
            flags,
            ttl,
            fragment,
            len,
        })
}

impl Sent {
    /// Its port; `None`: it comes through the tunnel.
    fn port(&self) -> Option<PortId> {
        match self.from {
            0..=3 => Some(PortId(u32::from(self.from) + 1)),
            4 | 5 => Some(PortId(u32::from(self.from % 2) * 2 + 2)),
            6 => Some(PortId::HOST),
            _ => None,
        }
    }

    /// Who may see what becomes of it; `None`: it is of no network.
    fn network(&self) -> Option<BridgeId> {
        match self.port() {
            Some(PortId::HOST) => None,
            None => Some(RED),
            Some(port) => PORTS.iter().find(|(_, ports)| ports.contains(&port.0)).map(|(network, _)| *network),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (mut source, mut target) = (macs()[usize::from(self.macs.0)], macs()[usize::from(self.macs.1)]);
        let (mut from, to) = (ends(self.six)[usize::from(self.ends.0)], ends(self.six)[usize::from(self.ends.1)]);
        let own = match self.port() {
            Some(PortId(port @ 1..=2)) => Some((RED, mac as fn(u8) -> Mac, of_red(port as u8 + 1))),
            Some(PortId(port @ 3..=4)) => Some((BLUE, blue_mac as fn(u8) -> Mac, of_blue(port as u8 - 1))),
            _ => None,
        };
        if let Some((network, mac, own)) = own {
            if self.honest.0 {
                (source, from) = (mac(2 + (self.port().unwrap().0 as u8 + 1) % 2), own[usize::from(self.six)]);
            }
            if self.honest.1 && !is_of(network, to) {
                target = mac(1);
            }
        }
        if self.protocol == 7 {
            return world::raw(
                source,
                target,
                if self.six { 0x86dd } else { 0x0806 },
                &self.discovery(source, from, to),
            );
        }
        let builder = PacketBuilder::ethernet2(source.0, target.0);
        let builder = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), self.ttl),
            (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), self.ttl),
            _ => unreachable!("one family"),
        };
        let (payload, mut bytes) = (vec![self.flags; self.len], Vec::new());
        match (self.protocol, self.six) {
            (0..=2, _) => {
                let mut tcp = builder.tcp(self.ports.0, self.ports.1, 7, 60_000);
                if self.flags & 1 != 0 {
                    tcp = tcp.syn();
                }
                if self.flags & 2 != 0 {
                    tcp = tcp.ack(9);
                }
                if self.flags & 12 == 12 {
                    tcp = tcp.rst();
                }
                tcp.write(&mut bytes, &payload).unwrap();
            }
            (3..=5, _) => builder.udp(self.ports.0, self.ports.1).write(&mut bytes, &payload).unwrap(),
            (_, false) => builder.icmpv4_echo_request(7, 1).write(&mut bytes, &payload).unwrap(),
            (_, true) => builder.icmpv6_echo_request(7, 1).write(&mut bytes, &payload).unwrap(),
        }
        if !self.six && self.fragment != 0 {
            bytes[20..22].copy_from_slice(&self.fragment.to_be_bytes());
            let sum = etherparse::Ipv4Header::from_slice(&bytes[14..]).unwrap().0.calc_header_checksum();
            bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// ARP or neighbour discovery: a request or an answer, said by anybody about anybody.
    fn discovery(&self, source: Mac, from: IpAddr, to: IpAddr) -> Vec<u8> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let told = macs()[usize::from(self.flags % 12)];
                let op = 1 + self.flags % 2;
                [&[0, 1, 8, 0, 6, 4, 0, op][..], &source.0, &from.octets(), &told.0, &to.octets()].concat()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let kind = 135 + self.flags % 2;
                let mut icmp = vec![kind, 0, 0, 0, 0, 0, 0, 0];
                icmp.extend(to.octets());
                icmp.extend([2 - kind % 2, 1]);
                icmp.extend(source.0);
                let pseudo = wire::checksum::pseudo_ipv6(&from.octets(), &to.octets(), 58, icmp.len() as u32);
                let sum = !wire::checksum::fold(pseudo + wire::checksum::sum(&icmp));
                icmp[2..4].copy_from_slice(&sum.to_be_bytes());
                let len = (icmp.len() as u16).to_be_bytes();
                [&[0x60, 0, 0, 0, len[0], len[1], 58, 255][..], &from.octets(), &to.octets(), &icmp].concat()
            }
            _ => unreachable!("one family"),
        }
    }
}

/// Rules of a text, most of which can be loaded.
fn rules() -> impl Strategy<Value = Vec<String>> {
    let chain = prop_oneof![
        4 => Just(("filter", "FORWARD")),
        1 => select(vec![("filter", "INPUT"), ("filter", "OUTPUT"), ("raw", "PREROUTING"), ("raw", "OUTPUT")]),
        1 => select(vec![("mangle", "PREROUTING"), ("mangle", "FORWARD"), ("mangle", "POSTROUTING"), ("mangle", "INPUT")]),
        3 => select(vec![("nat", "PREROUTING"), ("nat", "PREROUTING"), ("nat", "POSTROUTING"), ("nat", "OUTPUT")]),
    ];
    let asked = select(vec![
        "",
        "",
        "",
        "-i p1",
        "-i p2",
        "-i p3",
        "-i p4",
        "-i uplink",
        "-i vsw0",
        "-i tunnel",
        "! -i p1",
        "-i p+",
        "-p tcp",
        "-p tcp --dport 80",
        "-p udp",
        "-p udp --dport 53",
        "-m conntrack --ctstate NEW",
        "-m conntrack --ctstate RELATED,ESTABLISHED",
        "-m conntrack --ctstate INVALID,UNTRACKED",
        "-m mark --mark 1",
        "-s RED",
        "-d RED",
        "-s BLUE",
        "-d BLUE",
        "-d HOST",
        "-d FAR",
        "-s FAR",
    ]);
    let done = prop_oneof![
        select(vec!["ACCEPT", "ACCEPT", "DROP", "RETURN", "REJECT", "user"]),
        select(vec![
            "NOTRACK",
            "CT --notrack",
            "MARK --set-mark 1",
            "CONNMARK --set-mark 2",
            "CONNMARK --restore-mark",
            "TTL --ttl-set 9",
            "HL --hl-set 9",
            "DSCP --set-dscp 8",
            "LOG"
        ]),
        select(vec![
            "DNAT --to-destination RED2",
            "DNAT --to-destination BLUE2",
            "DNAT --to-destination BLUE3",
            "DNAT --to-destination BLUEGW",
            "DNAT --to-destination RED2-RED4",
            "REDIRECT",
            "REDIRECT --to-ports 80",
            "SNAT --to-source BLUE2",
            "SNAT --to-source BLUEGW",
            "SNAT --to-source RED3",
            "SNAT --to-source HOST",
            "MASQUERADE",
            "NETMAP --to BLUE",
            "NETMAP --to RED"
        ]),
    ];
    let rule = (chain, vec(asked, 1..3), done)
        .prop_map(|((table, chain), asked, done)| format!("{table} -A {chain} {} -j {done}", asked.join(" ")));
    vec(rule, 0..12)
}

/// The text of those rules that can be loaded, for one family, and their number.
fn text(rules: &[String], family: Family) -> (String, usize) {
    let six = family == Family::Ipv6;
    let of = |both: [IpAddr; 2]| both[usize::from(six)].to_string();
    let red = if six { "fd00::/64".to_owned() } else { "10.10.10.0/24".to_owned() };
    let blue = if six { "fd00:20::/64".to_owned() } else { "10.20.20.0/24".to_owned() };
    let filled = |rule: &String| {
        let rule =
            rule.replace("BLUEGW", &of(of_blue(1))).replace("BLUE2", &of(of_blue(2))).replace("BLUE3", &of(of_blue(3)));
        let rule = rule.replace("RED2", &of(of_red(2))).replace("RED3", &of(of_red(3))).replace("RED4", &of(of_red(4)));
        rule.replace("RED", &red).replace("BLUE", &blue).replace("HOST", &of(HOST)).replace("FAR", &of(FAR))
    };
    let (mut text, mut count) = (String::new(), 0);
    for table in ["raw", "mangle", "nat", "filter"] {
        let mut body = String::new();
        for rule in rules.iter().map(filled) {
            let Some(rule) = rule.strip_prefix(table) else { continue };
            let user = ":user - [0:0]\n-A user -p tcp -j ACCEPT\n";
            if load(family, &format!("*{table}\n{user}{rule}\nCOMMIT\n")).is_ok() {
                body += &format!("{}\n", rule.trim());
                count += 1;
            }
        }
        text += &format!("*{table}\n:user - [0:0]\n-A user -p tcp -j ACCEPT\n{body}COMMIT\n");
    }
    (text, count)
}

/// The other one.
fn other(network: BridgeId) -> BridgeId {
    if network == RED { BLUE } else { RED }
}

fn ports_of(network: BridgeId) -> [u32; 2] {
    PORTS.iter().find(|(id, _)| *id == network).unwrap().1
}

/// Whether an address is of a network's subnets.
fn is_of(network: BridgeId, address: IpAddr) -> bool {
    let nets: [ipnet::IpNet; 2] = match network {
        RED => ["10.10.10.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()],
        _ => ["10.20.20.0/24".parse().unwrap(), "fd00:20::/64".parse().unwrap()],
    };
    nets.iter().any(|net| net.contains(&address))
}

/// Sockets that have sent something: network, address, protocol, port.
type Spoken = HashSet<(BridgeId, IpAddr, u8, u16)>;

/// Whether a frame is for a mapping that its owner has made, and comes from the host's address as does all that is said to
/// mappings.
fn is_by_mapping(network: BridgeId, sent: &[u8], frame: &Frame, spoken: &Spoken) -> bool {
    let to_host = |bytes: &[u8]| {
        let headers = wire::parse(bytes).ok()?;
        headers.key.dst().filter(|to| HOST.contains(to))
    };
    let Ok(headers) = wire::parse(frame.bytes()) else { return false };
    let (Some(from), Some(to)) = (headers.key.src(), headers.key.dst()) else { return false };
    let mut sockets = spoken
        .iter()
        .filter(|(of, ip, protocol, _)| *of == network && *ip == to && *protocol == headers.key.protocol());
    let port = headers.key.dst_port();
    let knows_port = matches!(headers.key.protocol(), 6 | 17) && port != 0;
    to_host(sent).is_some() && HOST.contains(&from) && sockets.any(|socket| !knows_port || socket.3 == port)
}

/// What a frame of a network has become must not be at a port of another, in another's tunnel, or on its way to another
/// network through the host.
fn within(
    network: BridgeId,
    sent: &[u8],
    spoken: &Spoken,
    frames: &[(PortId, Frame)],
    wire: &[OnTheWire],
) -> Result<(), TestCaseError> {
    for (port, frame) in frames {
        let foreign = ports_of(other(network)).contains(&port.0);
        if foreign && is_by_mapping(other(network), sent, frame, spoken) {
            continue;
        }
        prop_assert!(!foreign, "{network:?} is seen at {port:?}: {:02x?}", frame.bytes());
        let Ok(headers) = wire::parse(frame.bytes()) else { continue };
        if *port == PortId::HOST {
            let to = headers.key.dst();
            let through = to.is_some_and(|to| is_of(other(network), to));
            prop_assert!(!through, "{network:?} leaves for {to:?}: {:02x?}", frame.bytes());
        }
    }
    for (_, _, _, bytes, segment) in wire {
        for datagram in bytes.chunks((*segment).max(1)) {
            let vni = u32::from_be_bytes([0, datagram[4], datagram[5], datagram[6]]);
            prop_assert!(network == RED && vni == VNI, "{network:?} is in the tunnel of {vni}");
        }
    }
    Ok(())
}

/// What somebody outside would answer to a frame that left.
fn answer(frame: &Frame) -> Option<Vec<u8>> {
    let mut bytes = frame.bytes().to_vec();
    let headers = wire::parse(&bytes).ok()?;
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    let (first, len) = if headers.key.src()?.is_ipv4() { (l3 + 12, 4) } else { (l3 + 8, 16) };
    let swap = |bytes: &mut Vec<u8>, at: usize, len: usize| {
        if at + 2 * len <= bytes.len() {
            let (a, b) = bytes[at..at + 2 * len].split_at_mut(len);
            a.swap_with_slice(b);
        }
    };
    swap(&mut bytes, 0, 6);
    swap(&mut bytes, first, len);
    match headers.key.protocol() {
        6 | 17 => swap(&mut bytes, l4, 2),
        // An echo request is answered, which changes its type and the sum of it (RFC 1624).
        protocol @ (1 | 58) if bytes.len() > l4 + 4 => {
            let (reply, more) = if protocol == 1 { (0, 0xf7ff) } else { (129, 0x0100) };
            let sum = u16::from_be_bytes([bytes[l4 + 2], bytes[l4 + 3]]);
            let sum = u32::from(!sum) + more;
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            bytes[l4] = reply;
            bytes[l4 + 2..l4 + 4].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
    Some(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rule_leads_from_one_network_into_another(
        sets in vec(rules(), 3),
        packets in vec(sent(), 1..60),
    ) {
        let (mut host, mut spoken) = (host(), Spoken::new());
        for (scope, set) in [None, Some(RED), Some(BLUE)].into_iter().zip(&sets) {
            for family in [Family::Ipv4, Family::Ipv6] {
                let (text, _) = text(set, family);
                let program = Program::new(load(family, &text).map_err(|error| TestCaseError::fail(error.to_string()))?);
                host.switch.set_rules(scope, family, Some(Box::new(program)));
            }
        }
        for packet in &packets {
            let bytes = packet.bytes();
            let (frames, wire) = match packet.port() {
                Some(port) => host.send(port, &bytes),
                None => {
                    let header = [&[0x08, 0, 0, 0][..], &(VNI << 8).to_be_bytes()[..], &bytes[..]].concat();
                    let len = header.len();
                    host.receive(&(v4([192, 0, 2, 2]), host.vtep, 0, header, len))
                }
            };
            let Some(network) = packet.network() else { continue };
            within(network, &bytes, &spoken, &frames, &wire)?;
            if let Ok(headers) = wire::parse(&bytes)
                && let Some(from) = headers.key.src()
            {
                spoken.insert((network, from, headers.key.protocol(), headers.key.src_port()));
            }
            // What comes back finds the network that it left.
            for (_, frame) in frames.iter().filter(|(port, _)| *port == PortId::HOST) {
                let Some(answer) = answer(frame) else { continue };
                let (frames, wire) = host.send(PortId::HOST, &answer);
                within(network, &answer, &spoken, &frames, &wire)?;
            }
        }
    }
}

#[test]
fn the_rules_and_packets_of_the_property_are_not_idle() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut written, mut loaded, mut out, mut left) = (0, 0, 0, 0);
    for _ in 0..100 {
        let set = rules().new_tree(&mut runner).unwrap().current();
        written += set.len();
        loaded += text(&set, Family::Ipv4).1;
        let mut host = host();
        for packet in vec(sent(), 60).new_tree(&mut runner).unwrap().current() {
            let Some(port) = packet.port() else { continue };
            let frames = host.send(port, &packet.bytes()).0;
            out += usize::from(!frames.is_empty());
            left += usize::from(frames.iter().any(|(port, _)| *port == PortId::HOST));
        }
    }
    println!("{loaded} of {written} rules load; of 6000 packets {out} lead to something, {left} leave");
    assert!(loaded * 3 > written && out > 300 && left > 30);
}

#[test]
fn a_translation_into_another_network_leads_nowhere_and_one_within_works() {
    let bytes = |port: u16| world::udp_between(mac(2), mac(1), ip(2), Ipv4Addr::new(203, 0, 113, 9), port, 20);
    for (to, reached) in [("10.10.10.3", vec![2]), ("10.20.20.2", vec![]), ("10.20.20.1", vec![])] {
        for scope in [None, Some(RED)] {
            let mut host = host();
            let text = format!(
                "*nat\n-A PREROUTING -p udp -j DNAT --to-destination {to}\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"
            );
            let program = Program::new(load(Family::Ipv4, &text).unwrap());
            host.switch.set_rules(scope, Family::Ipv4, Some(Box::new(program)));
            let ports: Vec<u32> = host.ports(PortId(1), &bytes(4_000)).into_iter().filter(|port| *port != 1).collect();
            assert_eq!(ports, reached, "{to} {scope:?}");
        }
    }
}
