//! Packet filters: texts are read and made ready beside the control thread, written down, and swapped in with one message
//! to the engine. A text that is refused changes nothing. One change at a time, and who holds its lock waits for no other.

mod restore;
mod rule;
mod scopes;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use axum::body::Bytes;
use nat::rules::{Counters, LoadError, Program, RuleSet, load_onto, save};
use switch::BridgeId;
use tokio::sync::MutexGuard;

use super::Control;
use super::state::State;
use crate::api::{Error, FilterOf, FilterRow, LoadHow, Rejected};
use crate::filter::{POLICY_CHAIN, Policy, Scope, StoredRules};
use crate::state::Change;

/// Rules that were made ready for the engine and the state file.
struct Ready {
    rules: Arc<RuleSet>,
    program: Box<Program>,
    change: Change,
}

impl Ready {
    fn of(scope: &Scope, policy: Policy, rules: RuleSet) -> Ready {
        let change = Change::filter(&StoredRules::of(scope, &rules));
        let armed = policy.arm(scope.family, Some(&rules)).unwrap_or_else(|| RuleSet::new(scope.family));
        Ready { program: Box::new(Program::new(armed)), rules: Arc::new(rules), change }
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
        let gate = self.filtering.lock().await;
        let base = self.rules_now(&gate, &scope).await?;
        let refused = |error| Rejected::Text { object: object.clone(), error };
        let policy = self.state().policy_of(&scope);
        let (place, base) = (scope.clone(), base.unwrap_or_else(|| Arc::new(RuleSet::new(scope.family))));
        let reading = move || {
            let rules = read(base, how, &text)?;
            Ok(if how.test { Err(row_of(&place, &rules)) } else { Ok(Ready::of(&place, policy, rules)) })
        };
        let ready = match beside(&object, reading).await?.map_err(refused)? {
            Ok(ready) => ready,
            Err(tested) => return Ok(self.named_row(tested, &scope)),
        };
        let rules = ready.rules.clone();
        self.put_filter(&gate, &scope, ready).await?;
        let text = format!("{} rules", rules.len());
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
        let _gate = self.filtering.lock().await;
        if !self.state().filters.contains_key(&scope) {
            return Ok(());
        }
        let written = self.disk.write(vec![Change::no_filter(&scope)]).await;
        written.map_err(|error| Error::failed(object.clone(), error.to_string()))?;
        let mut state = self.state();
        let before = state.filters.remove(&scope);
        let policy = state.policy_of(&scope).arm(scope.family, None).map(|rules| Box::new(Program::new(rules)));
        self.load_into_engine(&state, &scope, policy);
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

    /// Writes rules down and swaps them in. The caller holds the lock.
    async fn put_filter(&self, _: &MutexGuard<'_, ()>, scope: &Scope, ready: Ready) -> Result<(), Error> {
        let Ready { rules, program, change } = ready;
        let written = self.disk.write(vec![change]).await;
        written.map_err(|error| Error::failed(self.filter_object(scope), error.to_string()))?;
        let before = {
            let mut state = self.state();
            self.load_into_engine(&state, scope, Some(program));
            state.filters.insert(scope.clone(), rules)
        };
        discard(before);
        Ok(())
    }

    /// The rules of a scope with the counters of now. The caller holds the lock, so that counters and rules belong together.
    async fn rules_now(&self, _: &MutexGuard<'_, ()>, scope: &Scope) -> Result<Option<Arc<RuleSet>>, Error> {
        let (rules, place, policy) = {
            let state = self.state();
            let Some(rules) = state.filters.get(scope).cloned() else { return Ok(None) };
            (rules, state.filter_place(scope), state.policy_of(scope))
        };
        let Some(place) = place else { return Ok(Some(rules)) };
        let Some(counters) = self.plane.rule_counters(place, scope.family).await else { return Ok(Some(rules)) };
        beside(&self.filter_object(scope), move || Some(counted(rules, policy, &counters))).await
    }

    /// Replaces what the engine has for a scope, where it has a place for it.
    fn load_into_engine(&self, state: &State, scope: &Scope, program: Option<Box<Program>>) {
        if let Some(place) = state.filter_place(scope) {
            self.plane.load_rules(place, scope.family, program);
        }
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

    /// What becomes of packets within a network that no rule decides about.
    fn policy_of(&self, scope: &Scope) -> Policy {
        let network = scope.network.as_ref().and_then(|id| self.networks.get(id));
        network.map_or(Policy::Allow, |network| network.record.policy())
    }
}

/// Reads a text; what it does not name is kept.
fn read(base: Arc<RuleSet>, how: LoadHow, text: &[u8]) -> Result<RuleSet, LoadError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
        let rest = &text[at..];
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len()).min(60);
        let word = String::from_utf8_lossy(&rest[..end]).into_owned();
        LoadError { line, word, reason: "it is not UTF-8".into() }
    })?;
    refuse_policy(text)?;
    if how.noflush {
        let rules = load_onto(RuleSet::clone(&base), text, how.counters)?;
        return refuse_translation(text).map(|()| rules);
    }
    let fresh = load_onto(RuleSet::new(base.family), text, how.counters)?;
    refuse_translation(text)?;
    let mut rules = RuleSet::clone(&base);
    rules.replace(fresh);
    Ok(rules)
}

/// Refuses a chain of the name that the network's policy has in the engine.
fn refuse_policy(text: &str) -> Result<(), LoadError> {
    let names = |line: &str| {
        let word = line.trim().strip_prefix(':')?.split_whitespace().next()?;
        (word == POLICY_CHAIN).then(|| word.to_owned())
    };
    let found = text.lines().enumerate().find_map(|(number, line)| Some((number + 1, names(line)?)));
    found.map_or(Ok(()), |(line, word)| {
        let reason = "the chain of that name is the network's policy: see `vsctl network create --policy`";
        Err(LoadError { line, word, reason: reason.into() })
    })
}

/// Refuses rules in the chain INPUT of the table nat: the gateway answers whoever speaks to it by the source that it has.
fn refuse_translation(text: &str) -> Result<(), LoadError> {
    let mut nat = false;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        nat = line.strip_prefix('*').map_or(nat, |table| table == "nat");
        let mut words = line.split_ascii_whitespace().skip_while(|word| word.starts_with('['));
        if nat && words.next() == Some("-A") && words.next() == Some("INPUT") {
            let reason = "the chain INPUT of the table nat takes no rules: what is said to the gateway keeps its source; \
                          PREROUTING and POSTROUTING translate";
            return Err(LoadError { line: number + 1, word: "INPUT".into(), reason: reason.into() });
        }
    }
    Ok(())
}

/// The rules with other counters, if these are theirs.
fn counted(rules: Arc<RuleSet>, policy: Policy, counters: &[Counters]) -> Arc<RuleSet> {
    let mut fresh = RuleSet::clone(&rules);
    if policy == Policy::Allow {
        return if fresh.set_counters(counters) { Arc::new(fresh) } else { rules };
    }
    let Some(mut armed) = policy.arm(rules.family, Some(&rules)) else { return rules };
    if !armed.set_counters(counters) {
        return rules;
    }
    fresh.take_counters(&armed);
    Arc::new(fresh)
}

/// What is said of a rule set, without the network's name.
fn row_of(scope: &Scope, rules: &RuleSet) -> FilterRow {
    use nat::rules::Table;
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
