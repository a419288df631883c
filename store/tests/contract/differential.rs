//! Random transactions on the file and on Consul: both take the same ones and end up with the same rows.

use std::collections::BTreeMap;

use store::{Error, Op, Store};

use crate::{TTL, agent, open};

/// A small generator of its own, so that a failure repeats (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Versions and sessions differ between stores: a plan names them by what they mean.
#[derive(Clone, Copy, Debug)]
struct Plan {
    verb: u64,
    key: u64,
    value: u64,
    /// The row's current version, or a wrong one.
    current: bool,
    session: usize,
}

fn op(plan: Plan, versions: &BTreeMap<String, u64>, sessions: &[String]) -> Op {
    let key = format!("d/{}", plan.key);
    let value = plan.value.to_string().into_bytes();
    let known = versions.get(&key).copied().unwrap_or(1);
    let version = if plan.current { known } else { known + 1_000_000 };
    let session = sessions[plan.session].clone();
    match plan.verb {
        0 => Op::Create { key, value },
        1 => Op::Put { key, value },
        2 => Op::Replace { key, value, version },
        3 => Op::Publish { key, value, session },
        4 => Op::Delete { key },
        5 => Op::DeleteIf { key, version },
        6 => Op::Expect { key, version: None },
        _ => Op::Expect { key, version: Some(version) },
    }
}

/// What both must agree on: the outcome, and each row's value and owner.
async fn step(store: &dyn Store, plans: &[Plan], sessions: &[String]) -> String {
    let before = store.snapshot("d/").await.unwrap().rows;
    let versions = before.into_iter().map(|(key, row)| (key, row.version)).collect();
    let ops = plans.iter().map(|plan| op(*plan, &versions, sessions)).collect();
    let outcome = match store.transact(ops).await {
        Ok(()) => "ok".to_owned(),
        Err(Error::Conflict { key, .. }) => format!("conflict at {key}"),
        Err(error) => panic!("{plans:?}: {error}"),
    };
    let rows = store.snapshot("d/").await.unwrap().rows;
    let rows: Vec<_> = rows
        .into_values()
        .map(|row| {
            let owner = row.session.and_then(|id| sessions.iter().position(|s| *s == id));
            (row.key, String::from_utf8(row.value).unwrap(), owner)
        })
        .collect();
    format!("{outcome} {rows:?}")
}

#[tokio::test]
async fn file_and_consul_agree_on_random_transactions() {
    let Some(agent) = agent::Agent::start(&[]).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let stores =
        [open(&agent.url("differential")).await, open(&format!("file://{}/d.redb", folder.path().display())).await];
    let mut sessions = [Vec::new(), Vec::new()];
    for (store, sessions) in stores.iter().zip(&mut sessions) {
        for _ in 0..2 {
            sessions.push(store.open_session("d", TTL * 100).await.unwrap());
        }
    }
    let mut dice = Dice(2);
    let mut taken = 0;
    for round in 0..400 {
        let plans: Vec<_> = (0..=dice.roll(3))
            .map(|_| Plan {
                verb: dice.roll(8),
                key: dice.roll(5),
                value: dice.roll(3),
                current: dice.roll(5) > 0,
                session: usize::from(dice.roll(2) == 1),
            })
            .collect();
        let consul = step(&*stores[0], &plans, &sessions[0]).await;
        let file = step(&*stores[1], &plans, &sessions[1]).await;
        assert_eq!(consul, file, "round {round}: {plans:?}");
        taken += usize::from(consul.starts_with("ok"));
    }
    assert!((100..390).contains(&taken), "{taken} were taken: the dice are no good");
}
