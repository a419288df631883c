//! Templates as docker's documentation and its users write them, and what is no template.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Template, Value};

fn network() -> Json {
    json!({
        "Name": "RED", "Id": "0123456789abcdef", "Driver": "overlay", "Internal": false, "EnableIPv6": true,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [
            {"Subnet": "10.10.10.0/24", "IPRange": "", "Gateway": "10.10.10.1", "AuxiliaryAddresses": {}},
            {"Subnet": "fd00:10::/64", "IPRange": "", "Gateway": "fd00:10::1", "AuxiliaryAddresses": {"tor": "fd00:10::9"}},
        ]},
        "Containers": {
            "c2": {"Name": "db", "IPv4Address": "10.10.10.3/24"},
            "c1": {"Name": "web", "IPv4Address": "10.10.10.2/24"},
        },
        "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"team": "web", "Tier": "1"},
        "rx_bytes": 1500, "ratio": 0.5, "absent": null,
    })
}

fn fill(text: &str) -> Result<String, String> {
    Template::parse(text)?.fill(&Value::read(&network()))
}

#[test]
fn what_docker_users_write_comes_out_as_there() {
    for (text, expected) in [
        ("{{.Name}}: {{.Driver}}", "RED: overlay"),
        ("{{.ID}}", "0123456789abcdef"),
        ("{{ .Internal }} {{.EnableIPv6}}", "false true"),
        ("{{range .Containers}}{{.Name}} {{end}}", "web db "),
        ("{{range $id, $c := .Containers}}{{$id}}={{$c.Name}},{{end}}", "c1=web,c2=db,"),
        ("{{len .Containers}}", "2"),
        ("{{index .Labels \"team\"}}", "web"),
        ("{{index .Options \"com.docker.network.driver.mtu\"}}", "1400"),
        ("{{.Labels.team}} {{.Labels.none}}|", "web |"),
        ("{{.Labels}}", "map[Tier:1 team:web]"),
        ("{{.IPAM.Driver}}", "default"),
        ("{{.IPAM.Config}}", "[{10.10.10.0/24  10.10.10.1 map[]} {fd00:10::/64  fd00:10::1 map[tor:fd00:10::9]}]"),
        ("{{range .IPAM.Config}}{{.Subnet}} {{end}}", "10.10.10.0/24 fd00:10::/64 "),
        ("{{(index .IPAM.Config 0).Gateway}}", "10.10.10.1"),
        ("{{with index .IPAM.Config 1}}{{.Gateway}} in {{$.Name}}{{end}}", "fd00:10::1 in RED"),
        ("{{json .Labels}}", r#"{"Tier":"1","team":"web"}"#),
        ("{{json .Name}}", r#""RED""#),
        ("{{if .Internal}}closed{{else if eq .Driver \"overlay\" \"bridge\"}}open{{else}}?{{end}}", "open"),
        ("{{if and .EnableIPv6 (not .Internal)}}yes{{end}}", "yes"),
        ("{{if or .Internal .absent}}a{{else}}b{{end}}", "b"),
        ("{{.Name | lower | printf \"%s-%s\" \"x\" | title}}", "X-Red"),
        (
            "{{upper .Driver}} {{title \"a b\"}} {{truncate .Id 12}} {{pad .Name 1 2}}|",
            "OVERLAY A B 0123456789ab  RED  |",
        ),
        ("{{join (split \"a,b,c\" \",\") \"-\"}}", "a-b-c"),
        ("{{slice .Id 0 4}} {{slice .Id 14}}", "0123 ef"),
        (
            "{{printf \"%-5s|%5s|%05d|%q|%.2f|%v%%\" .Name .Name 42 .Name .ratio .rx_bytes}}",
            "RED  |  RED|00042|\"RED\"|0.50|1500%",
        ),
        ("{{print 1 2 \"a\" 3}}|{{println .Name}}", "1 2a3|RED\n"),
        ("{{.RxBytes}} {{.rx_bytes}} {{gt .RxBytes 1000}} {{le 1 1.5}}", "1500 1500 true true"),
        ("a {{- .Name -}} b", "aREDb"),
        ("a{{/* a note */}}b{{- /* }} */ -}} c", "abc"),
        ("{{$n := .Name}}{{if true}}{{$n = \"x\"}}{{end}}{{$n}}", "x"),
        ("{{range $i, $s := .IPAM.Config}}{{if $i}}, {{end}}{{$s.Subnet}}{{end}}", "10.10.10.0/24, fd00:10::/64"),
        ("{{range .IPAM.Config}}{{break}}x{{end}}{{range .IPAM.Config}}{{continue}}x{{end}}.", "."),
        ("{{range .absent}}x{{else}}none{{end}}", "none"),
        ("{{\"\\t\"}}{{`\\t`}}{{'a'}}{{0x10}}", "\t\\t9716"),
        ("{{html \"<a>\"}} {{urlquery \"a b/c\"}}", "&lt;a&gt; a+b%2Fc"),
        (
            "{{gt .absent 0}} {{eq .absent \"\"}} {{lt .absent 1.5}} {{eq .absent false}} {{eq .absent nil}}",
            "false true true true true",
        ),
        ("{{.IPAM.Nothing}}|{{range .IPAM.Config}}{{.Nothing.Inside}}{{end}}|", "||"),
        ("}} is text {", "}} is text {"),
    ] {
        assert_eq!(fill(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn slips_are_named() {
    for (text, named) in [
        ("{{.Nmae}}", ".Nmae is not there; there are Name, Id"),
        ("{{.Name", "}} is missing"),
        ("{{nmae .}}", "nmae is no function"),
        ("{{if .Name}}x", "end is missing"),
        ("{{range .Containers}}", "end is missing"),
        ("x{{end}}", "has no if"),
        ("{{if .Name}}{{else foo}}{{end}}", "does not fit"),
        ("{{}}", "missing"),
        ("{{.Name | }}", "missing"),
        ("{{(.Name}}", "( without )"),
        ("{{.Name)}}", ") without ("),
        ("{{\"a}}", "\" is missing"),
        ("{{$x}}", "$x is not declared"),
        ("{{break}}", "no range"),
        ("{{template \"x\"}}", "named templates"),
        ("{{range .Name}}{{end}}", "no elements"),
        ("{{index .IPAM.Config 7}}", "no element 7"),
        ("{{.Name.Length}}", "no fields"),
        ("{{.Name 1}}", "no arguments"),
        ("{{len 3}}", "no length"),
        ("{{lt .Name 3}}", "cannot be compared"),
        ("{{printf \"%d\" .Name}}", "%d is not for RED"),
        ("{{printf \"%s\"}}", "has no value"),
        ("{{printf \"x\" 1}}", "more values"),
        ("{{1 2}}", "no function"),
        ("{{# }}", "not expected"),
    ] {
        let why = fill(text).unwrap_err();
        assert!(why.contains(named), "{text}: {why}");
    }
    assert!(Template::parse(&"{{if true}}".repeat(10_000)).is_err());
    assert!(Template::parse(&format!("{{{{{}", "(".repeat(10_000))).is_err());
}

#[test]
fn a_heading_has_the_names_of_the_fields() {
    let fill = |text: &str| Template::parse(text).unwrap().fill(&Value::Heading(String::new())).unwrap();
    assert_eq!(fill("{{.Name}}\t{{.RxBytes}}\t{{.rx_bytes}}\t{{upper .Driver}}"), "NAME\tRX BYTES\tRX BYTES\tDRIVER");
    assert_eq!(fill("{{.Label \"com.example.team\"}} {{truncate .ID 5}}"), "team ID");
    assert_eq!(fill("{{range .Subnets}}{{.Gateway}}{{end}}{{if .X}}!{{end}}"), "GATEWAY!");
}

#[test]
fn labels_of_a_list_are_text_and_can_be_asked_for() {
    let labels = Value::Labels([("a".into(), "1".into()), ("b".into(), "2".into())].into());
    let row = Value::Record(vec![("Labels".into(), labels)]);
    let fill = |text: &str| Template::parse(text).unwrap().fill(&row).unwrap();
    assert_eq!(fill("{{.Labels}} {{.Label \"b\"}} {{index .Labels \"a\"}} {{.Label \"c\"}}|"), "a=1,b=2 2 1 |");
    assert_eq!(fill("{{json .}}"), r#"{"Labels":"a=1,b=2"}"#);
}

proptest! {
    #[test]
    fn any_text_is_read_to_an_end(text in "([{}()|.$\"` a-z0-9=:,-]|\\{\\{|\\}\\}|if |end|range |else ){0,40}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.fill(&Value::read(&network()));
        }
    }
}
