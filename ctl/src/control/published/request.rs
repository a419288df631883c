//! What users ask: to publish, and to take it back. All ports of a request are published or none.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::{Nowhere, Published};
use crate::api::{self, Error, Kind, PublishPorts};
use crate::control::Control;
use crate::control::state::State;
use crate::publish::{self, BadSpec, Bound, Publication, Service, Spec, Target};
use crate::state::Change;

/// Publications of a host at the most; a range is one.
const MOST: usize = 4096;

/// Reads what is to be published.
pub(in crate::control) fn read(texts: &[String]) -> Result<Vec<Spec>, Error> {
    let refused = |BadSpec { text, why }: BadSpec| {
        Error::invalid(format!("publish {text}"), why, "write [[IP:]HOSTPORT[-END]:]PORT[-END][/tcp|/udp]")
    };
    let mut specs: Vec<Spec> = Vec::new();
    for text in texts {
        let spec = text.parse().map_err(refused)?;
        // Twice the same is once.
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    Ok(specs)
}

fn refused(spec: &Spec, error: &publish::Error) -> Error {
    use publish::Error as E;
    let kind = match error {
        E::Held { .. } | E::NoneFree { .. } | E::Exhausted { .. } => Kind::Conflict,
        E::NoSuchAddress { .. } => Kind::Invalid,
        E::OpenFiles { .. } | E::Kernel { .. } | E::Proxy(_) => Kind::Unavailable,
    };
    Error::new(kind, format!("publish {spec}"), error.to_string(), error.remedy())
}

impl Published {
    /// Why nobody is served by it, if so.
    fn trouble(&self) -> Option<Error> {
        let spec = &self.publication.spec;
        let nowhere =
            |why: &Nowhere| Error::new(Kind::Unavailable, format!("publish {spec}"), why.to_string(), why.remedy());
        match &self.refusal {
            Some(refusal) => Some(refused(spec, refusal)),
            None => self.applied.as_ref().err().map(nowhere),
        }
    }
}

impl Control {
    /// `publish`. What a sandbox publishes already under the same words is answered as it is.
    ///
    /// # Errors
    /// 400 for what cannot be read, 404 for an unknown sandbox, 409 naming who has the port, 503 when the host lacks
    /// something. Nothing is published then.
    pub async fn publish(self: &Arc<Self>, ask: PublishPorts) -> Result<Vec<api::Published>, Error> {
        let specs = read(&ask.publish)?;
        if specs.is_empty() {
            return Err(Error::invalid(
                format!("port {}", ask.name),
                "no port to publish is given",
                "give at least one",
            ));
        }
        let network = match &ask.network {
            Some(reference) => Some(self.find_network(reference).await?),
            None => None,
        };
        let gate = self.publishing.lock().await;
        let (name, known) = {
            let state = self.state();
            let name = sandbox(&state, &ask.name, network.as_deref())?;
            (name, state.published.values().map(|p| p.publication.clone()).collect::<Vec<_>>())
        };
        let same = |spec: &Spec| {
            let same = |known: &&Publication| {
                let network = network.is_none() || known.network == network;
                known.name == name && network && known.asked == *spec
            };
            known.iter().find(same).map(|known| known.id)
        };
        let there: Vec<Option<u32>> = specs.iter().map(same).collect();
        if let Some(error) = there.iter().flatten().find_map(|id| self.state().published.get(id)?.trouble()) {
            return Err(error);
        }
        let fresh: Vec<Spec> = specs.iter().zip(&there).filter(|(_, id)| id.is_none()).map(|(spec, _)| *spec).collect();
        if known.len() + fresh.len() > MOST {
            let remedy = "publish ranges in place of single ports";
            return Err(Error::conflict(format!("port {name}"), format!("more than {MOST} publications"), remedy));
        }
        let bound = bind(fresh, known).await?;
        let mut made = self.add(&gate, &name, network, bound).await?.into_iter();
        let ids: Vec<u32> = there.into_iter().filter_map(|id| id.or_else(|| made.next())).collect();
        let state = self.state();
        Ok(ids.iter().filter_map(|id| state.published.get(id)).map(|p| state.published_row(p)).collect())
    }

    async fn add(
        self: &Arc<Self>,
        gate: &MutexGuard<'_, ()>,
        name: &str,
        network: Option<String>,
        bound: Vec<(Spec, Bound)>,
    ) -> Result<Vec<u32>, Error> {
        let publication = |(asked, bound): &(Spec, Bound)| {
            let (id, spec) = (self.state().next_publish(), asked.with_host(bound.host));
            Publication { id, name: name.into(), network: network.clone(), asked: *asked, spec }
        };
        let made: Vec<Publication> = bound.iter().map(publication).collect();
        let ids: Vec<u32> = made.iter().map(|publication| publication.id).collect();
        let changes: Vec<Change> = made.iter().map(Change::publication).collect();
        if !changes.is_empty() {
            let written = self.disk.write(changes).await;
            written.map_err(|error| Error::failed(format!("port {name}"), error.to_string()))?;
        }
        let mut failure = None;
        {
            let mut state = self.state();
            for (publication, (spec, bound)) in made.into_iter().zip(bound) {
                let (id, protocol) = (publication.id, spec.protocol);
                let service = Service { id, protocol, sockets: bound.sockets, target: Target::default() };
                match self.proxy.open(service) {
                    Ok(()) => {
                        let text = format!("{} to {}/{protocol}", publication.host(), spec.ports);
                        state.event("published", format!("port {name}"), text);
                        state.published.insert(id, Published::new(publication, None));
                    }
                    Err(error) => failure = Some(refused(&spec, &publish::Error::Proxy(error))),
                }
            }
            let failed = self.settle(&mut state, Some(name)).into_iter().find(|(id, _)| ids.contains(id));
            failure = failure.or(failed.map(|(_, error)| error));
            if failure.is_none() && sandbox(&state, name, network.as_deref()).is_err() {
                let remedy = "attach it again, then publish";
                failure = Some(Error::not_found(format!("port {name} (it ended meanwhile)"), remedy));
            }
            failure = failure.or_else(|| ids.iter().find_map(|id| state.published.get(id)?.trouble()));
        }
        match failure {
            Some(error) => {
                self.take_back(gate, &ids, "it could not be made").await;
                Err(error)
            }
            None => {
                // A local client may come as soon as this is answered. Nothing to wait for is an error here.
                let _ = self.proxy.heard().await;
                Ok(ids)
            }
        }
    }

    /// `publish rm`: one publication.
    ///
    /// # Errors
    /// 404.
    pub async fn unpublish(self: &Arc<Self>, id: u32) -> Result<(), Error> {
        let gate = self.publishing.lock().await;
        if !self.state().published.contains_key(&id) {
            return Err(Error::not_found(format!("publication {id}"), "see `vsctl publish ls`"));
        }
        self.take_back(&gate, &[id], "removed").await;
        Ok(())
    }

    /// `publish rm`: all publications of a sandbox, or those that a text means, as asked or as they came out.
    ///
    /// # Errors
    /// 400 for what cannot be read, 404 when there is none.
    pub async fn unpublish_of(self: &Arc<Self>, name: &str, spec: Option<&str>) -> Result<(), Error> {
        let spec = read(&spec.map(str::to_owned).into_iter().collect::<Vec<_>>())?.pop();
        let gate = self.publishing.lock().await;
        let ids: Vec<u32> = {
            let state = self.state();
            let of_it = state.published_by(state.called(name)).map(|published| &published.publication);
            of_it.filter(|p| spec.is_none_or(|spec| p.spec == spec || p.asked == spec)).map(|p| p.id).collect()
        };
        if ids.is_empty() {
            let what = spec.map(|spec| format!(" {spec}")).unwrap_or_default();
            return Err(Error::not_found(format!("publication{what} of port {name}"), "see `vsctl publish ls`"));
        }
        self.take_back(&gate, &ids, "removed").await;
        Ok(())
    }

    /// Ends publications; done when their ports are free.
    async fn take_back(&self, _: &MutexGuard<'_, ()>, ids: &[u32], why: &str) {
        let closing = {
            let mut state = self.state();
            for id in ids {
                let Some(published) = state.published.get(id) else { continue };
                let (object, text) = (format!("port {}", published.publication.name), published.publication.claim());
                state.event("unpublished", object, format!("{text}: {why}"));
            }
            self.withdraw_published(&mut state, ids)
        };
        self.remember(ids.iter().map(|id| Change::no_publication(*id)).collect()).await;
        for closed in closing {
            // An error means that the proxy has ended, and its sockets with it.
            let _ = closed.await;
        }
    }

    /// An endpoint of the sandbox goes: its publications lead to another one from now on, or nowhere. Those that have
    /// none are answered, for [`Control::end_published`].
    pub(in crate::control) fn leave_published(&self, name: &str) -> Vec<u32> {
        let mut state = self.state();
        for (_, error) in self.settle(&mut state, Some(name)) {
            state.event("publish_failed", format!("port {name}"), error.error);
        }
        orphans(&state, name)
    }

    /// Ends what a sandbox has left behind.
    pub(in crate::control) async fn end_published(self: &Arc<Self>, name: &str, mut left: Vec<u32>) {
        if left.is_empty() {
            return;
        }
        let gate = self.publishing.lock().await;
        // Those of before end also where another sandbox has got the name meanwhile: it did not ask for them.
        left.extend(orphans(&self.state(), name));
        left.sort_unstable();
        left.dedup();
        self.take_back(&gate, &left, "its endpoint is gone").await;
    }
}

/// Publications of a sandbox whose endpoints are all gone, or that is no longer in the network that they are for.
fn orphans(state: &State, name: &str) -> Vec<u32> {
    let published = state.published_by(name).map(|published| &published.publication);
    published.filter(|publication| !state.is_there(publication)).map(|publication| publication.id).collect()
}

/// The NAME of the sandbox that is meant, if something can be published for it.
fn sandbox(state: &State, called: &str, network: Option<&str>) -> Result<String, Error> {
    let mut endpoints: Vec<_> = state.endpoints.values().filter(|e| !e.leaving && e.is_called(called)).collect();
    let Some(name) = endpoints.first().map(|endpoint| endpoint.record().name.clone()) else {
        let remedy = "attach it first (`vsctl add-port NETWORK NAME --pid PID --publish SPEC` does both)";
        return Err(Error::not_found(format!("port {called}"), remedy));
    };
    endpoints.retain(|endpoint| network.is_none_or(|network| endpoint.stored.network == network));
    let object = format!("port {name}");
    if let (Some(network), true) = (network, endpoints.is_empty()) {
        let why = format!("it is not in network {}", state.network_name(network));
        return Err(Error::conflict(object, why, "connect it first, or name another network"));
    }
    let outward = |id: &str| state.networks.get(id).is_some_and(|network| !network.record.internal);
    if !endpoints.iter().any(|endpoint| outward(&endpoint.stored.network)) {
        let which = network.map(|network| format!("network {} is", state.network_name(network)));
        let which = which.unwrap_or_else(|| "all its networks are".into());
        let why = format!("{which} internal: nothing from outside reaches it");
        return Err(Error::conflict(object, why, Nowhere::NoEndpoint.remedy()));
    }
    Ok(name)
}

/// Binds the host's ports on a thread that may block; all or none.
async fn bind(specs: Vec<Spec>, mut known: Vec<Publication>) -> Result<Vec<(Spec, Bound)>, Error> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    let binding = move || {
        let sockets = specs.iter().map(|spec| spec.ports.count()).sum();
        publish::make_room(sockets).map_err(|error| refused(&specs[0], &error))?;
        let mut all = Vec::new();
        for spec in specs {
            let bound = publish::bind(&spec, &known).map_err(|error| refused(&spec, &error))?;
            // For what comes later in the same request.
            let name = "of the same request".to_owned();
            known.push(Publication { id: 0, name, network: None, asked: spec, spec: spec.with_host(bound.host) });
            all.push((spec, bound));
        }
        Ok(all)
    };
    let done = tokio::task::spawn_blocking(binding).await;
    done.unwrap_or_else(|error| Err(Error::failed("publish", error.to_string())))
}
