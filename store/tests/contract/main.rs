//! Every promise of the `Store` trait, kept by the file and by a real Consul; then what is particular to each.
//! Consul is found on PATH. Without it these tests fail, unless VSWITCH_SKIP_CONSUL=1 says that this is known.

mod agent;
mod consul;
mod differential;
mod file;
mod hostile;
mod sessions;
mod transactions;
mod watches;
mod young_leader;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use store::{Error, Op, Options, Store};

/// A session's time to live in tests; the agents are told to allow it.
const TTL: Duration = Duration::from_secs(2);

/// Longest time anything that must happen may take.
const SOON: Duration = Duration::from_secs(15);

/// Runs each case on a store of its own, all at once.
macro_rules! run_all {
    ($open:expr) => {{
        let mut cases = tokio::task::JoinSet::new();
        run_all!(cases, $open, transactions: [
            values_are_bytes, compare_and_set, one_of_twenty_creates_wins, all_or_nothing,
            deletions_and_expectations, same_value_is_no_change, limits_are_refused, wrong_keys_are_refused,
            prefixes_are_folders_or_keys
        ]);
        run_all!(cases, $open, sessions: [
            rows_vanish_when_a_session_is_closed, rows_vanish_when_a_session_is_not_renewed,
            a_renewed_session_stays, unknown_sessions_are_lost, another_sessions_row_is_not_taken,
            owned_rows_keep_their_owner
        ]);
        run_all!(cases, $open, watches: [
            an_empty_prefix_wakes_on_create, a_watch_wakes_on_delete, a_single_key_is_watched,
            no_revision_returns_at_once, a_session_end_wakes, many_watches_do_not_starve_others
        ]);
        while let Some(done) = cases.join_next().await {
            if let Err(e) = done {
                std::panic::resume_unwind(e.into_panic());
            }
        }
    }};
    ($cases:ident, $open:expr, $module:ident: [$($case:ident),*]) => {
        $({
            let store = $open(stringify!($case)).await;
            $cases.spawn(async move { $module::$case(store).await });
        })*
    };
}

#[tokio::test]
async fn the_file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |case: &str| {
        let url = format!("file://{}/{case}.redb", folder.path().display());
        open(&url).await
    };
    run_all!(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consul_keeps_the_contract() {
    let Some(agent) = agent::Agent::start(&[]).await else {
        return;
    };
    let open = async |case: &str| open(&agent.url(&format!("test/{case}"))).await;
    run_all!(open);
}

async fn open(url: &str) -> Arc<dyn Store> {
    open_with(url, Options::default()).await.unwrap()
}

async fn open_with(url: &str, options: Options) -> Result<Arc<dyn Store>, Error> {
    store::open(url, Path::new("/nonexistent"), options).await
}

fn create(key: &str, value: &str) -> Op {
    Op::Create { key: key.to_owned(), value: value.into() }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put { key: key.to_owned(), value: value.into() }
}

fn delete(key: &str) -> Op {
    Op::Delete { key: key.to_owned() }
}

fn publish(key: &str, value: &str, session: &str) -> Op {
    Op::Publish { key: key.to_owned(), value: value.into(), session: session.to_owned() }
}

/// The version of a row that must be there.
async fn version(store: &dyn Store, key: &str) -> u64 {
    store.snapshot(key).await.unwrap().rows[key].version
}

/// All keys, in order.
async fn keys(store: &dyn Store) -> Vec<String> {
    let snapshot = store.snapshot("").await.unwrap();
    snapshot.rows.into_keys().collect()
}

/// The key of a conflict.
fn conflict(result: Result<(), Error>) -> String {
    match result {
        Err(Error::Conflict { key, why }) => {
            assert!(!why.is_empty());
            key
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Watches until the keys below a prefix are these.
async fn wait_for_keys(store: &dyn Store, prefix: &str, mut revision: u64, expected: &[&str]) {
    tokio::time::timeout(SOON, async {
        loop {
            let snapshot = store.watch(prefix, revision).await.unwrap();
            if snapshot.rows.keys().eq(expected) {
                return;
            }
            revision = snapshot.revision;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("below {prefix:?} the keys never were {expected:?}"));
}
