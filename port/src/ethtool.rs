//! Questions and orders to an interface's driver, by SIOCETHTOOL, in the calling thread's network namespace.

use std::io;

use crate::ifreq::{self, Command};

const GET_DRIVER: u32 = 0x03;
const SET_TX_CHECKSUMS: u32 = 0x17;
const SET_TCP_SEGMENTATION: u32 = 0x1f;
const SET_SEGMENTATION: u32 = 0x24;
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
const GET_CHANNELS: u32 = 0x3c;
const FLAG_TX_VLAN: u32 = 1 << 7;
const FLAG_RX_VLAN: u32 = 1 << 8;

#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}
impl Command for Value {}

#[repr(C)]
struct Channels {
    command: u32,
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}
impl Command for Channels {}

#[repr(C)]
struct Driver {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}
impl Command for Driver {}

/// The name of an interface's driver, such as `veth`.
///
/// # Errors
/// There is no such interface, or it has no driver that says so.
pub fn driver(ifname: &str) -> io::Result<String> {
    let mut info = Driver { command: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
    ask(ifname, &mut info)?;
    let name = info.driver.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// How many queues of an interface receive; 1 where its driver does not say.
pub fn receive_queues(ifname: &str) -> u32 {
    let mut channels = Channels { command: GET_CHANNELS, most: [0; 4], rx: 0, tx: 0, other: 0, combined: 0 };
    match ask(ifname, &mut channels) {
        Ok(()) => (channels.rx + channels.combined).max(1),
        Err(_) => 1,
    }
}

/// Whether the interface takes 802.1Q tags out of received frames.
pub fn strips_vlans(ifname: &str) -> bool {
    let mut flags = Value { command: GET_FLAGS, data: 0 };
    ask(ifname, &mut flags).is_ok() && flags.data & FLAG_RX_VLAN != 0
}

/// Has the kernel finish every frame before it hands it to this link: checksums, segments and 802.1Q tags, for who reads
/// at the other end has no way to be told of what is left to do.
///
/// # Errors
/// There is no such link, or the checksums cannot be had. Of the others nothing remains then, or they do not matter.
pub fn finish_frames(ifname: &str) -> io::Result<()> {
    set(ifname, SET_TX_CHECKSUMS, 0)?;
    // The kernel switches these off with the checksums.
    let _ = set(ifname, SET_TCP_SEGMENTATION, 0);
    let _ = set(ifname, SET_SEGMENTATION, 0);
    let mut flags = Value { command: GET_FLAGS, data: 0 };
    ask(ifname, &mut flags)?;
    set(ifname, SET_FLAGS, flags.data & !FLAG_TX_VLAN)
}

fn set(ifname: &str, command: u32, data: u32) -> io::Result<()> {
    ask(ifname, &mut Value { command, data })
}

fn ask<T: Command>(ifname: &str, command: &mut T) -> io::Result<()> {
    ifreq::command(libc::SIOCETHTOOL as libc::Ioctl, ifname, command)
}
