//! Bytes that somebody lent, such as a chunk of memory that a network card reads and writes by itself. Whoever holds the loan
//! has them for itself; they go back to the lender by themselves when it is dropped.

use std::fmt;

/// Lent bytes.
pub struct Loan {
    bytes: &'static mut [u8],
    give_back: fn(&'static mut [u8]),
}

impl Loan {
    /// Lends `bytes`; `give_back` gets them when the loan ends.
    pub fn new(bytes: &'static mut [u8], give_back: fn(&'static mut [u8])) -> Loan {
        Loan { bytes, give_back }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The bytes, to be written.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Takes the bytes back without ending the loan as agreed: for the lender.
    pub fn reclaim(mut self) -> &'static mut [u8] {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if !bytes.is_empty() {
            (self.give_back)(bytes);
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan {{ {} bytes }}", self.bytes.len())
    }
}
