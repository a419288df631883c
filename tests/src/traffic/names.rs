//! A container's questions to a name server, and a small name server of the world outside that notes what it is asked.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, ResourceRecord, TYPE};

use crate::netns::Place;

/// Longer than the switch takes to try every server.
const LIMIT: Duration = Duration::from_secs(5);
/// How often a server looks whether it has to end.
const TICK: Duration = Duration::from_millis(20);

/// What a name server said: the status (RFC 1035's code) and the data of the answers, sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// 0: no error, 2: failure, 3: no such name, 5: refused.
    pub code: u8,
    /// Addresses, or names.
    pub data: Vec<String>,
}

impl Said {
    /// An answer without an error.
    pub fn data(data: &[&str]) -> Said {
        Said { code: 0, data: data.iter().map(|text| (*text).to_owned()).collect() }
    }

    /// Nothing but a status.
    pub fn code(code: u8) -> Said {
        Said { code, data: Vec::new() }
    }
}

/// Asks a server, in a datagram or over TCP.
pub fn ask(from: &impl Place, server: IpAddr, name: &str, kind: TYPE, tcp: bool) -> Result<Said> {
    let mut packet = Packet::new_query(0x5153);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name)?, kind.into(), CLASS::IN.into(), false));
    let query = packet.build_bytes_vec()?;
    let at = SocketAddr::new(server, 53);
    let reply = from
        .enter(|| if tcp { over_tcp(at, &query) } else { over_udp(at, &query) })
        .with_context(|| format!("asking {at} for {name}"))?;
    let packet = Packet::parse(&reply)?;
    ensure!(packet.id() == 0x5153 && packet.has_flags(PacketFlag::RESPONSE), "{packet:?}");
    let mut data: Vec<String> = packet.answers.iter().map(text).collect::<Result<_>>()?;
    data.sort();
    Ok(Said { code: reply[3] & 15, data })
}

fn over_udp(at: SocketAddr, query: &[u8]) -> Result<Vec<u8>> {
    let any = if at.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(at)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.send(query)?;
    let mut buffer = vec![0; 4_096];
    let len = socket.recv(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

fn over_tcp(at: SocketAddr, query: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&at, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&[&u16::try_from(query.len())?.to_be_bytes(), query].concat())?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut reply = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

fn text(record: &ResourceRecord<'_>) -> Result<String> {
    Ok(match &record.rdata {
        RData::A(a) => Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(a) => Ipv6Addr::from(a.address).to_string(),
        RData::PTR(name) => name.0.to_string(),
        RData::SRV(srv) => format!("{} {}", srv.port, srv.target),
        other => bail!("{other:?}"),
    })
}

/// A name server of the outside. Dropped, it ends.
#[derive(Debug)]
pub struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Knows the same address for every name, for a minute; with none it hears and says nothing.
    pub fn start(place: &impl Place, at: SocketAddr, knows: Option<Ipv4Addr>) -> Result<NameServer> {
        let socket = place.enter(|| UdpSocket::bind(at).with_context(|| format!("cannot bind {at}")))?;
        socket.set_read_timeout(Some(TICK))?;
        let (asked, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (note, end) = (asked.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 4_096];
            while !end.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                let Ok((name, reply)) = answer(&buffer[..len], knows.unwrap_or(Ipv4Addr::UNSPECIFIED)) else {
                    continue;
                };
                note.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                if knows.is_some() {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Ok(NameServer { asked, stop, thread: Some(thread) })
    }

    /// The names that it was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(query: &[u8], address: Ipv4Addr) -> Result<(String, Vec<u8>)> {
    let asked = Packet::parse(query)?;
    let question = asked.questions.first().context("no question")?.clone();
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
    let name = question.qname.clone();
    if question.qtype == TYPE::A.into() {
        let data = RData::A(A { address: address.into() });
        reply.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, 60, data));
    }
    reply.questions.push(question);
    Ok((name.to_string(), reply.build_bytes_vec()?))
}
