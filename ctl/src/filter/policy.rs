//! Whether endpoints of one network may reach each other where no rule says so: Docker's inter-container communication.
//! To deny is some rules behind all others of the network's FORWARD. They are in the engine, not in the rules that people
//! load, save and flush.

use std::collections::BTreeMap;
use std::str::FromStr;

use nat::rules::{Counters, Family, Hook, Rule, RuleSet, Table, load};

use super::Unclear;

/// Docker's option: whether containers of the network may reach each other.
pub const ICC_OPTION: &str = "com.docker.network.bridge.enable_icc";
/// The chain of what is denied. No text may have one of that name.
pub const POLICY_CHAIN: &str = "VSWITCH-POLICY";

/// What becomes of packets between endpoints of a network that no rule decides about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// They pass.
    #[default]
    Allow,
    /// They are dropped, but for answers to what was allowed.
    Deny,
}

impl FromStr for Policy {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Policy, Unclear> {
        match text {
            "allow" => Ok(Policy::Allow),
            "deny" => Ok(Policy::Deny),
            _ => Err(Unclear { why: format!("policy {text:?} is not known"), remedy: "use allow or deny".into() }),
        }
    }
}

impl Policy {
    /// Reads the value of [`ICC_OPTION`], as Go's `strconv.ParseBool` does.
    pub fn of_icc(value: &str) -> Option<Policy> {
        match value {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(Policy::Allow),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(Policy::Deny),
            _ => None,
        }
    }

    /// That of a network with these options.
    pub fn of_options(options: &BTreeMap<String, String>) -> Policy {
        options.get(ICC_OPTION).and_then(|value| Policy::of_icc(value)).unwrap_or_default()
    }

    /// `allow` or `deny`.
    pub fn text(self) -> &'static str {
        match self {
            Policy::Allow => "allow",
            Policy::Deny => "deny",
        }
    }

    /// What the engine is to judge by; `None`: nothing is judged. The rules of the network come first, in their order.
    /// What is denied goes on to count from `denied`, which [`denied`] has read.
    pub fn arm(self, family: Family, rules: Option<&RuleSet>, denied: &[Counters]) -> Option<RuleSet> {
        match self {
            Policy::Allow => rules.cloned(),
            Policy::Deny => {
                let mut all = rules.cloned().unwrap_or_else(|| RuleSet::new(family));
                all.put_last(Table::Filter, Hook::Forward, POLICY_CHAIN, denial(family));
                if !denied.is_empty() {
                    let mut counters = all.counters();
                    let known = counters.iter_mut().rev().zip(denied.iter().rev());
                    known.for_each(|(now, before)| *now = *before);
                    all.set_counters(&counters);
                }
                Some(all)
            }
        }
    }
}

/// Out of the counters of armed rules, those of what is denied.
pub fn denied(counters: &[Counters]) -> &[Counters] {
    // The chain's own is before those of its rules.
    &counters[counters.len().saturating_sub(DENIAL.len() + 1)..]
}

/// In place of rules that cannot be read: nothing of the family passes.
pub fn closed(family: Family) -> RuleSet {
    let drop = load(family, "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n");
    drop.unwrap_or_else(|_| RuleSet::new(family))
}

/// To and from the outside and the host the policy says nothing. What else there is, on this host or behind a tunnel, is
/// of the network.
const DENIAL: [&str; 6] = [
    "-i uplink -j RETURN",
    "-i vsw0 -j RETURN",
    "-o uplink -j RETURN",
    "-o vsw0 -j RETURN",
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-j DROP",
];

fn denial(family: Family) -> Vec<Rule> {
    let lines: String = DENIAL.iter().map(|line| format!("-A {POLICY_CHAIN} {line}\n")).collect();
    let set = load(family, &format!("*filter\n:{POLICY_CHAIN} - [0:0]\n{lines}COMMIT\n"));
    set.map(|set| set.rules_of(Table::Filter, POLICY_CHAIN).to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nat::rules::{Program, save};

    use super::*;

    const TEXT: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [1:1]\n:OUTPUT ACCEPT [0:0]\n:own - [0:0]\n\
                        [2:2] -A FORWARD -j own\n[3:3] -A own -p tcp -j ACCEPT\nCOMMIT\n";

    #[test]
    fn what_is_denied_stands_behind_everything() {
        for family in [Family::Ipv4, Family::Ipv6] {
            let text = save(&Policy::Deny.arm(family, load(family, TEXT).ok().as_ref(), &[]).unwrap(), false);
            assert!(text.contains("-A FORWARD -j own\n-A FORWARD -j VSWITCH-POLICY\n-A own"), "{text}");
            assert!(text.ends_with("RELATED,ESTABLISHED -j ACCEPT\n-A VSWITCH-POLICY -j DROP\nCOMMIT\n"), "{text}");
            let alone = Policy::Deny.arm(family, None, &[]).unwrap();
            assert_eq!((alone.len(), alone.family), (7, family));
            // The last counter is that of what is denied.
            let all = load(
                family,
                "*raw\n-A PREROUTING -j ACCEPT\nCOMMIT\n*nat\nCOMMIT\n*filter\n:x - [0:0]\n-A x -j DROP\nCOMMIT\n",
            );
            let mut all = Policy::Deny.arm(family, all.ok().as_ref(), &[]).unwrap();
            let mut counters = all.counters();
            counters.last_mut().unwrap().packets = 7;
            assert!(all.set_counters(&counters));
            assert!(save(&all, true).contains("[7:0] -A VSWITCH-POLICY -j DROP"));
            // It goes on to count behind other rules.
            let again = Policy::Deny.arm(family, None, denied(&all.counters())).unwrap();
            assert!(save(&again, true).contains("[7:0] -A VSWITCH-POLICY -j DROP"));
            assert_eq!(Policy::Allow.arm(family, None, &[]), None);
        }
    }

    #[test]
    fn nothing_passes_what_is_closed() {
        for family in [Family::Ipv4, Family::Ipv6] {
            assert!(save(&closed(family), false).contains(":FORWARD DROP"));
        }
    }

    #[test]
    fn counters_are_those_of_the_rules_before_it() {
        let set = load(Family::Ipv4, TEXT).unwrap();
        let armed = Policy::Deny.arm(Family::Ipv4, Some(&set), &[]).unwrap();
        let mut zero = set.clone();
        assert!(zero.set_counters(&vec![Default::default(); set.counters().len()]) && zero != set);
        zero.take_counters(&Program::new(armed).rule_set());
        assert_eq!(zero, set);
    }

    #[test]
    fn dockers_option_says_it() {
        let of = |value: &str| Policy::of_options(&[(ICC_OPTION.to_owned(), value.to_owned())].into());
        assert_eq!(
            (of("false"), of("0"), of("true"), of("x")),
            (Policy::Deny, Policy::Deny, Policy::Allow, Policy::Allow)
        );
        assert_eq!(Policy::of_options(&BTreeMap::new()), Policy::Allow);
        assert_eq!(("deny".parse(), "allow".parse()), (Ok(Policy::Deny), Ok(Policy::Allow)));
        assert!("drop".parse::<Policy>().unwrap_err().why.contains("drop"));
    }
}
