//! The start: what was published is published again, at the same ports, in one batch. A port that somebody else has
//! taken meanwhile is theirs: the publication stays, is shown as failed, and is tried again from time to time.

use std::sync::Arc;
use std::time::Duration;

use super::Published;
use crate::control::Control;
use crate::publish::{self, Bound, Publication, Service, Target};
use crate::state::Change;

/// How often a publication without its ports is tried again.
const AGAIN: Duration = Duration::from_secs(5);

impl Control {
    /// Publishes what was remembered, for the sandboxes that still live.
    pub(in crate::control) async fn restore_published(self: &Arc<Self>, publications: Vec<Publication>) {
        if publications.is_empty() {
            return;
        }
        let (alive, gone): (Vec<_>, Vec<_>) = {
            let mut state = self.state();
            publications.iter().for_each(|publication| state.published_before(publication.id));
            publications.into_iter().partition(|publication| state.is_there(publication))
        };
        if !gone.is_empty() {
            self.remember(gone.iter().map(|p| Change::no_publication(p.id)).collect()).await;
        }
        let bound = bind(alive).await;
        let mut state = self.state();
        for (publication, bound) in bound {
            let refusal = self.serve(&publication, bound).err();
            if let Some(why) = &refusal {
                let text = format!("publish {}: {why} ({})", publication.spec, why.remedy());
                state.event("publish_failed", format!("port {}", publication.name), text);
            }
            state.published.insert(publication.id, Published::new(publication, refusal));
        }
        for (id, error) in self.settle(&mut state, None) {
            state.event("publish_failed", format!("publication {id}"), error.error);
        }
        drop(state);
        self.rebind.notify_one();
    }

    /// Hands sockets to the proxy. Says why there is nothing to be handed.
    fn serve(&self, publication: &Publication, bound: Result<Bound, publish::Error>) -> Result<(), publish::Error> {
        let (id, protocol, sockets) = (publication.id, publication.spec.protocol, bound?.sockets);
        let service = Service { id, protocol, sockets, target: Target::default() };
        self.proxy.open(service).map_err(publish::Error::Proxy)
    }

    /// Tries again what has no ports. Costs nothing while everything has.
    pub(in crate::control) async fn keep_bound(self: Arc<Self>) {
        loop {
            let failed = |p: &&Published| p.refusal.is_some();
            if !self.state().published.values().any(|p| failed(&p)) {
                self.rebind.notified().await;
                continue;
            }
            tokio::time::sleep(AGAIN).await;
            let _gate = self.publishing.lock().await;
            let without: Vec<Publication> =
                self.state().published.values().filter(failed).map(|p| p.publication.clone()).collect();
            for (publication, bound) in bind(without).await {
                let refusal = self.serve(&publication, bound).err();
                let mut state = self.state();
                let Some(published) = state.published.get_mut(&publication.id) else { continue };
                published.refusal = refusal;
                if published.refusal.is_none() {
                    state.event("published", format!("port {}", publication.name), "its host ports are free now");
                    self.settle(&mut state, Some(&publication.name));
                }
            }
        }
    }
}

/// Binds each for itself: one that fails does not hold up the others.
async fn bind(publications: Vec<Publication>) -> Vec<(Publication, Result<Bound, publish::Error>)> {
    let binding = move || {
        // Without enough each says for itself that it has none.
        let _ = publish::make_room(publications.iter().map(|p| p.spec.ports.count()).sum());
        let each = publications.into_iter().map(|publication| {
            let bound = publish::bind(&publication.spec, &[]);
            (publication, bound)
        });
        each.collect()
    };
    tokio::task::spawn_blocking(binding).await.unwrap_or_default()
}
