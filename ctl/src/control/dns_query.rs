//! Asking for a name as a container would: the engine's answer out of the names of its networks, and else the servers of
//! the outside, by the way that a container's own question takes.

use std::sync::Arc;
use std::time::Instant;

use switch::{Asker, Resolved};
use tokio::sync::oneshot;

use super::Control;
use super::dns::silent;
use crate::api::{DnsAnswer, DnsQuery, Error};
use crate::dns::{Answered, message};

/// Whose share of the cache and of the questions under way an operator uses; no port has that number.
const OPERATOR: u64 = u64::MAX;

impl Control {
    /// `dns query`.
    ///
    /// # Errors
    /// 400 for what cannot be asked; 404 when there is no such sandbox or network; 409 when it is not in use here; 503 when
    /// nobody answers at all.
    pub async fn dns_query(self: &Arc<Self>, ask: DnsQuery) -> Result<DnsAnswer, Error> {
        let object = format!("query {}", ask.name);
        let invalid = |(why, remedy): (String, &str)| Error::invalid(object.clone(), why, remedy);
        let query = message::query(&ask.name, ask.kind.as_deref()).map_err(invalid)?;
        let asker = match (&ask.network, &ask.port) {
            (None, None) => None,
            (Some(network), None) => Some(self.asker_in(network).await?),
            (None, Some(port)) => Some(self.asker_behind(port)?),
            (Some(_), Some(_)) => {
                return Err(Error::invalid(object, "both a port and a network are given", "give one of them"));
            }
        };
        let start = Instant::now();
        let known = match asker {
            Some((asker, _)) => {
                let query = query.clone();
                self.ask(move |view| view.switch.resolve(asker, &query)).await?
            }
            None => Resolved::Forward,
        };
        let (reply, source) = match known {
            Resolved::Answer(reply) => (reply, "names".to_owned()),
            Resolved::Forward => self.ask_others(asker.map_or(OPERATOR, |(_, owner)| owner), query).await?,
            Resolved::Nothing => return Err(Error::failed(object, "who asks is gone meanwhile")),
        };
        let (status, answers) =
            message::read(&reply).ok_or_else(|| Error::failed(object, "the answer cannot be read"))?;
        let milliseconds = start.elapsed().as_micros() as f64 / 1_000.0;
        Ok(DnsAnswer { status, source, milliseconds, answers })
    }

    /// Somebody in a network that is in use here.
    async fn asker_in(self: &Arc<Self>, reference: &str) -> Result<(Asker, u64), Error> {
        let id = self.find_network(reference).await?;
        let state = self.state();
        let bridge = state.bridge_of(&id).map(|bridge| bridge.id);
        let bridge = bridge.ok_or_else(|| {
            let object = format!("network {}", state.network_name(&id));
            Error::conflict(object, "it has no endpoints on this host", "ask on a host that it has endpoints on")
        })?;
        Ok((Asker::Network(bridge), OPERATOR))
    }

    /// A sandbox: its oldest endpoint, and the number of that one's port.
    fn asker_behind(&self, name: &str) -> Result<(Asker, u64), Error> {
        let state = self.state();
        let called = state.endpoints.values().filter(|endpoint| !endpoint.leaving && endpoint.is_called(name));
        let oldest = called.min_by_key(|endpoint| (endpoint.stored.since, endpoint.port));
        let endpoint = oldest.ok_or_else(|| Error::not_found(format!("port {name}"), "see `vsctl ports`"))?;
        Ok((Asker::Port(endpoint.port), endpoint.port.0.into()))
    }

    async fn ask_others(&self, owner: u64, query: Vec<u8>) -> Result<(Vec<u8>, String), Error> {
        use ::dns::forward::Source;
        let (answer, answered) = oneshot::channel();
        // Who asked may have given up.
        let said: Answered = Box::new(|message, source| drop(answer.send((message, source))));
        self.dns.ask(owner, query, said);
        let (reply, source) = answered.await.map_err(|_| silent())?;
        let source = match source {
            Source::Cache => "cache".into(),
            Source::Upstream(server) => server.to_string(),
            Source::Nobody => "nobody".into(),
        };
        Ok((reply, source))
    }

    /// A container asks for a name that is not of its networks: the answer goes back through the engine.
    pub(super) fn forward(&self, question: switch::Question) {
        let (plane, via) = (self.plane.clone(), question.via);
        self.dns.ask(question.from.0.into(), question.query, Box::new(move |reply, _| plane.answer(via, reply)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AddPort, CreateNetwork, Kind};
    use crate::control::tests::{Host, overlay, store, until};

    fn of(name: &str, network: &str) -> DnsQuery {
        DnsQuery { name: name.into(), network: Some(network.into()), ..DnsQuery::default() }
    }

    async fn ask(host: &Host, query: DnsQuery) -> (String, String, Vec<String>) {
        let answer = host.control.dns_query(query).await.unwrap();
        let mut data: Vec<String> = answer.answers.into_iter().map(|record| record.data).collect();
        data.sort();
        (answer.status, answer.source, data)
    }

    fn said(status: &str, source: &str, data: &[&str]) -> (String, String, Vec<String>) {
        (status.into(), source.into(), data.iter().map(|text| (*text).to_owned()).collect())
    }

    #[tokio::test]
    async fn a_name_is_known_on_every_host_as_long_as_its_endpoint_lives() {
        let (store, _dir) = store().await;
        let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
        let ask_for = CreateNetwork { ipv6: true, ..overlay("RED", "10.10.10.0/24") };
        one.control.create_network(ask_for).await.unwrap();
        let web = AddPort {
            network: "RED".into(),
            name: "web".into(),
            aliases: vec!["www".into()],
            hostname: Some("box".into()),
            container_id: Some("0123456789abcdef".into()),
            ..AddPort::default()
        };
        let port = one.ask(web).await.unwrap();
        two.attach("RED", "db").await.unwrap();
        for host in [&one, &two] {
            for name in ["web", "WWW.red", "box", "0123456789ab.RED"] {
                assert_eq!(ask(host, of(name, "RED")).await, said("NOERROR", "names", &["10.10.10.2"]), "{name}");
            }
            let v6 = port.addresses[1].addr().to_string();
            let aaaa = DnsQuery { kind: Some("AAAA".into()), ..of("web", "RED") };
            assert_eq!(ask(host, aaaa).await, said("NOERROR", "names", &[&v6]));
            assert_eq!(ask(host, of("10.10.10.2", "RED")).await.2, ["web.RED"]);
            assert_eq!(ask(host, of("10.10.10.1", "RED")).await, said("NXDOMAIN", "names", &[]), "the gateway");
        }
        until("the name on the first host", || one.control.state().hosts.len() == 2).await;
        let rows = two.control.names(Some("RED")).await.unwrap();
        let rows: Vec<String> =
            rows.iter().map(|row| format!("{} {} {}", row.name, row.host, row.addresses[0])).collect();
        let (id, rest) = ("0123456789ab h1 10.10.10.2", ["box h1 10.10.10.2", "db h2 10.10.10.3"]);
        assert_eq!(rows, [id, rest[0], rest[1], "web h1 10.10.10.2", "www h1 10.10.10.2"]);

        one.control.remove_ports("web", None).await.unwrap();
        let start = Instant::now();
        while ask(&two, of("web", "RED")).await.1 == "names" {
            assert!(start.elapsed().as_secs() < 10, "it is still known");
        }
        assert_eq!(ask(&two, of("web", "RED")).await.0, "SERVFAIL", "there is nobody else to ask");
        assert_eq!(ask(&two, of("db", "RED")).await.1, "names");
    }

    #[tokio::test]
    async fn who_asks_decides_what_is_known() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        host.control.create_network(overlay("RED", "10.1.0.0/24")).await.unwrap();
        let inner = CreateNetwork { internal: true, ..overlay("INNER", "10.2.0.0/24") };
        host.control.create_network(inner).await.unwrap();
        for (network, name) in [("RED", "web"), ("INNER", "db"), ("RED", "both"), ("INNER", "both")] {
            host.attach(network, name).await.unwrap();
        }
        let from = |name: &str, port: &str| DnsQuery { port: Some(port.into()), network: None, ..of(name, "") };
        assert_eq!(ask(&host, from("db", "both")).await, said("NOERROR", "names", &["10.2.0.2"]));
        assert_eq!(ask(&host, from("both", "web")).await, said("NOERROR", "names", &["10.1.0.3"]));
        assert_eq!(ask(&host, from("both.INNER", "both")).await, said("NOERROR", "names", &["10.2.0.3"]));
        assert_eq!(ask(&host, from("db", "web")).await.1, "nobody", "others are asked for it");
        assert_eq!(ask(&host, from("web", "db")).await, said("REFUSED", "names", &[]));
        assert_eq!(ask(&host, of("web", "INNER")).await, said("REFUSED", "names", &[]));
        let asked = host.control.dns_cache().await.unwrap().asked;
        ask(&host, from("www.example.com", "db")).await;
        assert_eq!(host.control.dns_cache().await.unwrap().asked, asked, "nothing was forwarded");
        for (bad, kind) in [
            (from("web", "nobody"), Kind::NotFound),
            (of("web", "bridge"), Kind::Conflict),
            (of("web", "NOWHERE"), Kind::NotFound),
            (of("a..b", "RED"), Kind::Invalid),
            (DnsQuery { port: Some("web".into()), ..of("web", "RED") }, Kind::Invalid),
        ] {
            assert_eq!(host.control.dns_query(bad).await.unwrap_err().kind, kind);
        }
    }

    #[tokio::test]
    async fn what_a_sandbox_publishes_are_its_services_on_every_host() {
        use crate::api::PublishPorts;
        let (store, _dir) = store().await;
        let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
        one.control.create_network(overlay("RED", "10.10.10.0/24")).await.unwrap();
        one.attach("RED", "web").await.unwrap();
        two.attach("RED", "db").await.unwrap();
        let publish = vec!["80/tcp".into(), "5000-5001/udp".into()];
        let ask_for = PublishPorts { name: "web".into(), publish, network: None };
        one.control.publish(ask_for).await.unwrap();
        let srv = |name: &str| DnsQuery { kind: Some("SRV".into()), ..of(name, "RED") };
        for host in [&one, &two] {
            let start = Instant::now();
            while ask(host, srv("_80._tcp.web")).await != said("NOERROR", "names", &["0 0 80 web.RED"]) {
                assert!(start.elapsed().as_secs() < 10, "the service is not known");
                tokio::task::yield_now().await;
            }
            assert_eq!(ask(host, srv("_5001._udp.WEB.red")).await.2, ["0 0 5001 web.RED"]);
            assert_eq!(ask(host, srv("_81._tcp.web")).await.0, "NXDOMAIN");
        }
        one.control.unpublish_of("web", Some("80/tcp")).await.unwrap();
        assert_eq!(ask(&one, srv("_80._tcp.web")).await.0, "NXDOMAIN");
        assert_eq!(ask(&one, srv("_5000._udp.web")).await.0, "NOERROR");
    }
}
