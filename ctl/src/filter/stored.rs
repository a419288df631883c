//! Rules in the state file: the text as `filter save -c` prints it, one row for each scope.

use nat::rules::{LoadError, RuleSet, load, save};
use serde::{Deserialize, Serialize};

use super::{Scope, family_name, family_named};

/// A rule set, written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRules {
    /// The network's id; none: all networks of this host.
    pub network: Option<String>,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// As iptables-save has it, with the counters of when it was loaded, or the daemon ended in order.
    pub text: String,
}

/// Why a row cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// no address family is called {0}
    #[error("no address family is called {0}")]
    Family(String),
    /// The text is not what this version understands.
    #[error(transparent)]
    Text(#[from] LoadError),
}

impl StoredRules {
    /// Writes rules down.
    pub fn of(scope: &Scope, rules: &RuleSet) -> StoredRules {
        let family = family_name(scope.family).to_owned();
        StoredRules { network: scope.network.clone(), family, text: save(rules, true) }
    }

    /// Whose they are; `None` for a family that this version does not know.
    pub fn scope(&self) -> Option<Scope> {
        Some(Scope { network: self.network.clone(), family: family_named(&self.family)? })
    }

    /// Reads them again.
    ///
    /// # Errors
    /// When another version has written them.
    pub fn read(&self) -> Result<(Scope, RuleSet), Unreadable> {
        let family = family_named(&self.family).ok_or_else(|| Unreadable::Family(self.family.clone()))?;
        Ok((Scope { network: self.network.clone(), family }, load(family, &self.text)?))
    }
}

#[cfg(test)]
mod tests {
    use nat::rules::Family;

    use super::*;

    #[test]
    fn what_is_written_down_is_read_again_with_its_counters() {
        let scope = Scope { network: Some("11".into()), family: Family::Ipv6 };
        let rules = load(Family::Ipv6, "*filter\n:INPUT DROP [1:2]\n[3:4] -A INPUT -s fd00::/8 -j ACCEPT\nCOMMIT\n");
        let rules = rules.unwrap();
        let stored = StoredRules::of(&scope, &rules);
        assert_eq!(stored.read().unwrap(), (scope, rules));
        let odd = StoredRules { family: "ipx".into(), ..stored.clone() };
        assert!(odd.read().unwrap_err().to_string().contains("ipx"));
        let later = StoredRules { text: "*filter\n-A INPUT -m later\nCOMMIT\n".into(), ..stored };
        assert!(later.read().unwrap_err().to_string().contains("line 2"));
    }
}
