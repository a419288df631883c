//! Lines of `ipset save` before the first table: `create NAME TYPE ...` and `add NAME ENTRY`. Lists do not change while
//! rules are in force, so entries with timeouts, counters or comments are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::line::Words;
use super::{Refusal, refuse, value};
use crate::rules::set::{AddressSet, MAX_ENTRIES, PortKey};
use crate::rules::{Family, names::icmp, names::protocol};

/// The kernel's room for a name, its end left out.
const NAME: usize = 31;
/// Lists in a text, and entries in one.
const MAX_SETS: usize = 10_000;
const MOST: u64 = 1 << 20;

/// The lists of a text, in order and by name.
pub(super) struct Sets {
    /// Those of before, which the text may name, or replace.
    base: HashMap<Box<str>, Arc<AddressSet>>,
    list: Vec<Arc<AddressSet>>,
    names: HashMap<Box<str>, usize>,
}

impl Sets {
    /// None created yet, on top of those that are there.
    pub(super) fn onto(base: &[Arc<AddressSet>]) -> Sets {
        let base = base.iter().map(|set| (set.name.clone(), Arc::clone(set))).collect();
        Sets { base, list: Vec::new(), names: HashMap::new() }
    }

    /// The list of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<AddressSet>> {
        self.names.get(name).and_then(|&place| self.list.get(place)).or_else(|| self.base.get(name))
    }

    /// Those that the text has created.
    pub(super) fn created(&self) -> &[Arc<AddressSet>] {
        &self.list
    }

    /// `create NAME TYPE family inet hashsize N maxelem N ...`
    pub(super) fn create(&mut self, family: Family, words: &mut Words<'_>) -> Result<(), Refusal> {
        let (name, kind) = (words.value_of("create")?, words.value_of("create")?);
        if name.is_empty() || name.len() > NAME || name.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
            return refuse(&name, format_args!("not a name of 1 to {NAME} bytes"));
        }
        if name.contains(char::is_whitespace) {
            return refuse(&name, "it holds a blank");
        }
        if self.names.contains_key(&*name) || self.list.len() >= MAX_SETS {
            return refuse(&name, format_args!("the list is created twice, or there are more than {MAX_SETS}"));
        }
        let (networks, ports) = match &*kind {
            "hash:ip" => (false, false),
            "hash:net" => (true, false),
            "hash:ip,port" => (false, true),
            "hash:net,port" => (true, true),
            _ => return refuse(&kind, "the lists are hash:ip, hash:net, hash:ip,port and hash:net,port"),
        };
        let (mut max, mut of) = (MAX_ENTRIES, Family::Ipv4);
        while let Some(word) = words.next() {
            let given = words.value_of(&word)?;
            match &*word {
                "family" if &*given == "inet" => of = Family::Ipv4,
                "family" if &*given == "inet6" => of = Family::Ipv6,
                "maxelem" => max = value::number(&given, MOST)? as u32,
                // How the kernel lays out its table; nothing follows from it here.
                "hashsize" | "bucketsize" | "initval" => drop(value::number_u32(&given)?),
                _ => return refuse(&word, "such lists are not supported"),
            }
        }
        if of != family {
            return refuse(&name, format_args!("a list of {of} addresses among rules for {family}"));
        }
        self.names.insert((&*name).into(), self.list.len());
        let entries = BTreeMap::new();
        self.list.push(Arc::new(AddressSet { name: (&*name).into(), networks, ports, max, entries }));
        Ok(())
    }

    /// `add NAME ENTRY [nomatch]`
    pub(super) fn add(&mut self, family: Family, words: &mut Words<'_>) -> Result<(), Refusal> {
        let (name, entry) = (words.value_of("add")?, words.value_of("add")?);
        let place = self.names.get(&*name).copied();
        // Rules hold lists only after the last line of one.
        let Some(set) = place.and_then(|place| self.list.get_mut(place)).and_then(Arc::get_mut) else {
            return refuse(&name, "no list of this name was created");
        };
        let listed = match words.next() {
            None => true,
            Some(word) if &*word == "nomatch" && set.networks => false,
            Some(word) => return refuse(&word, "such entries are not supported"),
        };
        let (address, port) = match (entry.split_once(','), set.ports) {
            (Some((address, port)), true) => (address, Some(port_key(family, port)?)),
            (None, false) => (&*entry, None),
            _ => return refuse(&entry, format_args!("not an entry of {}", set.kind())),
        };
        let network = value::network(family, address)?;
        let length = match network.prefix_len(family) {
            Some(length) if length == family.bits() || set.networks && length > 0 => length,
            _ => return refuse(address, format_args!("not an entry of {}", set.kind())),
        };
        if set.len() >= set.max as usize {
            return refuse(&entry, format_args!("the list has more than {} entries", set.max));
        }
        match set.entries.entry(length).or_default().insert((network.bits, port), listed) {
            None => Ok(()),
            Some(_) => refuse(&entry, "the entry is added twice"),
        }
    }
}

/// `[protocol:]port`, `icmp:type/code`, or `protocol:0` where there are no ports.
fn port_key(family: Family, word: &str) -> Result<(u8, u16), Refusal> {
    let (name, port) = word.split_once(':').unwrap_or(("tcp", word));
    let Some(number) = protocol::number(name).filter(|&number| number != 0) else {
        return refuse(word, "no IP protocol that is known by name");
    };
    let of_icmp = match family {
        Family::Ipv4 => number == wire::protocol::ICMP,
        Family::Ipv6 => number == wire::protocol::ICMPV6,
    };
    if !of_icmp {
        return Ok((number, value::number_u16(port)?));
    }
    match icmp::parse(family, port) {
        Some(kind) => Ok((number, u16::from(kind.kind) << 8 | u16::from(kind.code.unwrap_or(0)))),
        None => refuse(word, "not an ICMP type and code"),
    }
}

/// A port as it is saved.
pub(in crate::rules) fn port_text(family: Family, port: PortKey) -> String {
    let Some((number, port)) = port else { return String::new() };
    let name = protocol::name(number).map_or_else(|| number.to_string(), str::to_owned);
    match (family, number) {
        (Family::Ipv4, wire::protocol::ICMP) | (Family::Ipv6, wire::protocol::ICMPV6) => {
            format!(",{name}:{}/{}", port >> 8, port & 0xff)
        }
        _ => format!(",{name}:{port}"),
    }
}
