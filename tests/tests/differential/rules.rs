//! Rule sets by chance, of everything that kernel and switch both have. Matches that depend on time or chance are not here.

use nat::rules::Family;

use crate::lists;
use crate::random::Random;
use crate::world::{HOSTS, ROUTER_MAC, address, mac};

/// A rule set, rule by rule, so that it can be made smaller.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) family: Family,
    /// Whether there is a table nat.
    pub(crate) translate: bool,
    /// Lists of addresses.
    pub(crate) lists: String,
    tables: Vec<TableText>,
}

#[derive(Clone, Debug)]
struct TableText {
    name: &'static str,
    /// Built-in chains, and their policies.
    chains: Vec<(&'static str, &'static str)>,
    /// Rules that every set has, first.
    fixed: Vec<String>,
    rules: Vec<String>,
}

/// Keeps what the kernel says about its own groups, at times of its own choice, away from all counters but its own.
pub(crate) const ANNOUNCEMENTS: &str = "-A OUTPUT -d ff02::/16 -j DROP";
/// Sets of a hundred that count connections: there the kernel is given time after each packet.
const COUNTING: usize = 8;
/// Chains of the user in each table; each leads on to later ones only.
const CHAINS: usize = 4;

impl Rules {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            text += &format!("*{}\n", table.name);
            for (chain, policy) in &table.chains {
                text += &format!(":{chain} {policy} [0:0]\n");
            }
            (0..CHAINS).for_each(|chain| text += &format!(":c{chain} - [0:0]\n"));
            table.fixed.iter().chain(&table.rules).for_each(|rule| text += &format!("{rule}\n"));
            text += "COMMIT\n";
        }
        text
    }

    pub(crate) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.rules.len()).sum()
    }

    /// Whether a rule counts connections. The kernel leaves out those that are over when its clock has ticked.
    pub(crate) fn count_connections(&self) -> bool {
        self.tables.iter().any(|table| table.rules.iter().any(|rule| rule.contains("-m connlimit")))
    }

    /// Whether a rule reads a packet's length. The engine lets the first fragment speak for its datagram.
    pub(crate) fn read_lengths(&self) -> bool {
        self.tables.iter().any(|table| table.rules.iter().any(|rule| rule.contains("-m length")))
    }

    /// The same without the rules of these numbers.
    pub(crate) fn without(&self, from: usize, to: usize) -> Rules {
        let (mut smaller, mut number) = (self.clone(), 0);
        for table in &mut smaller.tables {
            table.rules.retain(|_| {
                number += 1;
                !(from..to).contains(&(number - 1))
            });
        }
        smaller
    }

    /// Whether ports are picked by chance even where there is another choice.
    pub(crate) fn pick_by_chance(&self) -> bool {
        self.tables.iter().any(|table| table.rules.iter().any(|rule| rule.contains("--random")))
    }

    /// So many rules.
    pub(crate) fn random(family: Family, random: &mut Random, count: usize) -> Rules {
        let translate = random.percent(50);
        let lists = if random.percent(40) { lists::random(family, random) } else { String::new() };
        let (counts, by_chance) = (random.percent(COUNTING), translate && random.percent(20));
        let mut maker = Maker { family, translate, lists: !lists.is_empty(), counts, by_chance, random };
        let mut tables = Vec::new();
        for (name, chains) in TABLES {
            if name == "nat" && !translate {
                continue;
            }
            let policy = if name == "filter" && maker.random.percent(30) { "DROP" } else { "ACCEPT" };
            let with_policy = |&chain: &&'static str| (chain, if chain == "FORWARD" { policy } else { "ACCEPT" });
            let (mut fixed, mut rules) = (Vec::new(), Vec::new());
            match name {
                "raw" if family == Family::Ipv6 => fixed.push(ANNOUNCEMENTS.to_owned()),
                "mangle" => {
                    // Which state each packet is found in, whatever the other rules say. The kernel tracks only where it
                    // is asked for that.
                    for state in ["INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED"] {
                        fixed.push(format!("-A PREROUTING -m conntrack --ctstate {state}"));
                    }
                }
                _ => {}
            }
            for _ in 0..maker.random.below(count / 2) + count / 6 {
                rules.push(maker.rule(name));
            }
            tables.push(TableText { name, chains: chains.iter().map(with_policy).collect(), fixed, rules });
        }
        Rules { family, translate, lists, tables }
    }
}

/// Tables and their built-in chains.
const TABLES: [(&str, &[&str]); 4] = [
    ("raw", &["PREROUTING", "OUTPUT"]),
    ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
];

/// Where rules of a table begin: most of them where most packets pass.
const HEADS: [(&str, &[&str]); 4] = [
    ("raw", &["PREROUTING", "PREROUTING", "OUTPUT"]),
    ("mangle", &["PREROUTING", "PREROUTING", "FORWARD", "FORWARD", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("nat", &["PREROUTING", "POSTROUTING"]),
    ("filter", &["FORWARD", "FORWARD", "FORWARD", "INPUT", "OUTPUT"]),
];

struct Maker<'r> {
    family: Family,
    translate: bool,
    /// Whether there are lists of addresses.
    lists: bool,
    /// Whether connections are counted.
    counts: bool,
    /// Whether destination ports are picked by chance; then no rule asks for them.
    by_chance: bool,
    random: &'r mut Random,
}

impl Maker<'_> {
    fn v4(&self) -> bool {
        self.family == Family::Ipv4
    }

    fn not(&mut self) -> &'static str {
        if self.random.percent(25) { "! " } else { "" }
    }

    fn rule(&mut self, table: &str) -> String {
        let heads = HEADS.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, heads)| heads);
        // Chains of the user are for those where everything may be asked; which translations may stand there depends on
        // where they are called.
        let (chain, level) = if table == "nat" || self.random.percent(60) {
            (self.random.pick(heads).to_owned(), 0)
        } else {
            let number = self.random.below(CHAINS);
            (format!("c{number}"), number + 1)
        };
        let leaving = matches!(&*chain, "OUTPUT" | "POSTROUTING");
        let (protocol, transport) = self.transport();
        let clamps = table == "mangle" && matches!(&*chain, "FORWARD" | "POSTROUTING");
        let target = match (table, leaving) {
            ("nat", _) => self.translation(leaving, protocol),
            _ if clamps && protocol == "tcp syn" && self.random.percent(30) => "-j TCPMSS --clamp-mss-to-pmtu".into(),
            (_, true) => self.target(table, CHAINS, protocol, false),
            (_, false) => self.target(table, level, protocol, chain != "INPUT"),
        };
        let mut words = vec![format!("-A {chain}")];
        words.extend(transport);
        for side in ["-s", "-d"] {
            if self.random.percent(25) {
                words.push(format!("{}{side} {}", self.not(), self.network()));
            }
        }
        if self.random.percent(15) {
            let option = if leaving { "-o" } else { "-i" };
            words.push(format!("{}{option} {}", self.not(), self.random.pick(&["a", "b", "a+", "eth0"])));
        }
        for _ in 0..self.random.pick(&[0, 0, 1, 1, 2]) {
            let one = self.matching(table);
            let again = words.iter().any(|word| word.split(' ').take(2).eq(one.split(' ').take(2)));
            if !(again || leaving && one.starts_with("-m mac")) {
                words.push(one);
            }
        }
        words.push(target);
        words.join(" ")
    }

    /// A target of the table nat, or nothing.
    fn translation(&mut self, leaving: bool, protocol: &str) -> String {
        let ported = matches!(protocol, "tcp" | "tcp syn" | "udp");
        let flag = self.random.pick(&["", "", "", "--random", "--persistent"]);
        // Most rules ask for destination ports: there they are not picked by chance.
        let keeps = if flag == "--random" && !self.by_chance { "" } else { flag };
        let address = |maker: &mut Maker<'_>, hosts: std::ops::Range<usize>| {
            let side = maker.random.below(2);
            let host = hosts.start + maker.random.below(hosts.len());
            let first = address(maker.family, side, host);
            match maker.random.percent(40) {
                true => {
                    format!("{first}-{}", crate::world::address(maker.family, side, hosts.end - 1))
                }
                false => first.to_string(),
            }
        };
        let with_port = |maker: &Maker<'_>, address: String, port: &str| match maker.family {
            Family::Ipv4 => format!("{address}:{port}"),
            Family::Ipv6 => format!("[{address}]:{port}"),
        };
        match (self.random.below(10), leaving) {
            (0, _) => "-j ACCEPT".into(),
            (1, _) => "-j RETURN".into(),
            (2, _) => {
                // Four hosts each, that are nobody else's.
                let network = crate::world::address(self.family, self.random.below(2), if leaving { 18 } else { 14 });
                format!("-j NETMAP --to {network}/{}", if self.v4() { 30 } else { 126 })
            }
            (3, false) if ported => {
                format!("-j REDIRECT --to-ports {}", self.random.pick(&["5000", "8080-8081"]))
            }
            (3 | 4, false) => "-j REDIRECT".into(),
            (3 | 4, true) if ported => format!("-j MASQUERADE --to-ports {}", self.few(&["6000-6015", "6007"])),
            (3..6, true) => format!("-j MASQUERADE {}", self.random.pick(&["", "", "--random", "--random-fully"])),
            (6..8, true) if ported => {
                let (to, ports) = (address(self, 8..12), self.few(&["6000-6015", "6008-6011", "6003"]));
                format!("-j SNAT --to-source {} {flag}", with_port(self, to, ports))
            }
            (6..10, true) => format!("-j SNAT --to-source {} {flag}", address(self, 8..12)),
            (5..8, false) if ported => {
                let to = address(self, 4..8);
                let port = self.random.pick(&["5000", "5000-5001", "8080-8081"]);
                format!("-j DNAT --to-destination {} {keeps}", with_port(self, to, port))
            }
            _ => format!("-j DNAT --to-destination {} {keeps}", address(self, 4..8)),
        }
    }

    /// One of these ranges of ports; the widest where chance decides whether there is need for another port.
    fn few(&mut self, ranges: &[&'static str]) -> &'static str {
        if self.by_chance { ranges[0] } else { self.random.pick(ranges) }
    }

    fn network(&mut self) -> String {
        let (side, host) = (self.random.below(2), self.random.below(HOSTS));
        let lengths: &[u8] = if self.v4() { &[32, 32, 31, 30, 24, 8] } else { &[128, 128, 127, 126, 64, 16] };
        format!("{}/{}", address(self.family, side, host), self.random.pick(lengths))
    }

    fn port(&mut self) -> String {
        self.random.pick(&["80", "81", "443", "80:82", ":100", "443:", "5000", "5000:5001"]).to_owned()
    }

    /// The protocol, and the match that belongs to it.
    fn transport(&mut self) -> (&'static str, Vec<String>) {
        let icmp = if self.v4() { "icmp" } else { "ipv6-icmp" };
        let protocol = self.random.pick(&["tcp", "tcp", "tcp", "udp", "udp", icmp, "253", "", ""]);
        let mut words = Vec::new();
        match protocol {
            "" => {}
            _ if self.random.percent(10) => {
                words.push(format!("! -p {protocol}"));
                return ("", words);
            }
            "tcp" | "udp" => {
                words.push(format!("-p {protocol}"));
                if self.random.percent(20) && !self.by_chance {
                    let of = self.random.pick(&["sports", "dports", "ports"]);
                    words.push(format!("-m multiport {}--{of} 80,82:443,5001", self.not()));
                }
                words.push(format!("-m {protocol}"));
                // iptables-nft 1.8.9 gives the kernel something else where both ports are negated.
                let mut not = self.not();
                for of in ["sport", "dport"] {
                    if self.random.percent(30) && !self.by_chance {
                        words.push(format!("{}--{of} {}", std::mem::take(&mut not), self.port()));
                    }
                }
                if protocol == "tcp" {
                    match self.random.below(8) {
                        0 => {
                            let not = self.not();
                            words.push(format!("{not}--syn"));
                            return (if not.is_empty() { "tcp syn" } else { "tcp" }, words);
                        }
                        1 => {
                            let (mask, set) = (self.flags(), self.flags());
                            words.push(format!("{}--tcp-flags {mask} {set}", self.not()));
                        }
                        2 => words.push(format!("{}--tcp-option {}", self.not(), self.random.pick(&[2, 3, 4, 8]))),
                        _ => {}
                    }
                }
            }
            "253" => words.push("-p 253".into()),
            _ => {
                words.push(format!("-p {protocol}"));
                let (name, kinds): (_, &[&str]) = match self.family {
                    Family::Ipv4 => ("icmp --icmp-type", &["8", "0", "3", "3/3", "any", "13", "11/0"]),
                    Family::Ipv6 => ("icmp6 --icmpv6-type", &["128", "129", "1", "1/4", "2", "3"]),
                };
                if self.random.percent(60) {
                    let kind = self.random.pick(kinds);
                    let (extension, option) = name.split_once(' ').unwrap_or((name, ""));
                    words.push(format!("-m {extension} {}{option} {kind}", self.not()));
                }
            }
        }
        (protocol, words)
    }

    fn flags(&mut self) -> String {
        let all = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
        let some: Vec<&str> = all.into_iter().filter(|_| self.random.percent(40)).collect();
        if some.is_empty() { "ALL".into() } else { some.join(",") }
    }

    fn matching(&mut self, table: &str) -> String {
        let not = self.not();
        if self.lists && self.random.percent(15) {
            return lists::matching(self.random, not, !self.by_chance);
        }
        if self.counts && table != "raw" && self.random.percent(20) {
            return self.connections(not);
        }
        let number = self.random.below(16);
        match number {
            0 => {
                let (side, from) = (self.random.below(2), self.random.below(HOSTS - 1));
                let of = self.random.pick(&["src", "dst"]);
                let (first, last) = (address(self.family, side, from), address(self.family, side, from + 1));
                format!("-m iprange {not}--{of}-range {first}-{last}")
            }
            1 => format!("-m length {not}--length {}", self.random.pick(&["28", "20:60", ":100", "60:", "40"])),
            2 => {
                let name = if self.v4() { "ttl" } else { "hl" };
                let how = self.random.pick(&["eq 64", "eq 63", "lt 64", "gt 63"]);
                let not = if how.starts_with("eq") { not } else { "" };
                format!("-m {name} {not}--{name}-{how}")
            }
            3 => format!("-m dscp {not}--dscp {}", self.random.pick(&[0, 10, 46])),
            4 => format!("-m tos {not}--tos {}", self.random.pick(&["0x10/0x3f", "0x28/0xff", "0/0x10"])),
            5 => {
                let one = [ROUTER_MAC, mac(0, 0), mac(1, 1)][self.random.below(3)];
                let text: Vec<String> = one.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("-m mac {not}--mac-source {}", text.join(":"))
            }
            6 => format!("-m mark {not}--mark {}/{}", self.random.below(4), self.random.pick(&[1, 3, 7])),
            7 | 8 if table != "raw" => {
                let some =
                    ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "NEW,RELATED", "ESTABLISHED,RELATED"];
                let (name, option) = self.random.pick(&[("conntrack", "ctstate"), ("state", "state")]);
                format!("-m {name} {not}--{option} {}", self.random.pick(&some))
            }
            9 if table != "raw" => {
                let network = self.network();
                let all = [
                    format!("{not}--ctproto {}", self.random.pick(&[6, 17])),
                    format!("{not}--ctorigsrc {network}"),
                    format!("{not}--ctrepldst {network}"),
                    format!("{not}--ctorigdstport {}", self.port()),
                    format!("{not}--ctreplsrcport {}", self.port()),
                    format!("{not}--ctstatus {}", self.random.pick(&["SEEN_REPLY", "ASSURED", "CONFIRMED", "NONE"])),
                    format!("--ctdir {}", self.random.pick(&["ORIGINAL", "REPLY"])),
                ];
                let all = if self.by_chance { &all[..3] } else { &all[..] };
                format!("-m conntrack {}", all[self.random.below(all.len())])
            }
            10 if table != "raw" => format!("-m connmark {not}--mark {}/3", self.random.below(4)),
            11 => {
                let every = 1 + self.random.below(4);
                format!("-m statistic --mode nth {not}--every {every} --packet {}", self.random.below(every))
            }
            12 => format!("-m limit --limit 1/hour --limit-burst {}", 1 + self.random.below(9)),
            13 => {
                let modes = ["srcip", "dstip", "srcip,dstip", "dstport", "srcip,dstport"];
                // Ports by chance may be the same, or not.
                let mode = self.random.pick(&modes[..if self.translate { 3 } else { 5 }]);
                let (name, how) = (self.random.next() as u32, self.random.pick(&["upto", "above"]));
                let burst = 1 + self.random.below(4);
                format!(
                    "-m hashlimit --hashlimit-name h{name} --hashlimit-{how} 1/hour --hashlimit-burst {burst} --hashlimit-mode {mode}"
                )
            }
            14 => {
                let of = self.random.pick(&["src", "dst"]);
                let kind = self.random.pick(&["LOCAL", "UNICAST", "MULTICAST", "UNICAST,LOCAL"]);
                format!("-m addrtype {not}--{of}-type {kind}")
            }
            _ if self.v4() || self.random.percent(30) => "-m comment --comment \"two words\"".into(),
            _ => {
                let one = ["type 0", "type 3", "type 4", "segsleft 0", "segsleft 1:", "len 8", "len 24"];
                format!("-m rt {not}--rt-{}", self.random.pick(&one))
            }
        }
    }

    /// How many connections there are, asked of first packets: of others kernels count those that they know.
    fn connections(&mut self, not: &str) -> String {
        let (how, limit) = (self.random.pick(&["above", "upto"]), 1 + self.random.below(3));
        let (mask, of) =
            (self.random.pick(if self.v4() { &[32, 24] } else { &[128, 64] }), self.random.pick(&["s", "d"]));
        let limit = format!("--connlimit-{how} {limit} --connlimit-mask {mask} --connlimit-{of}addr");
        format!("-m conntrack ! --ctstatus CONFIRMED -m connlimit {not}{limit}")
    }

    fn target(&mut self, table: &str, level: usize, protocol: &str, refuses: bool) -> String {
        let ttl = if self.v4() { ("TTL", "ttl") } else { ("HL", "hl") };
        match self.random.below(100) {
            0..20 => String::new(),
            20..40 if level < CHAINS => {
                let to = level + self.random.below(CHAINS - level);
                format!("{} c{to}", self.random.pick(&["-j", "-j", "-g"]))
            }
            40..46 => "-j RETURN".into(),
            46..56 => "-j ACCEPT".into(),
            56..60 => "-j DROP".into(),
            60..72 => {
                let bits = self.random.below(8);
                format!("-j MARK --{} {bits}", self.random.pick(&["set-mark", "or-mark", "xor-mark", "and-mark"]))
            }
            72..76 => format!("-j LOG --log-prefix \"seen {}: \"", self.random.below(9)),
            76..100 => match table {
                "raw" if self.random.percent(if self.translate { 15 } else { 50 }) => {
                    self.random.pick(&["-j NOTRACK", "-j CT --notrack"]).into()
                }
                "raw" => String::new(),
                "mangle" => match self.random.below(7) {
                    0 => format!("-j DSCP --set-dscp {}", self.random.pick(&[0, 10, 46])),
                    1 => format!("-j TOS --set-tos {}/{}", self.random.below(256), self.random.below(256)),
                    2 => format!(
                        "-j {} --{}-{}",
                        ttl.0,
                        ttl.1,
                        self.random.pick(&["set 64", "inc 1", "dec 1", "inc 255"])
                    ),
                    3 | 4 => {
                        let how = self.random.pick(&[
                            "--set-mark 3",
                            "--or-mark 4",
                            "--save-mark",
                            "--restore-mark",
                            "--save-mark --nfmask 3 --ctmask 1",
                        ]);
                        format!("-j CONNMARK {how}")
                    }
                    _ if protocol == "tcp syn" => {
                        format!("-j TCPMSS --set-mss {}", self.random.pick(&[100, 536, 1_300]))
                    }
                    _ => String::new(),
                },
                _ if !refuses => "-j DROP".into(),
                _ => {
                    let kinds: &[&str] = match self.family {
                        Family::Ipv4 => &[
                            "icmp-net-unreachable",
                            "icmp-host-unreachable",
                            "icmp-proto-unreachable",
                            "icmp-port-unreachable",
                            "icmp-net-prohibited",
                            "icmp-host-prohibited",
                            "icmp-admin-prohibited",
                        ],
                        Family::Ipv6 => &[
                            "icmp6-no-route",
                            "icmp6-adm-prohibited",
                            "icmp6-addr-unreachable",
                            "icmp6-port-unreachable",
                            "icmp6-policy-fail",
                            "icmp6-reject-route",
                        ],
                    };
                    match protocol {
                        "tcp" | "tcp syn" if self.random.percent(50) => "-j REJECT --reject-with tcp-reset".into(),
                        _ => format!("-j REJECT --reject-with {}", self.random.pick(kinds)),
                    }
                }
            },
            _ => String::new(),
        }
    }
}
