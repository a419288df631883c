//! The target extensions: their options, where they may stand, and what is made of them.

mod change;
mod decide;
mod translate;

pub(in crate::rules) use decide::LOG_FLAGS;

use super::option::{Build, Context, Extension, Given};
use super::{Refusal, refuse};
use crate::rules::{Family, Target};

/// A target extension that may stand anywhere.
const fn extension(
    name: &'static str,
    options: &'static [super::option::Opt],
    build: fn(&Given<'_>, &Context<'_>) -> Result<Target, Refusal>,
) -> Extension {
    Extension { name, family: None, table: None, hooks: &[], options, build: Build::Target(build) }
}

const TABLES: [&[Extension]; 3] = [decide::ALL, translate::ALL, change::ALL];

/// The target of that name, if there is one.
pub(super) fn named(family: Family, name: &str) -> Result<Option<&'static Extension>, Refusal> {
    match TABLES.iter().copied().flatten().find(|extension| extension.name == name) {
        Some(found) if found.family.is_none_or(|only| only == family) => Ok(Some(found)),
        Some(_) => refuse(name, format_args!("there is no such target for {family}")),
        None => Ok(None),
    }
}

/// Whether a chain must not be called so.
pub(super) fn is_taken(name: &str) -> bool {
    matches!(name, "ACCEPT" | "DROP" | "RETURN" | "QUEUE")
        || TABLES.iter().copied().flatten().any(|extension| extension.name == name)
}
