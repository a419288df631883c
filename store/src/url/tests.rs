//! The URLs of the documentation, wrong ones, and that tokens stay unsaid.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn consul(url: &str) -> Cluster {
    match parse(url, Options::default()) {
        Ok(Target::Consul(cluster)) => cluster,
        Ok(Target::File(_)) => panic!("{url}: read as a file"),
        Err(e) => panic!("{e}"),
    }
}

fn why(url: &str) -> String {
    match parse(url, Options::default()) {
        Ok(_) => panic!("{url}: taken"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn defaults_are_filled_in() {
    assert_eq!(consul("consul://localhost").name(), "consul://localhost:8500/vswitch");
    assert_eq!(consul("consul://10.0.0.1:85/").name(), "consul://10.0.0.1:85/vswitch");
    assert_eq!(consul("consul+tls://h/a/b/").name(), "consul+tls://h:8501/a/b");
    assert_eq!(consul("consul://[fd00::1],[::1]:99/x").name(), "consul://[fd00::1]:8500,[::1]:99/x");
}

#[test]
fn the_query_wins_over_the_options() {
    let options = Options { token: Some("old".to_owned()), stale: true, ..Options::default() };
    let url = "consul+tls://a:1,b:2/p?token=s%26cret&ca=/ca.pem&cert=/c.pem&key=%2Fk.pem&stale=0";
    let Ok(Target::Consul(cluster)) = parse(url, options) else {
        panic!("refused");
    };
    assert_eq!(cluster.options.token.as_deref(), Some("s&cret"));
    assert_eq!(cluster.options.client_key.as_deref(), Some(Path::new("/k.pem")));
    assert!(!cluster.options.stale);
    assert_eq!(cluster.name(), "consul+tls://a:1,b:2/p");
}

#[test]
fn files_are_absolute_or_the_default() {
    let file = |url| match parse(url, Options::default()) {
        Ok(Target::File(path)) => path,
        _ => panic!("{url}"),
    };
    assert_eq!(file("file://"), None);
    assert_eq!(file("file:///a/b.redb"), Some(PathBuf::from("/a/b.redb")));
    assert!(why("file://a/b").contains("file:///var/lib"));
    assert!(why("file:///a/").contains("path"));
}

#[test]
fn wrong_urls_say_what_would_be_right() {
    assert!(why("localhost:8500").contains("consul://HOST:8500/vswitch"));
    assert!(why("etcd://h").contains("unknown scheme"));
    assert!(why("consul://").contains("no host name"));
    assert!(why("consul://h:0/").contains("1 to 65535"));
    assert!(why("consul://h:70000/").contains("1 to 65535"));
    assert!(why("consul://fd00::1/").contains("brackets") || why("consul://fd00::1/").contains("port"));
    assert!(why("consul://h,/").contains("no host name"));
    assert!(why("consul://h/a:b").contains("prefix"));
    assert!(why("consul://h/?color=red").contains("unknown parameter"));
    assert!(why("consul://h/?ca=/x").contains("consul+tls"));
    assert!(why("consul+tls://h/?cert=/x").contains("together"));
    assert!(why("consul://h/?stale=maybe").contains("stale"));
    assert!(why("consul://h/?token=%4").contains("escape"));
    assert!(why(&format!("consul://{}", "h,".repeat(40))).contains("more than 16"));
}

#[test]
fn a_token_is_never_repeated() {
    for url in [
        "consul://h/p?token=s3cret&color=1",
        "consul://h:x/p?token=s3cret",
        "consul://h/p?token=a&s3cret",
        "consul://user:s3cret@h/p",
        "s3cret@h",
        "http://x@y:s3cret@h/?token=s3cret",
        "consul://h/p?token=s3cret%",
    ] {
        let text = why(url);
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(!consul("consul://h/p?token=s3cret").name().contains("s3cret"));
    let options = Options { token: Some("s3cret".to_owned()), ..Options::default() };
    assert!(!format!("{options:?}").contains("s3cret"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(consul(\\+tls)?://|file://)?.{0,300}") {
        if let Err(e) = parse(&text, Options::default()) {
            prop_assert!(!e.to_string().is_empty());
        }
    }

    #[test]
    fn a_name_reads_as_itself(hosts in prop::collection::vec("[a-z][a-z0-9.-]{0,20}(:[1-9][0-9]{0,3})?", 1..5), prefix in "[a-z0-9_.,-]{3,9}(/[a-z]{1,5}){0,3}") {
        let first = consul(&format!("consul://{}/{prefix}", hosts.join(","))).name();
        prop_assert_eq!(consul(&first).name(), first);
    }
}
