//! What can only be said of a whole table: that no chain leads back to itself, that no packet's way through its chains is
//! too long, and that no rule can be reached from a hook where the kernel does not take its match or target. A few walks
//! over all rules, whatever their number.

use super::chains::Building;
use super::{LoadError, Refusal, matches, targets};
use crate::rules::{ChainId, Hook, MAX_RULES, Match, Mss, Target};

/// Checks a table whose rules are all there.
pub(super) fn check(building: &Building) -> Result<(), LoadError> {
    let calls = calls(building);
    let order = sorted(building, &calls)?;
    bounded(building, &order)?;
    let mut reached: Vec<u8> = building.chains.iter().map(|chain| chain.hook.map_or(0, Hook::bit)).collect();
    for &chain in &order {
        for call in &calls[chain] {
            reached[call.to] |= reached[chain];
        }
    }
    for (chain, &hooks) in reached.iter().enumerate() {
        for placed in building.rules_of(chain) {
            let wrong = |word: &str, hook: Hook| {
                let name = &building.chains[chain].name;
                let reason = if building.chains[chain].hook.is_some() {
                    format!("it cannot stand in {name}")
                } else {
                    format!("it cannot be reached from {hook}, as chain {name} is")
                };
                Refusal::new(word, reason).at(placed.line)
            };
            if let Some((word, hook)) = misplaced(building, &placed.rule.target, &placed.rule.matches, hooks) {
                return Err(wrong(word, hook));
            }
        }
    }
    Ok(())
}

/// A jump or goto, and the line of the first rule that has it.
struct Call {
    to: usize,
    line: usize,
}

/// Which chains each chain calls, each once.
fn calls(building: &Building) -> Vec<Vec<Call>> {
    // The chain that has called this one last, so that a call is written down once.
    let mut seen = vec![usize::MAX; building.chains.len()];
    let each = (0..building.chains.len()).map(|chain| {
        let mut calls = Vec::new();
        for placed in building.rules_of(chain) {
            if let Target::Jump(ChainId(to)) | Target::Goto(ChainId(to)) = placed.rule.target {
                let to = to as usize;
                if std::mem::replace(&mut seen[to], chain) != chain {
                    calls.push(Call { to, line: placed.line });
                }
            }
        }
        calls
    });
    each.collect()
}

/// All chains, each before those that it calls; or the loop that makes that impossible.
fn sorted(building: &Building, calls: &[Vec<Call>]) -> Result<Vec<usize>, LoadError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; calls.len()];
    let mut done = Vec::with_capacity(calls.len());
    for start in 0..calls.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // Chains that are open, with how many of their calls have been followed. A stack of its own: chains may be deep.
        let mut path = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((chain, followed)) = path.last_mut() {
            let Some(call) = calls[*chain].get(*followed) else {
                marks[*chain] = Mark::Done;
                done.push(*chain);
                path.pop();
                continue;
            };
            *followed += 1;
            match marks[call.to] {
                Mark::Done => {}
                Mark::New => {
                    marks[call.to] = Mark::Open;
                    path.push((call.to, 0));
                }
                Mark::Open => {
                    let open: Vec<usize> = path.iter().map(|&(chain, _)| chain).collect();
                    return Err(looped(building, &open, call));
                }
            }
        }
    }
    done.reverse();
    Ok(done)
}

/// Chains of a loop that are named; the rest is left out.
const NAMED: usize = 8;

fn looped(building: &Building, path: &[usize], call: &Call) -> LoadError {
    let name = |&chain: &usize| &*building.chains[chain].name;
    let start = path.iter().position(|&chain| chain == call.to).unwrap_or(0);
    let mut names: Vec<&str> = path[start..].iter().take(NAMED).map(name).collect();
    if path.len() - start > NAMED {
        names.push("…");
    }
    names.push(name(&call.to));
    Refusal::new(name(&call.to), format_args!("the chains are a loop: {}", names.join(" > "))).at(call.line)
}

/// Rules that a packet may meet on its way through a chain and all that it calls. Forty chains of two rules, each calling
/// the next one twice, are a way of a million million.
const MAX_WAY: usize = 8 * MAX_RULES;

/// Refuses the rule that makes a chain's way too long. Every call counts in full, whether or not one packet can match all.
fn bounded(building: &Building, order: &[usize]) -> Result<(), LoadError> {
    let mut ways = vec![0_usize; building.chains.len()];
    for &chain in order.iter().rev() {
        for placed in building.rules_of(chain) {
            let called = match placed.rule.target {
                Target::Jump(ChainId(to)) | Target::Goto(ChainId(to)) => ways[to as usize],
                _ => 0,
            };
            ways[chain] += 1 + called;
            if ways[chain] > MAX_WAY {
                let name = &building.chains[chain].name;
                let reason = format!("a packet could meet more than {MAX_WAY} rules by way of this chain");
                return Err(Refusal::new(name, reason).at(placed.line));
            }
        }
    }
    Ok(())
}

/// What of a rule cannot be where it is, and a hook for which that is so.
fn misplaced<'r>(building: &Building, target: &Target, wanted: &'r [Match], hooks: u8) -> Option<(&'r str, Hook)> {
    let outside = |allowed: &[Hook]| {
        Hook::ALL.into_iter().find(|hook| hooks & hook.bit() != 0 && !allowed.is_empty() && !allowed.contains(hook))
    };
    for one in wanted {
        let (name, allowed): (&str, &[Hook]) = match one {
            Match::Mac(_) => ("mac", matches::named(building.family, "mac").map_or(&[], |found| found.hooks)),
            Match::AddrType(kinds) if kinds.limit_in => {
                ("--limit-iface-in", &[Hook::Prerouting, Hook::Input, Hook::Forward])
            }
            Match::AddrType(kinds) if kinds.limit_out => {
                ("--limit-iface-out", &[Hook::Forward, Hook::Output, Hook::Postrouting])
            }
            _ => continue,
        };
        if let Some(hook) = outside(allowed) {
            return Some((name, hook));
        }
    }
    let name = match target {
        Target::Reject(_) => "REJECT",
        Target::Dnat(_) => "DNAT",
        Target::Snat(_) => "SNAT",
        Target::Masquerade(_) => "MASQUERADE",
        Target::Redirect(_) => "REDIRECT",
        Target::Tcpmss(Mss::Clamp) => {
            return outside(&[Hook::Forward, Hook::Output, Hook::Postrouting])
                .map(|hook| ("--clamp-mss-to-pmtu", hook));
        }
        _ => return None,
    };
    let found = targets::named(building.family, name).ok().flatten()?;
    outside(found.hooks).map(|hook| (name, hook))
}
