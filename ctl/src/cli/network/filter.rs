//! Conditions on networks, as `docker network ls` and `prune` have them.

use std::str::FromStr;
use std::time::SystemTime;

use super::is_predefined;
use super::until::until;
use crate::api::Network;
use crate::cli::value::{Pair, label};
use crate::model::rfc3339;

/// A condition of `network ls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Name(String),
    Id(String),
    Driver(String),
    Scope(String),
    /// Made by a user, not there from the start.
    Custom(bool),
    /// Without endpoints, and removable.
    Dangling(bool),
    Label(Pair, bool),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = "expected name=, id=, driver=, scope=, type=, dangling= or label=";
        let (key, value) = text.split_once('=').ok_or(known)?;
        let whole = value.to_owned();
        if matches!(key, "name" | "id") && value.contains(['*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '\\']) {
            return Err("expressions are not understood: give a part, or ^ and $ at its ends".into());
        }
        match (key, value) {
            ("name", _) => Ok(Self::Name(whole)),
            ("id", _) => Ok(Self::Id(whole)),
            ("driver", _) => Ok(Self::Driver(whole)),
            ("scope", "local" | "global" | "swarm") => Ok(Self::Scope(whole)),
            ("scope", _) => Err("expected scope=local or scope=global".into()),
            ("type", "custom" | "builtin") => Ok(Self::Custom(value == "custom")),
            ("type", _) => Err("expected type=custom or type=builtin".into()),
            ("dangling", "true" | "1" | "false" | "0") => Ok(Self::Dangling(matches!(value, "true" | "1"))),
            ("dangling", _) => Err("expected dangling=true or dangling=false".into()),
            ("label", _) => Ok(Self::Label(label(value)?, value.contains('='))),
            _ => Err(known.into()),
        }
    }
}

impl Filter {
    fn matches(&self, network: &Network) -> bool {
        match self {
            Self::Name(part) => is_like(part, &network.name),
            Self::Id(part) => is_like(part, &network.id),
            Self::Driver(driver) => network.driver == *driver,
            Self::Scope(scope) => network.scope == *scope,
            Self::Custom(custom) => is_predefined(&network.name) != *custom,
            Self::Dangling(dangling) => (network.endpoints == 0 && !is_predefined(&network.name)) == *dangling,
            Self::Label(pair, exact) => has(network, pair, *exact),
        }
    }
}

/// A part of the whole; docker's filters are expressions, of which `^` and `$` are what people use.
fn is_like(part: &str, whole: &str) -> bool {
    let (start, part) = part.strip_prefix('^').map_or((false, part), |part| (true, part));
    let (end, part) = part.strip_suffix('$').map_or((false, part), |part| (true, part));
    match (start, end) {
        (true, true) => whole == part,
        (true, false) => whole.starts_with(part),
        (false, true) => whole.ends_with(part),
        (false, false) => whole.contains(part),
    }
}

fn has(network: &Network, Pair { key, value }: &Pair, exact: bool) -> bool {
    network.labels.get(key).is_some_and(|found| !exact || found == value)
}

/// Docker's rule: filters of one key are alternatives, different keys must all hold; every label must be there.
pub(super) fn passes(filters: &[Filter], network: &Network) -> bool {
    let same_key = |a: &Filter, b: &Filter| std::mem::discriminant(a) == std::mem::discriminant(b);
    filters.iter().all(|filter| match filter {
        Filter::Label(..) => filter.matches(network),
        _ => filters.iter().any(|other| same_key(filter, other) && other.matches(network)),
    })
}

/// A condition of `network prune`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prunable {
    /// Created before this time, in RFC 3339 with nanoseconds.
    Until(String),
    /// With the label, or without it.
    Label { pair: Pair, exact: bool, wanted: bool },
}

impl FromStr for Prunable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = "expected until=, label= or label!=";
        let (key, value) = text.split_once('=').ok_or(known)?;
        match key {
            "until" => Ok(Self::Until(rfc3339(until(value, SystemTime::now())?))),
            "label" | "label!" => {
                Ok(Self::Label { pair: label(value)?, exact: value.contains('='), wanted: key == "label" })
            }
            _ => Err(known.into()),
        }
    }
}

/// Whether all conditions hold.
pub(super) fn is_prunable(filters: &[Prunable], network: &Network) -> bool {
    filters.iter().all(|filter| match filter {
        // Times of one form and zone are in the order of their texts.
        Prunable::Until(time) => network.created < *time,
        Prunable::Label { pair, exact, wanted } => has(network, pair, *exact) == *wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        serde_json::from_str(
            r#"{"id":"0123abcd","name":"RED","driver":"overlay","scope":"global",
                "created":"2026-11-21T12:00:00.000000001Z","subnets":[],"vni":4096,"mtu":1450,"internal":false,
                "attachable":true,"labels":{"team":"web","x":""},"options":{},"endpoints":0}"#,
        )
        .unwrap()
    }

    fn passes(filters: &[&str]) -> bool {
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        super::passes(&filters, &network())
    }

    #[test]
    fn names_and_ids_match_in_part_the_rest_whole() {
        assert!(passes(&[]) && passes(&["name=ED"]) && passes(&["id=0123"]) && passes(&["driver=overlay"]));
        assert!(!passes(&["name=blue"]) && !passes(&["driver=over"]) && !passes(&["scope=local"]));
        assert!(passes(&["name=^RED$"]) && passes(&["name=^R"]) && passes(&["name=D$"]) && passes(&["id=^01"]));
        assert!(!passes(&["name=^E"]) && !passes(&["name=E$"]) && !passes(&["name=^RE$"]));
    }

    #[test]
    fn types_and_use_are_asked_for() {
        assert!(passes(&["type=custom", "dangling=true"]) && !passes(&["type=builtin"]) && !passes(&["dangling=0"]));
        assert!(passes(&["type=custom", "type=builtin"]));
    }

    #[test]
    fn one_key_is_alternatives_several_keys_must_all_hold() {
        assert!(passes(&["name=BLUE", "name=RED"]));
        assert!(!passes(&["name=RED", "driver=bridge"]));
    }

    #[test]
    fn every_label_must_be_there() {
        assert!(passes(&["label=team", "label=team=web", "label=x="]));
        assert!(!passes(&["label=team=web", "label=other"]));
        assert!(!passes(&["label=team=db"]));
    }

    #[test]
    fn unknown_filters_are_refused_with_the_known_ones() {
        let error = "colour=red".parse::<Filter>().unwrap_err();
        assert!(error.contains("name=") && error.contains("label="), "{error}");
        for bad in ["name", "type=other", "dangling=maybe", "scope=world", "name=web.*", "id=(a|b)"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_pruned_is_old_and_labelled() {
        let holds = |text: &str| is_prunable(&[text.parse().unwrap()], &network());
        assert!(holds("until=2026-11-21T12:00:01Z") && !holds("until=2026-11-21T12:00:00Z"));
        assert!(holds("label=team=web") && !holds("label!=team") && holds("label!=team=db") && !holds("label=db"));
        assert!("until=yesterday".parse::<Prunable>().is_err() && "name=x".parse::<Prunable>().is_err());
    }
}
