//! Explicit congestion notification across a tunnel (RFC 6040, normal mode).
//! On the way in the inner mark is copied to the outer header; on the way out both are merged by the table of section 4.2.

/// The two ECN bits.
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const CE: u8 = 0b11;

/// What to do with an inner packet whose outer header arrived with a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// Leave the inner mark as it is.
    Keep,
    /// Set the inner mark to these two bits.
    Set(u8),
    /// Drop it: congestion was experienced, and the inner transport cannot be told.
    Drop,
}

/// Merges the ECN bits of an inner and an outer header (RFC 6040 section 4.2, figure 4).
pub const fn merge(inner: u8, outer: u8) -> Congestion {
    match (inner & 0b11, outer & 0b11) {
        (NOT_ECT, CE) => Congestion::Drop,
        (NOT_ECT | CE, _) => Congestion::Keep,
        (_, CE) => Congestion::Set(CE),
        (_, ECT_1) => Congestion::Set(ECT_1),
        _ => Congestion::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vx_20_every_cell_of_the_table() {
        use Congestion::{Drop, Keep, Set};
        // Rows: inner Not-ECT, ECT(1), ECT(0), CE. Columns: outer Not-ECT, ECT(1), ECT(0), CE.
        let table = [
            [Keep, Keep, Keep, Drop],
            [Keep, Set(1), Keep, Set(3)],
            [Keep, Set(1), Keep, Set(3)],
            [Keep, Keep, Keep, Keep],
        ];
        for (inner, row) in table.iter().enumerate() {
            for (outer, wanted) in row.iter().enumerate() {
                assert_eq!(merge(inner as u8, outer as u8), *wanted, "inner {inner} outer {outer}");
            }
        }
    }
}
