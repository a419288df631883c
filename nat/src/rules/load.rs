//! Reads the text that `iptables-save` and `ip6tables-save` write, and that `iptables-restore` takes. A word that is not
//! understood is refused with its line and the reason: nothing is ever ignored, and nothing is half loaded.
//! Lists of addresses may stand before the tables, as `ipset save` writes them.

mod chains;
mod check;
mod line;
mod matches;
mod option;
mod rule;
mod sets;
mod targets;
mod text;
mod value;

use std::fmt;

pub(super) use self::matches::{ADDRESSES, CERTAIN, FLAGS, PORTS};
pub(super) use self::sets::port_text;
pub(super) use self::targets::LOG_FLAGS;
use super::{Family, RuleSet};

/// Bytes that a line may have.
const MAX_LINE: usize = 65_536;

/// Why a text is not a rule set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {word}: {reason}")]
pub struct LoadError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, as it stands there, shortened.
    pub word: String,
    /// Why.
    pub reason: String,
}

/// Characters of a wrong word that are shown.
const SHOWN: usize = 60;

/// What is wrong with a line.
#[derive(Debug)]
struct Refusal {
    word: String,
    reason: String,
}

impl Refusal {
    fn new(word: &str, reason: impl fmt::Display) -> Refusal {
        let mut shown: String = word.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
        if shown.len() < word.len() && word.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        Refusal { word: shown, reason: reason.to_string() }
    }

    fn at(self, line: usize) -> LoadError {
        LoadError { line, word: self.word, reason: self.reason }
    }
}

/// The refusal of a word, as a result.
fn refuse<T>(word: &str, reason: impl fmt::Display) -> Result<T, Refusal> {
    Err(Refusal::new(word, reason))
}

/// Reads a rule set of one family. Tables that the text does not name are left out of it.
///
/// # Errors
/// [`LoadError`] with the first line that is wrong, that closes a loop of chains, or that makes a way through them too long.
pub fn load(family: Family, text: &str) -> Result<RuleSet, LoadError> {
    text::read(RuleSet::new(family), text, true)
}

/// Reads a text on top of the rules that are there, as `iptables-restore --noflush` does: what it says of a table is added,
/// policies that it names are set, and a user chain that it declares (`:name - [0:0]`) is emptied first. Without `counted`
/// the counters that stand before rules and behind policies are 0, as without its `--counters`.
///
/// # Errors
/// As [`load`]. What is in the way among the rules of before is told with the line of the table's `COMMIT`.
pub fn load_onto(base: RuleSet, text: &str, counted: bool) -> Result<RuleSet, LoadError> {
    text::read(base, text, counted)
}
