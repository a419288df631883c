//! `vsctl network ls`, with docker's columns and filters.

use std::str::FromStr;

use clap::Args;
use serde_json::Value;

use crate::api::Network;
use crate::cli::error::Error;
use crate::cli::session::{Session, read};
use crate::cli::table::{Table, short};
use crate::cli::value::{Pair, label};

const EXAMPLES: &str = "\
Examples:
  vsctl network ls
  vsctl network ls -q --no-trunc
  vsctl network ls -f driver=overlay -f label=team=web";

/// List networks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {
    /// Only the IDs
    #[arg(short, long)]
    quiet: bool,
    /// Whole IDs
    #[arg(long)]
    no_trunc: bool,
    /// Only networks that match: name=, id= (a part of either), driver=, scope=, label=KEY[=VALUE]
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Filter>,
}

/// One condition on networks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Name(String),
    Id(String),
    Driver(String),
    Scope(String),
    Label(Pair, bool),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = "expected name=, id=, driver=, scope= or label=";
        let (key, value) = text.split_once('=').ok_or(known)?;
        let whole = value.to_owned();
        match key {
            "name" => Ok(Self::Name(whole)),
            "id" => Ok(Self::Id(whole)),
            "driver" => Ok(Self::Driver(whole)),
            "scope" => Ok(Self::Scope(whole)),
            "label" => Ok(Self::Label(label(value)?, value.contains('='))),
            _ => Err(known.into()),
        }
    }
}

impl Filter {
    fn matches(&self, network: &Network) -> bool {
        match self {
            Self::Name(part) => network.name.contains(part),
            Self::Id(part) => network.id.contains(part),
            Self::Driver(driver) => network.driver == *driver,
            Self::Scope(scope) => network.scope == *scope,
            Self::Label(Pair { key, value }, exact) => {
                network.labels.get(key).is_some_and(|found| !exact || found == value)
            }
        }
    }
}

/// Docker's rule: filters of one key are alternatives, different keys must all hold; every label must be there.
fn passes(filters: &[Filter], network: &Network) -> bool {
    let same_key = |a: &Filter, b: &Filter| std::mem::discriminant(a) == std::mem::discriminant(b);
    filters.iter().all(|filter| match filter {
        Filter::Label(..) => filter.matches(network),
        _ => filters.iter().any(|other| same_key(filter, other) && other.matches(network)),
    })
}

impl List {
    /// Lists by name.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let path = "/v1/networks";
        let answer: Vec<Value> = session.client.get(path).await?;
        let mut networks = Vec::with_capacity(answer.len());
        for value in answer {
            let network: Network = read(path, &value)?;
            if passes(&self.filters, &network) {
                networks.push((network, value));
            }
        }
        if session.is_json() {
            let values: Vec<Value> = networks.into_iter().map(|(_, value)| value).collect();
            return session.json(&values);
        }
        networks.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let id = |network: &Network| if self.no_trunc { network.id.clone() } else { short(&network.id) };
        if self.quiet {
            return networks.iter().try_for_each(|(network, _)| session.line(&id(network)));
        }
        let mut table = Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
        for (network, _) in &networks {
            table.row(vec![id(network), network.name.clone(), network.driver.clone(), network.scope.clone()]);
        }
        session.table(&table, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        serde_json::from_str(
            r#"{"id":"0123abcd","name":"RED","driver":"overlay","scope":"global","created":"","subnets":[],
                "vni":4096,"mtu":1450,"internal":false,"attachable":true,"labels":{"team":"web","x":""},
                "options":{},"endpoints":0}"#,
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
        let error = "dangling=true".parse::<Filter>().unwrap_err();
        assert!(error.contains("name=") && error.contains("label="), "{error}");
        assert!("name".parse::<Filter>().is_err());
    }
}
