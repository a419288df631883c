//! Packet filters: texts are read and made ready beside the control thread, written down, and swapped in with one message
//! to the engine. A text that is refused changes nothing. One change at a time, and who holds its lock waits for no other.

mod check;
mod follow;
mod listed;
mod restore;
mod rule;
mod scopes;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use nat::rules::{Counters, Hook, LoadError, Program, RuleSet, Table, save};
use switch::BridgeId;
use tokio::sync::MutexGuard;

use super::Control;
use super::plane::Future;
use super::state::State;
use crate::api::{Error, FilterOf, FilterRow, LoadHow, Rejected};
use crate::filter::{CHAIN, Policy, Scope, StoredRules, closed, denied, named, renewed};
use crate::state::Change;

/// Rules that were made ready for the engine and the state file.
struct Ready {
    scope: Scope,
    rules: Arc<RuleSet>,
    program: Box<Program>,
    change: Change,
}

impl Ready {
    /// Fails when what is written down could not be read again at the next start.
    fn of(scope: &Scope, behind: &Behind, rules: RuleSet) -> Result<Ready, LoadError> {
        let stored = StoredRules::of(scope, &rules);
        stored.read().map_err(|error| check::unreadable(&error))?;
        let change = Change::filter(&stored);
        let armed = behind.arm(scope.family, Some(&rules)).unwrap_or_else(|| RuleSet::new(scope.family));
        Ok(Ready { scope: scope.clone(), program: Box::new(Program::new(armed)), rules: Arc::new(rules), change })
    }
}

/// What the engine has behind the rules of a scope: the policy of its network, and what that has denied.
#[derive(Clone)]
struct Behind {
    policy: Policy,
    denied: Vec<Counters>,
}

impl Behind {
    fn arm(&self, family: nat::rules::Family, rules: Option<&RuleSet>) -> Option<RuleSet> {
        self.policy.arm(family, rules, &self.denied)
    }
}

impl Control {
    /// `filter load`: what is loaded then. The tables that the text names are replaced, in one step.
    ///
    /// # Errors
    /// 400 with line, word and reason, 404 for an unknown network, 503 when the disk does not take it.
    pub async fn load_filter(self: &Arc<Self>, of: FilterOf, how: LoadHow, text: Bytes) -> Result<FilterRow, Rejected> {
        let scope = self.scope(of).await?;
        let object = self.filter_object(&scope);
        let gate = self.hold(&scope).await?;
        let base = self.rules_now(&gate, &scope).await?;
        let begun = Instant::now();
        let refused = |error| Rejected::Text { object: object.clone(), error };
        let behind = self.state().behind(&scope);
        let (place, base) = (scope.clone(), base.unwrap_or_else(|| Arc::new(RuleSet::new(scope.family))));
        let control = self.clone();
        let reading = move || {
            let mut rules = check::read(base, how, &text)?;
            // Words of a text are of names, and who has those is known here.
            let wanted = named(&rules);
            let names = control.state().names(place.network.as_deref(), Some(&wanted));
            let chain =
                renewed(&rules, |name| names.addresses(name)).map_err(|unclear| check::words(&text, &unclear))?;
            if let Some(chain) = chain {
                rules.put_chain(Table::Filter, Hook::Forward, CHAIN, chain);
                check::few(&rules, &text)?;
            }
            Ok(if how.test { Err(row_of(&place, &rules)) } else { Ok(Ready::of(&place, &behind, rules)?) })
        };
        let ready = match beside(&object, reading).await?.map_err(refused)? {
            Ok(ready) => ready,
            Err(tested) => return Ok(self.named_row(tested, &scope)),
        };
        let rules = ready.rules.clone();
        let read = begun.elapsed();
        let waited = self.put_all(&gate, vec![ready]).await?;
        let (count, read, waited) = (rules.len(), read.as_millis(), waited.as_micros());
        let text = format!("{count} rules, made ready in {read} ms; frames waited {waited} us");
        self.state().event("filter_loaded", object, text);
        Ok(self.named_row(row_of(&scope, &rules), &scope))
    }

    /// `filter save`: the rules as text, with the counters of now; those of rules only if `counters`.
    ///
    /// # Errors
    /// 404 for an unknown network, 503 when the engine does not answer.
    pub async fn save_filter(self: &Arc<Self>, of: FilterOf, counters: bool) -> Result<String, Error> {
        let scope = self.scope(of).await?;
        let gate = self.filtering.lock().await;
        let Some(rules) = self.rules_now(&gate, &scope).await? else { return Ok(String::new()) };
        beside(&self.filter_object(&scope), move || save(&rules, counters)).await
    }

    /// `filter flush`: takes all tables out. Nothing happens where there are none.
    ///
    /// # Errors
    /// 404 for an unknown network, 503 when the disk does not take it.
    pub async fn flush_filter(self: &Arc<Self>, of: FilterOf) -> Result<(), Error> {
        let scope = self.scope(of).await?;
        let object = self.filter_object(&scope);
        let gate = self.hold(&scope).await?;
        if !self.state().has_rules(&scope) {
            return Ok(());
        }
        // For what the policy has denied.
        self.rules_now(&gate, &scope).await?;
        let written = self.disk.write(vec![Change::no_filter(&scope)]).await;
        written.map_err(|error| Error::failed(object.clone(), error.to_string()))?;
        let mut state = self.state();
        let before = state.filters.remove(&scope);
        state.unread.remove(&scope);
        let policy = state.behind(&scope).arm(scope.family, None).map(|rules| Box::new(Program::new(rules)));
        drop(self.load_into_engine(&state, &scope, policy));
        state.event("filter_flushed", object, "no rules are left");
        drop(state);
        discard(before);
        Ok(())
    }

    /// `filter ls`.
    ///
    /// # Errors
    /// 503 when the engine does not answer.
    pub async fn filters(&self) -> Result<Vec<FilterRow>, Error> {
        let gate = self.filtering.lock().await;
        let scopes: Vec<Scope> = self.state().filters.keys().cloned().collect();
        let mut rows = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let Some(rules) = self.rules_now(&gate, &scope).await? else { continue };
            let place = scope.clone();
            let row = beside(&self.filter_object(&scope), move || row_of(&place, &rules)).await?;
            rows.push(self.named_row(row, &scope));
        }
        rows.sort_by(|a, b| (&a.network, &a.family).cmp(&(&b.network, &b.family)));
        Ok(rows)
    }

    /// Writes rules down and swaps them in, all together or none. The caller holds the lock.
    /// How long frames have waited for it, at the most.
    async fn put_all(&self, _: &MutexGuard<'_, ()>, all: Vec<Ready>) -> Result<Duration, Error> {
        let Some(first) = all.first() else { return Ok(Duration::ZERO) };
        let object = self.filter_object(&first.scope);
        let written = self.disk.write(all.iter().map(|ready| ready.change.clone()).collect()).await;
        written.map_err(|error| Error::failed(object, error.to_string()))?;
        let (before, waits): (Vec<_>, Vec<_>) = {
            let mut state = self.state();
            let put = |Ready { scope, rules, program, .. }| {
                let wait = self.load_into_engine(&state, &scope, Some(program));
                state.unread.remove(&scope);
                (state.filters.insert(scope, rules), wait)
            };
            all.into_iter().map(put).unzip()
        };
        discard(before);
        let mut longest = Duration::ZERO;
        for wait in waits.into_iter().flatten() {
            longest = longest.max(wait.await);
        }
        Ok(longest)
    }

    /// The rules of a scope with the counters of now. The caller holds the lock, so that counters and rules belong together.
    async fn rules_now(&self, _: &MutexGuard<'_, ()>, scope: &Scope) -> Result<Option<Arc<RuleSet>>, Error> {
        let (rules, place, policy) = {
            let state = self.state();
            (state.filters.get(scope).cloned(), state.filter_place(scope), state.policy_of(scope))
        };
        let Some(place) = place.filter(|_| rules.is_some() || policy == Policy::Deny) else { return Ok(rules) };
        let Some(counters) = self.plane.rule_counters(place, scope.family).await else { return Ok(rules) };
        if policy == Policy::Deny {
            self.state().denied.insert(scope.clone(), denied(&counters).to_vec());
        }
        let Some(rules) = rules else { return Ok(None) };
        beside(&self.filter_object(scope), move || Some(counted(rules, policy, &counters))).await
    }

    /// The lock, for a change of a scope that is still there.
    async fn hold(&self, scope: &Scope) -> Result<MutexGuard<'_, ()>, Error> {
        let gate = self.filtering.lock().await;
        // It may have been removed while this waited.
        scope.network.as_deref().map_or(Ok(()), |id| self.state().network(id).map(drop))?;
        Ok(gate)
    }

    /// Replaces what the engine has for a scope, where it has a place for it. What comes back says how long frames waited.
    fn load_into_engine(
        &self,
        state: &State,
        scope: &Scope,
        program: Option<Box<Program>>,
    ) -> Option<Future<'static, Duration>> {
        state.filter_place(scope).map(|place| self.plane.load_rules(place, scope.family, program))
    }

    async fn scope(self: &Arc<Self>, of: FilterOf) -> Result<Scope, Error> {
        let network = match &of.network {
            Some(reference) => Some(self.find_network(reference).await?),
            None => None,
        };
        Ok(Scope { network, family: of.family })
    }

    fn filter_object(&self, scope: &Scope) -> String {
        let name = scope.network.as_deref().map(|id| self.state().network_name(id));
        scope.object(name.as_deref())
    }

    fn named_row(&self, row: FilterRow, scope: &Scope) -> FilterRow {
        let state = self.state();
        let network = scope.network.as_deref().map(|id| state.network_name(id));
        FilterRow { network, active: state.filter_place(scope).is_some(), ..row }
    }
}

impl State {
    /// Where the engine keeps a scope's rules: for all networks (`None`) or in the network's bridge, if that is there.
    fn filter_place(&self, scope: &Scope) -> Option<Option<BridgeId>> {
        match &scope.network {
            None => Some(None),
            Some(network) => self.bridge_of(network).map(|bridge| Some(bridge.id)),
        }
    }

    /// Whether there are rules of a scope, if only some that cannot be read.
    fn has_rules(&self, scope: &Scope) -> bool {
        self.filters.contains_key(scope) || self.unread.contains(scope)
    }

    /// The rules that a scope's packets meet. Nothing passes those that cannot be read.
    fn rules_of(&self, scope: &Scope) -> Option<Arc<RuleSet>> {
        let unread = || self.unread.contains(scope).then(|| Arc::new(closed(scope.family)));
        self.filters.get(scope).cloned().or_else(unread)
    }

    fn behind(&self, scope: &Scope) -> Behind {
        Behind { policy: self.policy_of(scope), denied: self.denied.get(scope).cloned().unwrap_or_default() }
    }

    /// What becomes of packets within a network that no rule decides about.
    fn policy_of(&self, scope: &Scope) -> Policy {
        let network = scope.network.as_ref().and_then(|id| self.networks.get(id));
        network.map_or(Policy::Allow, |network| network.record.policy())
    }
}

/// The rules with other counters, if these are theirs.
fn counted(rules: Arc<RuleSet>, policy: Policy, counters: &[Counters]) -> Arc<RuleSet> {
    let mut fresh = RuleSet::clone(&rules);
    if policy == Policy::Allow {
        return if fresh.set_counters(counters) { Arc::new(fresh) } else { rules };
    }
    let Some(mut armed) = policy.arm(rules.family, Some(&rules), &[]) else { return rules };
    if !armed.set_counters(counters) {
        return rules;
    }
    fresh.take_counters(&armed);
    Arc::new(fresh)
}

/// What is said of a rule set, without the network's name.
fn row_of(scope: &Scope, rules: &RuleSet) -> FilterRow {
    let tables: Vec<_> = Table::ALL.into_iter().filter_map(|table| rules.table(table)).collect();
    let all = tables.iter().flat_map(|table| table.chains()).flat_map(|chain| &chain.rules);
    let (packets, bytes) = all.fold((0u64, 0u64), |(packets, bytes), rule| {
        (packets.saturating_add(rule.counters.packets), bytes.saturating_add(rule.counters.bytes))
    });
    FilterRow {
        network: None,
        family: crate::filter::family_name(scope.family).into(),
        tables: tables.iter().map(|table| table.table().name().to_owned()).collect(),
        rules: rules.len(),
        packets,
        bytes,
        active: false,
    }
}

/// Does what takes long on another thread.
async fn beside<T: Send + 'static>(object: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::failed(object, format!("it ended early: {error}")))
}

/// Frees what may be large on another thread.
fn discard<T: Send + 'static>(what: T) {
    drop(tokio::task::spawn_blocking(move || drop(what)));
}
