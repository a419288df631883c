//! The states of a tracked TCP connection, and how a segment changes them: netfilter's, so that rules written for it mean
//! the same here. Sequence numbers are not looked at.

use serde::Serialize;

use crate::Direction;

/// Where a connection stands, by what was seen of it. The names are netfilter's: they are not the ends' own states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TcpState {
    /// Nothing.
    None,
    /// A SYN.
    SynSent,
    /// A SYN and a SYN/ACK.
    SynRecv,
    /// The handshake, or the middle of a connection.
    Established,
    /// A FIN.
    FinWait,
    /// A FIN and its ACK.
    CloseWait,
    /// FINs from both sides.
    LastAck,
    /// FINs from both sides, and the last ACK.
    TimeWait,
    /// A reset.
    Close,
    /// SYNs from both sides: simultaneous open.
    SynSent2,
}

/// What a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Syn,
    SynAck,
    Fin,
    Ack,
    Rst,
    None,
}

/// What a segment does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Leads to a state.
    To(TcpState),
    /// Passes, and changes nothing: the tracker cannot know whether the receiver takes it, and that one will answer.
    Ignore,
    /// Cannot be.
    Invalid,
}

/// The state after a segment of that kind.
pub(crate) const fn next(direction: Direction, kind: Kind, state: TcpState) -> Next {
    use Direction::{Original, Reply};
    use TcpState::{Close, CloseWait, Established, FinWait, LastAck, None, SynRecv, SynSent, SynSent2, TimeWait};
    match (kind, direction, state) {
        (Kind::None, _, _) => Next::Invalid,
        // A reset ends whatever there is.
        (Kind::Rst, _, None) => Next::Invalid,
        (Kind::Rst, _, _) => Next::To(Close),
        // A SYN opens, also where a connection has ended (RFC 1122 section 4.2.2.13). In the middle of one it is an old
        // duplicate, an attack, or the sign that one side has forgotten: the receiver will say which.
        (Kind::Syn, Original, None | SynSent | TimeWait | Close) => Next::To(SynSent),
        (Kind::Syn, Original, SynSent2) => Next::To(SynSent2),
        (Kind::Syn, Original, _) => Next::Ignore,
        (Kind::Syn, Reply, SynSent | SynSent2) => Next::To(SynSent2),
        // The sides may have changed roles.
        (Kind::Syn, Reply, TimeWait) => Next::To(SynSent),
        (Kind::Syn, Reply, _) => Next::Invalid,
        // A SYN/ACK answers a SYN: from the side that opened only in a simultaneous open.
        (Kind::SynAck, Original, SynRecv | SynSent2) => Next::To(SynRecv),
        (Kind::SynAck, Original, _) => Next::Invalid,
        (Kind::SynAck, Reply, SynSent | SynSent2) => Next::To(SynRecv),
        (Kind::SynAck, Reply, None) => Next::Invalid,
        (Kind::SynAck, Reply, _) => Next::Ignore,
        // The first FIN, from either side; then the second, or the first again.
        (Kind::Fin, _, SynRecv | Established) => Next::To(FinWait),
        (Kind::Fin, _, FinWait | CloseWait | LastAck) => Next::To(LastAck),
        (Kind::Fin, _, None | SynSent | SynSent2) => Next::Invalid,
        // An ACK completes what was begun: the handshake only from the side that opened.
        (Kind::Ack, Original, None | SynRecv | Established) => Next::To(Established),
        (Kind::Ack, Original, SynSent | SynSent2) => Next::Invalid,
        (Kind::Ack, Reply, None) => Next::Invalid,
        (Kind::Ack, Reply, SynSent | SynSent2) => Next::Ignore,
        (Kind::Ack, Reply, SynRecv) => Next::To(SynRecv),
        (Kind::Ack, Reply, Established) => Next::To(Established),
        (Kind::Ack, _, FinWait | CloseWait) => Next::To(CloseWait),
        (Kind::Ack, _, LastAck) => Next::To(TimeWait),
        (Kind::Fin | Kind::Ack, _, TimeWait | Close) => Next::To(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [(&str, TcpState); 10] = [
        ("NO", TcpState::None),
        ("SS", TcpState::SynSent),
        ("SR", TcpState::SynRecv),
        ("ES", TcpState::Established),
        ("FW", TcpState::FinWait),
        ("CW", TcpState::CloseWait),
        ("LA", TcpState::LastAck),
        ("TW", TcpState::TimeWait),
        ("CL", TcpState::Close),
        ("S2", TcpState::SynSent2),
    ];

    /// One line per kind of segment; a column per state in the order above; `..` invalid, `--` ignored.
    const ORIGINAL: [(Kind, &str); 6] = [
        (Kind::Syn, "SS SS -- -- -- -- -- SS SS S2"),
        (Kind::SynAck, ".. .. SR .. .. .. .. .. .. SR"),
        (Kind::Fin, ".. .. FW FW LA LA LA TW CL .."),
        (Kind::Ack, "ES .. ES ES CW CW TW TW CL .."),
        (Kind::Rst, ".. CL CL CL CL CL CL CL CL CL"),
        (Kind::None, ".. .. .. .. .. .. .. .. .. .."),
    ];
    const REPLY: [(Kind, &str); 6] = [
        (Kind::Syn, ".. S2 .. .. .. .. .. SS .. S2"),
        (Kind::SynAck, ".. SR -- -- -- -- -- -- -- SR"),
        (Kind::Fin, ".. .. FW FW LA LA LA TW CL .."),
        (Kind::Ack, ".. -- SR ES CW CW TW TW CL --"),
        (Kind::Rst, ".. CL CL CL CL CL CL CL CL CL"),
        (Kind::None, ".. .. .. .. .. .. .. .. .. .."),
    ];

    #[test]
    fn ct_01_all_120_cells() {
        let mut cells = 0;
        for (direction, rows) in [(Direction::Original, ORIGINAL), (Direction::Reply, REPLY)] {
            for (kind, row) in rows {
                for ((name, state), cell) in STATES.iter().zip(row.split(' ')) {
                    let wanted = match cell {
                        ".." => Next::Invalid,
                        "--" => Next::Ignore,
                        to => Next::To(STATES.iter().find(|(name, _)| *name == to).unwrap().1),
                    };
                    assert_eq!(next(direction, kind, *state), wanted, "{direction:?} {kind:?} in {name}");
                    cells += 1;
                }
            }
        }
        assert_eq!(cells, 120);
    }
}
