//! One rule: options of the header, matches, target. Several addresses in one `-s` or `-d` make several rules.

use std::borrow::Cow;

use super::chains::Building;
use super::line::Words;
use super::option::{Build, Context, Given};
use super::{Refusal, matches, refuse, targets, value};
use crate::rules::{Counters, Family, Header, Hook, Interface, Match, Network, Not, Rule, Table, Target};

/// Bytes of the name of an interface: the name of a sandbox may stand there, which is longer than a link's.
const INTERFACE: usize = 128;

/// Rules that one line can make.
const EXPANDED: usize = 65_536;

/// What has been read of a rule.
struct Reading<'a, 'c> {
    building: &'c Building,
    hook: Option<Hook>,
    counters: Counters,
    counted: bool,
    header: Header,
    /// Several, if the text names several; `header` has none then.
    sources: Option<Not<Vec<Network>>>,
    destinations: Option<Not<Vec<Network>>>,
    protocol: Option<Not<u8>>,
    implied: bool,
    matches: Vec<Given<'a>>,
    target: Aim<'a>,
}

/// Where a rule leads.
enum Aim<'a> {
    Nowhere,
    There(Target),
    Extension(Given<'a>),
}

/// Reads what follows the chain's name.
pub(super) fn read<'a>(
    words: &mut Words<'a>,
    building: &Building,
    hook: Option<Hook>,
    counters: Option<Counters>,
) -> Result<Vec<Rule>, Refusal> {
    let mut reading = Reading {
        building,
        hook,
        counters: counters.unwrap_or_default(),
        counted: counters.is_some(),
        header: Header::default(),
        sources: None,
        destinations: None,
        protocol: None,
        implied: false,
        matches: Vec::new(),
        target: Aim::Nowhere,
    };
    while let Some(word) = words.next() {
        let (word, not) = match &*word {
            "!" => match words.next() {
                Some(word) if word != "!" => (word, true),
                _ => return refuse("!", "an option must follow"),
            },
            _ => (word, false),
        };
        reading.option(word, not, words)?;
    }
    reading.finish()
}

impl<'a> Reading<'a, '_> {
    fn family(&self) -> Family {
        self.building.family
    }

    fn option(&mut self, word: Cow<'a, str>, not: bool, words: &mut Words<'a>) -> Result<(), Refusal> {
        let (option, attached) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value)),
            _ => (&*word, None),
        };
        let mut take = || match attached {
            Some(value) => Ok(Cow::Owned(value.to_owned())),
            None => words.value_of(option),
        };
        match option {
            "-s" | "--source" | "--src" => {
                let list = networks(self.family(), &take()?)?;
                set(&mut self.sources, option, not, list)?;
            }
            "-d" | "--destination" | "--dst" => {
                let list = networks(self.family(), &take()?)?;
                set(&mut self.destinations, option, not, list)?;
            }
            "-i" | "--in-interface" => {
                self.check_interface(option, &[Hook::Output, Hook::Postrouting])?;
                set(&mut self.header.input, option, not, interface(&take()?)?)?;
            }
            "-o" | "--out-interface" => {
                self.check_interface(option, &[Hook::Prerouting, Hook::Input])?;
                set(&mut self.header.output, option, not, interface(&take()?)?)?;
            }
            "-p" | "--protocol" | "--proto" => {
                let word = take()?;
                let number = value::ip_protocol(&word)?;
                if number == 0 && not {
                    return refuse(&word, "no packet has no protocol");
                }
                set(&mut self.protocol, option, not, number)?;
            }
            "-f" | "--fragment" if self.family() == Family::Ipv4 && attached.is_none() => {
                if self.header.fragment.replace(!not).is_some() {
                    return refuse(option, "it may stand only once");
                }
            }
            _ if not && is_plain(option) => return refuse(option, "it cannot be negated"),
            "-m" | "--match" => {
                let extension = matches::named(self.family(), &take()?)?;
                self.matches.push(Given::new(extension));
            }
            "-j" | "--jump" => self.aim(&take()?, false)?,
            "-g" | "--goto" => self.aim(&take()?, true)?,
            "-c" | "--set-counters" if !self.counted => {
                let packets = value::number(&take()?, u64::MAX)?;
                let bytes = value::number(&words.value_of(option)?, u64::MAX)?;
                (self.counters, self.counted) = (Counters { packets, bytes }, true);
            }
            "-4" | "--ipv4" if self.family() == Family::Ipv4 => {}
            "-6" | "--ipv6" if self.family() == Family::Ipv6 => {}
            _ => return self.extension_option(&word, option, attached, not, words),
        }
        Ok(())
    }

    /// An option of a match or of the target: that of the youngest that has it.
    fn extension_option(
        &mut self,
        word: &str,
        option: &str,
        attached: Option<&str>,
        not: bool,
        words: &mut Words<'a>,
    ) -> Result<(), Refusal> {
        let Some(name) = option.strip_prefix("--").filter(|name| !name.is_empty()) else {
            return refuse(word, "not an option of a rule");
        };
        loop {
            let aim = match &mut self.target {
                Aim::Extension(given) => Some(given),
                Aim::Nowhere | Aim::There(_) => None,
            };
            let mut open: Vec<&mut Given<'a>> = aim.into_iter().chain(self.matches.iter_mut().rev()).collect();
            if let Some(given) = open.iter_mut().find(|given| given.find(name, true).is_some())
                && let Some(found) = given.find(name, true)
            {
                return given.take(found, option, not, attached, words);
            }
            let mut beginning = open.iter_mut().filter(|given| given.beginning(name) > 0);
            match (beginning.next(), beginning.next()) {
                (Some(given), None) if given.beginning(name) == 1 => {
                    if let Some(found) = given.find(name, false) {
                        return given.take(found, option, not, attached, words);
                    }
                }
                (None, None) => {}
                _ => return refuse(option, "shortened too much: several options begin so"),
            }
            // Right behind `-p tcp` its options are understood without `-m tcp`.
            let protocol = self.protocol.filter(|_| !self.implied);
            let Some(extension) = protocol.and_then(|known| matches::of_protocol(self.family(), known.value)) else {
                return refuse(option, "no match or target that the rule has named so far has this option");
            };
            self.implied = true;
            self.matches.push(Given::new(extension));
        }
    }

    /// A built-in chain has no interface on one side.
    fn check_interface(&self, option: &str, without: &[Hook]) -> Result<(), Refusal> {
        match self.hook {
            Some(hook) if without.contains(&hook) => {
                refuse(option, format_args!("packets in {hook} have no such interface"))
            }
            _ => Ok(()),
        }
    }

    fn aim(&mut self, name: &str, goto: bool) -> Result<(), Refusal> {
        if !matches!(self.target, Aim::Nowhere) {
            return refuse(name, "a rule has one target");
        }
        self.target = match (name, targets::named(self.family(), name)?) {
            ("ACCEPT", _) if !goto => Aim::There(Target::Accept),
            ("DROP", _) if !goto && self.building.table == Table::Nat => {
                return refuse(name, "the table nat is not for filtering");
            }
            ("DROP", _) if !goto => Aim::There(Target::Drop),
            ("RETURN", _) if !goto => Aim::There(Target::Return),
            (_, Some(extension)) if !goto => {
                if let Some(only) = extension.table.filter(|&only| only != self.building.table) {
                    return refuse(name, format_args!("this target is for the table {only} only"));
                }
                Aim::Extension(Given::new(extension))
            }
            _ => match self.building.user_chain(name) {
                Some(id) if goto => Aim::There(Target::Goto(id)),
                Some(id) => Aim::There(Target::Jump(id)),
                None if self.building.is_built_in(name) => return refuse(name, "built-in chains are not called"),
                None => return refuse(name, "neither a chain declared before, nor a target that is supported"),
            },
        };
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Rule>, Refusal> {
        // Any interface, as any address, is no condition.
        for side in [&mut self.header.input, &mut self.header.output] {
            side.take_if(|wanted| !wanted.not && wanted.value.prefix && wanted.value.name.is_empty());
        }
        self.header.protocol = self.protocol.filter(|protocol| protocol.value != 0);
        let context = Context { family: self.family(), protocol: self.header.protocol, sets: &self.building.sets };
        let mut built = Vec::with_capacity(self.matches.len());
        for given in &self.matches {
            if let Build::Match(build) = given.extension.build {
                built.push(build(given, &context)?);
            }
        }
        let target = match self.target {
            Aim::Nowhere => Target::Continue,
            Aim::There(target) => target,
            Aim::Extension(given) => match given.extension.build {
                Build::Target(build) => build(&given, &context)?,
                Build::Match(_) => Target::Continue,
            },
        };
        if matches!(target, Target::Tcpmss(_)) && !built.iter().any(asks_for_syn) {
            return refuse("TCPMSS", "it is for packets with SYN: --syn, or --tcp-flags that ask for it");
        }
        let (sources, destinations) = (each(self.sources)?, each(self.destinations)?);
        if sources.len().saturating_mul(destinations.len()) > EXPANDED {
            return refuse("-s", format_args!("the addresses make more than {EXPANDED} rules"));
        }
        let mut rules = Vec::with_capacity(sources.len() * destinations.len());
        for source in &sources {
            for destination in &destinations {
                let header = Header { source: *source, destination: *destination, ..self.header.clone() };
                rules.push(Rule { counters: self.counters, header, matches: built.clone(), target: target.clone() });
            }
        }
        Ok(rules)
    }
}

/// Options that `!` never stands before.
fn is_plain(option: &str) -> bool {
    matches!(
        option,
        "-m" | "--match"
            | "-j"
            | "--jump"
            | "-g"
            | "--goto"
            | "-c"
            | "--set-counters"
            | "-4"
            | "-6"
            | "--ipv4"
            | "--ipv6"
    )
}

fn asks_for_syn(wanted: &Match) -> bool {
    let Match::Tcp(tcp) = wanted else { return false };
    tcp.flags.is_some_and(|flags| !flags.not && flags.value.set & 0x02 != 0)
}

fn set<T>(slot: &mut Option<Not<T>>, option: &str, not: bool, value: T) -> Result<(), Refusal> {
    match slot.replace(Not { not, value }) {
        None => Ok(()),
        Some(_) => refuse(option, "it may stand only once"),
    }
}

/// Addresses separated by commas; no more than one line can make rules of.
fn networks(family: Family, word: &str) -> Result<Vec<Network>, Refusal> {
    word.split(',').map(|part| value::network(family, part)).collect()
}

/// One entry for each rule that is to be made; anything is no condition, unless it is negated.
fn each(list: Option<Not<Vec<Network>>>) -> Result<Vec<Option<Not<Network>>>, Refusal> {
    let Some(Not { not, value }) = list else { return Ok(vec![None]) };
    if not && value.len() > 1 {
        return refuse("!", "several addresses cannot be negated");
    }
    Ok(value.into_iter().map(|value| (not || !value.is_any()).then_some(Not { not, value })).collect())
}

fn interface(word: &str) -> Result<Interface, Refusal> {
    if word.is_empty() || word.len() > INTERFACE {
        return refuse(word, format_args!("an interface's name has 1 to {INTERFACE} bytes"));
    }
    if word.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '"' | '\\')) {
        return refuse(word, "not a name of an interface");
    }
    let (name, prefix) = word.strip_suffix('+').map_or((word, false), |name| (name, true));
    Ok(Interface { name: name.into(), prefix })
}
