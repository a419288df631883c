//! What a rule pins: which bits of which fields a packet must have, in one or several ways, for the rule to match.
//! Only what is asked before anything that leaves a trace counts, as the walk stops asking at the first answer that is no.

use wire::protocol;

use super::cover::{Prefix, cover};
use super::words::{Side, Words, name};
use crate::rules::judge::steady;
use crate::rules::{Family, Interface, Match, Not, Ports, PortsOf, Rule, Span};

/// Ways that a rule may have; what would make more is left open.
const MOST: usize = 16;

/// Bits that a packet must have, and which.
#[derive(Clone, Copy, Default)]
pub(super) struct Pin {
    pub(super) mask: Words,
    pub(super) value: Words,
}

/// The ways of the rule at hand; room that rule after rule uses.
#[derive(Default)]
pub(super) struct Pins {
    ways: Vec<Pin>,
    prefixes: Vec<Prefix>,
}

/// Fields that are pinned already.
#[derive(Default)]
struct Taken {
    source: bool,
    destination: bool,
    source_port: bool,
    destination_port: bool,
}

impl Pins {
    /// All ways to match a rule; a rule that pins nothing has one.
    pub(super) fn of(&mut self, family: Family, rule: &Rule) -> &[Pin] {
        self.ways.clear();
        let mut pin = Pin::default();
        let mut taken = Taken::default();
        let header = &rule.header;
        if let Some(Not { not: false, value }) = header.source {
            taken.source = true;
            pin.mask.set_address(family, Side::Source, value.mask);
            pin.value.set_address(family, Side::Source, value.bits);
        }
        if let Some(Not { not: false, value }) = header.destination {
            taken.destination = true;
            pin.mask.set_address(family, Side::Destination, value.mask);
            pin.value.set_address(family, Side::Destination, value.bits);
        }
        if let Some(Not { not: false, value: Interface { name: wanted, prefix: false } }) = &header.input {
            pin.mask.set_input(u64::MAX);
            pin.value.set_input(name(wanted));
        }
        if let Some(Not { not: false, value: Interface { name: wanted, prefix: false } }) = &header.output {
            pin.mask.set_output(u64::MAX);
            pin.value.set_output(name(wanted));
        }
        let mut number = None;
        if let Some(Not { not: false, value }) = header.protocol {
            number = Some(value);
            pin.mask.set_protocol(u8::MAX);
            pin.value.set_protocol(value);
        }
        self.ways.push(pin);
        for one in &rule.matches {
            if !self.add(family, number, one, &mut taken) {
                break;
            }
        }
        &self.ways
    }

    /// Adds what a match pins. `false`: what follows is asked only after something that counts, or may drop the packet.
    fn add(&mut self, family: Family, number: Option<u8>, one: &Match, taken: &mut Taken) -> bool {
        match one {
            // These find packets malformed that are shorter than the header; with these protocols, such are not looked up.
            Match::Tcp(wanted) if number == Some(protocol::TCP) => {
                self.add_ports(Side::Source, wanted.source, taken);
                self.add_ports(Side::Destination, wanted.destination, taken);
            }
            Match::Udp(source, destination) if number == Some(protocol::UDP) => {
                self.add_ports(Side::Source, *source, taken);
                self.add_ports(Side::Destination, *destination, taken);
            }
            Match::Multiport(of, list) if matches!(number, Some(protocol::TCP | protocol::UDP)) => match (of, list) {
                (PortsOf::Source, Not { not: false, value }) => self.add_list(Side::Source, value, taken),
                (PortsOf::Destination, Not { not: false, value }) => self.add_list(Side::Destination, value, taken),
                _ => {}
            },
            Match::Tcp(_) | Match::Udp(..) | Match::Multiport(..) | Match::Icmp(_) => return false,
            Match::Iprange(ranges) => {
                let [source, destination] = **ranges;
                self.add_span(family, Side::Source, source, &mut taken.source);
                self.add_span(family, Side::Destination, destination, &mut taken.destination);
            }
            Match::Mac(Not { not: false, value }) => {
                for way in &mut self.ways {
                    way.mask.look_at_mac();
                    way.value.set_mac(*value);
                }
            }
            // These remember, or ask for chance.
            Match::Limit(_) | Match::Hashlimit(_) | Match::Connlimit(_) | Match::Statistic(_) => return false,
            Match::Mac(_)
            | Match::State(_)
            | Match::Conntrack(_)
            | Match::Comment(_)
            | Match::Mark(_)
            | Match::Connmark(_)
            | Match::AddrType(_)
            | Match::Length(_)
            | Match::Ttl(..)
            | Match::RoutingHeader(_)
            | Match::Dscp(_)
            | Match::Tos(_)
            | Match::Set(_) => {}
        }
        steady::is_steady(one)
    }

    fn add_ports(&mut self, side: Side, wanted: Not<Ports>, taken: &mut Taken) {
        if !wanted.not {
            self.add_list(side, &[wanted.value], taken);
        }
    }

    fn add_list(&mut self, side: Side, list: &[Ports], taken: &mut Taken) {
        let taken = match side {
            Side::Source => &mut taken.source_port,
            Side::Destination => &mut taken.destination_port,
        };
        self.prefixes.clear();
        self.prefixes.extend(list.iter().flat_map(|ports| cover(ports.first.into(), ports.last.into(), u16::BITS)));
        self.spread(taken, |words, port| words.set_port(side, port as u16));
    }

    fn add_span(&mut self, family: Family, side: Side, span: Option<Not<Span>>, taken: &mut bool) {
        let Some(Not { not: false, value: Span { first, last } }) = span else { return };
        self.prefixes.clear();
        self.prefixes.extend(cover(first, last, family.bits()));
        self.spread(taken, |words, address| words.set_address(family, side, address));
    }

    /// Makes of each way as many as there are prefixes.
    fn spread(&mut self, taken: &mut bool, set: impl Fn(&mut Words, u128)) {
        let ways = self.ways.len();
        let open = self.prefixes.is_empty() || self.prefixes.iter().any(|(_, mask)| *mask == 0);
        if *taken || open || ways * self.prefixes.len() > MOST {
            return;
        }
        *taken = true;
        for &(bits, mask) in &self.prefixes {
            for at in 0..ways {
                let mut way = self.ways[at];
                set(&mut way.mask, mask);
                set(&mut way.value, bits);
                self.ways.push(way);
            }
        }
        self.ways.drain(..ways);
    }
}
