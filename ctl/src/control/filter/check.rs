//! Texts of rules: what is read, and what is refused here though the rules could say it, as it would mean nothing or not
//! be read again. Every refusal has a line of the text.

use std::sync::Arc;

use nat::rules::{LoadError, MAX_RULES, RuleSet, Table, TableRules, load_onto};

use crate::api::LoadHow;
use crate::filter::{POLICY_CHAIN, Unclear, Unreadable};

/// Reads a text; what it does not name is kept.
pub(super) fn read(base: Arc<RuleSet>, how: LoadHow, text: &[u8]) -> Result<RuleSet, LoadError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
        let rest = &text[at..];
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len()).min(60);
        let word = String::from_utf8_lossy(&rest[..end]).into_owned();
        LoadError { line, word, reason: "it is not UTF-8".into() }
    })?;
    if how.noflush {
        let rules = load_onto(RuleSet::clone(&base), text, how.counters)?;
        return allowed(&rules, text).map(|()| rules);
    }
    let fresh = load_onto(RuleSet::new(base.family), text, how.counters)?;
    allowed(&fresh, text)?;
    let mut rules = RuleSet::clone(&base);
    rules.replace(fresh);
    few(&rules, text.as_bytes())?;
    Ok(rules)
}

/// Refuses a chain of the name that the network's policy has in the engine, and rules in the chain INPUT of the table nat:
/// the gateway answers whoever speaks to it by the source that it has. Looked for in what was read, as a text can say the
/// same in several ways.
fn allowed(rules: &RuleSet, text: &str) -> Result<(), LoadError> {
    let named = |table: &TableRules| table.chains().iter().any(|chain| &*chain.name == POLICY_CHAIN);
    if Table::ALL.into_iter().filter_map(|table| rules.table(table)).any(named) {
        let reason = "the chain of that name is the network's policy: see `vsctl network create --policy`";
        return Err(LoadError {
            line: line_of(text, None, POLICY_CHAIN),
            word: POLICY_CHAIN.into(),
            reason: reason.into(),
        });
    }
    if !rules.rules_of(Table::Nat, "INPUT").is_empty() {
        let reason = "the chain INPUT of the table nat takes no rules: what is said to the gateway keeps its source; \
                      PREROUTING and POSTROUTING translate";
        return Err(LoadError {
            line: line_of(text, Some("nat"), "INPUT"),
            word: "INPUT".into(),
            reason: reason.into(),
        });
    }
    Ok(())
}

/// Refuses too many rules of a text and of what is kept.
pub(super) fn few(rules: &RuleSet, text: &[u8]) -> Result<(), LoadError> {
    if rules.len() <= MAX_RULES {
        return Ok(());
    }
    let line = text.iter().filter(|byte| **byte == b'\n').count();
    let reason = format!("with the tables that are kept more than {MAX_RULES} rules");
    Err(LoadError { line, word: "COMMIT".into(), reason })
}

/// Words of a text that cannot be made rules.
pub(super) fn words(text: &[u8], unclear: &Unclear) -> LoadError {
    let text = String::from_utf8_lossy(text);
    let word = unclear.why.split(": ").next().unwrap_or_default();
    LoadError { line: line_of(&text, None, word), word: word.into(), reason: unclear.to_string() }
}

/// What was read, but could not be read again.
pub(super) fn unreadable(error: &Unreadable) -> LoadError {
    let reason = "with what is kept of the rules, this could not be read again at the next start";
    match error {
        Unreadable::Text(error) => LoadError { reason: format!("{reason}: {}", error.reason), ..error.clone() },
        Unreadable::Family(_) => LoadError { line: 0, word: String::new(), reason: reason.into() },
    }
}

/// The first line that has a word and is no declaration of a built-in chain, in a table or anywhere; the last, if quotes
/// hide it.
fn line_of(text: &str, table: Option<&str>, word: &str) -> usize {
    let mut open = "";
    let mut last = 0;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        open = line.strip_prefix('*').unwrap_or(open);
        let here = table.is_none_or(|table| table == open);
        if here && line.contains(word) && !line.starts_with('#') && !(table.is_some() && line.starts_with(':')) {
            return number + 1;
        }
        last = number + 1;
    }
    last
}

#[cfg(test)]
mod tests {
    use nat::rules::Family;

    use super::*;

    fn read(text: &str) -> Result<RuleSet, LoadError> {
        super::read(Arc::new(RuleSet::new(Family::Ipv4)), LoadHow::default(), text.as_bytes())
    }

    #[test]
    fn rules_that_translate_are_taken_but_for_what_is_said_to_the_gateway() {
        assert!(read("*filter\nCOMMIT\n*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n").is_ok());
        assert!(read("*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n-A INPUT -j DROP\nCOMMIT\n").is_ok());
        for command in ["[3:4] -A INPUT", "-I INPUT", "--append INPUT", "--insert INPUT 1", "-A \"INPUT\""] {
            let text = format!("*filter\nCOMMIT\n*nat\n{command} -j SNAT --to-source 192.0.2.1\nCOMMIT\n");
            let refused = read(&text).unwrap_err();
            assert_eq!((refused.line, refused.word.as_str()), (4, "INPUT"), "{command}");
        }
    }

    #[test]
    fn the_policys_chain_is_nobody_elses() {
        for command in
            [":VSWITCH-POLICY - [0:0]", "-N VSWITCH-POLICY", "--new-chain \"VSWITCH-POLICY\"", "-N VSWITCH\"-\"POLICY"]
        {
            let refused = read(&format!("*filter\n{command}\nCOMMIT\n")).unwrap_err();
            assert_eq!(refused.word, POLICY_CHAIN, "{command}");
            assert!(refused.line >= 2, "{command}");
        }
        assert!(read("*filter\n:other - [0:0]\nCOMMIT\n").is_ok());
    }

    #[test]
    fn what_is_kept_counts_and_must_be_read_again() {
        let rule = read("*filter\n-A INPUT -j DROP\nCOMMIT\n").unwrap().rules_of(Table::Filter, "INPUT")[0].clone();
        let mut base = RuleSet::new(Family::Ipv4);
        base.put_chain(Table::Filter, nat::rules::Hook::Forward, "many", vec![rule; MAX_RULES - 1]);
        let more = b"*mangle\n-A PREROUTING -j ACCEPT\nCOMMIT\n";
        let refused = super::read(Arc::new(base), LoadHow::default(), more).unwrap_err();
        assert!(refused.line == 3 && refused.reason.contains("more than"), "{refused}");
    }
}
