//! What extensions have in common: a list of options, and what a rule says of them. Each option stands at most once in one
//! use of an extension, is negated only where that means something, and may be shortened while that is unambiguous.

use std::borrow::Cow;

use super::line::Words;
use super::sets::Sets;
use super::{Refusal, refuse};
use crate::rules::{Family, Hook, Match, Not, Table, Target};

/// An option of an extension.
pub(super) struct Opt {
    /// Its name, without dashes, and other names that it has.
    names: &'static [&'static str],
    /// Words that follow.
    values: u8,
    /// Whether `!` may stand before it.
    not: bool,
}

/// An option with one word behind it.
pub(super) const fn value(names: &'static [&'static str]) -> Opt {
    Opt { names, values: 1, not: false }
}

/// An option with none.
pub(super) const fn flag(names: &'static [&'static str]) -> Opt {
    Opt { names, values: 0, not: false }
}

impl Opt {
    /// It may be negated.
    pub(super) const fn or_not(self) -> Opt {
        Opt { not: true, ..self }
    }

    /// Two words follow.
    pub(super) const fn twice(self) -> Opt {
        Opt { values: 2, ..self }
    }
}

/// What a rule says around an extension.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) family: Family,
    pub(super) protocol: Option<Not<u8>>,
    /// The lists that the text has created.
    pub(super) sets: &'c Sets,
}

impl Context<'_> {
    /// Whether the rule is about one of these protocols only.
    pub(super) fn is_one_of(&self, protocols: &[u8]) -> bool {
        self.protocol.is_some_and(|protocol| !protocol.not && protocols.contains(&protocol.value))
    }
}

/// What an extension makes of its options.
pub(super) enum Build {
    Match(fn(&Given<'_>, &Context<'_>) -> Result<Match, Refusal>),
    Target(fn(&Given<'_>, &Context<'_>) -> Result<Target, Refusal>),
}

/// A match or a target.
pub(super) struct Extension {
    pub(super) name: &'static str,
    /// Other names by which a rule may ask for it.
    pub(super) family: Option<Family>,
    /// The only table where it may stand.
    pub(super) table: Option<Table>,
    /// The hooks from which it may be reached; empty for all.
    pub(super) hooks: &'static [Hook],
    pub(super) options: &'static [Opt],
    pub(super) build: Build,
}

/// One option of a rule.
struct Item<'a> {
    name: &'static str,
    not: bool,
    values: [Cow<'a, str>; 2],
}

/// The options of one use of an extension.
pub(super) struct Given<'a> {
    pub(super) extension: &'static Extension,
    items: Vec<Item<'a>>,
}

impl<'a> Given<'a> {
    pub(super) fn new(extension: &'static Extension) -> Given<'a> {
        Given { extension, items: Vec::new() }
    }

    /// The option of that name; `exact`, or how it begins.
    pub(super) fn find(&self, name: &str, exact: bool) -> Option<&'static Opt> {
        let fits = |known: &&str| if exact { *known == name } else { known.starts_with(name) };
        self.extension.options.iter().find(|option| option.names.iter().any(fits))
    }

    /// How many options begin so.
    pub(super) fn beginning(&self, name: &str) -> usize {
        let begins = |option: &&Opt| option.names.iter().any(|known| known.starts_with(name));
        self.extension.options.iter().filter(begins).count()
    }

    /// Takes an option and its words.
    pub(super) fn take(
        &mut self,
        option: &'static Opt,
        word: &str,
        not: bool,
        attached: Option<&str>,
        words: &mut Words<'a>,
    ) -> Result<(), Refusal> {
        let name = option.names[0];
        if self.items.iter().any(|item| item.name == name) {
            return refuse(word, format_args!("{} takes it only once", self.extension.name));
        }
        if not && !option.not {
            return refuse(word, "it cannot be negated");
        }
        let mut values = [Cow::Borrowed(""), Cow::Borrowed("")];
        let mut empty = values.iter_mut().take(usize::from(option.values));
        if let Some(attached) = attached {
            match empty.next() {
                Some(slot) => *slot = Cow::Owned(attached.to_owned()),
                None => return refuse(word, "it takes no value"),
            }
        }
        for slot in empty {
            *slot = words.value_of(word)?;
        }
        self.items.push(Item { name, not, values });
        Ok(())
    }

    fn item(&self, name: &str) -> Option<&Item<'a>> {
        self.items.iter().find(|item| item.name == name)
    }

    /// Whether nothing was said at all.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the option is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.item(name).is_some()
    }

    /// The option's word, and whether it is negated.
    pub(super) fn get(&self, name: &str) -> Option<Not<&str>> {
        self.item(name).map(|item| Not { not: item.not, value: &*item.values[0] })
    }

    /// Both words of an option.
    pub(super) fn pair(&self, name: &str) -> Option<Not<[&str; 2]>> {
        self.item(name).map(|item| Not { not: item.not, value: [&*item.values[0], &*item.values[1]] })
    }

    /// The option's word, read.
    pub(super) fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<Option<Not<T>>, Refusal> {
        self.get(name).map(|found| Ok(Not { not: found.not, value: read(found.value)? })).transpose()
    }

    /// The option's word, read; it cannot be negated.
    pub(super) fn plain<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        self.get(name).map(|found| read(found.value)).transpose()
    }

    /// The option's word, read, without which the extension means nothing.
    pub(super) fn need<T>(&self, name: &str, read: impl FnOnce(&str) -> Result<T, Refusal>) -> Result<Not<T>, Refusal> {
        self.read(name, read)?.ok_or_else(|| self.missing(&format!("--{name}")))
    }

    /// The one of these options that is there; none is fine, two are not.
    pub(super) fn one_of(&self, names: &[&'static str]) -> Result<Option<&'static str>, Refusal> {
        let mut found = names.iter().copied().filter(|name| self.has(name));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                refuse(&format!("--{second}"), format_args!("{} takes either it or --{first}", self.extension.name))
            }
            (first, _) => Ok(first),
        }
    }

    /// That something is missing.
    pub(super) fn missing(&self, what: &str) -> Refusal {
        Refusal::new(self.extension.name, format_args!("it needs {what}"))
    }
}
