//! The start: rules that were written down are the rules again, before anything is attached. What this version cannot
//! read stays in the file and is told, as packets pass without it.

use std::sync::Arc;

use nat::rules::Program;

use super::beside;
use crate::control::Control;
use crate::filter::StoredRules;
use crate::state::Change;

impl Control {
    /// Takes in what was written down, and loads what is for all networks. A network's rules follow with its bridge.
    pub(in crate::control) async fn restore_filters(self: &Arc<Self>, stored: Vec<StoredRules>) {
        // A network may have been removed in the moment before a crash.
        let known = |row: &StoredRules| row.network.as_ref().is_none_or(|id| self.state().networks.contains_key(id));
        let (stored, orphans): (Vec<_>, Vec<_>) = stored.into_iter().partition(known);
        if !orphans.is_empty() {
            self.remember(orphans.iter().map(Change::no_stored_filter).collect()).await;
        }
        if stored.is_empty() {
            return;
        }
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
            Err(error) => return self.warn("filter", error.error),
        };
        let mut unread = Vec::new();
        let mut state = self.state();
        for row in read {
            match row {
                Ok((program, scope, rules)) => {
                    self.load_into_engine(&state, &scope, Some(program));
                    state.filters.insert(scope, Arc::new(rules));
                }
                Err((network, family, why)) => {
                    let whose = network.map_or_else(|| "all networks".into(), |id| state.network_name(&id));
                    unread.push(format!("{family} rules of {whose} are not in force: {why}"));
                }
            }
        }
        drop(state);
        if !unread.is_empty() {
            self.warn("filter", format!("{}; load them again with `vsctl filter load`", unread.join("; ")));
        }
    }
}
