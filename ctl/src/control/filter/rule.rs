//! Rules in words: the list and its changes. A change is made in both families in one step.

use std::sync::Arc;

use nat::rules::{Counters, Family, Hook, MAX_RULES, RuleSet, Table};
use tokio::sync::MutexGuard;

use super::listed::listed;
use super::{Behind, Ready, beside};
use crate::api::{AddRule, Error, FilterOf, RuleRow};
use crate::control::Control;
use crate::filter::{
    CHAIN, Entry, FAMILIES, Names, Policy, Scope, Unclear, Words, alike, chain, entries, family_name, words_of,
};

/// Rules in words of one scope at the most.
const MOST: usize = 1024;

/// Both families' rules of a network, or of all.
pub(super) type Both = [Option<Arc<RuleSet>>; 2];

impl Control {
    /// `rule ls`: the list, and behind it what else a forwarded packet meets.
    ///
    /// # Errors
    /// 404 for an unknown network, 503 when the engine does not answer.
    pub async fn rules(self: &Arc<Self>, network: Option<String>) -> Result<Vec<RuleRow>, Error> {
        let network = self.scope(FilterOf { network, family: Family::Ipv4 }).await?.network;
        let gate = self.filtering.lock().await;
        let both = self.both(&gate, network.as_deref()).await?;
        let names = self.state().names(network.as_deref(), None);
        let policy = self.policy_row(network).await;
        // Who attaches waits for the lock.
        drop(gate);
        let mut rows = beside("rules", move || listed(&both, &names)).await?;
        rows.extend(policy);
        Ok(rows)
    }

    /// The policy of a network that denies, as the last of its rules.
    async fn policy_row(&self, network: Option<String>) -> Option<RuleRow> {
        let mut all = Counters::default();
        for family in FAMILIES {
            let place = {
                let state = self.state();
                let scope = Scope { network: network.clone(), family };
                if state.policy_of(&scope) == Policy::Allow {
                    return None;
                }
                state.filter_place(&scope)
            };
            // What is denied is the last thing that the engine counts.
            let Some(place) = place else { continue };
            let counters = self.plane.rule_counters(place, family).await.unwrap_or_default();
            let last = counters.last().copied().unwrap_or_default();
            all.packets += last.packets;
            all.bytes += last.bytes;
        }
        Some(RuleRow {
            position: None,
            families: FAMILIES.map(|family| family_name(family).to_owned()).to_vec(),
            rule: format!("policy: {}", Policy::Deny.text()),
            unknown: Vec::new(),
            packets: all.packets,
            bytes: all.bytes,
        })
    }

    /// `rule add`.
    ///
    /// # Errors
    /// 400 for words that mean nothing, 404 for an unknown network, 409 when it is there already or there are too many.
    pub async fn add_rule(self: &Arc<Self>, ask: AddRule) -> Result<RuleRow, Error> {
        let refused = |Unclear { why, remedy }: Unclear| Error::invalid("rule", why, remedy);
        let act = ask.action.parse().map_err(refused)?;
        let any = |who: &Option<String>| who.clone().unwrap_or_else(|| "any".into());
        let words = Words::of(&any(&ask.from), &any(&ask.to), ask.proto.as_deref(), ask.dport.as_deref(), act);
        let words = words.map_err(refused)?;
        let (entry, text) = (Entry::Words(words.clone()), words.to_string());
        let place = ask.position;
        self.change(ask.network.clone(), move |list| {
            if let Some(at) = list.iter().position(|known| *known == entry) {
                let remedy = "`vsctl rule move` changes its place, `vsctl rule rm` takes it out";
                return Err(Error::conflict("rule", format!("it is there already, as number {}", at + 1), remedy));
            }
            if list.len() >= MOST {
                let remedy = "use subnets, or `vsctl filter load`";
                return Err(Error::conflict("rule", format!("there are {MOST} already"), remedy));
            }
            let at = place.unwrap_or(list.len() + 1);
            within(at, list.len() + 1)?;
            list.insert(at - 1, entry);
            Ok((format!("{words} is number {at}"), Some(words)))
        })
        .await?;
        let row = self.rules(ask.network).await?.into_iter().find(|row| row.position.is_some() && row.rule == text);
        row.ok_or_else(|| Error::failed("rule", "it was removed at the same moment"))
    }

    /// `rule rm`.
    ///
    /// # Errors
    /// 400 when there is no such rule, 404 for an unknown network.
    pub async fn remove_rule(self: &Arc<Self>, network: Option<String>, at: usize) -> Result<(), Error> {
        self.change(network, move |list| {
            within(at, list.len())?;
            list.remove(at - 1);
            Ok((format!("number {at} is removed"), None))
        })
        .await
    }

    /// `rule move`.
    ///
    /// # Errors
    /// 400 when there is no such rule or place, 404 for an unknown network.
    pub async fn move_rule(self: &Arc<Self>, network: Option<String>, at: usize, to: usize) -> Result<(), Error> {
        self.change(network, move |list| {
            within(at, list.len())?;
            within(to, list.len())?;
            let entry = list.remove(at - 1);
            list.insert(to - 1, entry);
            Ok((format!("number {at} is number {to}"), None))
        })
        .await
    }

    /// Changes the list, and with it both families' chains. What was added, if anything, is in both; other words stay in
    /// the families that have them.
    async fn change(
        self: &Arc<Self>,
        network: Option<String>,
        how: impl FnOnce(&mut Vec<Entry>) -> Result<(String, Option<Words>), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let scope = self.scope(FilterOf { network, family: Family::Ipv4 }).await?;
        let gate = self.hold(&scope).await?;
        let scopes = FAMILIES.map(|family| Scope { network: scope.network.clone(), family });
        if let Some(unread) = scopes.iter().find(|scope| self.state().unread.contains(scope)) {
            let remedy = "`vsctl filter load` the rules again, or `vsctl filter flush`";
            return Err(Error::conflict(self.filter_object(unread), "its rules cannot be read", remedy));
        }
        let both = self.both(&gate, scope.network.as_deref()).await?;
        let (names, behind) = {
            let state = self.state();
            (state.names(scope.network.as_deref(), None), scopes.each_ref().map(|scope| state.behind(scope)))
        };
        let object = self.filter_object(&scope);
        let making = move || {
            let mut list = entries(both.each_ref().map(Option::as_deref));
            let (told, fresh) = how(&mut list)?;
            let mut ready = Vec::new();
            for ((scope, known), behind) in scopes.iter().zip(&both).zip(&behind) {
                ready.extend(made(scope, behind, known.as_deref(), &list, fresh.as_ref(), &names)?);
            }
            Ok::<_, Error>((ready, told))
        };
        let (ready, told) = beside(&object, making).await??;
        self.put_all(&gate, ready).await?;
        self.state().event("rule_changed", object.replacen("IPv4 ", "", 1), told);
        Ok(())
    }

    pub(super) async fn both(&self, gate: &MutexGuard<'_, ()>, network: Option<&str>) -> Result<Both, Error> {
        let scope = |family| Scope { network: network.map(str::to_owned), family };
        let [v4, v6] = FAMILIES;
        Ok([self.rules_now(gate, &scope(v4)).await?, self.rules_now(gate, &scope(v6)).await?])
    }
}

/// A number that a rule has, or may get.
fn within(at: usize, last: usize) -> Result<(), Error> {
    if (1..=last).contains(&at) {
        return Ok(());
    }
    let why = if last == 0 { "there is none".into() } else { format!("{at} is not between 1 and {last}") };
    Err(Error::invalid("rule", why, "see `vsctl rule ls`"))
}

/// The rules of one family with the list in their chain, where that changes anything.
fn made(
    scope: &Scope,
    behind: &Behind,
    known: Option<&RuleSet>,
    list: &[Entry],
    fresh: Option<&Words>,
    names: &Names,
) -> Result<Option<Ready>, Error> {
    let mut rules = known.cloned().unwrap_or_else(|| RuleSet::new(scope.family));
    let before = rules.rules_of(Table::Filter, CHAIN);
    let has = words_of(before);
    let keeps = |words: &Words| fresh == Some(words) || has.contains(words);
    let after = chain(list, scope.family, before, keeps, |name| names.addresses(name)).map_err(too_many)?;
    if alike(before, &after) {
        return Ok(None);
    }
    rules.put_chain(Table::Filter, Hook::Forward, CHAIN, after);
    ready(scope, behind, rules).map(Some)
}

/// Rules that were made of words.
pub(super) fn ready(scope: &Scope, behind: &Behind, rules: RuleSet) -> Result<Ready, Error> {
    if rules.len() > MAX_RULES {
        return Err(Error::conflict("rule", format!("more than {MAX_RULES} rules"), "use subnets"));
    }
    let remedy = "`vsctl filter load` other rules";
    Ready::of(scope, behind, rules).map_err(|error| Error::conflict("rule", error.to_string(), remedy))
}

pub(super) fn too_many(Unclear { why, remedy }: Unclear) -> Error {
    Error::conflict("rule", why, remedy)
}
