//! TCP: handshakes, windows, resets, and what a blind attacker can do.

use nat::{Direction, Reason, Settings, State, TcpState, Tracked};
use proptest::prelude::*;
use wire::Frame;

use crate::packet::{ACK, FIN, RST, SYN, Segment, segment, tcp};
use crate::world::{RED, World};

const A: &str = "10.0.0.1:1000";
const B: &str = "10.0.0.2:80";

/// A client and a server that count as TCP does, seen by a tracker.
struct Talk {
    world: World,
    client: u32,
    server: u32,
}

impl Talk {
    fn new(settings: Settings) -> Talk {
        Talk { world: World::with(settings), client: 1_000, server: 500_000 }
    }

    fn established() -> Talk {
        let mut talk = Talk::new(Settings::default());
        assert_eq!(talk.send(true, SYN, b""), Some(TcpState::SynSent));
        assert_eq!(talk.send(false, SYN | ACK, b""), Some(TcpState::SynRecv));
        assert_eq!(talk.send(true, ACK, b""), Some(TcpState::Established));
        talk
    }

    fn state(&self) -> TcpState {
        self.world.rows()[0].tcp.unwrap()
    }

    /// The next segment in order; the state after it, or `None` if it is invalid.
    fn send(&mut self, client: bool, flags: u8, payload: &'static [u8]) -> Option<TcpState> {
        let (seq, ack) = if client { (self.client, self.server) } else { (self.server, self.client) };
        let ack = if flags & ACK != 0 { ack } else { 0 };
        let outcome =
            self.raw(client, Segment { payload, scale: (flags & SYN != 0).then_some(7), ..segment(flags, seq, ack) });
        let len = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        *if client { &mut self.client } else { &mut self.server } += len;
        outcome
    }

    fn raw(&mut self, client: bool, segment: Segment<'_>) -> Option<TcpState> {
        let frame = if client { tcp(A, B, segment) } else { tcp(B, A, segment) };
        self.world.see(RED, &frame).map(|_| self.state())
    }
}

#[test]
fn nt_02_handshake_data_and_close() {
    let mut talk = Talk::established();
    assert_eq!(talk.send(true, ACK, b"GET /"), Some(TcpState::Established));
    assert_eq!(talk.send(false, ACK, b"hello"), Some(TcpState::Established));
    assert!(talk.world.rows()[0].assured);
    assert_eq!(talk.send(false, FIN | ACK, b""), Some(TcpState::FinWait));
    assert_eq!(talk.send(true, ACK, b""), Some(TcpState::CloseWait));
    // Half-closed: the other side goes on.
    assert_eq!(talk.send(true, ACK, b"more"), Some(TcpState::CloseWait));
    assert_eq!(talk.send(false, ACK, b""), Some(TcpState::CloseWait));
    assert_eq!(talk.send(true, FIN | ACK, b""), Some(TcpState::LastAck));
    assert_eq!(talk.send(false, ACK, b""), Some(TcpState::TimeWait));
    assert_eq!(talk.world.tracker.refused(Reason::TcpWindow), 0);
}

#[test]
fn nt_02_simultaneous_open() {
    let mut talk = Talk::new(Settings::default());
    assert_eq!(talk.send(true, SYN, b""), Some(TcpState::SynSent));
    assert_eq!(talk.send(false, SYN, b""), Some(TcpState::SynSent2));
    let (client, server) = (talk.client, talk.server);
    assert_eq!(talk.raw(true, segment(SYN | ACK, client - 1, server)), Some(TcpState::SynRecv));
    assert_eq!(talk.raw(false, segment(SYN | ACK, server - 1, client)), Some(TcpState::SynRecv));
    assert_eq!(talk.send(false, ACK, b""), Some(TcpState::Established));
    assert_eq!(talk.send(true, ACK, b"data"), Some(TcpState::Established));
}

#[test]
fn nt_02_keep_alives_and_window_probes_pass() {
    let mut talk = Talk::established();
    talk.send(true, ACK, b"data");
    talk.send(false, ACK, b"");
    let (client, server) = (talk.client, talk.server);
    assert_eq!(talk.raw(true, segment(ACK, client - 1, server)), Some(TcpState::Established), "keep-alive");
    assert_eq!(talk.raw(false, segment(ACK, server, client)), Some(TcpState::Established));
    assert_eq!(talk.raw(false, Segment { window: 0, ..segment(ACK, server, client) }), Some(TcpState::Established));
    let probe = Segment { payload: b"x", ..segment(ACK, client, server) };
    assert_eq!(talk.raw(true, probe), Some(TcpState::Established), "one byte into a closed window");
}

#[test]
fn ct_04_the_window_is_held_and_scaled() {
    let mut talk = Talk::established();
    let (client, server) = (talk.client, talk.server);
    // Both offered a shift of 7, so 1000 is 128,000.
    let ahead = |by: u32| Segment { payload: b"data", ..segment(ACK, client.wrapping_add(by), server) };
    talk.send(false, ACK, b"");
    assert_eq!(talk.raw(true, ahead(127_000)), Some(TcpState::Established), "inside");
    let mut talk = Talk::established();
    talk.send(false, ACK, b"");
    assert_eq!(talk.raw(true, ahead(300_000)), None, "beyond");
    assert_eq!(talk.raw(true, segment(ACK, client, server + 1)), None, "acknowledges what was not sent");
    assert_eq!(talk.world.tracker.refused(Reason::TcpWindow), 2);
    assert_eq!(talk.raw(true, ahead(0u32.wrapping_sub(200_000))), Some(TcpState::Established), "long acknowledged");
    let stale = segment(ACK, client, server.wrapping_sub(500_000));
    assert_eq!(talk.raw(true, stale), Some(TcpState::Established), "acknowledges the distant past");
    assert_eq!(talk.raw(true, ahead(0)), Some(TcpState::Established), "and none of it moved anything");
    assert_eq!(talk.raw(true, ahead(129_000)), Some(TcpState::Established), "a little beyond: its receiver knows");
}

#[test]
fn ct_04_scaling_counts_only_if_both_offer_it() {
    let mut world = World::new();
    world.open(RED, &tcp(A, B, Segment { scale: Some(14), ..segment(SYN, 1_000, 0) }));
    world.known(RED, &tcp(B, A, segment(SYN | ACK, 5_000, 1_001)));
    world.known(RED, &tcp(A, B, segment(ACK, 1_001, 5_001)));
    let far = Segment { payload: b"data", ..segment(ACK, 5_001 + 2_000, 1_001) };
    assert!(matches!(world.track(RED, &tcp(B, A, far)), Tracked::Invalid(Reason::TcpWindow)));
}

#[test]
fn ct_04_liberal_lets_everything_pass() {
    let mut talk = Talk::new(Settings { liberal: true, ..Settings::RFC });
    talk.send(true, SYN, b"");
    talk.send(false, SYN | ACK, b"");
    talk.send(true, ACK, b"");
    let (client, server) = (talk.client, talk.server);
    assert_eq!(talk.raw(true, segment(ACK, client.wrapping_add(1 << 30), server)), Some(TcpState::Established));
}

#[test]
fn ct_04_mid_stream_pickup_when_loose_and_not_when_strict() {
    let middle = tcp(A, B, Segment { payload: b"data", ..segment(ACK, 77_000, 88_000) });
    let answer = tcp(B, A, segment(ACK, 88_000, 77_004));
    let mut loose = World::new();
    assert_eq!(loose.see(RED, &middle), Some((State::New, Direction::Original)));
    assert_eq!(loose.rows()[0].timeout, 240, "not for hours before anybody has answered");
    assert_eq!(loose.see(RED, &answer), Some((State::Established, Direction::Reply)));
    assert_eq!(loose.rows()[0].tcp, Some(TcpState::Established));
    // Its scaling is unknown: it is not held to its window.
    let far = tcp(A, B, Segment { payload: b"data", ..segment(ACK, 77_004 + 900_000, 88_000) });
    assert!(loose.see(RED, &far).is_some());
    let mut strict = World::with(Settings { loose: false, ..Settings::RFC });
    assert!(matches!(strict.track(RED, &middle), Tracked::Invalid(Reason::TcpState)));
}

#[test]
fn nt_12_a_blind_reset_tears_nothing_down() {
    let mut talk = Talk::established();
    talk.send(true, ACK, b"data");
    talk.send(false, ACK, b"data");
    talk.send(true, ACK, b"");
    let (client, server) = (talk.client, talk.server);
    // In the window, but not the next: it passes, so that the receiver can challenge it; the state stays.
    assert_eq!(talk.raw(false, segment(RST, server + 100, 0)), Some(TcpState::Established));
    assert_eq!(talk.raw(true, segment(ACK, client, server)), Some(TcpState::Established), "the challenge");
    // Behind what was acknowledged, and beyond the window: it cannot be meant.
    assert_eq!(talk.raw(false, segment(RST, server - 1, 0)), None);
    assert_eq!(talk.world.tracker.refused(Reason::TcpReset), 1);
    assert_eq!(talk.raw(false, segment(RST, server.wrapping_add(1 << 28), 0)), None);
    assert_eq!(talk.state(), TcpState::Established);
    assert_eq!(talk.raw(false, segment(RST, server, 0)), Some(TcpState::Close), "the very next one is real");
}

#[test]
fn nt_12_a_blind_syn_tears_nothing_down_and_its_challenge_passes() {
    let mut talk = Talk::established();
    talk.send(true, ACK, b"data");
    talk.send(false, ACK, b"");
    let (client, server) = (talk.client, talk.server);
    assert_eq!(talk.raw(true, segment(SYN, 0xdead_beef, 0)), Some(TcpState::Established));
    assert_eq!(talk.raw(false, segment(ACK, server, client)), Some(TcpState::Established), "the challenge");
    assert_eq!(talk.raw(false, segment(SYN, 0xdead_beef, 0)), None, "a server sends none");
    assert_eq!(talk.send(true, ACK, b"more"), Some(TcpState::Established));
}

#[test]
fn nt_12_a_challenge_is_no_last_acknowledgement() {
    let mut talk = Talk::established();
    talk.send(true, FIN | ACK, b"");
    assert_eq!(talk.send(false, FIN | ACK, b""), Some(TcpState::LastAck));
    let (client, server) = (talk.client, talk.server);
    assert_eq!(talk.raw(true, segment(SYN, 0xdead_beef, 0)), Some(TcpState::LastAck));
    assert_eq!(talk.raw(false, segment(ACK, server, client)), Some(TcpState::LastAck));
    assert_eq!(talk.raw(true, segment(ACK, client, server)), Some(TcpState::TimeWait), "the real one");
}

#[test]
fn a_client_that_forgot_is_followed_when_the_server_takes_its_syn() {
    let mut talk = Talk::established();
    talk.send(true, ACK, b"data");
    let syn = Segment { scale: Some(2), ..segment(SYN, 9_000_000, 0) };
    assert_eq!(talk.raw(true, syn), Some(TcpState::Established), "ignored: nobody knows yet");
    let answer = Segment { scale: Some(2), ..segment(SYN | ACK, 70, 9_000_001) };
    assert_eq!(talk.raw(false, answer), Some(TcpState::SynRecv));
    assert_eq!(talk.raw(true, segment(ACK, 9_000_001, 71)), Some(TcpState::Established));
}

#[test]
fn a_closed_connection_is_opened_anew() {
    let mut talk = Talk::established();
    talk.send(true, FIN | ACK, b"");
    talk.send(false, FIN | ACK, b"");
    assert_eq!(talk.send(true, ACK, b""), Some(TcpState::TimeWait));
    let before = talk.world.rows();
    assert_eq!(talk.raw(true, segment(SYN, 0x7000_0000, 0)), Some(TcpState::SynSent));
    let after = talk.world.rows();
    assert_eq!((before.len(), after.len(), after[0].state), (1, 1, State::New));
    assert_eq!(talk.world.tracker.counters().reopened, 1);
}

#[test]
fn a_refused_connection_is_closed_by_its_reset() {
    let mut talk = Talk::new(Settings::default());
    talk.send(true, SYN, b"");
    let client = talk.client;
    assert_eq!(talk.raw(false, segment(RST | ACK, 0, client + 5)), None, "acknowledges another SYN");
    assert_eq!(talk.raw(false, segment(RST | ACK, 0, client)), Some(TcpState::Close));
}

#[test]
fn nt_11_and_nu_14_icmp_ends_nothing() {
    let mut talk = Talk::established();
    talk.send(true, ACK, b"data");
    let sent = tcp(A, B, segment(ACK, talk.client, talk.server));
    for kind in 0..16 {
        let error = crate::packet::icmp("10.0.0.254", "10.0.0.1", (3, kind), [0; 4], &crate::packet::quote(&sent, 60));
        assert!(matches!(talk.world.track(RED, &error), Tracked::Related(_)));
        assert_eq!(talk.state(), TcpState::Established);
    }
    assert_eq!(talk.send(true, ACK, b"more"), Some(TcpState::Established));
}

proptest! {
    /// NT-02: whatever two honest ends do, in order or repeated, passes.
    #[test]
    fn nt_02_an_honest_conversation_is_never_invalid(
        start: (u32, u32),
        turns in prop::collection::vec((any::<bool>(), 0..60_000usize, any::<bool>()), 1..60),
    ) {
        let mut world = World::new();
        let (mut client, mut server) = start;
        let scaled = |flags, seq, ack| Segment { scale: Some(9), ..segment(flags, seq, ack) };
        prop_assert!(world.see(RED, &tcp(A, B, scaled(SYN, client, 0))).is_some());
        client = client.wrapping_add(1);
        prop_assert!(world.see(RED, &tcp(B, A, scaled(SYN | ACK, server, client))).is_some());
        server = server.wrapping_add(1);
        prop_assert!(world.see(RED, &tcp(A, B, segment(ACK, client, server))).is_some());
        let payload = vec![7; 60_000];
        for (from_client, len, again) in turns {
            let (seq, ack) = if from_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let data = Segment { payload: &payload[..len], ..segment(ACK, *seq, *ack) };
            let answer = segment(ACK, *ack, seq.wrapping_add(len as u32));
            *seq = seq.wrapping_add(len as u32);
            let (from, to) = if from_client { (A, B) } else { (B, A) };
            let frames: [Frame; 2] = [tcp(from, to, data), tcp(to, from, answer)];
            for frame in frames.iter().chain(frames.iter().take(usize::from(again))) {
                prop_assert!(world.see(RED, frame).is_some());
            }
        }
    }

    /// Nothing that arrives panics, and the table stays as large as it is.
    #[test]
    fn any_segments_in_any_order(segments in prop::collection::vec((any::<bool>(), any::<u8>(), 0..9u32, 0..9u32, any::<u16>()), 1..80)) {
        let mut world = World::new();
        for (client, flags, seq, ack, window) in segments {
            let spread = |n: u32| n.wrapping_mul(0x2000_0001);
            let one = Segment { window, scale: (seq == 3).then_some(200), ..segment(flags & 0x37, spread(seq), spread(ack)) };
            let frame = if client { tcp(A, B, one) } else { tcp(B, A, one) };
            world.see(RED, &frame);
            prop_assert!(world.tracker.usage().connections <= 2);
        }
    }
}
