//! A rule set with its packets, and how a failure is made small enough to be understood: rules and events are left out as
//! long as something differs.

use std::fmt::Write;

use anyhow::Result;

use crate::compare::Outcome;
use crate::kernel::{self, Tables};
use crate::picks::Picks;
use crate::rules::Rules;
use crate::talk::Event;
use crate::{compare, ours};

/// What is put before both.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) tables: Tables,
    pub(crate) rules: Rules,
    pub(crate) events: Vec<Event>,
}

/// Runs that making a failure smaller may take.
const RUNS: usize = 400;

impl Case {
    /// What differs, and at which event that is seen.
    pub(crate) fn difference(&self) -> Result<Option<(Option<usize>, String)>> {
        let (kernel, ours) = self.both(&self.events)?;
        Ok(compare::difference(&kernel, &ours, &self.events, Picks::of(&self.rules)))
    }

    /// What comes of the first events in the kernel and in the engine.
    fn both(&self, events: &[Event]) -> Result<(Outcome, Outcome)> {
        let ours = ours::run(&self.rules, events)?;
        let expected: Vec<usize> = ours.seen.iter().map(Vec::len).collect();
        Ok((kernel::run(self.tables, &self.rules, events, &expected)?, ours))
    }

    /// What both have tracked after each event.
    fn connections(&self) -> String {
        let mut all = String::new();
        for end in 1..=self.events.len() {
            let Ok((kernel, ours)) = self.both(&self.events[..end]) else { continue };
            for (who, outcome) in [("kernel", kernel), ("switch", ours)] {
                outcome.conns.iter().for_each(|conn| _ = write!(all, "\n  after {}: {who} has {conn:?}", end - 1));
            }
        }
        all
    }

    /// A smaller case that differs, too, as text.
    pub(crate) fn smaller(&self) -> String {
        let (mut case, mut runs) = (self.clone(), 0);
        let mut differs = |case: &Case| {
            runs += 1;
            runs < RUNS && matches!(case.difference(), Ok(Some(_)))
        };
        if let Ok(Some((Some(at), _))) = case.difference() {
            case.events.truncate(at + 1);
        }
        let mut step = case.events.len().max(case.rules.len()) / 2;
        while step > 0 {
            let mut at = 0;
            while at < case.events.len() {
                let mut smaller = case.clone();
                smaller.events.drain(at..(at + step).min(case.events.len()));
                if differs(&smaller) { case = smaller } else { at += step }
            }
            let mut at = 0;
            while at < case.rules.len() {
                let smaller = Case { rules: case.rules.without(at, at + step), ..case.clone() };
                if differs(&smaller) { case = smaller } else { at += step }
            }
            step /= 2;
        }
        let mut text = format!("{:?}\n{}{}", case.tables, case.rules.lists, case.rules.text());
        for (at, event) in case.events.iter().enumerate() {
            let _ = writeln!(text, "{at}: {} {}", crate::world::SIDES[event.side], event.what);
        }
        match case.difference() {
            Ok(Some((_, what))) => text + &what + &case.connections(),
            other => format!("{text}{other:?}"),
        }
    }
}
