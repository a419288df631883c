//! `vsctl network` and the changes of endpoints: what is asked of the API, and what is said of its answers.

use serde_json::{Value, json};

use crate::answers::{RED, conflict, networks, port};
use crate::fake::Fake;

#[test]
fn create_sends_docker_s_options_and_prints_the_id() {
    let created = json!({"id": RED, "name": "RED", "warning": ""});
    let fake = Fake::new([("POST /v1/networks", 201, created)]);
    let line = "network create -d overlay --subnet 10.10.10.0/24,fd00:10::/64 --gateway 10.10.10.1 \
                --ip-range 10.10.10.128/25 --aux-address tor=10.10.10.9 --internal --attachable --ipv6 --mtu 1400 \
                --vni 5000 --policy deny --label team=web --label x -o com.docker.network.driver.mtu=1400 \
                --dns 192.0.2.53 --dns-search red.example --dns-opt ndots:2 RED";
    assert_eq!(fake.lines(line), [RED]);
    let expected = json!({
        "name": "RED", "driver": "overlay",
        "subnets": [
            {"subnet": "10.10.10.0/24", "ip_range": "10.10.10.128/25", "gateway": "10.10.10.1",
             "aux_addresses": {"tor": "10.10.10.9"}},
            {"subnet": "fd00:10::/64"},
        ],
        "ipv6": true, "internal": true, "attachable": true, "mtu": 1400, "vni": 5000, "policy": "deny",
        "labels": {"team": "web", "x": ""}, "options": {"com.docker.network.driver.mtu": "1400"},
        "dns": ["192.0.2.53"], "dns_search": ["red.example"], "dns_options": ["ndots:2"],
    });
    assert_eq!(fake.asked(), [("POST /v1/networks".into(), expected)]);
}

#[test]
fn a_warning_of_create_goes_to_standard_error() {
    let fake = Fake::new([("POST /v1/networks", 201, json!({"id": "ab", "name": "x", "warning": "no IPv6 here"}))]);
    fake.vsctl("network create x").assert().success().stdout("ab\n").stderr("warning: no IPv6 here\n");
}

#[test]
fn options_that_do_not_fit_together_are_a_usage_error_and_nothing_is_asked() {
    let fake = Fake::new([]);
    let error = "error: --gateway 10.9.0.1 lies in none of the subnets\n  \
                 remedy: give the subnet that contains it with --subnet\n";
    fake.vsctl("network create --gateway 10.9.0.1 RED").assert().code(2).stdout("").stderr(error);
    assert_eq!(fake.asked(), []);
}

#[test]
fn ls_has_docker_s_columns_sorted_by_name() {
    let fake = Fake::new([("GET /v1/networks", 200, networks())]);
    let expected = [
        "NETWORK ID     NAME     DRIVER    SCOPE",
        "aaaaaaaaaaaa   BLUE     overlay   global",
        "111111111111   RED      overlay   global",
        "bbbbbbbbbbbb   bridge   bridge    local",
        "cccccccccccc   host     host      local",
        "dddddddddddd   none     null      local",
    ];
    assert_eq!(fake.lines("network ls"), expected);
    assert_eq!(fake.lines("network list -f driver=overlay -f name=RED -q"), ["111111111111"]);
    assert_eq!(fake.lines("network ls --quiet --no-trunc --filter label=team=web"), [RED]);
    assert_eq!(fake.lines("network ls -f label=team=db"), ["NETWORK ID   NAME   DRIVER   SCOPE"]);
}

#[test]
fn what_docker_has_and_this_switch_has_not_is_refused_with_the_reason() {
    let fake = Fake::new([]);
    for (line, named) in [
        ("network create --config-from other RED", "--config-from"),
        ("network create --ingress RED", "vsctl publish"),
        ("network create --ipam-driver dhcp RED", "dhcp"),
        ("network create --ipam-opt a=b RED", "--ipam-opt a"),
        ("network create --scope global RED", "-d overlay"),
        ("network create --ipv4=false RED", "--subnet"),
        ("connect --link db:store RED web0", "--alias"),
        ("connect --driver-opt a=b RED web0", "--driver-opt a"),
        ("connect --gw-priority -1 RED web0", "--gw-priority -1"),
        ("connect --link-local-ip 169.254.1.2 RED web0", "169.254.1.2"),
    ] {
        let output = fake.vsctl(line).assert().code(2).stdout("").get_output().clone();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(named) && told.contains("remedy: "), "{line}: {told}");
    }
    assert_eq!(fake.asked(), []);
}

#[test]
fn rm_with_force_takes_what_is_gone_as_done() {
    let fake = Fake::new([]);
    fake.vsctl("network rm -f nope").assert().success().stdout("").stderr("");
    fake.vsctl("network rm nope").assert().code(1);
}

#[test]
fn ls_as_json_is_the_api_s_answer_filtered() {
    let fake = Fake::new([("GET /v1/networks", 200, networks())]);
    assert_eq!(fake.json("network ls --format json"), networks());
    let red = fake.json("network ls --format json -f name=RED");
    assert_eq!(red, json!([networks()[0]]), "with fields this program does not know");
}

#[test]
fn inspect_prints_what_is_found_in_docker_s_order_and_fails_for_the_rest() {
    let red: Value = serde_json::from_str(r#"{"Name":"RED","Id":"11","Created":"x","Containers":{}}"#).unwrap();
    let fake = Fake::new([("GET /v1/networks/RED", 200, red)]);
    let found = "[\n  {\n    \"Name\": \"RED\",\n    \"Id\": \"11\",\n    \"Created\": \"x\",\n    \"Containers\": {}\n  }\n]\n";
    fake.vsctl("network inspect RED").assert().success().stdout(found).stderr("");
    let missing = "error: network nope not found\n  remedy: see `vsctl network ls`\n";
    fake.vsctl("network inspect nope RED").assert().code(1).stdout(found).stderr(missing);
    fake.vsctl("network inspect nope").assert().code(1).stdout("[]\n").stderr(missing);
}

#[test]
fn names_of_networks_are_kept_whole_on_the_way() {
    let fake = Fake::new([]);
    fake.vsctl("network inspect a/../b?c").assert().code(1);
    assert_eq!(fake.asked(), [("GET /v1/networks/a%2F..%2Fb%3Fc".into(), Value::Null)]);
}

#[test]
fn rm_goes_on_after_a_failure() {
    let in_use = "network RED: in use by container1 on h1";
    let fake =
        Fake::new([("DELETE /v1/networks/RED", 409, conflict(in_use)), ("DELETE /v1/networks/BLUE", 204, Value::Null)]);
    let told = format!("error: {in_use}\n  remedy: detach them first\n");
    fake.vsctl("network rm RED BLUE").assert().code(1).stdout("BLUE\n").stderr(told.clone());
    fake.vsctl("network rm BLUE --format json").assert().success().stdout("[\n  \"BLUE\"\n]\n");
    fake.vsctl("network rm RED").assert().code(1).stdout("").stderr(told);
}

#[test]
fn prune_asks_and_without_an_answer_needs_to_be_forced() {
    let fake = Fake::new([]);
    let output = fake.vsctl("network prune").assert().code(2).stdout("").get_output().clone();
    assert!(String::from_utf8(output.stderr).unwrap().contains("give -f"));
    fake.vsctl("network prune").write_stdin("n\n").assert().success().stdout("");
    assert_eq!(fake.asked(), []);
    let fake = Fake::new([("GET /v1/networks", 200, json!([]))]);
    fake.vsctl("network prune").write_stdin("y\n").assert().success();
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn prune_removes_what_nothing_uses_and_leaves_what_is_in_the_way() {
    let blue = "DELETE /v1/networks/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let fake = Fake::new([("GET /v1/networks", 200, networks()), (blue, 204, Value::Null)]);
    assert_eq!(fake.lines("network prune -f"), ["Deleted Networks:", "BLUE"]);
    let asked: Vec<String> = fake.asked().into_iter().map(|(what, _)| what).collect();
    assert_eq!(asked, ["GET /v1/networks", blue], "neither RED, in use, nor the predefined ones");

    let fake = Fake::new([("GET /v1/networks", 200, networks()), (blue, 409, conflict("network BLUE: in use on h2"))]);
    fake.vsctl("network prune -f").assert().success().stdout("").stderr("");
}

#[test]
fn prune_takes_only_what_its_filters_match() {
    let blue = "DELETE /v1/networks/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let fake = Fake::new([("GET /v1/networks", 200, networks()), (blue, 204, Value::Null)]);
    assert!(fake.lines("network prune -f --filter label=team").is_empty());
    assert!(fake.lines("network prune -f --filter until=2026-11-21T12:00:00Z").is_empty());
    assert_eq!(fake.lines("network prune -f --filter until=2026-11-21T12:00:01Z --filter label!=team").len(), 2);
}

#[test]
fn connect_and_disconnect_have_two_names_and_print_nothing() {
    let fake = Fake::new([
        ("POST /v1/networks/RED/connect", 201, port()),
        ("POST /v1/networks/RED/disconnect", 204, Value::Null),
    ]);
    for prefix in ["", "network "] {
        let line = "connect --ip 10.10.10.7 --ip6 fd00:10::7 --alias a --alias b --ifname eth3 \
                    --hostname c1 --dns fd00::53 RED container1";
        assert!(fake.lines(&format!("{prefix}{line}")).is_empty());
        assert!(fake.lines(&format!("{prefix}disconnect -f RED container1")).is_empty());
    }
    let connect = json!({
        "name": "container1", "ip": "10.10.10.7", "ip6": "fd00:10::7", "ifname": "eth3", "aliases": ["a", "b"],
        "hostname": "c1", "dns": ["fd00::53"],
    });
    let disconnect = json!({"name": "container1", "force": true});
    assert_eq!(fake.asked()[0].1, connect);
    assert_eq!(fake.asked()[1].1, disconnect);
    assert_eq!(fake.json("connect RED container1 --format json"), port());
}

#[test]
fn add_port_prints_the_link() {
    let fake = Fake::new([("POST /v1/ports", 201, port())]);
    let line = "add-port RED container1 --netns here --container-id c1 --mac 02-42-0A-0A-0A-02 --allow-spoof \
                --label tier=front --label x";
    assert_eq!(fake.lines(line), ["eth0 10.10.10.2/24 fd00:10::2/64 02:42:0a:0a:0a:02"]);
    let here = std::env::current_dir().unwrap().join("here");
    let expected = json!({
        "network": "RED", "name": "container1", "netns": here, "container_id": "c1", "mac": "02:42:0a:0a:0a:02",
        "allow_spoof": true, "labels": {"tier": "front", "x": ""},
    });
    assert_eq!(fake.asked(), [("POST /v1/ports".into(), expected)]);
}

#[test]
fn limits_and_vlans_go_with_the_port_and_change() {
    let mut limited = port();
    limited["limits"] = json!({"rate": 1_500_000, "egress_rate": 2_000_000_000, "storm_broadcast": 100});
    limited["vlan"] = json!({"trunk": "10,20-29", "native": 5});
    let fake = Fake::new([
        ("POST /v1/ports", 201, port()),
        ("PATCH /v1/ports/web0?network=R%26D", 200, limited.clone()),
        ("PATCH /v1/ports/web0?network=RED", 200, port()),
        ("PATCH /v1/ports/vm0?network=RED", 200, limited.clone()),
        ("GET /v1/ports", 200, json!([limited])),
        ("POST /v1/networks/RED/connect", 201, port()),
    ]);
    let line = "add-port RED vm0 --pid 7 --rate 100mbit --burst 64kb --egress-rate 1gbit --storm-unknown 50 \
                --trunk 20-29,10,21 --native 5";
    fake.lines(line);
    fake.lines("add-port RED web1 --pid 7 --vlan 10");
    assert_eq!(
        fake.lines("set-port R&D web0 --rate 1.5mbit"),
        ["in 1500kbit, out 2gbit, broadcast 100/s, VLAN trunk 10,20-29 native 5"]
    );
    assert_eq!(fake.lines("set-port RED web0 --rate none --storm-multicast 0"), ["no limits"]);
    let all = ["in 1500kbit, out 2gbit, broadcast 100/s, VLAN trunk 10,20-29 native 5"];
    assert_eq!(fake.lines("set-port RED vm0 --trunk 10,20-29 --native 5"), all);
    fake.lines("set-port RED vm0 --vlan none");
    fake.lines("set-port RED vm0 --vlan 7 --egress-rate none");
    fake.lines("connect RED web0 --vlan 20 --rate 8mbit");
    let asked: Vec<Value> = fake.asked().into_iter().map(|(_, body)| body).collect();
    let limits = json!({"rate": 100_000_000, "burst": 65_536, "egress_rate": 1_000_000_000, "storm_unknown": 50});
    let trunk = json!({"trunk": "10,20-29", "native": 5});
    assert_eq!(asked[0], json!({"network": "RED", "name": "vm0", "pid": 7, "limits": limits, "vlan": trunk}));
    assert_eq!(asked[1], json!({"network": "RED", "name": "web1", "pid": 7, "vlan": {"access": 10}}));
    let limits = [json!({"rate": 1_500_000}), json!({"rate": 0, "storm_multicast": 0})];
    assert_eq!(asked[2..4], limits.map(|limits| json!({"limits": limits})));
    assert_eq!(asked[4..6], [json!({"vlan": trunk}), json!({"untagged": true})]);
    assert_eq!(asked[6], json!({"limits": {"egress_rate": 0}, "vlan": {"access": 7}}));
    assert_eq!(asked[7], json!({"name": "web0", "limits": {"rate": 8_000_000}, "vlan": {"access": 20}}));
    let row = &fake.lines("ports")[1];
    assert!(row.contains("   trunk 10,20-29 native 5   in 1500kbit, out 2gbit, broadcast 100/s   "), "{row}");
}

#[test]
fn del_port_names_a_network_or_none() {
    let fake = Fake::new([
        ("DELETE /v1/ports/web0", 204, Value::Null),
        ("DELETE /v1/ports/web0?network=R%26D", 204, Value::Null),
    ]);
    assert!(fake.lines("del-port web0").is_empty());
    assert!(fake.lines("del-port web0 R&D").is_empty());
}
