//! A process of a host that has ports: `hold-ports tcp|udp FIRST COUNT` opens a socket on each, for both address
//! families, says so and stays until it is killed. It reads and accepts nothing.
#![forbid(unsafe_code)]

use std::env;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::ops::Range;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let [protocol, first, count] = words[..] else { bail!("usage: hold-ports tcp|udp FIRST COUNT") };
    let (first, count): (u16, u16) = (first.parse()?, count.parse()?);
    let hard = getrlimit(Resource::RLIMIT_NOFILE)?.1;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let ports = first..first.checked_add(count).context("no such ports")?;
    match protocol {
        "tcp" => hold(ports, |port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))),
        "udp" => hold(ports, |port| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))),
        _ => bail!("{protocol}: tcp or udp"),
    }
}

fn hold<T>(ports: Range<u16>, open: impl Fn(u16) -> std::io::Result<T>) -> Result<()> {
    let sockets = ports.map(|port| open(port).with_context(|| format!("port {port}"))).collect::<Result<Vec<T>>>()?;
    println!("{} sockets are open", sockets.len());
    loop {
        std::thread::park();
    }
}
