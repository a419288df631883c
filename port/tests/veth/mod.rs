//! Veth links whose ends are AF_XDP ports, in the calling thread's namespace, and frames that are known by their number.
#![allow(dead_code, reason = "each test program uses its part")]

use port::Sent;
use port::xdp::{Xdp, XdpMode, XdpOptions};
use wire::{Frame, Pool};

use super::namespace::{eventually, ip};

pub(crate) const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];
pub(crate) const STATION: [u8; 6] = [2, 0, 0, 0, 0, 9];

pub(crate) fn open(ifname: &str, mode: XdpMode) -> Xdp {
    Xdp::open(ifname, &XdpOptions { mode: Some(mode), ..XdpOptions::default() }).unwrap()
}

/// A veth link, both ends up, silent: without IPv6.
pub(crate) fn pair(one: &str, two: &str) {
    ip(&format!("link add {one} type veth peer name {two}"));
    for end in [one, two] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1").unwrap();
        ip(&format!("link set {end} up"));
    }
}

/// Receives until a frame satisfies `wanted`.
pub(crate) fn receive(port: &mut Xdp, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
    let mut batch = Vec::new();
    eventually(what, || {
        port.receive(&mut batch, 1, &mut Pool::new(1));
        batch.pop().filter(|frame| wanted(frame))
    })
}

pub(crate) fn send(port: &mut Xdp, frame: Frame) -> Sent {
    let outcome = port.send(frame, &mut Pool::new(4));
    let flushed = port.flush();
    if outcome == Sent::Done { flushed } else { outcome }
}

pub(crate) fn numbered(number: u8) -> Frame {
    let mut bytes = vec![number; 60];
    bytes[..6].copy_from_slice(&STATION);
    bytes[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    Frame::from_bytes(&bytes)
}

pub(crate) fn is_numbered(frame: &Frame) -> bool {
    frame.bytes().get(12..14) == Some(&[0x88, 0xb5])
}
