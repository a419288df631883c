//! Rules in words: the list, its changes, and names kept in step with who has them. A change is made in both families.

use std::sync::Arc;

use nat::rules::{Counters, Family, Hook, MAX_RULES, Rule, RuleSet, Table, save};
use tokio::sync::MutexGuard;

use super::{Ready, beside};
use crate::api::{AddRule, Error, FilterOf, RuleRow};
use crate::control::Control;
use crate::filter::{CHAIN, Entry, FAMILIES, Names, Policy, Scope, Unclear, Words, chain, entries, family_name};

/// Rules in words of one scope at the most.
const MOST: usize = 1024;
/// Rules of a text that are listed behind them, of each family.
const LISTED: usize = 1000;

/// Both families' rules of a network, or of all.
type Both = [Option<Arc<RuleSet>>; 2];

impl Control {
    /// `rule ls`: the list, and behind it what else a forwarded packet meets.
    ///
    /// # Errors
    /// 404 for an unknown network, 503 when the engine does not answer.
    pub async fn rules(self: &Arc<Self>, network: Option<String>) -> Result<Vec<RuleRow>, Error> {
        let network = self.scope(FilterOf { network, family: Family::Ipv4 }).await?.network;
        let gate = self.filtering.lock().await;
        let both = self.both(&gate, network.as_deref()).await?;
        let names = self.state().names(network.as_deref());
        let policy = self.policy_row(network).await;
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
                let remedy = "`vsctl rule move` changes its place";
                return Err(Error::conflict("rule", format!("it is there already, as number {}", at + 1), remedy));
            }
            if list.len() >= MOST {
                let remedy = "use subnets, or `vsctl filter load`";
                return Err(Error::conflict("rule", format!("there are {MOST} already"), remedy));
            }
            let at = place.unwrap_or(list.len() + 1);
            within(at, list.len() + 1)?;
            list.insert(at - 1, entry);
            Ok(format!("{words} is number {at}"))
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
            Ok(format!("number {at} is removed"))
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
            Ok(format!("number {at} is number {to}"))
        })
        .await
    }

    /// Changes the list, and with it both families' chains.
    async fn change(
        self: &Arc<Self>,
        network: Option<String>,
        how: impl FnOnce(&mut Vec<Entry>) -> Result<String, Error> + Send + 'static,
    ) -> Result<(), Error> {
        let scope = self.scope(FilterOf { network, family: Family::Ipv4 }).await?;
        let gate = self.filtering.lock().await;
        let both = self.both(&gate, scope.network.as_deref()).await?;
        let names = self.state().names(scope.network.as_deref());
        let (network, object) = (scope.network.clone(), self.filter_object(&scope));
        let policy = self.state().policy_of(&scope);
        let making = move || {
            let mut list = entries(both.each_ref().map(Option::as_deref));
            let told = how(&mut list)?;
            Ok::<_, Error>((made(&network, policy, &both, &list, &names)?, told))
        };
        let (ready, told) = beside(&object, making).await??;
        self.put_all(&gate, ready).await?;
        self.state().event("rule_changed", object.replacen("IPv4 ", "", 1), told);
        Ok(())
    }

    /// Swaps in all families that changed.
    async fn put_all(&self, gate: &MutexGuard<'_, ()>, ready: Vec<(Scope, Ready)>) -> Result<(), Error> {
        for (scope, ready) in ready {
            self.put_filter(gate, &scope, ready).await?;
        }
        Ok(())
    }

    async fn both(&self, gate: &MutexGuard<'_, ()>, network: Option<&str>) -> Result<Both, Error> {
        let scope = |family| Scope { network: network.map(str::to_owned), family };
        let [v4, v6] = FAMILIES;
        Ok([self.rules_now(gate, &scope(v4)).await?, self.rules_now(gate, &scope(v6)).await?])
    }

    /// Somebody has come or gone: names of rules may mean other addresses. Done when the engine has them.
    ///
    /// # Errors
    /// 409 when that would be too many rules, 503 when the disk does not take them; other networks' are made all the same.
    pub(in crate::control) async fn follow_names(&self) -> Result<(), Error> {
        if !self.state().has_words() {
            return Ok(());
        }
        let gate = self.filtering.lock().await;
        let networks: Vec<Option<String>> = {
            let state = self.state();
            let mut networks: Vec<_> = state.filters.keys().map(|scope| scope.network.clone()).collect();
            networks.dedup();
            networks
        };
        let mut outcome = Ok(());
        for network in networks {
            if let Err(error) = self.follow_in(&gate, network).await {
                self.warn("rules", error.error.clone());
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn follow_in(&self, gate: &MutexGuard<'_, ()>, network: Option<String>) -> Result<(), Error> {
        let both = self.both(gate, network.as_deref()).await?;
        let names = self.state().names(network.as_deref());
        let policy = self.state().policy_of(&Scope { network: network.clone(), family: Family::Ipv4 });
        let making = move || {
            let list = entries(both.each_ref().map(Option::as_deref));
            let named = list.iter().any(|entry| matches!(entry, Entry::Words(words) if words.names().next().is_some()));
            if named { made(&network, policy, &both, &list, &names) } else { Ok(Vec::new()) }
        };
        let ready = beside("rules", making).await??;
        self.put_all(gate, ready).await
    }

    /// Follows who comes and goes, on this host and others.
    pub(in crate::control) async fn keep_names(self: Arc<Self>) {
        loop {
            self.renamed.notified().await;
            // What went wrong is a warning already.
            let _ = self.follow_names().await;
        }
    }
}

impl crate::control::state::State {
    /// Whether there is any rule in words.
    fn has_words(&self) -> bool {
        self.filters.values().any(|rules| !rules.rules_of(Table::Filter, CHAIN).is_empty())
    }

    /// Who is called what in a network, or in all: endpoints of this host, those that are about to be attached, and those
    /// of other hosts.
    fn names(&self, network: Option<&str>) -> Names {
        let mut names = Names::default();
        let wanted = |id: &str| network.is_none_or(|network| network == id);
        let here = self.endpoints.values().map(|endpoint| &endpoint.stored);
        for stored in here.chain(self.arriving.values()).filter(|stored| wanted(&stored.network)) {
            names.insert(&stored.record);
        }
        for network in self.networks.values().filter(|network| wanted(&network.record.id)) {
            let rows = network.bridge.iter().flat_map(|bridge| bridge.remote.rows().values());
            rows.flat_map(|row| &row.record.endpoints).for_each(|record| names.insert(record));
        }
        names
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

/// Both families' rules with the list in their chains, where that changes anything.
fn made(
    network: &Option<String>,
    policy: Policy,
    both: &Both,
    list: &[Entry],
    names: &Names,
) -> Result<Vec<(Scope, Ready)>, Error> {
    let mut all = Vec::new();
    for (family, known) in FAMILIES.into_iter().zip(both) {
        let mut rules = known.as_deref().cloned().unwrap_or_else(|| RuleSet::new(family));
        let before = rules.rules_of(Table::Filter, CHAIN);
        let after = chain(list, family, before, |name| names.addresses(name));
        let after = after.map_err(|Unclear { why, remedy }| Error::conflict("rule", why, remedy))?;
        let like = |(a, b): (&Rule, &Rule)| a.is_like(b);
        if before.len() == after.len() && before.iter().zip(&after).all(like) {
            continue;
        }
        rules.put_chain(Table::Filter, Hook::Forward, CHAIN, after);
        if rules.len() > MAX_RULES {
            return Err(Error::conflict("rule", format!("more than {MAX_RULES} rules"), "use subnets"));
        }
        let scope = Scope { network: network.clone(), family };
        let ready = Ready::of(&scope, policy, rules);
        all.push((scope, ready));
    }
    Ok(all)
}

fn listed(both: &Both, names: &Names) -> Vec<RuleRow> {
    let list = entries(both.each_ref().map(Option::as_deref));
    // Each rule of the chains, and its text.
    let chains = both.each_ref().map(|rules| match rules.as_deref() {
        Some(rules) => rules.rules_of(Table::Filter, CHAIN).iter().cloned().zip(lines(rules, CHAIN)).collect(),
        None => Vec::new(),
    });
    let row = |(at, entry): (usize, &Entry)| {
        let mine = |rule: &&Rule| match entry {
            Entry::Words(words) => Words::behind(rule).as_ref() == Some(words),
            Entry::Text(_, own) => **rule == **own,
        };
        let mut row = RuleRow {
            position: Some(at + 1),
            families: Vec::new(),
            rule: String::new(),
            unknown: Vec::new(),
            packets: 0,
            bytes: 0,
        };
        for (family, rules) in FAMILIES.into_iter().zip(both) {
            let rules = rules.as_deref().map(|rules| rules.rules_of(Table::Filter, CHAIN)).unwrap_or_default();
            let of_it = rules.iter().filter(mine).filter(|rule| rule.target != nat::rules::Target::Continue);
            let of_it: Vec<&Rule> = of_it.collect();
            row.packets += of_it.iter().map(|rule| rule.counters.packets).sum::<u64>();
            row.bytes += of_it.iter().map(|rule| rule.counters.bytes).sum::<u64>();
            if !of_it.is_empty() {
                row.families.push(family_name(family).into());
            }
        }
        match entry {
            Entry::Words(words) => {
                row.rule = words.to_string();
                let unknown = words.names().filter(|name| names.addresses(name).is_empty());
                row.unknown = unknown.map(str::to_owned).collect();
            }
            Entry::Text(family, rule) => {
                row.families = vec![family_name(*family).into()];
                let known = chains.iter().flatten().find(|(known, _)| known == &**rule);
                row.rule = known.map(|(_, text)| text.clone()).unwrap_or_default();
            }
        }
        row
    };
    let mut rows: Vec<RuleRow> = list.iter().enumerate().map(row).collect();
    for (family, rules) in FAMILIES.into_iter().zip(both) {
        let Some(rules) = rules.as_deref() else { continue };
        let forward = rules.rules_of(Table::Filter, Hook::Forward.name());
        let texts = lines(rules, Hook::Forward.name());
        let jump = format!("-A {} -j {CHAIN}", Hook::Forward);
        let behind = texts.into_iter().zip(forward).filter(|(text, _)| *text != jump).take(LISTED);
        rows.extend(behind.map(|(rule, known)| RuleRow {
            position: None,
            families: vec![family_name(family).into()],
            rule,
            unknown: Vec::new(),
            packets: known.counters.packets,
            bytes: known.counters.bytes,
        }));
    }
    rows
}

/// The rules of a chain of the table filter, as they are saved.
fn lines(rules: &RuleSet, chain: &str) -> Vec<String> {
    let (text, start) = (save(rules, false), format!("-A {chain} "));
    let table = text.lines().skip_while(|line| *line != "*filter");
    table.take_while(|line| *line != "COMMIT").filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
}
