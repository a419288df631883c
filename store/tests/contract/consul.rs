//! What is particular to a real Consul: it dies and comes back, is wiped, asks for tokens and certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use store::{Error, Options, Store};

use crate::agent::Agent;
use crate::{SOON, TTL, create, keys, open, open_with, publish, put, wait_for_keys};

/// Tries until the store is reached again.
async fn when_back<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let end = Instant::now() + SOON;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => {
                assert!(error.is_temporary() && Instant::now() < end, "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_restart_is_unreachable_and_then_goes_on() {
    let Some(mut agent) = Agent::start_with_data().await else {
        return;
    };
    let store = open(&agent.url("p")).await;
    assert!(store.shared());
    assert_eq!(store.describe(), agent.url("p"));
    store.transact(vec![create("a/x", "1")]).await.unwrap();
    let before = store.snapshot("a/").await.unwrap();
    let watcher = {
        let (store, revision) = (Arc::clone(&store), before.revision);
        tokio::spawn(async move { store.watch("a/", revision).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent.kill();
    let ended = tokio::time::timeout(SOON, watcher).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Unreachable { .. })), "{ended:?}");
    let started = Instant::now();
    for result in [
        store.transact(vec![put("a/y", "2")]).await,
        store.snapshot("a/").await.map(drop),
        store.watch("a/", before.revision).await.map(drop),
        store.open_session("h", TTL).await.map(drop),
        store.renew_session("6a0f3c2e-1111-2222-3333-444455556666").await,
    ] {
        assert!(result.as_ref().is_err_and(Error::is_temporary), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "a dead server is noticed at once");
    agent.restart().await;
    let after = when_back(async || store.watch("a/", before.revision).await).await;
    assert_eq!(after.rows, before.rows);
    when_back(async || store.transact(vec![put("a/y", "2")]).await).await;
    wait_for_keys(&*store, "a/", after.revision, &["a/x", "a/y"]).await;
}

/// A leader answers before it has applied its log: then the first rows are there and the last ones are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_never_shows_less_than_it_had() {
    let Some(mut agent) = Agent::start_with_data().await else {
        return;
    };
    let store = open(&agent.url("p")).await;
    let session = store.open_session("h", TTL * 50).await.unwrap();
    store.transact(vec![publish("a/first", "1", &session)]).await.unwrap();
    for i in 0..300 {
        store.transact(vec![put("other", &i.to_string())]).await.unwrap();
    }
    store.transact(vec![publish("a/last", "1", &session)]).await.unwrap();
    let before = store.snapshot("a/").await.unwrap();
    for _ in 0..2 {
        agent.kill();
        let back = Arc::new(AtomicBool::new(false));
        let mut readers = tokio::task::JoinSet::new();
        for reader in 0..6 {
            // Each with a store of its own: a new one has no pace yet.
            let (url, back, before, session) = (agent.url("p"), back.clone(), before.clone(), session.clone());
            readers.spawn(async move {
                let mut answers = 0;
                while !back.load(Ordering::Relaxed) || answers == 0 {
                    let store = open(&url).await;
                    let read = match reader % 3 {
                        0 => store.snapshot("a/").await,
                        1 => store.watch("a/", 0).await,
                        _ => store.renew_session(&session).await.map(|()| before.clone()),
                    };
                    match read {
                        Ok(read) => {
                            assert_eq!(read.rows, before.rows);
                            answers += 1;
                        }
                        Err(error) => assert!(error.is_temporary(), "{error}"),
                    }
                }
            });
        }
        agent.restart().await;
        back.store(true, Ordering::Relaxed);
        while let Some(read) = readers.join_next().await {
            read.unwrap();
        }
    }
}

#[tokio::test]
async fn an_emptied_server_is_noticed_though_its_index_is_lower() {
    let Some(mut agent) = Agent::start_with_data().await else {
        return;
    };
    let store = open(&agent.url("p")).await;
    for i in 0..200 {
        store.transact(vec![put("a/x", &i.to_string())]).await.unwrap();
    }
    let revision = store.snapshot("a/").await.unwrap().revision;
    agent.kill();
    assert!(store.watch("a/", revision).await.is_err());
    std::fs::remove_dir_all(agent.folder.path().join("data")).unwrap();
    agent.restart().await;
    let started = Instant::now();
    let after = when_back(async || store.watch("a/", revision).await).await;
    assert!(after.rows.is_empty() && after.revision < revision);
    assert!(started.elapsed() < SOON);
    when_back(async || store.transact(vec![create("a/z", "1")]).await).await;
    wait_for_keys(&*store, "a/", after.revision, &["a/z"]).await;
}

#[tokio::test]
async fn a_recursive_delete_wakes() {
    let Some(agent) = Agent::start(&[]).await else {
        return;
    };
    let store = open(&agent.url("p")).await;
    let session = store.open_session("h", TTL * 50).await.unwrap();
    let ops = vec![create("a/x", "1"), create("a/y", "1"), publish("a/z", "1", &session)];
    store.transact(ops).await.unwrap();
    let before = store.snapshot("a/").await.unwrap();
    assert_eq!(before.rows.len(), 3);
    let watching = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { wait_for_keys(&*store, "a/", before.revision, &[]).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    agent.consul(&["kv", "delete", "-recurse", "p"]);
    watching.await.unwrap();
    // The session is still there, and its rows come back under it.
    store.transact(vec![publish("a/z", "1", &session)]).await.unwrap();
}

#[tokio::test]
async fn malformed_rows_are_left_out_one_by_one() {
    let Some(agent) = Agent::start(&[]).await else {
        return;
    };
    let store = open(&agent.url("p")).await;
    agent.put("p/good", b"1".to_vec()).await;
    agent.put("p/bytes", vec![0xff, 0xfe]).await;
    agent.put("p/empty", Vec::new()).await;
    for path in ["p/a%20b", "p/folder/", "p/a:b", "p/%C3%A4", "p/%2e%2e%2fx", "px", "p"] {
        agent.put(path, b"bad".to_vec()).await;
    }
    agent.put("p/too-long", vec![1; store::MAX_VALUE + 1]).await;
    assert_eq!(keys(&*store).await, ["bytes", "empty", "good"]);
    assert_eq!(store.watch("", 0).await.unwrap().rows["bytes"].value, [0xff, 0xfe]);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_is_down() {
    let Some(agent) = Agent::start(&[]).await else {
        return;
    };
    let url = format!("consul://127.0.0.1:1,[::1]:1,127.0.0.1:{}/p", agent.port);
    let store = open(&url).await;
    store.transact(vec![create("a", "1")]).await.unwrap();
    let session = store.open_session("h", TTL).await.unwrap();
    store.renew_session(&session).await.unwrap();
    assert_eq!(keys(&*store).await, ["a"]);
    let stale = open(&format!("{url}?stale=1")).await;
    assert_eq!(keys(&*stale).await, ["a"]);
    assert_eq!(store.describe(), url);
}

const ROOT_TOKEN: &str = "11111111-2222-3333-4444-555555555555";

#[tokio::test]
async fn a_token_is_needed_and_never_said() {
    let acl = format!(
        "acl {{ enabled = true default_policy = \"deny\" tokens {{ master = \"{ROOT_TOKEN}\" agent = \"{ROOT_TOKEN}\" }} }}"
    );
    let Some(agent) = Agent::start(&[&acl]).await else {
        return;
    };
    let url = agent.url("p");
    let wrong = "99999999-2222-3333-4444-555555555555";
    let with = async |token: &str| {
        let options = Options { token: Some(token.to_owned()), ..Options::default() };
        open_with(&url, options).await
    };
    let root = with(ROOT_TOKEN).await.unwrap();
    // The bootstrap of the ACL system takes a moment.
    let end = Instant::now() + SOON;
    while root.transact(vec![put("a", "1")]).await.is_err() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(keys(&*root).await, ["a"]);
    let by_url = open(&format!("{url}?token={ROOT_TOKEN}")).await;
    assert_eq!(keys(&*by_url).await, ["a"]);
    assert_eq!(by_url.describe(), url);

    let (nobody, stranger) = (open(&url).await, with(wrong).await.unwrap());
    let write = async |store: &dyn Store| store.transact(vec![put("b", "1")]).await;
    let refusals = [
        with("new\nline").await.err().unwrap(),
        write(&*nobody).await.unwrap_err(),
        write(&*stranger).await.unwrap_err(),
        nobody.open_session("h", TTL).await.unwrap_err(),
        stranger.open_session("h", TTL).await.unwrap_err(),
        stranger.snapshot("").await.unwrap_err(),
        stranger.watch("", 1).await.unwrap_err(),
    ];
    for error in refusals {
        let text = error.to_string();
        assert!(matches!(error, Error::Refused { .. }), "{text}");
        assert!(text.contains("token"), "{text}");
        assert!(!text.contains(wrong) && !text.contains("line"), "{text}");
    }
    assert_eq!(keys(&*root).await, ["a"]);
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let consul = |arguments: &[&str]| {
        let made = std::process::Command::new("consul").args(arguments).current_dir(&path).output();
        made.is_ok_and(|output| output.status.success())
    };
    let made = consul(&["tls", "ca", "create"])
        && consul(&["tls", "cert", "create", "-server", "-additional-ipaddress=127.0.0.1"])
        && consul(&["tls", "cert", "create", "-client"]);
    let file = |name: &str| path.join(name).display().to_string();
    let (ca, cert, key) =
        (file("consul-agent-ca.pem"), file("dc1-client-consul-0.pem"), file("dc1-client-consul-0-key.pem"));
    let tls = format!(
        "ports {{ https = HTTPS }} verify_incoming_https = true ca_file = \"{ca}\" cert_file = \"{}\" key_file = \"{}\"",
        file("dc1-server-consul-0.pem"),
        file("dc1-server-consul-0-key.pem")
    );
    let Some(agent) = Agent::start_in(folder, &["-dev"], &[&tls]).await else {
        return;
    };
    assert!(made, "consul tls made no certificates");
    let url = format!("consul+tls://127.0.0.1:{}/p", agent.https_port());
    let store = open(&format!("{url}?ca={ca}&cert={cert}&key={key}")).await;
    store.transact(vec![create("a", "1")]).await.unwrap();
    assert_eq!(keys(&*store).await, ["a"]);
    for (query, reason) in [("", "certificate"), (&format!("?ca={ca}"), "ertificate")] {
        let error = open(&format!("{url}{query}")).await.snapshot("").await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    for query in ["?ca=/none.pem", &format!("?ca={key}"), &format!("?cert={ca}&key={ca}")] {
        let error = open_with(&format!("{url}{query}"), Options::default()).await.err().unwrap();
        assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains(".pem"), "{error}");
    }
}
