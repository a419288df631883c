//! How long things are remembered, by either profile.

use nat::{Direction, Settings, State, Timers};
use rstest::rstest;
use wire::Frame;

use crate::packet::{ACK, FIN, RST, SYN, echo, other, segment, tcp, udp};
use crate::world::{RED, World};

const A: &str = "10.0.0.1:1000";
const B: &str = "10.0.0.2:53";

/// The connection that `frames` (true: from A) make is there after `seconds` of silence, and gone half a second later.
fn lasts(settings: Settings, frames: &[Frame], seconds: u64) {
    let mut world = World::with(settings);
    for frame in frames {
        world.see(RED, frame).expect("valid");
    }
    world.wait(seconds);
    assert_eq!((world.sweep(), world.tracker.usage().connections), (0, 1), "not before {seconds} s");
    world.now = world.now + std::time::Duration::from_millis(500);
    assert_eq!((world.sweep(), world.tracker.usage().connections), (1, 0), "not long after {seconds} s");
}

fn linux() -> Settings {
    Settings::LINUX
}

fn handshake() -> Vec<Frame> {
    vec![tcp(A, B, segment(SYN, 10, 0)), tcp(B, A, segment(SYN | ACK, 20, 11)), tcp(A, B, segment(ACK, 11, 21))]
}

fn half_open() -> Vec<Frame> {
    handshake().into_iter().take(2).collect()
}

fn closing(count: usize) -> Vec<Frame> {
    let all = [
        tcp(A, B, segment(FIN | ACK, 11, 21)),
        tcp(B, A, segment(ACK, 21, 12)),
        tcp(B, A, segment(FIN | ACK, 21, 12)),
        tcp(A, B, segment(ACK, 12, 22)),
    ];
    handshake().into_iter().chain(all.into_iter().take(count)).collect()
}

#[rstest]
#[case::nu_06_udp(vec![udp(A, B, b"q")], 300, 30)]
#[case::nu_06_udp_answered(vec![udp(A, B, b"q"), udp(B, A, b"a"), udp(A, B, b"q")], 300, 30)]
#[case::ni_02_echo(vec![echo("10.0.0.1", "10.0.0.2", 7, false)], 60, 30)]
#[case::ni_02_echo_v6(vec![echo("fd00::1", "fd00::2", 7, false)], 60, 30)]
#[case::ct_02_other(vec![other("10.0.0.1", "10.0.0.2", 47, b"gre")], 600, 600)]
#[case::nt_05_syn_sent(vec![tcp(A, B, segment(SYN, 10, 0))], 240, 120)]
#[case::nt_05_syn_recv(half_open(), 240, 60)]
#[case::nt_04_established(handshake(), 7_440, 432_000)]
#[case::nt_04_half_closed_is_established(closing(2), 7_440, 60)]
#[case::nt_05_last_ack(closing(3), 240, 30)]
#[case::nt_05_time_wait(closing(4), 240, 120)]
fn ct_02_timers(#[case] frames: Vec<Frame>, #[case] rfc: u64, #[case] in_linux: u64) {
    lasts(Settings::default(), &frames, rfc);
    lasts(linux(), &frames, in_linux);
}

#[test]
fn nt_06_a_reset_connection_is_kept_for_four_minutes() {
    let mut frames = handshake();
    frames.push(tcp(B, A, segment(RST, 21, 0)));
    lasts(Settings::default(), &frames, 240);
    lasts(linux(), &frames, 10);
}

#[test]
fn ct_02_every_timer_can_be_set() {
    let settings = Settings { timers: Timers { udp: 5, tcp_established: 9, ..Timers::RFC }, ..Settings::default() };
    lasts(settings.clone(), &[udp(A, B, b"q")], 5);
    lasts(settings, &handshake(), 9);
}

#[test]
fn ct_05_udp_becomes_a_stream_after_two_seconds() {
    let mut world = World::with(linux());
    let (ask, answer) = (udp(A, B, b"q"), udp(B, A, b"a"));
    world.open(RED, &ask);
    world.known(RED, &answer);
    world.wait(1);
    world.known(RED, &ask);
    assert_eq!((world.rows()[0].timeout, world.rows()[0].assured), (30, false));
    world.wait(2);
    world.known(RED, &ask);
    assert_eq!((world.rows()[0].timeout, world.rows()[0].assured), (120, true));
    let mut silent = World::with(linux());
    silent.open(RED, &ask);
    silent.wait(10);
    silent.known(RED, &ask);
    assert_eq!(silent.rows()[0].timeout, 30, "never answered");
}

#[test]
fn ct_02_retransmissions_and_missing_acknowledgements_bound_the_time() {
    let mut world = World::with(linux());
    for frame in handshake() {
        world.see(RED, &frame).unwrap();
    }
    let data = crate::packet::Segment { payload: b"data", ..segment(ACK, 11, 21) };
    for _ in 0..5 {
        world.known(RED, &tcp(A, B, data));
        assert_eq!(world.rows()[0].timeout, 300);
    }
    world.known(RED, &tcp(B, A, segment(ACK, 21, 15)));
    assert_eq!(world.rows()[0].timeout, 432_000);
}

#[test]
fn what_was_idle_for_too_long_is_new_again_before_any_sweep() {
    let mut world = World::new();
    let (ask, answer) = (udp(A, B, b"q"), udp(B, A, b"a"));
    let first = world.open(RED, &ask);
    world.known(RED, &answer);
    world.wait(301);
    assert_eq!(world.see(RED, &ask), Some((State::New, Direction::Original)));
    assert!(!world.lives(first.conn));
    assert_eq!((world.sweep(), world.tracker.counters().expired), (0, 1));
}

#[test]
fn expiry_looks_at_no_more_than_its_budget() {
    let mut world = World::new();
    for port in 1..=3000 {
        world.open(RED, &udp(&format!("10.0.0.1:{port}"), B, b"q"));
    }
    world.wait(301);
    let mut removed = 0;
    for _ in 0..30 {
        let some = world.tracker.expire(world.now, 100);
        assert!(some <= 100);
        removed += some;
    }
    assert_eq!((removed, world.tracker.usage().connections), (3000, 0));
}
