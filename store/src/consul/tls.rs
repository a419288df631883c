//! The HTTP client of one cluster: time-outs, keep-alive, and whom to trust. It knows nothing of Consul's API.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Identity, redirect};

use super::client::chain;
use crate::url::Cluster;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);

/// A silent connection is probed after this, and as often; three probes lost end it. A server that vanished while a
/// watch waits is noticed within 20 s.
const PROBE: Duration = Duration::from_secs(5);

/// Makes the client. The error says what file or certificate is at fault.
pub(super) fn client(cluster: &Cluster) -> Result<reqwest::Client, String> {
    install_provider();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .tcp_keepalive(PROBE)
        .tcp_keepalive_interval(PROBE)
        .tcp_keepalive_retries(3)
        .pool_idle_timeout(Duration::from_secs(30));
    let options = &cluster.options;
    if !cluster.tls {
        // No certificate is ever looked at: do not ask for the system's, which may not have any.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &options.ca_cert {
        let certificates = Certificate::from_pem_bundle(&read(path)?)
            .map_err(|e| format!("{}: no PEM certificate: {}", path.display(), chain(&e)))?;
        if certificates.is_empty() {
            return Err(format!("{}: no PEM certificate in it", path.display()));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let (Some(cert), Some(key)) = (&options.client_cert, &options.client_key) {
        let mut pem = read(cert)?;
        pem.push(b'\n');
        pem.extend(read(key)?);
        let identity = Identity::from_pem(&pem).map_err(|e| {
            let (cert, key) = (cert.display(), key.display());
            format!("{cert} and {key}: not a PEM certificate and its key: {}", chain(&e))
        })?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|e| format!("cannot prepare TLS: {}", chain(&e)))
}

/// TLS needs a process-wide provider of cryptography; one that the program chose before stays.
fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster, and then there is one.
        let provider: Result<(), Arc<_>> = rustls::crypto::aws_lc_rs::default_provider().install_default();
        drop(provider);
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}
