//! The start: rules that were written down are the rules again, before anything is attached. What this version cannot
//! read stays in the file and is told, and nothing of its scope passes until other rules are loaded.

use std::sync::Arc;

use nat::rules::Program;

use super::beside;
use crate::control::Control;
use crate::filter::{Scope, StoredRules, closed, family_named};
use crate::state::Change;

impl Control {
    /// Takes in what was written down, and loads what is for all networks. A network's rules follow with its bridge.
    pub(in crate::control) async fn restore_filters(self: &Arc<Self>, stored: Vec<StoredRules>, unread: Vec<Scope>) {
        // A network may have been removed in the moment before a crash.
        let known = |row: &StoredRules| row.network.as_ref().is_none_or(|id| self.state().networks.contains_key(id));
        let (stored, orphans): (Vec<_>, Vec<_>) = stored.into_iter().partition(known);
        if !orphans.is_empty() {
            self.remember(orphans.iter().map(Change::no_stored_filter).collect()).await;
        }
        let mut refused: Vec<String> = unread.iter().map(|scope| self.filter_object(scope)).collect();
        unread.into_iter().for_each(|scope| self.close(scope));
        let scopes: Vec<Scope> = stored.iter().filter_map(StoredRules::scope).collect();
        let reading = move || {
            let each = stored.into_iter().map(|row| {
                // A network's policy comes with its bridge.
                let read = row.read().map(|(scope, rules)| (Box::new(Program::new(rules.clone())), scope, rules));
                read.map_err(|error| (row.network, row.family, error.to_string()))
            });
            each.collect::<Vec<_>>()
        };
        let read = match beside("filter", reading).await {
            Ok(read) => read,
            Err(error) => {
                scopes.into_iter().for_each(|scope| self.close(scope));
                return self.warn("filter", format!("no rules could be read, so nothing passes: {}", error.error));
            }
        };
        for row in read {
            let mut state = self.state();
            match row {
                Ok((program, scope, rules)) => {
                    drop(self.load_into_engine(&state, &scope, Some(program)));
                    state.filters.insert(scope, Arc::new(rules));
                }
                Err((network, family, why)) => {
                    let whose = network.as_ref().map_or_else(|| "all networks".into(), |id| state.network_name(id));
                    refused.push(format!("{family} rules of {whose}: {why}"));
                    drop(state);
                    let scope = family_named(&family).map(|family| Scope { network, family });
                    scope.into_iter().for_each(|scope| self.close(scope));
                }
            }
        }
        if !refused.is_empty() {
            let remedy = "load all of them again with `vsctl filter load`, or `vsctl filter flush`";
            self.warn("filter", format!("rules cannot be read, so nothing passes: {}; {remedy}", refused.join("; ")));
        }
    }

    /// Nothing passes in a scope whose rules cannot be read.
    fn close(&self, scope: Scope) {
        let mut state = self.state();
        drop(self.load_into_engine(&state, &scope, Some(Box::new(Program::new(closed(scope.family))))));
        state.unread.insert(scope);
    }
}
