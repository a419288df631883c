//! What a gateway says by ICMP (RFC 792) and ICMPv6 (RFC 4443): errors about packets, answers to echo requests.
//! No policy and no rate limit (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)): those are the caller's.

mod echo;
mod error;

pub use echo::echo_reply;
pub use error::{Trouble, error};

/// ICMP's echo request.
const ECHO: u8 = 8;
/// ICMPv6's echo request.
const ECHO6: u8 = 128;
/// ICMPv6's messages from this type on are informational (RFC 4443 section 2.1).
const INFORMATIONAL6: u8 = 128;
/// ICMPv6's redirect, which must not be answered by an error though it is informational (RFC 4443 section 2.4 (e.2)).
const REDIRECT6: u8 = 137;
