//! A store's URL is refused without repeating a token, or names a store without showing one. Nothing is connected to, and
//! neither `file://` nor certificates are opened: their paths would come from the input.

use std::path::Path;
use std::sync::Arc;

use store::{Error, Options, Store};

const TOKEN: &str = "e95b599e-166e-7d80-08ad-aee76e7ddf19";

/// The input is the URL's text.
pub fn run(data: &[u8]) {
    let Ok(url) = str::from_utf8(data) else { return };
    if url.starts_with("file") || url.contains(TOKEN) {
        return;
    }
    let sign = if url.contains('?') { '&' } else { '?' };
    // The last parameter is wrong, so that nothing is opened whatever the rest says.
    refused(open(&format!("{url}{sign}token={TOKEN}&stale=perhaps")));
    // Certificates are refused without TLS, so that no file is read.
    if url.starts_with("consul://") {
        match open(&format!("{url}{sign}token={TOKEN}")) {
            Ok(store) => {
                let name = store.describe();
                assert!(name.starts_with("consul://") && !name.contains(TOKEN) && store.shared(), "{name}");
                let again = open(&name).map(|store| store.describe());
                assert_eq!(again.as_ref().ok(), Some(&name), "the name is a URL of the same store");
            }
            error => refused(error),
        }
    }
}

fn open(url: &str) -> Result<Arc<dyn Store>, Error> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(store::open(url, Path::new("/nonexistent"), Options::default())))
}

fn refused(outcome: Result<Arc<dyn Store>, Error>) {
    let Err(error) = outcome else { panic!("a wrong parameter was taken") };
    let line = error.to_string();
    assert!(!line.contains(TOKEN), "{line}");
    assert!(line.len() < 4_000, "{line}");
}
