//! The lines of a text: comments, `*table`, `:chain`, commands, `COMMIT`.

use std::rc::Rc;

use super::chains::Building;
use super::line::Words;
use super::sets::Sets;
use super::{LoadError, MAX_LINE, Refusal, check, refuse, rule, value};
use crate::rules::{Counters, MAX_RULES, RuleSet, Table, TableRules};

/// Reads a whole text, on top of the rules of `base`. Without `counted`, counters of the text are 0.
pub(super) fn read(base: RuleSet, text: &str, counted: bool) -> Result<RuleSet, LoadError> {
    let rules = base.len();
    let sets = Rc::new(Sets::onto(&base.sets));
    let mut reader = Reader { set: RuleSet::new(base.family), base, counted, open: None, rules, sets };
    let mut last = 0;
    for (at, line) in text.lines().enumerate() {
        last = at + 1;
        reader.line(last, line)?;
    }
    match reader.open {
        None => {
            reader.set.sets = reader.sets.created().to_vec();
            reader.base.replace(reader.set);
            Ok(reader.base)
        }
        Some(open) => {
            let reason = format_args!("the table {} is not closed by COMMIT", open.table);
            Err(Refusal::new("end of the text", reason).at(last))
        }
    }
}

struct Reader {
    /// What was there before: tables that are not opened yet.
    base: RuleSet,
    set: RuleSet,
    counted: bool,
    open: Option<Building>,
    rules: usize,
    sets: Rc<Sets>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), LoadError> {
        if line.len() > MAX_LINE {
            return Err(Refusal::new(line, format_args!("the line is longer than {MAX_LINE} bytes")).at(number));
        }
        let line = line.trim_end_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line == "COMMIT" {
            let Some(open) = self.open.take() else {
                return Err(Refusal::new(line, "no table is open").at(number));
            };
            // A rule of before is wrong only together with what the text adds.
            check::check(&open)
                .map_err(|error| LoadError { line: if error.line == 0 { number } else { error.line }, ..error })?;
            let table = open.table;
            self.set.tables[table as usize] = Some(open.finish());
            return Ok(());
        }
        let read = match line.strip_prefix('*') {
            Some(name) => self.table(name),
            None => self.command(number, line),
        };
        read.map_err(|refusal| refusal.at(number))
    }

    fn table(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(table) = Table::named(name) else {
            return refuse(name, "the tables are raw, mangle, nat and filter");
        };
        if let Some(open) = &self.open {
            return refuse(name, format_args!("the table {} is not closed by COMMIT", open.table));
        }
        if self.set.tables[table as usize].is_some() {
            return refuse(name, "the table stands in the text twice");
        }
        let before = self.base.tables[table as usize].take();
        self.open = Some(Building::onto(
            self.set.family,
            before.unwrap_or_else(|| TableRules::new(table)),
            Rc::clone(&self.sets),
        ));
        Ok(())
    }

    fn command(&mut self, number: usize, line: &str) -> Result<(), Refusal> {
        let mut words = Words::cut(line)?;
        let first = words.next().unwrap_or_default();
        if matches!(&*first, "create" | "add") {
            let sets = match Rc::get_mut(&mut self.sets) {
                Some(sets) if self.set.tables.iter().all(Option::is_none) => sets,
                _ => return refuse(&first, "lists of addresses stand before the first table"),
            };
            return match &*first {
                "create" => sets.create(self.set.family, &mut words),
                _ => sets.add(self.set.family, &mut words),
            };
        }
        let Some(open) = &mut self.open else {
            return refuse(&first, "no table is open: a line as *filter is missing");
        };
        if let Some(name) = first.strip_prefix(':') {
            let policy = match words.next() {
                Some(policy) => policy,
                None => return refuse(name, "its policy is missing"),
            };
            let counters = words.next().map(|word| counters(&word)).transpose()?;
            end(&mut words)?;
            return open.declare(name, &policy, counters.filter(|_| self.counted));
        }
        let (counted, command) = if first.starts_with('[') {
            let command = words.next().unwrap_or_default();
            (Some(counters(&first)?), command)
        } else {
            (None, first)
        };
        match &*command {
            "-A" | "--append" | "-I" | "--insert" => {
                let name = words.value_of(&command)?;
                let chain = open.find(&name)?;
                let before = match &*command {
                    "-A" | "--append" => None,
                    // Its number may follow; an option or `!` does not begin with a digit.
                    _ => match words.peek().filter(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
                        Some(word) => {
                            let number = value::number_u32(word)?;
                            words.next();
                            Some(number)
                        }
                        None => Some(1),
                    },
                };
                let counted = counted.map(|known| if self.counted { known } else { Counters::default() });
                let rules = rule::read(&mut words, open, open.hook(chain), counted)?;
                self.rules += rules.len();
                if self.rules > MAX_RULES {
                    return refuse(&name, format_args!("more than {MAX_RULES} rules"));
                }
                open.put(chain, before, number, rules)
            }
            "-N" | "--new-chain" if counted.is_none() => {
                let name = words.value_of(&command)?;
                end(&mut words)?;
                open.create(&name)
            }
            "-P" | "--policy" if counted.is_none() => {
                let (name, policy) = (words.value_of(&command)?, words.value_of(&command)?);
                end(&mut words)?;
                open.set_policy(&name, &policy)
            }
            _ => refuse(&command, "not a line of saved rules: they begin with -A, -I, -N, -P, :, *, # or are COMMIT"),
        }
    }
}

/// Nothing may follow.
fn end(words: &mut Words<'_>) -> Result<(), Refusal> {
    match words.next() {
        None => Ok(()),
        Some(word) => refuse(&word, "nothing may follow here"),
    }
}

/// `[packets:bytes]`
fn counters(word: &str) -> Result<Counters, Refusal> {
    let inside = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let read = |text: &str| if text.starts_with('+') { None } else { text.parse().ok() };
    match inside.and_then(|inside| inside.split_once(':')).map(|(packets, bytes)| (read(packets), read(bytes))) {
        Some((Some(packets), Some(bytes))) => Ok(Counters { packets, bytes }),
        _ => refuse(word, "not counters, as [packets:bytes]"),
    }
}
