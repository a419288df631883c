//! Seeds for what reads text: rows of the store.

use super::Seed;

const SUBNETS: [(&str, &str); 6] = [
    ("subnet", r#"{"cidr":"10.10.10.0/24","gateway":"10.10.10.1"}"#),
    ("subnet-all", r#"{"cidr":"10.10.0.0/16","range":"10.10.5.0/24","gateway":"10.10.0.9","aux":{"dns":"10.10.5.1"}}"#),
    ("subnet-v6", r#"{"cidr":"fd00::/64","range":null,"gateway":"fd00::1","aux":{}}"#),
    ("subnet-two", r#"{"cidr":"192.0.2.0/31"}"#),
    ("subnet-one", r#"{"cidr":"192.0.2.7/32"}"#),
    ("subnet-largest", r#"{"cidr":"2000::/3"}"#),
];

const LEASES: [(&str, &str); 2] = [
    ("lease-held", r#"{"address":"10.10.10.2","owner":"h1/web0","host":"h1","state":"held"}"#),
    ("lease-resting", r#"{"address":"fd00::2","owner":"h1/web0","host":"h1","state":{"resting":{"until":1000}}}"#),
];

const POOLS: [(&str, &str); 3] = [
    (
        "pool",
        r#"{"subnet":{"cidr":"10.10.10.0/29"},"leases":[
{"address":"10.10.10.2","owner":"h1/a","host":"h1","state":"held"},
{"address":"10.10.10.3","owner":"h1/b","host":"h1","state":{"resting":{"until":500}}},
{"address":"10.10.10.1","owner":"h1/c","host":"h1","state":"held"},
{"address":"10.10.11.1","owner":"h1/d","host":"h1","state":"held"}]}"#,
    ),
    (
        "pool-full",
        r#"{"subnet":{"cidr":"10.0.0.0/30"},"leases":[
{"address":"10.0.0.2","owner":"h1/a","host":"h1","state":"held"}]}"#,
    ),
    (
        "pool-v6",
        r#"{"subnet":{"cidr":"fd00::/126","range":"fd00::2/127"},"leases":[
{"address":"fd00::2","owner":"h0/somebody new","host":"h0","state":{"resting":{"until":18446744073709551615}}}]}"#,
    ),
];

const RECORDS: [(&str, &str); 6] = [
    ("cluster", r#"{"id":"0123456789abcdef0123456789abcdef","format":1}"#),
    (
        "host",
        r#"{"name":"h1","vteps":["192.0.2.1","2001:db8::1"],"vxlan_port":4789,"underlay_mtu":1500,"incarnation":7}"#,
    ),
    (
        "network",
        r#"{"id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","name":"RED","driver":"overlay",
"scope":"global","created":"2026-01-01T00:00:00.000000000Z","subnets":[{"subnet":"10.10.10.0/24","ip_range":"10.10.10.128/25",
"gateway":"10.10.10.1","aux_addresses":{"dns":"10.10.10.2"}},{"subnet":"fd00::/64","ip_range":null,"gateway":"fd00::1",
"aux_addresses":{}}],"vni":4096,"mtu":1450,"internal":false,"attachable":true,"ipv6":true,"options":{"a":"b"},"labels":{}}"#,
    ),
    (
        "network-local",
        r#"{"id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","name":"bridge","driver":"bridge",
"scope":"local","created":"2026-01-01T00:00:00.000000000Z","subnets":[],"vni":null,"mtu":1500,"internal":false,
"attachable":false,"ipv6":false,"options":{},"labels":{}}"#,
    ),
    (
        "endpoints",
        r#"{"host":"h1","vtep":"192.0.2.1","incarnation":7,"endpoints":[{"id":"e1","name":"web0","container_id":"c1",
"mac":"02:42:0a:0a:0a:02","addresses":["10.10.10.2/24","fd00::2/64"],"aliases":["web"],"ifname":"eth0","labels":{"tier":""}}]}"#,
    ),
    ("endpoints-none", r#"{"host":"h1","vtep":"2001:db8::1","incarnation":0,"endpoints":[]}"#),
];

const REQUESTS: [(&str, &str); 10] = [
    ("create", r#"{"name":"RED"}"#),
    (
        "create-all",
        r#"{"name":"RED","driver":"overlay","subnets":[{"subnet":"10.10.10.0/24","ip_range":"10.10.10.128/25",
"gateway":"10.10.10.1","aux_addresses":{"dns":"10.10.10.2"}},{}],"ipv6":true,"internal":true,"attachable":true,"mtu":1450,
"vni":4096,"policy":"deny","labels":{"a":"b"},"options":{"com.docker.network.driver.mtu":"1450"}}"#,
    ),
    ("connect", r#"{"name":"web0"}"#),
    (
        "connect-all",
        r#"{"name":"web0","ip":"10.10.10.9","ip6":"fd00::9","mac":"02:42:0a:0a:0a:09","ifname":"eth1","aliases":["a"]}"#,
    ),
    ("disconnect", r#"{"name":"web0","force":true}"#),
    ("port", r#"{"network":"RED","name":"web0","pid":42}"#),
    (
        "port-all",
        r#"{"network":"RED","name":"web0","netns":"/run/netns/a","container_id":"c1","ifname":"eth0","ip":"10.10.10.9",
"ip6":"fd00::9","mac":"02:42:0a:0a:0a:09","aliases":["a","b"],"labels":{"tier":"front"},"allow_spoof":true}"#,
    ),
    ("fdb-port", r#"{"network":"RED","mac":"02:00:00:00:00:01","port":"web0"}"#),
    ("fdb-vtep", r#"{"network":"RED","mac":"02:00:00:00:00:01","vtep":"192.0.2.2"}"#),
    ("peer", r#"{"network":"RED","vtep":"2001:db8::2"}"#),
];

const ANNOTATIONS: [(&str, &str); 6] = [
    ("one", "RED"),
    ("three", "RED;BLUE; green"),
    ("all", "RED:ip=10.10.10.9,ip6=fd00::9,mac=02:42:0a:0a:0a:09,ifname=net1,alias=web+www"),
    ("mixed", "RED:ip=10.10.10.9;BLUE:alias=a+b;green:ip6=fd00::1:2"),
    ("twice", "RED;RED"),
    ("unknown-key", "RED:ipv4=10.0.0.1"),
];

const STATES: [(&str, &str); 5] = [
    (
        "runc",
        r#"{"ociVersion":"1.2.0","id":"c1","status":"creating","pid":42,"bundle":"/b","annotations":{
"org.vswitch.networks":"RED:alias=web;BLUE","org.vswitch.name":"web0"}}"#,
    ),
    (
        "crun-stopped",
        r#"{"ociVersion":"1.0","id":"c1","pid":0,"root":"/r","bundle":"/b","status":"stopped","annotations":{}}"#,
    ),
    ("podman-stopped", r#"{"ociVersion":"1.2.0","id":"c1","status":"stopped","bundle":"/b","annotations":null}"#),
    ("wrong-types", r#"{"id":"a","pid":-4,"annotations":{"org.vswitch.networks":["RED"]}}"#),
    ("shortest", r#"{"id":"a"}"#),
];

const URLS: [(&str, &str); 11] = [
    ("consul", "consul://127.0.0.1:8500/vswitch"),
    ("consul-servers", "consul://a.example,[2001:db8::1]:8501,c_1:80/pre/fix"),
    ("consul-shortest", "consul://localhost"),
    ("consul-stale", "consul://h/p?stale=1"),
    ("consul-token", "consul://h:8500/p?token=abc%2Fdef"),
    ("consul-certificates", "consul+tls://h:8501/p?ca=/c.pem&cert=/a.pem&key=/k.pem&stale"),
    ("consul-tls", "consul+tls://h"),
    ("user", "consul://user:password@h:8500/p"),
    ("no-scheme", "127.0.0.1:8500"),
    ("unknown-scheme", "etcd://h:2379"),
    ("file-relative", "file//x"),
];

const CNI: [(&str, &str); 5] = [
    (
        "containerd",
        r#"{"cniVersion":"1.0.0","name":"pods","type":"vswitch-cni","subnet":"10.88.0.0/16","capabilities":{"portMappings":true},
"runtimeConfig":{"portMappings":[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":""}],
"bandwidth":{"IngressRate":1000000,"IngressBurst":4294967295},"dns":{"Servers":["10.0.0.1"],"Searches":null}}}"#,
    ),
    (
        "cri-o",
        r#"{"cniVersion":"0.4.0","name":"pods","network":"RED","runtimeConfig":{"aliases":{"pods":["a"]},"ips":["10.1.2.3/24"],
"mac":"02:42:0a:01:02:03","portMappings":[{"hostPort":53,"containerPort":53,"protocol":"udp","hostIP":"::1"}]}}"#,
    ),
    (
        "chained",
        r#"{"cniVersion":"1.1.0","name":"x","subnets":["fd00::/64","10.0.0.0/8"],"driver":"overlay","internal":true,"mtu":1400,
"prevResult":{"interfaces":[{"name":"lo","sandbox":"/n"}],"ips":[]},"dns":{"nameservers":["fd00::1"],"search":["a"]}}"#,
    ),
    ("gc", r#"{"cniVersion":"1.1.0","name":"x","cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"}]}"#),
    ("refused", r#"{"cniVersion":"1.1.0","name":"x","ipam":{"type":"host-local"},"runtimeConfig":{"ipRanges":[[]]}}"#),
];

/// The seeds of all targets that take text.
pub(super) fn seeds() -> Vec<Seed> {
    let seeds = |target: &'static str, texts: &[(&'static str, &str)]| -> Vec<Seed> {
        texts.iter().map(|(name, text)| (target, *name, text.as_bytes().to_vec())).collect()
    };
    [
        seeds("ipam_json", &[&SUBNETS[..], &LEASES, &POOLS].concat()),
        seeds("model_records", &[&RECORDS[..], &LEASES].concat()),
        seeds("api_requests", &REQUESTS),
        seeds("oci_annotation", &ANNOTATIONS),
        seeds("oci_state", &STATES),
        seeds("cni_config", &CNI),
        seeds("store_url", &URLS),
    ]
    .concat()
}
