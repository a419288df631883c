//! Lists of addresses, which rules look packets up in.

use nat::rules::{Family, Hook, Program, Table, Verdict, load, load_onto, save};

use super::world::{Bench, bench, echo, tcp, udp};

const SETS: &str = "create hosts hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1234
add hosts 10.0.0.1
add hosts 10.0.0.3
create nets hash:net family inet hashsize 1024 maxelem 65536
add nets 10.0.0.0/8
add nets 10.0.0.0/24 nomatch
add nets 10.0.0.9
create services hash:net,port family inet hashsize 64 maxelem 100
add services 10.0.0.0/24,tcp:80
add services 10.0.0.0/24,icmp:8/0
add services 10.0.0.0/24,gre:0
";

fn with(rule: &str) -> Bench {
    let mut made = bench(Family::Ipv4, Table::Filter, Hook::Forward, "");
    let text = format!("{SETS}*filter\n-A FORWARD {rule} -j DROP\nCOMMIT\n");
    made.program = Program::new(load(Family::Ipv4, &text).unwrap_or_else(|error| panic!("{error}")));
    made
}

#[test]
fn addresses_and_ports_are_looked_up() {
    let web = tcp("10.0.0.1:9", "10.0.0.2:80", 2, &[], b"");
    let dns = udp("10.0.0.1:9", "10.0.0.9:53", b"");
    let far = udp("10.0.0.4:9", "10.9.0.9:80", b"");
    let ping = echo("10.0.0.1", "10.0.0.2");
    for (rule, wanted) in [
        ("--match-set hosts src", [true, true, false, true]),
        ("! --match-set hosts src", [false, false, true, false]),
        ("--match-set hosts dst", [false; 4]),
        ("--match-set nets dst", [false, true, true, false]),
        ("--match-set services dst,dst", [true, false, false, true]),
        ("--match-set services dst,src", [false, false, false, true]),
    ] {
        let mut bench = with(&format!("-m set {rule}"));
        assert_eq!([&web, &dns, &far, &ping].map(|frame| bench.drops(frame)), wanted, "{rule}");
    }
}

#[test]
fn lists_are_saved_and_replaced_by_name() {
    let first =
        load(Family::Ipv4, &format!("{SETS}*filter\n-A FORWARD -m set --match-set hosts src -j DROP\nCOMMIT\n"));
    let first = first.unwrap();
    assert_eq!(load(Family::Ipv4, &save(&first, true)).as_ref(), Ok(&first));
    // Other tables may name the lists of before; a new list of the same name takes the old one's place everywhere.
    let text = "create hosts hash:ip\nadd hosts 10.0.0.7\n*raw\n-A OUTPUT -m set --match-set nets src\nCOMMIT\n";
    let both = load_onto(first, text, true).unwrap();
    assert_eq!(both.sets().len(), 3);
    assert_eq!(load(Family::Ipv4, &save(&both, true)).as_ref(), Ok(&both));
    let mut bench = with("");
    bench.program = Program::new(both);
    assert!(bench.drops(&udp("10.0.0.7:9", "10.0.0.2:53", b"")));
    assert_eq!(bench.verdict(&udp("10.0.0.1:9", "10.0.0.2:53", b"")), Verdict::Accept);
}
