//! Consul as the shared store, over its HTTP API v1; known to work with 1.8. Nothing is cached: each call asks.
//! A key of ours is Consul's key below `<prefix>/`; a row's version is its ModifyIndex, a revision is X-Consul-Index.

mod client;
mod kv;
mod servers;
mod session;
mod tls;
mod txn;
mod warnings;
mod watch;

use std::time::Duration;

use reqwest::header::HeaderValue;

use crate::url::Cluster;
use crate::{Error, Future, Op, Snapshot, Store, key};
use client::Client;
use servers::Servers;

/// The store behind `consul://` and `consul+tls://`.
pub(crate) struct Consul {
    client: Client,
    /// The prefix with its slash; put before each key.
    root: String,
    stale: bool,
    pace: watch::Pace,
    warnings: warnings::Warnings,
}

impl Consul {
    /// Prepares everything but asks no server. Reads the certificate files.
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, Error> {
        let name = cluster.name();
        let refused = |why: String| Error::Refused { store: name.clone(), why };
        let http = tls::client(cluster).map_err(refused)?;
        let scheme = if cluster.tls { "https" } else { "http" };
        let servers = Servers::new(cluster.servers.iter().map(|server| format!("{scheme}://{server}")));
        let environment = || std::env::var("CONSUL_HTTP_TOKEN").ok();
        let token = cluster
            .options
            .token
            .clone()
            .or_else(environment)
            .filter(|token| !token.is_empty())
            .map(|token| {
                let mut value = HeaderValue::try_from(token)
                    .map_err(|_| refused("the token has characters that HTTP does not allow".to_owned()))?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()?;
        Ok(Consul {
            client: Client::new(http, servers, token, name),
            root: format!("{}/", cluster.prefix),
            stale: cluster.options.stale,
            pace: watch::Pace::default(),
            warnings: warnings::Warnings::default(),
        })
    }
}

impl Store for Consul {
    fn describe(&self) -> String {
        self.client.name().to_owned()
    }

    fn shared(&self) -> bool {
        true
    }

    fn snapshot<'a>(&'a self, prefix: &'a str) -> Future<'a, Result<Snapshot, Error>> {
        Box::pin(async move {
            key::check_prefix(prefix)?;
            self.read(prefix, self.now()).await
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str, revision: u64) -> Future<'a, Result<Snapshot, Error>> {
        Box::pin(async move {
            key::check_prefix(prefix)?;
            self.wait_for_change(prefix, revision).await
        })
    }

    fn transact<'a>(&'a self, ops: Vec<Op>) -> Future<'a, Result<(), Error>> {
        Box::pin(self.transaction(ops))
    }

    fn open_session<'a>(&'a self, name: &'a str, ttl: Duration) -> Future<'a, Result<String, Error>> {
        Box::pin(self.open(name, ttl))
    }

    fn renew_session<'a>(&'a self, session: &'a str) -> Future<'a, Result<(), Error>> {
        Box::pin(self.renew(session))
    }

    fn close_session<'a>(&'a self, session: &'a str) -> Future<'a, Result<(), Error>> {
        Box::pin(self.close(session))
    }
}
