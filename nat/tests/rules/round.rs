//! What is saved loads again as the same rule set, and is then saved as the same text.

use nat::rules::{Family, load, save};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const SHARED: &[&str] = &[
    "-p tcp -m tcp @N--sport @P @N--dport @P",
    "-p tcp @N--syn",
    "-p tcp -m tcp @N--tcp-flags SYN,FIN,URG @F @N--tcp-option @B",
    "-p udp @N--dport @P",
    "@N-p @W",
    "-p tcp -m multiport @N--ports @P,@P,@P",
    "-p sctp -m multiport @N--dports @P",
    "@N-i eth+",
    "-i veth#",
    "-m iprange @N--src-range @A-@A",
    "-m state @N--state NEW,RELATED",
    "-m conntrack @N--ctstate SNAT,ESTABLISHED,NEW @N--ctproto @W @N--ctorigsrc @M @N--ctrepldst @A @N--ctreplsrcport @P",
    "-m conntrack @N--ctstatus SEEN_REPLY,ASSURED @N--ctexpire @W: --ctdir REPLY",
    "-m conntrack @N--ctstatus NONE",
    "-m mac @N--mac-source 02:00:00:00:00:0@B",
    "-m limit --limit @B#/@U --limit-burst 1#",
    "-m hashlimit --hashlimit-name h# --hashlimit-upto #@B/@U --hashlimit-mode srcip,dstport --hashlimit-srcmask 24",
    "-m hashlimit --hashlimit-name h# @N--hashlimit-above #@Bkb/s --hashlimit-htable-expire 7#",
    "-m hashlimit --hashlimit-name h# --hashlimit-above 1#b/s --hashlimit-burst 1#mb --hashlimit-htable-max #",
    "-m connlimit @N--connlimit-above # --connlimit-mask 2@B --connlimit-daddr",
    "-m comment --comment \"a 'b' \\\"c\\\" \\\\ é #\"",
    "-m mark @N--mark #/# -m connmark @N--mark 0x#",
    "-m addrtype @N--dst-type LOCAL,MULTICAST --limit-iface-in",
    "-m length @N--length @P",
    "-m dscp @N--dscp 1@B -m tos @N--tos #/15",
    "-m statistic --mode random @N--probability 0.#",
    "-m statistic --mode nth @N--every 1# --packet #",
    "-j ACCEPT",
    "-j a",
    "-g b",
    "-j RETURN",
    "-j LOG --log-prefix \"x #: \" --log-level @B --log-uid",
    "-j MARK --set-mark #/#",
    "-j MARK --and-mark #",
    "-j CONNMARK --save-mark --nfmask # --ctmask 0x#",
    "-j CONNMARK --xor-mark #",
    "-p tcp --syn -j TCPMSS --set-mss #",
];
const FILTER: &[&str] = &["-j REJECT", "-p tcp -j REJECT --reject-with tcp-reset", "-j DROP"];
const V4: &[&str] = &["@N-f", "-p icmp @N--icmp-type @B/#", "-p icmp @N--icmp-type any", "-m ttl @N--ttl-eq #"];
const V6: &[&str] = &[
    "-p icmpv6 @N--icmpv6-type @B/#",
    "-p icmpv6 @N--icmpv6-type #",
    "-m hl @N--hl-eq #",
    "-m hl --hl-gt #",
    "-m rt @N--rt-type @B @N--rt-segsleft #: @N--rt-len 1#",
];
const NAT: &[&str] = &[
    "-p tcp -j DNAT --to-destination @D:@P --random --persistent",
    "-j DNAT --to-destination @A-@A",
    "-p udp -j REDIRECT --to-ports @P --random",
    "-j NETMAP --to @M",
];
const MANGLE: &[&str] =
    &["-j DSCP --set-dscp @B", "-j TOS --set-tos #/@B", "-j TOS --xor-tos #", "-j @X-set #", "-j @X-inc 1@B"];
const RAW: &[&str] = &["-j NOTRACK", "-j CT --notrack"];

/// A template filled in: `#` is a number below 100, and behind `@` stands `N` for perhaps a negation, `P` for ports, `A` for
/// an address, `M` for a network, `D` for addresses before ports, `B` for a digit, `W` for a number below 256, `F` for
/// flags, `U` for a unit of time, `X` for the hop limit.
fn fill(template: &str, family: Family, numbers: &[u8]) -> String {
    let mut next = numbers.iter().copied().cycle();
    let mut number = move || next.next().unwrap_or(0);
    let v4 = family == Family::Ipv4;
    let dash = template.contains("-j DNAT") || template.contains("REDIRECT");
    // Ranges that grow: the second end is always above the first.
    let mut low = true;
    let mut parts = template.split('@');
    let mut text = String::new();
    let plain = |part: &str, number: &mut dyn FnMut() -> u8| -> String {
        let one = |c: char| if c == '#' { (number() % 90 + 10).to_string() } else { c.to_string() };
        part.chars().map(one).collect()
    };
    text.push_str(&plain(parts.next().unwrap_or(""), &mut number));
    for part in parts {
        let (letter, rest) = part.split_at(1);
        match letter {
            "N" => text.push_str(if number() % 2 == 0 { "! " } else { "" }),
            "P" => {
                let first = u16::from(number()) * 200;
                let sign = if dash { '-' } else { ':' };
                match number() % 2 {
                    0 => text.push_str(&first.to_string()),
                    _ => text.push_str(&format!("{first}{sign}{}", first + 7)),
                }
            }
            "A" => {
                let last = if low { number() % 100 } else { 100 + number() % 100 };
                low = !low;
                text.push_str(&if v4 { format!("10.0.0.{last}") } else { format!("fd00::{last:x}") });
            }
            "M" => text.push_str(&if v4 {
                format!("10.{}.9.9/{}", number(), number() % 33)
            } else {
                format!("fd00:{:x}::9/{}", number(), number() % 129)
            }),
            "D" => text.push_str(if v4 { "10.1.2.3-10.1.2.9" } else { "[fd00::1-fd00::9]" }),
            "B" => text.push_str(&(number() % 7 + 1).to_string()),
            "W" => text.push_str(&(number() % 255).max(1).to_string()),
            "F" => text.push_str(["NONE", "ALL", "SYN", "ACK,FIN"][usize::from(number() % 4)]),
            "U" => text.push_str(["s", "min", "hour", "day"][usize::from(number() % 4)]),
            "X" => text.push_str(if v4 { "TTL --ttl" } else { "HL --hl" }),
            other => text.push_str(other),
        }
        text.push_str(&plain(rest, &mut number));
    }
    text
}

fn templates(table: &str, family: Family) -> Vec<&'static str> {
    let own = match table {
        "filter" => FILTER,
        "nat" => NAT,
        "mangle" => MANGLE,
        _ => RAW,
    };
    let families = if family == Family::Ipv4 { V4 } else { V6 };
    [SHARED, families, own].concat()
}

fn lines(family: Family) -> impl Strategy<Value = String> {
    let rule = (any::<[Index; 2]>(), vec(any::<u8>(), 12), any::<[bool; 4]>());
    (select(vec!["filter", "nat", "mangle", "raw"]), vec(rule, 1..12)).prop_map(move |(table, rules)| {
        let templates = templates(table, family);
        let mut text = format!("*{table}\n:OUTPUT DROP [3:4]\n:a - [0:0]\n:b - [0:0]\n");
        for ([one, other], numbers, [counted, address, second, insert]) in rules {
            let counters = if counted { "[12:3456] " } else { "" };
            let command = if insert { "-I" } else { "-A" };
            let address = if address { fill("@N-s @M @N-d @M ", family, &numbers) } else { String::new() };
            let mut rule = fill(templates[one.index(templates.len())], family, &numbers);
            let more = fill(templates[other.index(templates.len())], family, &numbers);
            // Two of them together where they have no option in common.
            let clash = more.split(' ').any(|word| word.starts_with('-') && word != "-m" && rule.contains(word));
            let goes_on = format!(" {rule}").contains(" -j ") || rule.starts_with("-g") || more.contains("-p ");
            if second && !clash && !goes_on {
                rule = format!("{rule} {more}");
            }
            text.push_str(&format!("{counters}{command} unused {address}{rule}\n"));
        }
        text.replace("\n:a ", "\n:unused - [0:0]\n:a ") + "COMMIT\n"
    })
}

proptest! {
    #[test]
    fn saved_rules_load_as_the_same(texts in (lines(Family::Ipv4), lines(Family::Ipv6))) {
        for (family, text) in [(Family::Ipv4, texts.0), (Family::Ipv6, texts.1)] {
            let set = match load(family, &text) {
                Ok(set) => set,
                Err(error) => {
                    prop_assert!(false, "{error}\n{text}");
                    continue;
                }
            };
            for counted in [true, false] {
                let saved = save(&set, counted);
                let again = load(family, &saved).map_err(|error| TestCaseError::fail(format!("{error}\n{saved}")))?;
                prop_assert_eq!(save(&again, counted), &*saved);
                prop_assert!(!counted || again == set, "{}\n{}", text, saved);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(\\*filter\n)?([-:*A-Z! a-z0-9\"\\\\\\[\\]./,\n]{0,12}(INPUT|-j|-m|-p|tcp|COMMIT\n)?){0,12}") {
        for family in [Family::Ipv4, Family::Ipv6] {
            if let Ok(set) = load(family, &text) {
                prop_assert_eq!(load(family, &save(&set, true)), Ok(set));
            }
        }
    }
}
