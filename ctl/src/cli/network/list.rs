//! `vsctl network ls`, with docker's columns, filters and template fields.

use clap::Args;
use serde_json::Value;

use super::filter::{Filter, passes};
use crate::api::Network;
use crate::cli::error::Error;
use crate::cli::form::{self, Form, row};
use crate::cli::session::{Session, read};
use crate::cli::table::{Table, short};
use crate::cli::template;
use crate::cli::value::boolean;

const EXAMPLES: &str = "\
Examples:
  vsctl network ls
  vsctl network ls -q --no-trunc
  vsctl network ls -f driver=overlay -f label=team=web
  vsctl network ls -f dangling=true
  vsctl network ls --format '{{.Name}}: {{.Driver}}'
  vsctl network ls --format 'table {{.ID}}\\t{{.Name}}\\t{{.Labels}}'";

/// List networks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("no_trunc", boolean))]
pub(crate) struct List {
    /// Only the IDs
    #[arg(short, long)]
    quiet: bool,
    /// Whole IDs
    #[arg(long)]
    no_trunc: bool,
    /// Only networks that match: name=, id= (a part, or ^whole$), driver=, scope=, type=custom|builtin,
    /// dangling=true|false, label=KEY[=VALUE]
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Filter>,
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
        if session.form == Form::Json && !self.quiet {
            let values: Vec<Value> = networks.into_iter().map(|(_, value)| value).collect();
            return session.data(&values);
        }
        networks.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let id = |network: &Network| if self.no_trunc { network.id.clone() } else { short(&network.id) };
        if self.quiet {
            return networks.iter().try_for_each(|(network, _)| session.line(&id(network)));
        }
        if session.wants_data() {
            let rows = networks.iter().map(|(network, _)| fields(network, id(network)));
            return session.filled_below(&rows.collect::<Result<Vec<_>, Error>>()?, &heading());
        }
        let mut table = Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
        for (network, _) in &networks {
            table.row(vec![id(network), network.name.clone(), network.driver.clone(), network.scope.clone()]);
        }
        session.table(&table, 0)
    }
}

/// What stands above the columns of a table: docker's words where they are not the fields' names.
fn heading() -> template::Value {
    let known = form::empty::<Network>();
    let template::Value::Record(fields) = known else { return known };
    let names = fields.into_iter().map(|(name, _)| name).chain(["created_at", "ipv4", "ipv6"].map(str::to_owned));
    let word = |name: &str| match name {
        "id" => template::Value::Heading("NETWORK ID".into()),
        other => template::Value::Heading(other.replace('_', " ").to_uppercase()),
    };
    template::Value::Record(names.map(|name| (name.clone(), word(&name))).collect())
}

/// Docker's fields with docker's values, then those that only this switch has.
fn fields(network: &Network, id: String) -> Result<template::Value, Error> {
    use template::Value::{Labels, Record, Text};
    let has = |is: fn(&ipnet::IpNet) -> bool| network.subnets.iter().any(|subnet| is(&subnet.subnet)).to_string();
    let mut fields = vec![
        ("CreatedAt".to_owned(), Text(created(&network.created))),
        ("Driver".into(), Text(network.driver.clone())),
        ("ID".into(), Text(id)),
        ("IPv4".into(), Text(has(|net| net.addr().is_ipv4()))),
        ("IPv6".into(), Text(has(|net| net.addr().is_ipv6()))),
        ("Internal".into(), Text(network.internal.to_string())),
        ("Labels".into(), Labels(network.labels.clone())),
        ("Name".into(), Text(network.name.clone())),
        ("Scope".into(), Text(network.scope.clone())),
    ];
    if let Record(more) = row(network)? {
        for (name, value) in more {
            if !fields.iter().any(|(field, _)| template::is_same(field, &name)) {
                fields.push((name, value));
            }
        }
    }
    Ok(Record(fields))
}

/// `2026-11-21 12:00:00.5 +0000 UTC`, as docker writes times in lists.
fn created(rfc3339: &str) -> String {
    let Some((date, time)) = rfc3339.strip_suffix('Z').and_then(|text| text.split_once('T')) else {
        return rfc3339.to_owned();
    };
    let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    format!("{date} {time} +0000 UTC")
}
