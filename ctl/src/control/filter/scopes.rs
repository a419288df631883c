//! Networks come and go, and their bridges with them: rules are in the engine before the first frame can pass, keep their
//! counters while the network is not in use here, and end with the network.

use std::sync::Arc;

use nat::rules::{Family, Program};

use super::{beside, discard};
use crate::api::Error;
use crate::control::Control;
use crate::filter::{Policy, Scope, StoredRules};
use crate::state::Change;

fn scopes(network: &str) -> [Scope; 2] {
    [Family::Ipv4, Family::Ipv6].map(|family| Scope { network: Some(network.to_owned()), family })
}

impl Control {
    /// The network's bridge is there: its rules go into it.
    ///
    /// # Errors
    /// 503: it has not all of them, and nobody may enter it.
    pub(in crate::control) async fn arm_bridge(&self, network: &str) -> Result<(), Error> {
        if !self.is_judged(network) {
            return Ok(());
        }
        let _gate = self.filtering.lock().await;
        for scope in scopes(network) {
            let (rules, behind, family) = {
                let state = self.state();
                (state.rules_of(&scope), state.behind(&scope), scope.family)
            };
            let program = move || behind.arm(family, rules.as_deref()).map(|armed| Box::new(Program::new(armed)));
            if let Some(program) = beside(&self.filter_object(&scope), program).await? {
                drop(self.load_into_engine(&self.state(), &scope, Some(program)));
            }
        }
        Ok(())
    }

    /// The network's bridge is about to go: what its rules have counted is kept.
    pub(in crate::control) async fn disarm_bridge(&self, network: &str) {
        if !self.is_judged(network) {
            return;
        }
        let gate = self.filtering.lock().await;
        for scope in scopes(network) {
            // An engine that does not answer has no counters any more.
            if let Ok(Some(rules)) = self.rules_now(&gate, &scope).await {
                let before = self.state().filters.insert(scope, rules);
                discard(before);
            }
        }
    }

    /// The network is gone, and its rules with it.
    pub(in crate::control) async fn forget_filters(self: &Arc<Self>, network: &str) {
        // First the lock: rules may be on their way to a network that was there when they came.
        let _gate = self.filtering.lock().await;
        let before: Vec<_> = {
            let mut state = self.state();
            let known = scopes(network).iter().any(|scope| state.has_rules(scope));
            state.denied.retain(|scope, _| scope.network.as_deref() != Some(network));
            if !known {
                return;
            }
            state.unread.retain(|scope| scope.network.as_deref() != Some(network));
            scopes(network).iter().filter_map(|scope| state.filters.remove(scope)).collect()
        };
        discard(before);
        self.remember(scopes(network).iter().map(Change::no_filter).collect()).await;
    }

    /// The daemon ends in order: what rules have counted is written down.
    pub(in crate::control) async fn keep_counters(&self) {
        let gate = self.filtering.lock().await;
        let scopes: Vec<Scope> = self.state().filters.keys().cloned().collect();
        for scope in scopes {
            // An engine that does not answer has no counters any more.
            let Ok(Some(rules)) = self.rules_now(&gate, &scope).await else { continue };
            let place = scope.clone();
            match beside("filter", move || Change::filter(&StoredRules::of(&place, &rules))).await {
                Ok(change) => self.remember(vec![change]).await,
                Err(error) => self.warn("filter", error.error),
            }
        }
    }

    /// Whether anything judges what passes within a network.
    fn is_judged(&self, network: &str) -> bool {
        let state = self.state();
        scopes(network).iter().any(|scope| state.has_rules(scope) || state.policy_of(scope) == Policy::Deny)
    }
}
