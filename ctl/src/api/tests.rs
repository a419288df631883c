//! Requests as they arrive, against a control plane on an embedded store: statuses and refusals.

mod openapi;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper_util::service::TowerToHyperService;
use nat::rules::{Counters, Family, Program};
use serde_json::{Value, json};
use switch::PortId;
use switch::turn::View;

use super::server::router;
use crate::control::{Control, Found, Future, Look, Plane, Plug, Plugged, Settings, Spot};
use crate::sandbox::{Reference, Way};
use crate::state::{Disk, Memory};

/// An engine that shows empty tables and takes no link.
struct Empty;

impl Plane for Empty {
    fn apply(&self, _: Vec<switch::Update>) {}
    fn look(&self, look: Look) {
        let switch = switch::Switch::new(switch::Limits::default(), 1);
        look(&View { switch: &switch, now: wire::Time::ZERO, underlay: None });
    }
    fn plug<'a>(&'a self, _: &'a Reference, _: Plug) -> Future<'a, Result<Plugged, super::Error>> {
        Box::pin(async { Err(super::Error::failed("link", "there is no kernel here")) })
    }
    fn station(&self, iface: &str) -> Result<wire::Mac, super::Error> {
        Err(super::Error::invalid(format!("interface {iface}"), "there is none", ""))
    }

    fn stage<'a>(&'a self, _: Plug) -> Future<'a, Result<(), super::Error>> {
        Box::pin(async { Err(super::Error::failed("link", "there is no kernel here")) })
    }

    fn find_link<'a>(&'a self, _: Spot, _: wire::Mac) -> Future<'a, Result<Option<Found>, super::Error>> {
        Box::pin(async { Ok(None) })
    }

    fn unplug(&self, _: PortId) -> Future<'static, ()> {
        Box::pin(async {})
    }

    fn alive(&self, _: &Reference) -> Result<bool, super::Error> {
        Ok(true)
    }
    fn lead_out<'a>(&'a self, _: &'a Reference, _: Vec<Way>) -> Future<'a, Result<(), super::Error>> {
        Box::pin(async { Ok(()) })
    }
    fn reach<'a>(&'a self, _: &'a str, _: Vec<ipnet::IpNet>, _: u32) -> Future<'a, ()> {
        Box::pin(async {})
    }

    fn uplink(&self) -> super::Uplink {
        super::Uplink::default()
    }

    fn has_link(&self) -> bool {
        true
    }

    fn host_link_lost(&self) {}

    fn inlet_lost(&self, _: switch::PortId) {}

    fn answer(&self, _: switch::Return, _: Vec<u8>) {}

    fn flush(&self, _: nat::Filter) -> Future<'static, usize> {
        Box::pin(async { 0 })
    }
    fn load_rules(
        &self,
        _: Option<switch::BridgeId>,
        _: Family,
        _: Option<Box<Program>>,
    ) -> Future<'static, std::time::Duration> {
        Box::pin(async { std::time::Duration::ZERO })
    }
    fn rule_counters(&self, _: Option<switch::BridgeId>, _: Family) -> Future<'static, Option<Vec<Counters>>> {
        Box::pin(async { None })
    }
    fn steer(&self, _: &crate::publish::Steer, _: bool) -> Result<(), super::Error> {
        Ok(())
    }
}

struct Server {
    control: Arc<Control>,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let store = store::open("file://", dir.path(), store::Options::default()).await.unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let memory = Memory::read(&disk).unwrap();
        let control = Control::new(Settings::new("h1"), store, Arc::new(Empty), disk);
        control.restore(memory).await;
        control.run();
        control.joined(Duration::from_secs(5)).await;
        Server { control, _dir: dir }
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<String>) -> (StatusCode, Value) {
        let (status, _, text) = self.raw(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Status, content type and body.
    async fn raw(&self, method: &str, path: &str, body: impl Into<String>) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.into())).unwrap();
        let service = TowerToHyperService::new(router(self.control.clone()));
        let answer = hyper::service::Service::call(&service, request).await.unwrap();
        let status = answer.status();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(bytes.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn networks_from_creation_to_removal() {
    let server = Server::start().await;
    let ask = json!({"name": "RED", "subnets": [{"subnet": "10.66.0.0/24", "ip_range": "10.66.0.128/25"}], "labels": {"a": "b"}});
    let (status, created) = server.ask("POST", "/v1/networks", ask.to_string()).await;
    assert_eq!((status, created["id"].as_str().unwrap().len()), (StatusCode::CREATED, 64));
    let (_, rows) = server.ask("GET", "/v1/networks", "").await;
    let names: Vec<&str> = rows.as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["RED", "bridge", "host", "none"]);
    let prefix = &created["id"].as_str().unwrap()[..12];
    let (status, inspect) = server.ask("GET", &format!("/v1/networks/{prefix}"), "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(inspect["IPAM"]["Config"][0]["IPRange"], "10.66.0.128/25");
    assert_eq!(inspect["IPAM"]["Config"][0]["Gateway"], "10.66.0.1");
    assert_eq!((&inspect["ConfigOnly"], &inspect["Labels"]["a"]), (&json!(false), &json!("b")));
    assert!(inspect.get("Peers").is_none());
    let (status, twice) = server.ask("POST", "/v1/networks", ask.to_string()).await;
    assert_eq!((status, twice["object"].as_str()), (StatusCode::CONFLICT, Some("network RED")));
    assert_eq!(server.ask("DELETE", "/v1/networks/RED", "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.ask("DELETE", "/v1/networks/RED", "").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.ask("DELETE", "/v1/networks/host", "").await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn refusals_have_a_status_an_object_and_a_remedy() {
    let server = Server::start().await;
    let cases = [
        ("POST", "/v1/networks", r#"{"name":"RED","colour":"red"}"#, 400, "colour"),
        ("POST", "/v1/networks", r#"{"name":"RED","mtu":"big"}"#, 400, "mtu"),
        ("POST", "/v1/networks", r#"{"name":"RED","driver":"overlay"}"#, 409, "tunnels"),
        ("POST", "/v1/networks", "not json", 400, "request"),
        ("GET", "/v1/networks/nix", "", 404, "nix"),
        ("POST", "/v1/ports", r#"{"network":"bridge","name":"web"}"#, 400, "pid or netns"),
        ("POST", "/v1/ports", r#"{"network":"bridge","name":"web","pid":1,"netns":"/x"}"#, 400, "pid or netns"),
        ("POST", "/v1/ports", r#"{"network":"bridge","name":"web","netns":"/dev/null"}"#, 400, "/dev/null"),
        ("POST", "/v1/ports", r#"{"network":"bridge","name":"web","pid":4294967295}"#, 400, "4294967295"),
        ("GET", "/v1/ports/nix", "", 404, "nix"),
        ("DELETE", "/v1/ports/nix", "", 404, "nix"),
        ("DELETE", "/v1/ports/nix?net=x", "", 400, "net"),
        ("POST", "/v1/networks/bridge/connect", r#"{"name":"nix"}"#, 404, "nix"),
        ("POST", "/v1/fdb", r#"{"network":"bridge","mac":"02:00:00:00:00:01"}"#, 400, "port or vtep"),
        ("POST", "/v1/peers", r#"{"network":"bridge","vtep":"192.0.2.1"}"#, 409, "overlay"),
        ("DELETE", "/v1/peers/bridge/x", "", 400, "IP address"),
        ("DELETE", "/v1/fdb/bridge/x", "", 400, "MAC"),
        ("POST", "/v1/publish", r#"{"name":"nix","publish":["80"]}"#, 404, "nix"),
        ("POST", "/v1/publish", r#"{"name":"nix","publish":["80/x"]}"#, 400, "80/x"),
        ("POST", "/v1/ports", r#"{"network":"bridge","name":"web","publish":[80]}"#, 400, "publish[0]"),
        ("DELETE", "/v1/publish/7", "", 404, "7"),
        ("DELETE", "/v1/publish/x", "", 400, "x"),
        ("DELETE", "/v1/publish?spec=80", "", 400, "whose"),
        ("DELETE", "/v1/publish?name=nix", "", 404, "nix"),
        ("GET", "/v1/conn?colour=1", "", 400, "colour"),
        ("GET", "/v1/conn?network=nix", "", 404, "nix"),
        ("DELETE", "/v1/conn?port=x", "", 400, "port"),
        ("GET", "/v1/filter?network=nix", "", 404, "nix"),
        ("GET", "/v1/filter?family=ipx", "", 400, "ipx"),
        ("GET", "/v1/filter?noflush=true", "", 400, "noflush"),
        ("PUT", "/v1/filter?counters=1", "", 400, "counters"),
        ("PUT", "/v1/filter", "*filter\n-A NIX -j DROP\nCOMMIT\n", 400, "line 2: NIX"),
        ("POST", "/v1/filter/trace", r#"{"in":"web0","colour":1}"#, 400, "colour"),
        ("POST", "/v1/filter/trace", "{}", 400, "comes in"),
        ("GET", "/v1/rules?network=nix", "", 404, "nix"),
        ("POST", "/v1/rules", r#"{"action":"pass"}"#, 400, "pass"),
        ("POST", "/v1/rules", r#"{"action":"deny","dport":"80"}"#, 400, "protocol"),
        ("DELETE", "/v1/rules/x", "", 400, "x"),
        ("DELETE", "/v1/rules/1", "", 400, "there is none"),
        ("POST", "/v1/rules/1/move", r#"{"to":1}"#, 400, "there is none"),
        ("GET", "/v1/nix", "", 404, "/v1/nix"),
        ("PUT", "/v1/networks", "", 400, "PUT"),
    ];
    for (method, path, body, status, text) in cases {
        let (got, answer) = server.ask(method, path, body).await;
        assert_eq!(got.as_u16(), status, "{method} {path} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(text), "{method} {path} {body}: {answer}");
        assert!(!answer["object"].as_str().unwrap().is_empty());
    }
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20));
    let (status, answer) = server.ask("POST", "/v1/networks", long).await;
    assert_eq!((status, &answer["object"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("request")), "{answer}");
    let (status, answer) = server.ask("GET", "/v1/networks/%FF", "").await;
    assert_eq!((status, &answer["object"]), (StatusCode::BAD_REQUEST, &json!("request")), "{answer}");
    let (status, _) = server.ask("POST", "/v1/networks/bridge/disconnect", r#"{"name":"nix","force":true}"#).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn rules_go_in_and_out_as_text() {
    let server = Server::start().await;
    let text =
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n[1:2] -A INPUT -j DROP\nCOMMIT\n";
    let (status, row) = server.ask("PUT", "/v1/filter?network=bridge&family=ipv6&counters=true", text).await;
    assert_eq!((status, &row["network"], &row["rules"]), (StatusCode::OK, &json!("bridge"), &json!(1)), "{row}");
    let get = |path: &'static str| server.raw("GET", path, "");
    let (status, kind, saved) = get("/v1/filter?network=bridge&family=ipv6&counters=true").await;
    assert_eq!((status, kind.as_str(), saved.as_str()), (StatusCode::OK, "text/plain; charset=utf-8", text));
    assert_eq!(get("/v1/filter?network=bridge&family=ipv6").await.2, text.replace("[1:2] ", ""));
    assert_eq!(get("/v1/filter").await.2, "");
    let (status, refusal) = server.ask("PUT", "/v1/filter", "*filter\n\n-A INPUT -m nix\nCOMMIT\n").await;
    assert_eq!((status, &refusal["line"], &refusal["word"]), (StatusCode::BAD_REQUEST, &json!(3), &json!("nix")));
    assert!(!refusal["reason"].as_str().unwrap().is_empty() && !refusal["remedy"].as_str().unwrap().is_empty());
    let large = format!("*filter\n{}COMMIT\n", "# more than other bodies may have\n".repeat(100_000));
    assert_eq!(server.ask("PUT", "/v1/filter?test=true", large).await.0, StatusCode::OK);
    assert_eq!(server.ask("PUT", "/v1/filter", "#".repeat((128 << 20) + 1)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.ask("DELETE", "/v1/filter?network=bridge&family=ipv6", "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.ask("GET", "/v1/filter/scopes", "").await.1, json!([]));
}

#[tokio::test]
async fn every_table_is_an_array() {
    let server = Server::start().await;
    for table in [
        "networks",
        "ports",
        "fdb",
        "neigh",
        "peers",
        "drops",
        "flows",
        "events",
        "leases/bridge",
        "publish",
        "conn",
        "filter/scopes",
        "rules",
    ] {
        let (status, rows) = server.ask("GET", &format!("/v1/{table}"), "").await;
        assert!(status == StatusCode::OK && rows.is_array(), "{table}: {rows}");
    }
    let (status, uplink) = server.ask("GET", "/v1/uplink", "").await;
    assert!(status == StatusCode::OK && uplink["nics"].is_array() && uplink["counters"].is_object(), "{uplink}");
    let (_, show) = server.ask("GET", "/v1/show", "").await;
    assert_eq!((&show["name"], &show["store"]["connected"]), (&json!("h1"), &json!(true)));
}
