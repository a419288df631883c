//! A text of rules is refused with a line of it and a short reason, or is loaded; then it is saved, loads again as the same
//! rules, and judges packets.

use nat::rules::{Family, Nowhere, Packet, Program, Table, Tracking, load, save};
use wire::{Frame, Time, parse};

/// A SYN without options, and the first bytes of a ping: over IPv4 and IPv6.
const PACKETS: [(Family, &[u8], u8); 4] = [
    (Family::Ipv4, &[0, 9, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0], 6),
    (Family::Ipv4, &[8, 0, 0, 0], 1),
    (Family::Ipv6, &[0, 9, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0], 6),
    (Family::Ipv6, &[128, 0, 0, 0, 0, 0, 0, 0], 58),
];

/// The input is the text.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for family in [Family::Ipv4, Family::Ipv6] {
        let set = match load(family, text) {
            Ok(set) => set,
            Err(error) => {
                assert!((1..=text.lines().count().max(1)).contains(&error.line) || text.is_empty(), "{error}");
                assert!(error.to_string().len() < 1_000 && !error.reason.is_empty(), "{error}");
                continue;
            }
        };
        let saved = save(&set, true);
        let again = load(family, &saved);
        assert_eq!(again.as_ref(), Ok(&set), "{saved}");
        let mut program = Program::new(set);
        for (of, transport, protocol) in PACKETS {
            if of == family {
                judge(&mut program, &frame(family, transport, protocol));
            }
        }
        assert_eq!(load(family, &save(&program.rule_set(), true)), Ok(program.rule_set()));
    }
}

/// The packet passes every table at every hook.
fn judge(program: &mut Program, frame: &Frame) {
    for table in Table::ALL {
        for &hook in table.hooks() {
            let mut copy = Frame::new();
            copy.copy_from(frame);
            let Ok(mut headers) = parse(copy.bytes()) else { return };
            let mut packet = Packet {
                frame: &mut copy,
                headers: &mut headers,
                input: "a",
                output: "b",
                mark: 0,
                tracking: Tracking::None,
            };
            let outcome = program.judge(Time::from_secs(1), table, hook, &mut packet, &mut Nowhere);
            if let Some(place) = outcome.by {
                assert!(!program.describe(place).is_empty());
            }
            let parsed = parse(copy.bytes()).map(|parsed| (parsed.payload, parsed.end));
            assert_eq!(parsed, Ok((headers.payload, headers.end)), "the headers are those of the frame");
        }
    }
}

fn frame(family: Family, transport: &[u8], protocol: u8) -> Frame {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match family {
        Family::Ipv4 => {
            bytes.extend([8, 0, 0x45, 0, 0, 20 + transport.len() as u8, 0, 1, 0, 0, 64, protocol, 0, 0]);
            bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        }
        Family::Ipv6 => {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, transport.len() as u8, protocol, 64, 0xfd]);
            bytes.extend([[0; 14].as_slice(), &[1, 0xfd], &[0; 14], &[2]].concat());
        }
    }
    bytes.extend(transport);
    Frame::from_bytes(&bytes)
}
