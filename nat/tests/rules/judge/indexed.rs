//! Long chains, whose rules are looked up: packets meet what they would meet if every rule were asked in turn.

use std::net::IpAddr;
use std::time::Duration;

use nat::Address;
use nat::Tuple;
use nat::rules::{
    AddressKinds, Connection, Family, Hook, Log, Packet, Place, Program, Surroundings, Table, Tracking, Verdict, load,
};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Frame, Time, parse};

use super::world::{World, echo, tcp, udp};

/// Numbers, taken one after the other, and again from the start.
struct Numbers<'a>(&'a [u8], usize);

impl Numbers<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.1 += 1;
        usize::from(self.0[(self.1 - 1) % self.0.len()]) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const SETS: &str = "create hosts hash:ip family FAMILY\nadd hosts ADDRESS1\nadd hosts ADDRESS3\n";
const CHAINS: [&str; 4] = ["FORWARD", "a", "b", "c"];
const PORTS: [u16; 8] = [1, 2, 80, 81, 1024, 4096, 8000, 8005];
const HEADERS: &[&str] = &[
    "",
    "-s @A",
    "-s @A",
    "-d @A",
    "-s @M",
    "-d @M",
    "! -s @M",
    "! -d @A",
    "-i eth@I",
    "-i eth+",
    "! -i eth0",
    "-o eth@I",
    "-o +",
    "-s @A -d @A",
    "-s @M -i eth@I",
    "-i eth@I -o eth@I",
];
/// A protocol, and a match that goes with it.
const PROTOCOLS: &[(&str, &str)] = &[
    ("", ""),
    ("", ""),
    ("-p tcp", ""),
    ("-p udp", ""),
    ("-p sctp", ""),
    ("! -p tcp", ""),
    ("-p tcp", "-m tcp --dport @P"),
    ("-p tcp", "-m tcp --dport @P"),
    ("-p tcp", "-m tcp ! --dport @P"),
    ("-p tcp", "-m tcp --sport @P --dport @P"),
    ("-p tcp", "-m tcp --sport @R"),
    ("-p tcp", "-m tcp --dport @P --syn"),
    ("-p tcp", "-m tcp --dport @R --tcp-flags SYN SYN"),
    ("-p tcp", "-m tcp --sport @P --tcp-option 2"),
    ("-p tcp", "-m multiport --dports @P,@R,@P"),
    ("-p tcp", "-m multiport --sports @P,@P"),
    ("-p tcp", "-m multiport ! --dports @P"),
    ("-p udp", "-m udp --dport @P"),
    ("-p udp", "-m udp --sport @R"),
    ("-p udp", "-m udp ! --sport @P --dport @R"),
    ("-p udp", "-m multiport --ports @P"),
    ("-p sctp", "-m multiport --dports @P"),
    ("-p ICMP", ""),
    ("-p ICMP", "--ICMP-type @B"),
];
const MATCHES: &[&str] = &[
    "",
    "",
    "",
    "-m limit --limit 1/sec --limit-burst @B",
    "-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst @B --hashlimit-name h@I --hashlimit-mode srcip,dstport",
    "-m connlimit --connlimit-above @B",
    "-m statistic --mode nth --every @B --packet 0",
    "-m statistic --mode random --probability 0.5",
    "-m iprange --src-range @S",
    "-m iprange ! --src-range @S --dst-range @S",
    "-m mac --mac-source 02:00:00:00:00:0@I",
    "-m mac ! --mac-source 02:00:00:00:00:0@I",
    "-m state --state NEW,INVALID",
    "-m conntrack --ctstate ESTABLISHED,UNTRACKED",
    "-m conntrack --ctorigsrc @A",
    "-m mark --mark @B/3",
    "-m connmark ! --mark @B",
    "-m addrtype --dst-type UNICAST",
    "-m length --length 40:60",
    "-m TTL --TTL-gt 63",
    "-m dscp --dscp 0",
    "-m set --match-set hosts src",
    "-m comment --comment x",
];
/// Where rules lead: mostly on to the next one.
const TARGETS: &[&str] =
    &["", "", "-j MARK --xor-mark @B", "-j CONNMARK --set-mark @B", "-j LOG", "-j @J", "-j @J", "-g @J", "-j RETURN"];
const FILTER: &[&str] = &["-j ACCEPT", "-j DROP", "-j REJECT"];
const MANGLE: &[&str] = &["-j TOS --set-tos 8", "-j DSCP --set-dscp 1", "-j TTL --TTL-dec 1", "-j ACCEPT"];

fn address(family: Family, last: usize) -> String {
    match family {
        Family::Ipv4 => format!("10.0.0.{last}"),
        Family::Ipv6 => format!("fd00::{last}"),
    }
}

/// A template filled in: behind `@` stands `A` for an address, `M` for a network, `S` for a span of addresses, `P` for a
/// port, `R` for a range of ports, `I` for 0 or 1, `B` for 1 to 4, `J` for a later chain.
fn fill(template: &str, family: Family, chain: usize, numbers: &mut Numbers<'_>) -> String {
    let template = match family {
        Family::Ipv4 => {
            template.replace("ICMP", "icmp").replace("TTL --TTL", "TTL --ttl").replace("TTL --ttl-gt", "ttl --ttl-gt")
        }
        Family::Ipv6 => template
            .replace("--ICMP", "--icmpv6")
            .replace("ICMP", "ipv6-icmp")
            .replace("TTL --TTL-gt", "hl --hl-gt")
            .replace("TTL --TTL", "HL --hl"),
    };
    let mut parts = template.split('@');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (letter, rest) = part.split_at(1);
        let filled = match letter {
            "A" => address(family, numbers.below(8)),
            "M" => format!("{}/{}", address(family, numbers.below(8)), family.bits() as usize - numbers.below(5)),
            "S" => {
                let first = numbers.below(6);
                format!("{}-{}", address(family, first), address(family, first + numbers.below(3)))
            }
            "P" => numbers.of(&PORTS).to_string(),
            "R" => {
                let first = numbers.of(&PORTS);
                format!("{first}:{}", first + [0, 1, 7, 1000, 50_000][numbers.below(5)])
            }
            "I" => numbers.below(2).to_string(),
            "B" => (1 + numbers.below(4)).to_string(),
            _ => CHAINS[chain + 1 + numbers.below(CHAINS.len() - chain - 1)].to_owned(),
        };
        text.push_str(&filled);
        text.push_str(rest);
    }
    text
}

fn rule(family: Family, table: Table, chain: usize, numbers: &mut Numbers<'_>) -> String {
    let header = numbers.of(HEADERS);
    let (protocol, own) = numbers.of(PROTOCOLS);
    let (before, behind) = (numbers.of(MATCHES), numbers.of(MATCHES));
    let (before, behind) = if before.get(..6) == behind.get(..6) { ("", behind) } else { (before, behind) };
    let last = chain + 1 == CHAINS.len();
    let target = match (numbers.below(16), table) {
        (0, Table::Filter) => numbers.of(FILTER),
        (0, _) => numbers.of(MANGLE),
        (1, Table::Mangle) if own.contains("--syn") => "-j TCPMSS --set-mss 900",
        _ => numbers.of(TARGETS),
    };
    let target = if last && target.contains("@J") { "" } else { target };
    let rule = [header, protocol, before, own, behind, target].join(" ");
    format!("-A {} {}\n", CHAINS[chain], fill(&rule, family, chain, numbers))
}

/// Rules of one table, of four chains.
fn rules(family: Family, table: Table, chains: &[Vec<[u8; 24]>; 4]) -> String {
    let name = if family == Family::Ipv4 { "inet" } else { "inet6" };
    let sets = SETS.replace("FAMILY", name);
    let sets = sets.replace("ADDRESS1", &address(family, 1)).replace("ADDRESS3", &address(family, 3));
    let mut text = format!("{sets}*{table}\n:FORWARD DROP [0:0]\n:a - [0:0]\n:b - [0:0]\n:c - [0:0]\n");
    for (chain, rules) in chains.iter().enumerate() {
        for numbers in rules {
            text.push_str(&rule(family, table, chain, &mut Numbers(numbers, 0)));
        }
    }
    text + "COMMIT\n"
}

/// A packet with a few addresses and ports, and whether it was cut off behind so many bytes of its payload.
fn packet(family: Family, numbers: &mut Numbers<'_>) -> (Frame, Option<u32>) {
    let (from, to) = (address(family, numbers.below(8)), address(family, numbers.below(8)));
    let end = |ip: &str, port: u16| match family {
        Family::Ipv4 => format!("{ip}:{port}"),
        Family::Ipv6 => format!("[{ip}]:{port}"),
    };
    let (source, destination) = (end(&from, numbers.of(&PORTS)), end(&to, numbers.of(&PORTS)));
    let kind = numbers.below(8);
    let frame = match kind {
        0..=3 => {
            let flags = numbers.of(&[2, 2, 16, 18, 17, 4]);
            let options: &[u8] = numbers.of(&[&[], &[2, 4, 5, 180], &[3, 3, 7, 0], &[2, 0, 0, 0]]);
            tcp(&source, &destination, flags, options, &[0; 9][..numbers.below(10)])
        }
        4 => echo(&from, &to),
        _ => udp(&source, &destination, b"abcdefghijkl"),
    };
    let mut bytes = frame.bytes().to_vec();
    bytes[11] = numbers.below(2) as u8;
    if kind == 7 {
        bytes[if family == Family::Ipv4 { 23 } else { 20 }] = 132;
    }
    let offset = numbers.of(&[None, None, None, None, None, Some(0), Some(1), Some(2u16)]);
    match (family, offset) {
        (_, None) => {}
        (Family::Ipv4, Some(offset)) => bytes[20..22].copy_from_slice(&(0x2000 | offset).to_be_bytes()),
        (Family::Ipv6, Some(offset)) => {
            // A later part may follow options of which this one holds nothing.
            let next = if offset == 2 { 60 } else { bytes[20] };
            let word: [u8; 2] = ((offset & 1) << 3 | (offset >> 1) << 3 | 1).to_be_bytes();
            bytes.splice(54..54, [next, 0, word[0], word[1], 0, 0, 0, 7]);
            bytes[20] = 44;
            let len = bytes.len() as u16 - 54;
            bytes[18..20].copy_from_slice(&len.to_be_bytes());
        }
    }
    (Frame::from_bytes(&bytes), (numbers.below(8) == 0).then(|| numbers.below(24) as u32))
}

fn tracking(family: Family, numbers: &mut Numbers<'_>) -> Tracking {
    let end = |last: usize| Address::new(address(family, last).parse().unwrap()).unwrap();
    let original = Tuple { src: end(numbers.below(8)), dst: end(1), src_port: 1, dst_port: 80, protocol: 6 };
    match numbers.below(4) {
        0 => Tracking::None,
        1 => Tracking::Untracked,
        number => Tracking::Known(Connection {
            established: number == 2,
            mark: numbers.below(5) as u32,
            ..Connection::begun_by(original)
        }),
    }
}

/// A world whose chance can be compared.
#[derive(Default)]
struct Chance {
    world: World,
    state: u32,
}

impl Surroundings for Chance {
    fn random(&mut self) -> u32 {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.state >> 1
    }

    fn kinds(&mut self, ip: IpAddr, interface: Option<&str>) -> AddressKinds {
        self.world.kinds(ip, interface)
    }

    fn path_mtu(&mut self, from: IpAddr, to: IpAddr) -> u32 {
        self.world.path_mtu(from, to)
    }

    fn is_open(&mut self, tuple: &Tuple) -> bool {
        tuple.src_port == 1
    }

    fn log(&mut self, log: &Log, packet: &Packet<'_>) {
        self.world.log(log, packet);
    }
}

/// Everything that one packet leaves behind.
fn meet(program: &mut Program, table: Table, around: &mut Chance, time: u64, numbers: &[u8]) -> (String, Vec<Place>) {
    let mut numbers = Numbers(numbers, 0);
    let family = program.family();
    let (mut frame, cut) = packet(family, &mut numbers);
    let Ok(mut headers) = parse(frame.bytes()) else { return ("no packet".to_owned(), Vec::new()) };
    if let Some(cut) = cut {
        headers.end = headers.end.min(u32::from(headers.l4) + cut);
    }
    let mut packet = Packet {
        frame: &mut frame,
        headers: &mut headers,
        input: numbers.of(&["eth0", "eth1", "", "veth9"]),
        output: numbers.of(&["eth0", "eth1", "a-name-of-15-chr"]),
        mark: numbers.below(4) as u32,
        tracking: tracking(family, &mut numbers),
    };
    let now = Time::from_secs(1_000) + Duration::from_millis(time * 100);
    let mut places = Vec::new();
    let outcome = program.trace(now, table, Hook::Forward, &mut packet, around, |place| places.push(place));
    let left = (outcome, packet.mark, packet.tracking, headers, around.state, &around.world.logged);
    (format!("{left:?}\n{:?}", frame.bytes()), places)
}

fn chain(most: usize) -> impl Strategy<Value = Vec<[u8; 24]>> {
    vec(any::<[u8; 24]>(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn what_is_looked_up_is_what_would_have_been_met(
        v4 in any::<bool>(),
        filter in any::<bool>(),
        chains in [chain(160), chain(60), chain(40), chain(40)],
        packets in vec(any::<[u8; 40]>(), 60),
    ) {
        let family = if v4 { Family::Ipv4 } else { Family::Ipv6 };
        let table = if filter { Table::Filter } else { Table::Mangle };
        let text = rules(family, table, &chains);
        let set = load(family, &text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let (mut walked, mut found) = (Program::linear(set.clone()), Program::new(set));
        let mut worlds = [Chance::default(), Chance::default()];
        for (time, numbers) in packets.iter().enumerate() {
            let [one, other] = &mut worlds;
            let expected = meet(&mut walked, table, one, time as u64, numbers);
            let met = meet(&mut found, table, other, time as u64, numbers);
            prop_assert_eq!(met, expected, "packet {}\n{}", time, text);
        }
        prop_assert_eq!(found.counters(), walked.counters());
    }
}

/// Rules behind many of the same kind, and which packet meets which.
fn behind(many: impl Fn(usize) -> String, rules: &str) -> super::world::Bench {
    let many: String = (0..200).map(|number| format!("-A FORWARD {} -j DROP\n", many(number))).collect();
    super::world::forward(&format!(":a - [0:0]\n{many}{rules}"))
}

#[test]
fn a_rule_that_would_drop_a_malformed_packet_is_not_passed_by() {
    // Four bytes of ports are all that is left of the segment.
    let mut bench = behind(|number| format!("-p tcp -m tcp --dport {}", 1_000 + number), "-A FORWARD -j ACCEPT");
    let mut frame = tcp("10.0.0.1:9", "10.0.0.2:80", 2, &[], b"");
    let mut headers = parse(frame.bytes()).unwrap();
    headers.end = u32::from(headers.l4) + 4;
    let (tracking, mut world) = (Tracking::None, World::default());
    let mut packet =
        Packet { frame: &mut frame, headers: &mut headers, input: "eth0", output: "eth1", mark: 0, tracking };
    let outcome = bench.program.judge(bench.now, bench.table, bench.hook, &mut packet, &mut world);
    assert!(outcome.malformed && outcome.verdict == Verdict::Drop);
    assert_eq!(outcome.by.and_then(|place| place.rule), Some(0));
}

#[test]
fn a_limit_before_the_port_is_used_up_by_packets_to_other_ports() {
    let limit = "-m limit --limit 1/hour --limit-burst 2 -p udp -m udp --dport";
    let limits: String = (0..9).map(|number| format!("-A FORWARD {limit} {} -j DROP\n", 53 + 10 * number)).collect();
    let mut bench = behind(|number| format!("-s 10.1.0.{number}"), &limits);
    let to = |port: u16| udp("10.0.0.1:9", &format!("10.0.0.2:{port}"), b"");
    assert!(bench.drops(&to(53)) && !bench.drops(&to(54)) && !bench.drops(&to(53)));
}

#[test]
fn chains_are_come_back_to_in_the_middle() {
    let jumps: String = (0..40)
        .map(|number| {
            format!(
                "-A FORWARD -s 10.0.0.1 -d 10.0.0.{} -j a\n-A FORWARD -s 10.0.0.1 -j MARK --xor-mark 1\n",
                number % 2 + 2
            )
        })
        .collect();
    let more: String = (0..40).map(|number| format!("-A a -p udp --dport {} -j RETURN\n", 50 + number)).collect();
    let mut bench = behind(
        |number| format!("-s 10.1.0.{number}"),
        &format!("{jumps}-A FORWARD -s 10.0.0.1 -j DROP\n{more}-A a -j DROP"),
    );
    assert!(bench.drops(&udp("10.0.0.1:9", "10.0.0.2:53", b"")));
    assert_eq!(bench.program.counters().iter().filter(|counters| counters.packets == 1).count(), 20 + 40 + 1);
    assert_eq!(bench.program.counters().iter().filter(|counters| counters.packets == 20).count(), 1);
    bench.program.zero();
    assert!(bench.drops(&udp("10.0.0.1:9", "10.0.0.2:9", b"")));
    assert_eq!(bench.program.counters().iter().map(|counters| counters.packets).sum::<u64>(), 2);
}

#[test]
fn a_flag_asked_for_other_ports_leaves_a_decision_steady() {
    let mut bench = behind(|number| format!("-p tcp -m tcp --dport {} --syn", 100 + number), "-A FORWARD -j ACCEPT");
    let mut steady = |port: u16| bench.judge(&mut tcp("10.0.0.1:9", &format!("10.0.0.2:{port}"), 16, &[], b"")).steady;
    assert!(steady(80) && !steady(100));
    let mut short = super::world::forward("-A FORWARD -p tcp -m tcp --dport 22 --syn -j DROP");
    assert!(short.judge(&mut tcp("10.0.0.1:9", "10.0.0.2:80", 16, &[], b"")).steady);
}
