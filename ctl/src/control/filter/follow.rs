//! Names of rules in words, kept in step with who has them, on this host and others. Rules that cannot be made leave the
//! last good ones where they are, are told, and tried again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nat::rules::{Hook, RuleSet, Table};
use tokio::sync::MutexGuard;

use super::beside;
use super::rule::{ready, too_many};
use crate::api::Error;
use crate::control::Control;
use crate::control::backoff::Backoff;
use crate::control::state::State;
use crate::filter::{CHAIN, FAMILIES, Names, Scope, called, named, renewed};
use crate::state::StoredEndpoint;

/// What warnings about it are called.
const TOPIC: &str = "rules";

impl Control {
    /// Somebody has come or gone: names of rules may mean other addresses. Done when the engine has them.
    ///
    /// # Errors
    /// 409 when that would be too many rules, 503 when the disk does not take them. With `whom`, only if the rules that
    /// failed name that endpoint: nobody else has to stay away for them.
    pub(in crate::control) async fn follow_names(&self, whom: Option<&StoredEndpoint>) -> Result<(), Error> {
        // First the lock: a rule that is added at the same time may have looked before this endpoint was there.
        let gate = self.filtering.lock().await;
        let all: Vec<(Option<String>, Arc<RuleSet>)> = {
            let state = self.state();
            let chains = state.filters.iter().filter(|(_, rules)| !rules.rules_of(Table::Filter, CHAIN).is_empty());
            chains.map(|(scope, rules)| (scope.network.clone(), rules.clone())).collect()
        };
        let naming = move || {
            let mut wanted: BTreeMap<Option<String>, HashSet<String>> = BTreeMap::new();
            all.into_iter().for_each(|(network, rules)| wanted.entry(network).or_default().extend(named(&rules)));
            wanted
        };
        let (mut outcome, mut failed) = (Ok(()), false);
        for (network, wanted) in beside(TOPIC, naming).await?.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
            let place = network.as_deref().map(|id| self.state().network_name(id));
            let Err(error) = self.follow_in(&gate, network.clone(), &wanted).await else { continue };
            let whose = place.map_or_else(|| "all networks".into(), |name| format!("network {name}"));
            let told = format!("rules of {whose} are those of before: {}", error.error);
            if self.state().warnings.get(TOPIC) != Some(&told) {
                self.warn(TOPIC, told);
            }
            failed = true;
            let concerns = |stored: &StoredEndpoint| {
                network.as_ref().is_none_or(|network| *network == stored.network)
                    && called(&stored.record).any(|name| wanted.contains(&name))
            };
            if whom.is_none_or(concerns) {
                outcome = Err(error);
            }
        }
        if !failed {
            self.state().warnings.remove(TOPIC);
        } else if whom.is_some() {
            self.renamed.notify_one();
        }
        outcome
    }

    async fn follow_in(
        &self,
        gate: &MutexGuard<'_, ()>,
        network: Option<String>,
        wanted: &HashSet<String>,
    ) -> Result<(), Error> {
        let scopes = FAMILIES.map(|family| Scope { network: network.clone(), family });
        let (known, names) = {
            let state = self.state();
            let known = scopes.each_ref().map(|scope| state.filters.get(scope).cloned());
            (known, Arc::new(state.names(network.as_deref(), Some(wanted))))
        };
        let now = names.clone();
        let looking = move || {
            let changed = |rules: &Arc<RuleSet>| Ok(renewed(rules, |name| now.addresses(name))?.is_some());
            known.iter().flatten().try_fold(false, |any, rules| Ok::<_, crate::filter::Unclear>(any | changed(rules)?))
        };
        // Most who come are named by no rule: nothing is copied for them.
        if !beside(TOPIC, looking).await?.map_err(too_many)? {
            return Ok(());
        }
        let both = self.both(gate, network.as_deref()).await?;
        let behind = scopes.each_ref().map(|scope| self.state().behind(scope));
        let making = move || {
            let mut all = Vec::new();
            for ((scope, rules), behind) in scopes.iter().zip(&both).zip(&behind) {
                let Some(rules) = rules.as_deref() else { continue };
                let Some(chain) = renewed(rules, |name| names.addresses(name)).map_err(too_many)? else { continue };
                let mut rules = rules.clone();
                rules.put_chain(Table::Filter, Hook::Forward, CHAIN, chain);
                all.push(ready(scope, behind, rules)?);
            }
            Ok::<_, Error>(all)
        };
        let all = beside(TOPIC, making).await??;
        self.put_all(gate, all).await.map(drop)
    }

    /// Follows who comes and goes, on this host and others.
    pub(in crate::control) async fn keep_names(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        let mut again = false;
        loop {
            if again {
                backoff.wait().await;
            } else {
                self.renamed.notified().await;
            }
            // What went wrong is a warning already.
            again = self.follow_names(None).await.is_err();
            if !again {
                backoff.reset();
            }
        }
    }
}

impl State {
    /// Who is called what in a network, or in all: endpoints of this host, those that are about to be attached, and those
    /// of other hosts. Only the names that are `wanted`; `None`: all.
    pub(super) fn names(&self, network: Option<&str>, wanted: Option<&HashSet<String>>) -> Names {
        let mut names = Names::default();
        if wanted.is_some_and(HashSet::is_empty) {
            return names;
        }
        let inside = |id: &str| network.is_none_or(|network| network == id);
        let here = self.endpoints.values().map(|endpoint| &endpoint.stored);
        for stored in here.chain(self.arriving.values()).filter(|stored| inside(&stored.network)) {
            names.insert(&stored.record, wanted);
        }
        for network in self.networks.values().filter(|network| inside(&network.record.id)) {
            let rows = network.bridge.iter().flat_map(|bridge| bridge.remote.rows().values());
            rows.flat_map(|row| &row.record.endpoints).for_each(|record| names.insert(record, wanted));
        }
        names
    }
}
