//! `vsctl network inspect`: docker's JSON, always an array.

use clap::Args;
use serde_json::Value;

use crate::api;
use crate::cli::error::Error;
use crate::cli::form::{Form, row};
use crate::cli::session::{Session, read};
use crate::cli::template;
use crate::client::{self, segment};

const EXAMPLES: &str = "\
Examples:
  vsctl network inspect RED
  vsctl network inspect RED BLUE | jq '.[].Containers'
  vsctl network inspect -f '{{.Driver}} {{json .IPAM.Config}}' RED
  vsctl network inspect -f '{{range .Containers}}{{.Name}} {{.IPv4Address}} {{end}}' RED";

/// Show everything about networks, as docker does
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// The same as --format
    #[arg(short = 'f', value_name = "json|TEMPLATE")]
    form: Option<Form>,
    /// Kept for docker's sake: everything is shown anyway
    #[arg(short, long, hide = true)]
    verbose: bool,
    /// Names, IDs, or unique prefixes of IDs
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
}

impl Inspect {
    /// Prints what was found, then tells of each that was not.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let mut found: Vec<Value> = Vec::with_capacity(self.networks.len());
        let mut missing = Vec::new();
        for network in &self.networks {
            match session.client.get(&format!("/v1/networks/{}", segment(network))).await {
                Ok(value) => found.push(value),
                Err(error @ client::Error::Refused { .. }) => missing.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(form) = self.form {
            session.form = form;
        }
        match session.form {
            Form::Template { .. } => {
                let rows: Result<Vec<_>, Error> = found.iter().map(fields).collect();
                session.filled(&rows?)?;
            }
            Form::Table | Form::Json => session.data(&found)?,
        }
        let mut outcome = Ok(());
        for error in missing {
            session.survives(error.into(), &mut outcome);
        }
        outcome
    }
}

/// What a template sees: docker's fields, also those that are left out of JSON when they are empty.
fn fields(value: &Value) -> Result<template::Value, Error> {
    use template::Value::{List, Map, Part, Record, Text};
    let mut fields = row::<api::Inspect>(&read("/v1/networks", value)?)?;
    let Record(all) = &mut fields else { return Ok(fields) };
    let ipam = all.iter_mut().find(|(name, _)| name == "IPAM");
    if let Some((_, Part(ipam))) = ipam
        && let Some((_, List(config))) = ipam.iter_mut().find(|(name, _)| name == "Config")
    {
        for subnet in config {
            let Part(given) = subnet else { continue };
            let nothing = || Text(String::new());
            let whole = [("Subnet", nothing()), ("IPRange", nothing()), ("Gateway", nothing())];
            let whole =
                whole.into_iter().chain([("AuxiliaryAddresses", Map(Default::default()))]).map(|(name, empty)| {
                    let place = given.iter().position(|(field, _)| field == name);
                    (name.to_owned(), place.map_or(empty, |place| given.swap_remove(place).1))
                });
            *subnet = Record(whole.collect());
        }
    }
    Ok(fields)
}
