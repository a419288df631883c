//! `docs/openapi.json`, written from the structures that are read and answered, and held to the routes that are served.
//! `UPDATE_OPENAPI=1 cargo test -p ctl openapi` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Server;
use crate::api;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");

/// Filters of `/v1/conn`.
const CONNS: [(&str, &str); 8] = [
    ("network", "To or from this network; `outside` for what lies behind the host"),
    ("proto", "tcp, udp, icmp, icmpv6, or a number"),
    ("address", "Any end, before or after translation: an address, or one with a prefix length"),
    ("src", "The source before translation"),
    ("dst", "The destination before translation"),
    ("port", "Any port, before or after translation"),
    ("state", "new or established"),
    ("replied", "true or false: whether an answer has come"),
];
const NETWORK: (&str, &str) = ("network", "Name, ID, or unique prefix of an ID");
const FILTER: [(&str, &str); 2] =
    [("network", "Of this network; none: of all networks of this host"), ("family", "ipv4 (the default) or ipv6")];

/// Everything that is served.
fn operations() -> Vec<Operation> {
    let flush = "End tracked connections: all, or those that every filter matches";
    vec![
        op("GET", "/v1/show", "This host at a glance").replies::<api::Show>(200),
        op("GET", "/v1/networks", "All networks").replies::<Vec<api::Network>>(200),
        op("POST", "/v1/networks", "Create a network").takes::<api::CreateNetwork>().replies::<api::Created>(201),
        op("GET", "/v1/networks/{reference}", "A network in docker's form").replies::<api::Inspect>(200),
        op("DELETE", "/v1/networks/{reference}", "Remove a network that nothing is connected to").done(204),
        op("POST", "/v1/networks/{reference}/connect", "Connect a sandbox that is attached somewhere already")
            .takes::<api::Connect>()
            .replies::<api::Port>(201),
        op("POST", "/v1/networks/{reference}/disconnect", "Disconnect a sandbox").takes::<api::Disconnect>().done(204),
        op("GET", "/v1/leases/{reference}", "Addresses of a network that are held or rest")
            .replies::<Vec<api::Lease>>(200),
        op("GET", "/v1/ports", "Endpoints of this host").replies::<Vec<api::Port>>(200),
        op("POST", "/v1/ports", "Attach a network namespace to a network")
            .takes::<api::AddPort>()
            .replies::<api::Port>(201),
        op("GET", "/v1/ports/{name}", "Endpoints of a sandbox").replies::<Vec<api::Port>>(200),
        op("PATCH", "/v1/ports/{name}", "Change the limits or the VLANs of an endpoint")
            .needs(NETWORK)
            .takes::<api::SetPort>()
            .replies::<api::Port>(200),
        op("DELETE", "/v1/ports/{name}", "Detach a sandbox from a network, or from all")
            .asks(&[NETWORK, ("ifname", "Only the endpoint with this link")])
            .done(204),
        op("GET", "/v1/publish", "Published ports")
            .asks(&[("name", "Only of this sandbox")])
            .replies::<Vec<api::Published>>(200),
        op("POST", "/v1/publish", "Publish ports, all or none")
            .takes::<api::PublishPorts>()
            .replies::<Vec<api::Published>>(201),
        op("DELETE", "/v1/publish", "Take published ports of a sandbox back")
            .needs(("name", "The sandbox"))
            .asks(&[("spec", "Only this, as it was asked for or is listed")])
            .done(204),
        op("DELETE", "/v1/publish/{id}", "Take a published port back").done(204),
        op("GET", "/v1/conn", "Tracked connections; the header `x-next` says where the next page begins")
            .asks(&CONNS)
            .asks(&[("limit", "Rows of a page"), ("from", "Where a page begins")])
            .replies::<Vec<api::Conn>>(200),
        op("DELETE", "/v1/conn", flush).asks(&CONNS).replies::<api::Flushed>(200),
        op("GET", "/v1/filter", "Rules as iptables-save prints them")
            .asks(&FILTER)
            .asks(&[("counters", "true: with counters")])
            .replies_text(200),
        op("PUT", "/v1/filter", "Load rules as iptables-restore does; a refusal also has `line`, `word`, `reason`")
            .asks(&FILTER)
            .asks(&[
                ("noflush", "true: keep what the tables have"),
                ("counters", "true: take the text's counters over"),
                ("test", "true: only check"),
            ])
            .takes_text()
            .replies::<api::FilterRow>(200),
        op("DELETE", "/v1/filter", "Take all rules, chains and policies out").asks(&FILTER).done(204),
        op("GET", "/v1/filter/scopes", "Where rules are loaded").replies::<Vec<api::FilterRow>>(200),
        op("POST", "/v1/filter/trace", "A packet's way through the rules; nothing is sent")
            .takes::<api::TracePacket>()
            .replies::<api::Traced>(200),
        op("GET", "/v1/rules", "Rules in words").asks(&[NETWORK]).replies::<Vec<api::RuleRow>>(200),
        op("POST", "/v1/rules", "Add a rule").takes::<api::AddRule>().replies::<api::RuleRow>(201),
        op("DELETE", "/v1/rules/{position}", "Remove a rule").asks(&[NETWORK]).done(204),
        op("POST", "/v1/rules/{position}/move", "Give a rule another place").takes::<api::MoveRule>().done(204),
        op("GET", "/v1/fdb", "Stations").replies::<Vec<api::Fdb>>(200),
        op("POST", "/v1/fdb", "Say where a station is").takes::<api::StaticFdb>().done(201),
        op("DELETE", "/v1/fdb/{network}/{mac}", "Forget a station").done(204),
        op("GET", "/v1/neigh", "Addresses that ARP and neighbour discovery are answered for")
            .replies::<Vec<api::Neighbour>>(200),
        op("GET", "/v1/peers", "VTEPs by network").replies::<Vec<api::PeerRow>>(200),
        op("POST", "/v1/peers", "Add a VTEP that is none of our hosts").takes::<api::StaticPeer>().done(201),
        op("DELETE", "/v1/peers/{network}/{vtep}", "Remove such a VTEP").done(204),
        op("GET", "/v1/drops", "Why frames were dropped").replies::<Vec<api::Drop>>(200),
        op("GET", "/v1/flows", "Cached flows, as the engine shows them").replies::<Vec<Map<String, Value>>>(200),
        op("GET", "/v1/events", "What happened lately, oldest first").replies::<Vec<api::Event>>(200),
        op("GET", "/v1/dns", "Names of endpoints, in the networks that are in use here")
            .asks(&[NETWORK])
            .replies::<Vec<api::DnsName>>(200),
        op("GET", "/v1/dns/upstreams", "Servers that are asked for other names").replies::<Vec<api::DnsUpstream>>(200),
        op("GET", "/v1/dns/cache", "Answers of others that are kept").replies::<api::DnsCache>(200),
        op("DELETE", "/v1/dns/cache", "Forget the answers of others").replies::<api::DnsFlushed>(200),
        op("POST", "/v1/dns/query", "Ask for a name, as a container would")
            .takes::<api::DnsQuery>()
            .replies::<api::DnsAnswer>(200),
        op("GET", "/v1/uplink", "The way outside").replies::<api::Uplink>(200),
    ]
}

type Describe = fn(&mut SchemaGenerator) -> Value;

/// A body that is text, or what JSON it is.
enum Content {
    Text,
    Json(Describe),
}

/// A method of a path.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: Vec<(&'static str, &'static str)>,
    /// Parameters that must be there.
    needed: Vec<&'static str>,
    body: Option<Content>,
    status: u16,
    reply: Option<Content>,
}

fn op(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { method, path, summary, parameters: Vec::new(), needed: Vec::new(), body: None, status: 0, reply: None }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

impl Operation {
    fn asks(mut self, parameters: &[(&'static str, &'static str)]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    fn needs(mut self, parameter: (&'static str, &'static str)) -> Self {
        self.needed.push(parameter.0);
        self.asks(&[parameter])
    }

    fn takes<T: JsonSchema>(self) -> Self {
        Self { body: Some(Content::Json(schema::<T>)), ..self }
    }

    fn takes_text(self) -> Self {
        Self { body: Some(Content::Text), ..self }
    }

    fn replies<T: JsonSchema>(self, status: u16) -> Self {
        Self { status, reply: Some(Content::Json(schema::<T>)), ..self }
    }

    fn replies_text(self, status: u16) -> Self {
        Self { status, reply: Some(Content::Text), ..self }
    }

    fn done(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn describe(&self, generator: &mut SchemaGenerator) -> Value {
        let mut content = |content: &Content| match content {
            Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
            Content::Json(describe) => json!({"application/json": {"schema": describe(generator)}}),
        };
        let in_path = self
            .path
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let in_query = self.parameters.iter().map(
            |(name, text)| json!({"name": name, "in": "query", "required": self.needed.contains(name), "description": text, "schema": {"type": "string"}}),
        );
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let mut success = json!({"description": if self.reply.is_some() { "The answer" } else { "Done" }});
        if let Some(reply) = &self.reply {
            success["content"] = content(reply);
        }
        let mut operation = json!({"summary": self.summary});
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = json!({"required": true, "content": content(body)});
        }
        operation["responses"] =
            json!({self.status.to_string(): success, "default": {"$ref": "#/components/responses/Refusal"}});
        operation
    }
}

/// The whole description.
fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in operations() {
        let described = operation.describe(&mut generator);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = described;
    }
    let refusal = generator.subschema_for::<api::Error>().to_value();
    let mut schemas: Vec<(String, Value)> = generator.take_definitions(true).into_iter().collect();
    schemas.sort_by(|(a, _), (b, _)| a.cmp(b));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vswitchd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP on the unix socket /run/vswitch/vswitchd.sock. A network is named by its name, its ID or \
                a unique prefix of its ID; a sandbox by its name or its container's ID. Fields that are not known are \
                refused in requests and may appear in answers.",
        },
        "paths": paths,
        "components": {
            "responses": {"Refusal": {
                "description": "400: can never succeed as it is; 404: the object is not there; 409: something else is in \
                    the way; 503: may succeed later. Nothing was changed.",
                "content": {"application/json": {"schema": refusal}},
            }},
            "schemas": schemas.into_iter().collect::<Map<String, Value>>(),
        },
    })
}

#[test]
fn the_description_is_what_is_read_and_answered() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let written = std::fs::read_to_string(FILE).unwrap_or_default();
    let differs = text.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(
        text == written,
        "docs/openapi.json is out of date ({differs:?}): UPDATE_OPENAPI=1 cargo test -p ctl openapi"
    );
}

/// `GET /v1/show` and so on, as the sources of the API say: `.route("/v1/show", get(show))`.
fn routes(dir: &Path) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes.extend(self::routes(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for route in text.split(".route(\"/v1").skip(1) {
            let (path, rest) = route.split_once('"').unwrap();
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            for method in ["get", "post", "put", "patch", "delete"] {
                if rest[..end.unwrap()].contains(&format!("{method}(")) {
                    routes.insert(format!("{} /v1{path}", method.to_uppercase()));
                }
            }
        }
    }
    routes
}

#[test]
fn every_route_is_described_and_every_description_is_served() {
    let described: BTreeSet<String> = operations().iter().map(|op| format!("{} {}", op.method, op.path)).collect();
    assert_eq!(described.len(), operations().len(), "one is described twice");
    let served = routes(Path::new(SOURCES));
    let difference: Vec<&String> = served.symmetric_difference(&described).collect();
    assert!(difference.is_empty(), "add to or take from operations() in {}: {difference:?}", file!());
}

#[tokio::test]
async fn no_description_leads_nowhere() {
    let server = Server::start().await;
    for operation in operations() {
        let path = operation.path.replace(['{', '}'], "");
        let (_, _, answer) = server.raw(operation.method, &path, "?").await;
        let nowhere = answer.contains(&format!("path {path}")) || answer.contains("is not for it");
        assert!(!nowhere, "{} {path}: {answer}", operation.method);
    }
}

/// What stands in backticks behind `expected`, or behind `use` with commas between.
fn named<'a>(text: &'a str, after: &str) -> BTreeSet<&'a str> {
    let list = text.split(after).nth(1).unwrap_or_default();
    match list.contains('`') {
        true => list.split('`').skip(1).step_by(2).collect(),
        false => list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
    }
}

#[tokio::test]
async fn parameters_and_fields_are_those_that_are_read() {
    let server = Server::start().await;
    let document = document();
    for operation in operations() {
        let path = operation.path.replace(['{', '}'], "").replace("/id", "/1").replace("/position", "/1");
        let what = format!("{} {path}", operation.method);
        let (_, refused) = server.ask(operation.method, &format!("{path}?no_such=1"), "{}").await;
        let read = match refused["error"].as_str() {
            Some(error) if error.contains("no_such") => refused["remedy"].as_str().unwrap_or_default(),
            _ => "",
        };
        let described: BTreeSet<&str> = operation.parameters.iter().map(|(name, _)| *name).collect();
        assert_eq!(named(read, "use "), described, "{what}: {refused}");

        let Some(Content::Json(_)) = operation.body else { continue };
        let needed: Vec<String> = operation.needed.iter().map(|name| format!("{name}=bridge")).collect();
        let asked = format!("{path}?{}", needed.join("&"));
        let (_, refused) = server.ask(operation.method, &asked, r#"{"no_such": 1}"#).await;
        let error = refused["error"].as_str().unwrap_or_default();
        assert!(error.contains("no_such"), "{what}: {refused}");
        let method = operation.method.to_lowercase();
        let body = &document["paths"][operation.path][method]["requestBody"]["content"]["application/json"]["schema"];
        let schema = body["$ref"].as_str().unwrap().trim_start_matches('#');
        let fields = document.pointer(&format!("{schema}/properties")).unwrap().as_object().unwrap();
        assert_eq!(named(error, "expected "), fields.keys().map(String::as_str).collect(), "{what}: {error}");
    }
}
