//! What came of a run, in a form in which two runs can be compared: packets without link addresses and identification,
//! datagrams whole, counters by chain, connections by their ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::bytes::{ICMP, ICMPV6, checksum};
use crate::picks::Picks;
use crate::rules::ANNOUNCEMENTS;
use crate::talk::Event;

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// For each event, the frames that came out, and where.
    pub(crate) seen: Vec<Vec<(usize, Vec<u8>)>>,
    /// The rules with their counters.
    pub(crate) saved: String,
    pub(crate) conns: Vec<Conn>,
}

type Ends = (IpAddr, u16, IpAddr, u16);

/// A tracked connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conn {
    pub(crate) protocol: u8,
    pub(crate) original: Ends,
    pub(crate) reply: Ends,
    /// TCP's state.
    pub(crate) tcp: Option<String>,
    pub(crate) replied: bool,
    pub(crate) assured: bool,
    pub(crate) mark: u32,
    /// Seconds.
    pub(crate) timeout: u32,
}

/// What both have to agree in, of a connection; the rest is said beside.
type Key = (u8, Ends, Ends);

impl Conn {
    /// Reads a line of `/proc/net/nf_conntrack`.
    pub(crate) fn parse(line: &str) -> Option<Conn> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let protocol: u8 = words.get(3)?.parse().ok()?;
        let timeout = words.get(4)?.parse().ok()?;
        let all = |name: &str| -> Vec<&str> {
            words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).collect()
        };
        let ends = |at: usize| -> Option<Ends> {
            let port = |name| all(name).get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
            let ip = |name| all(name).get(at)?.parse().ok();
            Some((ip("src")?, port("sport"), ip("dst")?, port("dport")))
        };
        let (mut original, mut reply) = (ends(0)?, ends(1)?);
        if matches!(protocol, 1 | 58) {
            // An identifier, and the query's type on the other side, as the engine has it.
            let number = |name: &str, at: usize| all(name).get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
            let kind = number("type", 0);
            (original.1, original.3, reply.1, reply.3) = (number("id", 0), kind, kind, number("id", 1));
        }
        let tcp = (protocol == 6).then(|| words[5].replace('_', ""));
        let mark = all("mark").first().and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Conn {
            protocol,
            original,
            reply,
            tcp,
            replied: !words.contains(&"[UNREPLIED]"),
            assured: words.contains(&"[ASSURED]"),
            mark,
            timeout,
        })
    }

    /// Whether nothing tells its packets from their answers: the switch makes no such connection (docs/differences.md).
    fn is_its_own_answer(&self) -> bool {
        self.original == self.reply
    }

    /// Whether these frames hold one packet, and that is one of its.
    fn has_sent(&self, frames: &[(usize, Vec<u8>)]) -> bool {
        let [(_, frame)] = frames else { return false };
        let (src, src_port, dst, dst_port) = self.reply;
        let ends = crate::ends::Ends { src: (dst, dst_port), dst: (src, src_port) };
        crate::ends::Ends::of(frame.get(14..).unwrap_or_default()) == Some(ends)
    }

    fn key(&self, picks: Picks) -> Key {
        let class =
            |ends: Ends| (ends.0, picks.class(self.protocol, ends.1), ends.2, picks.class(self.protocol, ends.3));
        (self.protocol, class(self.original), class(self.reply))
    }

    fn shown(&self) -> String {
        let tcp = self.tcp.as_deref().unwrap_or("").to_ascii_uppercase();
        format!("{tcp} replied={} assured={} mark={}", self.replied, self.assured, self.mark)
    }
}

/// Seconds by which timeouts may differ: the kernel's time is the real one.
const SLACK: u32 = 5;

/// The first thing in which two outcomes differ, and the event at which that was.
pub(crate) fn difference(
    kernel: &Outcome,
    ours: &Outcome,
    events: &[Event],
    picks: Picks,
) -> Option<(Option<usize>, String)> {
    for (at, ((theirs, mine), event)) in kernel.seen.iter().zip(&ours.seen).zip(events).enumerate() {
        let (theirs, mine) = (packets(theirs, event.cut, picks), packets(mine, event.cut, picks));
        if theirs != mine {
            // From here on the two have other connections.
            if mine.is_empty()
                && kernel.conns.iter().any(|conn| conn.is_its_own_answer() && conn.has_sent(&kernel.seen[at]))
            {
                return None;
            }
            return Some((Some(at), format!("event {at}\n  kernel {}\n  switch {}", shown(&theirs), shown(&mine))));
        }
    }
    // Errors about datagrams in pieces are of other lengths: what they quote is.
    let cut = events.iter().any(|event| event.cut);
    let same = |chain: &str, a: Count, b: Count| {
        a.0 == b.0 && (cut && matches!(chain, "OUTPUT" | "POSTROUTING") || a.1 == b.1)
    };
    let (theirs, mine) = (counters(&kernel.saved), counters(&ours.saved));
    for (chain, mine) in &mine {
        // The engine passes over a chain that has no rules and accepts: its policy counts nothing.
        if mine.len() == 1 && mine[0].1.contains(" ACCEPT ") {
            continue;
        }
        let empty = Vec::new();
        let theirs = theirs.get(chain).unwrap_or(&empty);
        for (at, one) in mine.iter().enumerate() {
            let other = theirs.get(at);
            if !other.is_some_and(|other| same(&chain.1, other.0, one.0)) && !one.1.ends_with(ANNOUNCEMENTS) {
                let text = format!("counters of {chain:?}\n  kernel {other:?}\n  switch {one:?}");
                return Some((None, text));
            }
        }
    }
    let all = |conns: &[Conn]| -> Vec<(Key, String, u32)> {
        let mut all: Vec<_> = conns.iter().map(|conn| (conn.key(picks), conn.shown(), conn.timeout)).collect();
        all.sort();
        all
    };
    let (theirs, mine) = (all(&kernel.conns), all(&ours.conns));
    for at in 0..theirs.len().max(mine.len()) {
        let (theirs, mine) = (theirs.get(at), mine.get(at));
        let same = theirs.zip(mine).is_some_and(|(theirs, mine)| {
            (&theirs.0, &theirs.1) == (&mine.0, &mine.1) && theirs.2.abs_diff(mine.2) <= SLACK
        });
        if !same {
            return Some((None, format!("connection {at}\n  kernel {theirs:?}\n  switch {mine:?}")));
        }
    }
    None
}

fn shown(packets: &[(usize, String)]) -> String {
    packets.iter().map(|(side, packet)| format!("{}: {packet} ", crate::world::SIDES[*side])).collect()
}

/// The packets of an event, as text. An error about a datagram in pieces quotes what each has seen of it: all, or the first.
fn packets(frames: &[(usize, Vec<u8>)], cut: bool, picks: Picks) -> Vec<(usize, String)> {
    let mut whole: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut pieces: BTreeMap<(usize, Vec<u8>), Vec<Piece>> = BTreeMap::new();
    for (side, frame) in frames {
        let packet = frame.get(14..).unwrap_or_default().to_vec();
        match Piece::of(&packet) {
            Some((key, piece)) => pieces.entry((*side, key)).or_default().push(piece),
            None => whole.push((*side, packet)),
        }
    }
    for ((side, _), mut pieces) in pieces {
        pieces.sort_by_key(|piece| piece.offset);
        let mut all = pieces[0].header.clone();
        pieces.iter().for_each(|piece| all.extend(&piece.data));
        let complete = pieces[0].offset == 0
            && pieces.windows(2).all(|pair| pair[0].offset + pair[0].data.len() == pair[1].offset)
            && pieces.last().is_some_and(|piece| !piece.more);
        if !complete {
            all.extend(b"incomplete");
        }
        set_length(&mut all);
        whole.push((side, all));
    }
    if cut {
        whole.iter_mut().for_each(|(_, packet)| leave_out_quote(packet));
    }
    let text = |(side, mut packet): (usize, Vec<u8>)| {
        let note = picks.put(&mut packet);
        (side, text(packet, picks != Picks::None) + note)
    };
    whole.into_iter().map(text).collect()
}

fn leave_out_quote(packet: &mut Vec<u8>) {
    let v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    let (protocol, header) = if v4 { (packet[9], header4(packet)) } else { (packet[6], 40) };
    if matches!(protocol, ICMP | ICMPV6) && packet.len() > header + 8 {
        packet.truncate(header + 8);
        packet[header + 2..header + 4].fill(0);
        set_length(packet);
    }
}

struct Piece {
    header: Vec<u8>,
    offset: usize,
    more: bool,
    data: Vec<u8>,
}

impl Piece {
    /// A fragment, and which datagram it is of. Its header is that of the datagram.
    fn of(packet: &[u8]) -> Option<(Vec<u8>, Piece)> {
        let version = packet.first()? >> 4;
        if version == 4 {
            let word = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
            if word & 0x3fff == 0 || checksum(&[packet.get(..header4(packet))?]) != 0 {
                return None;
            }
            let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            let mut header = packet[..header4(packet)].to_vec();
            header[6..8].fill(0);
            let data = packet.get(header4(packet)..length)?.to_vec();
            let key = [&packet[4..6], &packet[9..10], &packet[12..20]].concat();
            let piece = Piece { header, offset: usize::from(word & 0x1fff) * 8, more: word & 0x2000 != 0, data };
            return Some((key, piece));
        }
        let (mut number_at, mut at) = (6, 40);
        loop {
            let number = packet[number_at];
            match number {
                0 | 43 | 60 => {
                    (number_at, at) = (at, at + 8 + usize::from(*packet.get(at + 1)?) * 8);
                }
                44 => {
                    let rest = packet.get(at..at + 8)?;
                    let word = u16::from_be_bytes([rest[2], rest[3]]);
                    let mut header = packet[..at].to_vec();
                    header[number_at] = rest[0];
                    let key = [&packet[8..40], &rest[4..8]].concat();
                    let data = packet[at + 8..].to_vec();
                    return Some((
                        key,
                        Piece { header, offset: usize::from(word & 0xfff8), more: word & 1 != 0, data },
                    ));
                }
                _ => return None,
            }
        }
    }
}

fn header4(packet: &[u8]) -> usize {
    usize::from(packet[0] & 0xf) * 4
}

fn set_length(packet: &mut [u8]) {
    let all = packet.len();
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&(all as u16).to_be_bytes());
        packet[10..12].fill(0);
        let header = header4(packet);
        let sum = checksum(&[&packet[..header]]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&(all as u16 - 40).to_be_bytes());
    }
}

/// A packet without what may differ: IPv4's identification, and the checksum over it, which must be right.
fn text(mut packet: Vec<u8>, translated: bool) -> String {
    let mut note = "";
    if packet.first().is_some_and(|first| first >> 4 == 4) && packet.len() >= 20 {
        let header = header4(&packet).min(packet.len());
        if checksum(&[&packet[..header]]) != 0 {
            note = " (bad header checksum)";
        }
        packet[4..6].fill(0);
        packet[10..12].fill(0);
        // The gateway's errors are atomic, the kernel's have an identification (RFC 6864): DF goes with it. They may come
        // under any address where something is translated.
        if packet[9] == ICMP && (translated || packet[12] == 10 && packet[15] == 1) {
            packet[6] &= !0x40;
        }
    }
    let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
    hex + note
}

/// Packets and bytes.
type Count = (u64, u64);

/// The counters of each chain by table and name: the policy's, then the rules', each with its line.
fn counters(saved: &str) -> BTreeMap<(String, String), Vec<(Count, String)>> {
    let mut all: BTreeMap<(String, String), Vec<(Count, String)>> = BTreeMap::new();
    let mut table = String::new();
    for line in saved.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            [name] if name.starts_with('*') => table = name.into(),
            [chain, policy, count] if chain.starts_with(':') => {
                let entry = all.entry((table.clone(), chain[1..].into())).or_default();
                // What a user's chain has counted is nothing.
                entry.push((if policy == "-" { (0, 0) } else { count_of(count) }, line.into()));
            }
            [count, "-A", chain, ..] => {
                all.entry((table.clone(), chain.into())).or_default().push((count_of(count), line.into()));
            }
            _ => {}
        }
    }
    all
}

fn count_of(word: &str) -> Count {
    let inside = word.trim_start_matches('[').trim_end_matches(']');
    let (packets, bytes) = inside.split_once(':').unwrap_or(("0", "0"));
    (packets.parse().unwrap_or(0), bytes.parse().unwrap_or(0))
}
