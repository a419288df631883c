//! Counters apart from the rules that they belong to, in one fixed order: table by table as a packet meets them, chain by
//! chain as they are saved, the policy's first and then those of the chain's rules. So they can be fetched without the rules.

use super::{Counters, RuleSet};

impl RuleSet {
    /// All counters, as [`Program::counters`](super::Program::counters) has them.
    pub fn counters(&self) -> Vec<Counters> {
        let mut all = Vec::with_capacity(self.len());
        for chain in self.tables.iter().flatten().flat_map(|table| &table.chains) {
            all.push(chain.counters);
            all.extend(chain.rules.iter().map(|rule| rule.counters));
        }
        all
    }

    /// Takes over counters. Their number tells whether they are of these rules: if it differs, the answer is `false` and
    /// nothing has changed.
    pub fn set_counters(&mut self, counters: &[Counters]) -> bool {
        let chains = self.tables.iter().flatten().map(|table| table.chains.len()).sum::<usize>();
        if self.len() + chains != counters.len() {
            return false;
        }
        let mut next = counters.iter().copied();
        for chain in self.tables.iter_mut().flatten().flat_map(|table| &mut table.chains) {
            chain.counters = next.next().unwrap_or_default();
            chain.rules.iter_mut().for_each(|rule| rule.counters = next.next().unwrap_or_default());
        }
        true
    }

    /// Takes over the counters of a set that begins as this one does, chain by chain; chains and rules that it has besides
    /// come last.
    pub fn take_counters(&mut self, longer: &RuleSet) {
        for (mine, theirs) in self.tables.iter_mut().zip(&longer.tables) {
            let (Some(mine), Some(theirs)) = (mine, theirs) else { continue };
            for (mine, theirs) in mine.chains.iter_mut().zip(&theirs.chains) {
                mine.counters = theirs.counters;
                mine.rules.iter_mut().zip(&theirs.rules).for_each(|(mine, theirs)| mine.counters = theirs.counters);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::{Counters, Family, Program, load, save};

    #[test]
    fn counters_find_back_to_their_rules() {
        let text = "*raw\n:PREROUTING ACCEPT [1:2]\n:OUTPUT ACCEPT [0:0]\n[3:4] -A OUTPUT -j ACCEPT\nCOMMIT\n\
                    *filter\n:INPUT DROP [5:6]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:mine - [0:0]\n\
                    [7:8] -A INPUT -j mine\n[9:10] -A mine -p tcp -j ACCEPT\nCOMMIT\n";
        let set = load(Family::Ipv4, text).unwrap();
        let counters = set.counters();
        let packets: Vec<u64> = counters.iter().map(|counters| counters.packets).collect();
        assert_eq!(packets, [1, 0, 3, 5, 7, 0, 0, 0, 9]);
        let program = Program::new(set.clone());
        assert_eq!(program.counters(), counters);
        for most in 1..12 {
            let mut pieces = Vec::new();
            loop {
                let piece = program.counters_from(pieces.len(), most);
                let last = piece.len() < most;
                pieces.extend(piece);
                if last {
                    break;
                }
            }
            assert_eq!(pieces, counters, "{most} at a time");
        }
        let mut zero = set.clone();
        assert!(zero.set_counters(&[Counters::default(); 9]));
        assert!(!save(&zero, true).contains("[7:8]"));
        assert!(!zero.set_counters(&counters[1..]) && zero.counters()[0] == Counters::default());
        assert!(zero.set_counters(&counters));
        assert_eq!(zero, set);
    }
}
