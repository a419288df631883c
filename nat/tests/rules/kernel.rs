//! Each rule alone, loaded and saved, next to what the kernel's own tools made of it. Where we differ, we do so on purpose.

use nat::rules::{Family, load, save};

/// A rule, and what becomes of it; nothing if it is refused.
type Case<'a> = (&'a str, &'a str, Option<Vec<&'a str>>);

fn cases(text: &str) -> Vec<Case<'_>> {
    let (mut table, mut cases) = ("", Vec::<Case<'_>>::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match (line.chars().next(), cases.last_mut()) {
            (Some('*'), _) => table = &line[1..],
            (Some('='), Some((_, given, saved))) => {
                let line = line.strip_prefix("= ").unwrap_or(given);
                saved.get_or_insert_default().push(line);
            }
            (Some('!'), Some(_)) => {}
            _ => cases.push((table, line, None)),
        }
    }
    cases
}

/// What becomes of a rule here.
fn ours(family: Family, table: &str, rule: &str) -> Result<Vec<String>, String> {
    let text = format!("*{table}\n:my - [0:0]\n{rule}\nCOMMIT\n");
    let set = load(family, &text).map_err(|error| error.to_string())?;
    Ok(save(&set, false).lines().filter(|line| line.starts_with("-A")).map(str::to_owned).collect())
}

/// Parts of rules that are not treated as the kernel's tools do, each for the reason behind it.
const DIFFERENT: [(&str, &str); 27] = [
    ("--hashlimit-rate-match", "refused: not supported"),
    ("-m physdev", "refused: not supported"),
    ("-m tcpmss", "refused: not supported"),
    ("-m pkttype", "refused: not supported"),
    ("-m time", "refused: not supported"),
    ("-j CT --zone", "refused: only --notrack is supported"),
    ("-j CT", "refused: it would do nothing"),
    ("--ctrepldst 2.2.2.2/255.0.255.0", "the mask is written; iptables-save loses it"),
    ("! -i +", "written; iptables-save loses it"),
    ("--limit 1/day", "taken; the kernel's numbers overflow"),
    ("--hashlimit-upto 1/day", "taken; the kernel's numbers overflow"),
    ("1.2.3.9-1.2.3.4", "refused: the range is empty"),
    ("--length 20:10", "refused: the range is empty"),
    ("0123456789012345678901234567890123456789", "refused: it would be cut"),
    ("localhost", "refused: names are not looked up"),
    ("! --dport 0:65535", "written; iptables-save loses it"),
    ("--dports 5:5,:7,8:", "taken, as --dport takes open ranges"),
    ("--src-type UNI ", "refused: names are written out"),
    ("--ctstate EST ", "refused: names are written out"),
    ("icmp-admin-prohib", "refused: names are written out"),
    ("--log-level warn", "taken"),
    ("--log-prefix \"\"", "taken"),
    ("-A INPUT --", "refused: not an option"),
    ("--tcp-flags NONE NONE", "written; iptables-save loses it"),
    ("--icmp-type host-u", "taken where it is not ambiguous"),
    ("--set-mss", "as legacy iptables has it"),
    ("-p tcp -j TCPMSS", "as legacy iptables has it"),
];

fn compare(family: Family, text: &str) {
    let cases = cases(text);
    assert!(cases.len() > 30);
    let mut wrong = Vec::new();
    for (table, rule, kernel) in cases {
        let ours = ours(family, table, rule);
        let same = match (&ours, &kernel) {
            (Ok(ours), Some(kernel)) => ours == kernel,
            (Err(_), None) => true,
            _ => false,
        };
        let expected = DIFFERENT.iter().any(|(part, _)| format!("{rule} ").contains(part));
        if !same && !expected {
            wrong.push(format!("{rule}\n  kernel {kernel:?}\n  ours   {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ipv4_rules_are_read_and_written_as_by_the_kernels_tools() {
    compare(Family::Ipv4, include_str!("ipv4.txt"));
}

#[test]
fn ipv6_rules_are_read_and_written_as_by_the_kernels_tools() {
    compare(Family::Ipv6, include_str!("ipv6.txt"));
}

#[test]
fn fw_04_an_inserted_line_with_several_addresses_ends_up_in_reverse_order() {
    let text = "*filter\n-A INPUT -j DROP\n-I INPUT -s 10.0.0.1,10.0.0.2 -d 1.1.1.1,1.1.1.2 -j ACCEPT\nCOMMIT\n";
    let saved = save(&load(Family::Ipv4, text).unwrap(), false);
    let expected = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
        -A INPUT -s 10.0.0.2/32 -d 1.1.1.2/32 -j ACCEPT\n-A INPUT -s 10.0.0.2/32 -d 1.1.1.1/32 -j ACCEPT\n\
        -A INPUT -s 10.0.0.1/32 -d 1.1.1.2/32 -j ACCEPT\n-A INPUT -s 10.0.0.1/32 -d 1.1.1.1/32 -j ACCEPT\n\
        -A INPUT -j DROP\nCOMMIT\n";
    assert_eq!(saved, expected);
}
