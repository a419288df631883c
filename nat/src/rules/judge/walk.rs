//! One packet's way through one table: rule after rule, into chains and back, until something decides.

use wire::Time;

use super::index::{Hit, Search, Words};
use super::packet::{Packet, Surroundings, Tracking};
use super::program::{Cell, Memory, Row};
use super::seen::Seen;
use super::{Malformed, Outcome, Place, Translation, Verdict, change, fields, mss, sets, steady, tracked, transport};
use crate::rules::{ChainId, ConnmarkChange, Hook, Match, Nat, Network, Not, Policy, Span, Statistic, Target, Word};

/// A packet's way.
pub(super) struct Walk<'w> {
    pub(super) now: Time,
    pub(super) hook: Hook,
    pub(super) seen: Seen,
    pub(super) memory: &'w mut Memory,
    /// Where to return to.
    pub(super) stack: &'w mut Vec<Return>,
    /// What was found in the chain at hand and in those.
    pub(super) hits: &'w mut Vec<Hit>,
    /// Whether nothing was asked or done yet that concerns this packet alone.
    pub(super) steady: bool,
}

/// A chain to return to.
pub(super) struct Return {
    chain: u32,
    /// The rule after the one that left it.
    at: u32,
    search: Search,
}

/// What follows after a rule.
enum Next {
    Rule,
    Jump(u32),
    Goto(u32),
    Back,
    End(Verdict),
}

impl Walk<'_> {
    /// Goes from the start of a built-in chain to a verdict. It ends: chains are no loops.
    pub(super) fn run<S: Surroundings + ?Sized>(
        &mut self,
        row: &mut Row,
        head: u32,
        packet: &mut Packet<'_>,
        around: &mut S,
        each: &mut impl FnMut(Place),
    ) -> Outcome {
        let words = if row.indexed { Words::of(&self.seen, packet) } else { None };
        let (mut chain, mut at) = (head, row.parts[head as usize].first);
        let mut search = Search::new(self.hits);
        loop {
            let part = &row.parts[chain as usize];
            if let (Some(words), Some(index)) = (&words, &part.index) {
                at = index.next(&mut search, words, self.hits, at).unwrap_or(part.end);
            }
            let next = if at >= part.end {
                Next::Back
            } else {
                let place = Place { table: row.table, chain: ChainId(chain), rule: Some(at - part.first) };
                let rule = &mut row.rules[at as usize];
                let matched = match self.seen.passes(&rule.header, packet) {
                    Ok(true) => self.all(&rule.matches, row.cells[at as usize], packet, around),
                    other => other,
                };
                match matched {
                    Ok(false) => Next::Rule,
                    Err(Malformed) => {
                        return Outcome { verdict: Verdict::Drop, by: Some(place), malformed: true, steady: false };
                    }
                    Ok(true) => {
                        rule.counters.count(self.seen.len() as u64);
                        each(place);
                        self.steady &= steady::is_quiet(&rule.target);
                        let next = self.follow(&rule.target, packet, around);
                        if let Next::End(verdict) = next {
                            return Outcome { verdict, by: Some(place), malformed: false, steady: self.steady };
                        }
                        next
                    }
                }
            };
            match next {
                Next::Rule => at += 1,
                Next::Jump(to) => {
                    let back = Return { chain, at: at + 1, search };
                    self.stack.push(back);
                    (chain, at, search) = (to, row.parts[to as usize].first, Search::new(self.hits));
                }
                Next::Goto(to) => {
                    search.leave(self.hits);
                    (chain, at, search) = (to, row.parts[to as usize].first, Search::new(self.hits));
                }
                Next::Back => {
                    search.leave(self.hits);
                    match self.stack.pop() {
                        Some(back) => Return { chain, at, search } = back,
                        None => break,
                    }
                }
                Next::End(_) => break,
            }
        }
        let policy = &mut row.parts[head as usize].chain;
        policy.counters.count(self.seen.len() as u64);
        let place = Place { table: row.table, chain: ChainId(head), rule: None };
        each(place);
        let verdict = match policy.policy {
            Policy::Accept => Verdict::Accept,
            Policy::Drop => Verdict::Drop,
        };
        Outcome { verdict, by: Some(place), malformed: false, steady: self.steady }
    }

    /// Whether all matches of a rule hold; those behind the first that does not are not asked.
    fn all<S: Surroundings + ?Sized>(
        &mut self,
        matches: &[Match],
        cell: u32,
        packet: &Packet<'_>,
        around: &mut S,
    ) -> Result<bool, Malformed> {
        let mut cell = cell as usize;
        for one in matches {
            // Of TCP the ports are asked first, and those are the flow's.
            self.steady &= matches!(one, Match::Tcp(_)) || steady::is_steady(one);
            if !self.one(one, &mut cell, packet, around)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn one<S: Surroundings + ?Sized>(
        &mut self,
        one: &Match,
        cell: &mut usize,
        packet: &Packet<'_>,
        around: &mut S,
    ) -> Result<bool, Malformed> {
        let seen = &self.seen;
        Ok(match one {
            Match::Tcp(wanted) => {
                if !transport::tcp_ports(wanted, seen, packet)? {
                    return Ok(false);
                }
                self.steady &= steady::is_steady(one);
                transport::tcp_flags(wanted, &self.seen, packet)?
            }
            Match::Udp(source, destination) => transport::udp(*source, *destination, seen, packet)?,
            Match::Icmp(wanted) => transport::icmp(*wanted, seen, packet)?,
            Match::Multiport(of, list) => transport::multiport(*of, list, seen, packet)?,
            Match::Iprange(ranges) => fields::iprange(ranges, seen),
            Match::State(wanted) => tracked::state(*wanted, packet),
            Match::Conntrack(wanted) => tracked::conntrack(wanted, packet),
            Match::Mac(wanted) => fields::mac(*wanted, packet),
            Match::Comment(_) => true,
            Match::Mark(wanted) => fields::masked(*wanted, packet.mark),
            Match::Connmark(wanted) => match &packet.tracking {
                Tracking::Known(connection) => fields::masked(*wanted, connection.mark),
                Tracking::None | Tracking::Due | Tracking::Untracked => false,
            },
            Match::AddrType(wanted) => fields::addrtype(wanted, seen, packet, around),
            Match::Length(wanted) => {
                wanted.holds(|range| (usize::from(range.first)..=usize::from(range.last)).contains(&seen.len()))
            }
            Match::Ttl(compare, value) => fields::ttl(*compare, *value, seen, packet),
            Match::RoutingHeader(wanted) => fields::routing(wanted, packet),
            Match::Dscp(wanted) => wanted.holds(|&dscp| fields::service(seen, packet) >> 2 == dscp),
            Match::Tos(wanted) => wanted.holds(|word| fields::service(seen, packet) & word.mask == word.value),
            Match::Set(wanted) => sets::test(wanted, seen, packet),
            Match::Statistic(Statistic::Random(Not { not, value })) => {
                ((around.random() & 0x7fff_ffff) < *value) != *not
            }
            Match::Statistic(Statistic::Nth { every, .. }) => {
                let last = every.value.saturating_sub(1);
                match self.cell(cell) {
                    Some(Cell::Nth(count)) => {
                        *count = if *count >= last { 0 } else { *count + 1 };
                        (*count == 0) != every.not
                    }
                    _ => false,
                }
            }
            Match::Limit(limit) => {
                let (now, limit) = (self.now, *limit);
                match self.cell(cell) {
                    Some(Cell::Bucket(bucket)) => bucket.limit(now, limit),
                    _ => false,
                }
            }
            Match::Hashlimit(settings) => {
                let (now, seen) = (self.now, *seen);
                let place = match self.cell(cell) {
                    Some(Cell::Quotas(place)) => *place,
                    _ => return Ok(false),
                };
                match self.memory.quotas.get_mut(place) {
                    Some(quotas) => quotas.take(now, &seen, packet)? != settings.above,
                    None => false,
                }
            }
            Match::Connlimit(wanted) => {
                let (now, seen, wanted) = (self.now, *seen, *wanted);
                match self.cell(cell) {
                    Some(Cell::Connections(open)) => open.test(now, wanted, &seen, packet, around)?,
                    _ => false,
                }
            }
        })
    }

    /// What the match that is asked remembers; the next one's is behind it.
    fn cell(&mut self, cell: &mut usize) -> Option<&mut Cell> {
        let found = self.memory.cells.get_mut(*cell);
        *cell += 1;
        found
    }

    fn follow<S: Surroundings + ?Sized>(&mut self, target: &Target, packet: &mut Packet<'_>, around: &mut S) -> Next {
        let seen = self.seen;
        match target {
            Target::Continue => {}
            Target::Accept => return Next::End(Verdict::Accept),
            Target::Drop => return Next::End(Verdict::Drop),
            Target::Return => return Next::Back,
            Target::Jump(ChainId(to)) => return Next::Jump(*to),
            Target::Goto(ChainId(to)) => return Next::Goto(*to),
            Target::Reject(kind) => return Next::End(Verdict::Reject(*kind)),
            Target::Log(log) => around.log(log, packet),
            Target::Dnat(nat) => return Next::End(Verdict::Translate(Translation::Destination(**nat))),
            Target::Snat(nat) => return Next::End(Verdict::Translate(Translation::Source(**nat))),
            Target::Masquerade(nat) => return Next::End(Verdict::Translate(Translation::Masquerade(**nat))),
            Target::Redirect(nat) => return Next::End(Verdict::Translate(Translation::Redirect(**nat))),
            Target::Netmap(to) => return Next::End(Verdict::Translate(self.netmap(*to))),
            Target::Mark(word) => packet.mark = changed(packet.mark, *word),
            Target::Connmark(how) => connmark(*how, packet),
            Target::Notrack(_) => {
                if matches!(packet.tracking, Tracking::None) {
                    packet.tracking = Tracking::Untracked;
                }
            }
            Target::Tcpmss(wanted) => {
                if !mss::lower(*wanted, &seen, packet, around) {
                    return Next::End(Verdict::Drop);
                }
                // It may have become longer.
                self.seen.end = packet.headers.end as usize;
            }
            Target::Dscp(dscp) => {
                let rest = fields::service(&seen, packet) & 0b11;
                change::service(packet.frame, &seen, dscp << 2 | rest);
            }
            Target::Tos(Word { value, mask }) => {
                let service = fields::service(&seen, packet) & !mask ^ value;
                change::service(packet.frame, &seen, service);
            }
            Target::Ttl(how) => change::ttl(packet.frame, &seen, *how),
        }
        Next::Rule
    }

    /// The same host in another network: the destination where packets come from, the source where they go.
    fn netmap(&self, to: Network) -> Translation {
        let single = |number: u128| {
            let address = number & !to.mask & Network::host_mask(self.seen.family) | to.bits;
            Nat { addresses: Some(Span { first: address, last: address }), ..Nat::default() }
        };
        match self.hook {
            Hook::Prerouting | Hook::Output => Translation::Destination(single(self.seen.destination)),
            Hook::Input | Hook::Forward | Hook::Postrouting => Translation::Source(single(self.seen.source)),
        }
    }
}

fn changed(mark: u32, word: Word<u32>) -> u32 {
    mark & !word.mask ^ word.value
}

fn connmark(how: ConnmarkChange, packet: &mut Packet<'_>) {
    let Tracking::Known(connection) = &mut packet.tracking else { return };
    match how {
        ConnmarkChange::Set(word) => connection.mark = changed(connection.mark, word),
        ConnmarkChange::Save { packet: mine, connection: theirs } => {
            connection.mark = changed(connection.mark, Word { value: packet.mark & mine, mask: theirs });
        }
        ConnmarkChange::Restore { packet: mine, connection: theirs } => {
            packet.mark = changed(packet.mark, Word { value: connection.mark & theirs, mask: mine });
        }
    }
}
