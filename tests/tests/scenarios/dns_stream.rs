//! The gateway's name server and a real kernel's sockets: TCP from its handshake to its end, and datagrams in bursts [D1].

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Edge, Place, scenario};

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(5);

/// A query for the addresses of a name.
fn query(id: u16, name: &str, v4: bool) -> Vec<u8> {
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, if v4 { 1 } else { 28 }, 0, 1]);
    message
}

/// Whether an answer to a query holds exactly that address: question, then a record whose name points to it.
fn names(answer: &[u8], query: &[u8], address: IpAddr) -> bool {
    let data = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    answer.starts_with(&query[..2])
        && answer.get(3).is_some_and(|codes| codes & 0xf == 0)
        && answer.get(6..8) == Some(&[0, 1])
        && answer.get(12..query.len()) == Some(&query[12..])
        && answer.get(query.len() + 12..).is_some_and(|rest| rest.starts_with(&data))
}

fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).context("no answer")?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).context("half an answer")?;
    Ok(message)
}

#[test]
fn names_are_answered_to_kernels() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &["--alias", "www"])?;
        let client = edge.attach("GREEN", "client", &[])?;
        for gateway in ["10.30.0.1", "fd30::1"] {
            let gateway = SocketAddr::new(gateway.parse()?, 53);
            let asked = [
                (query(1, "www", true), web.address4()?),
                (query(2, "WEB.green", false), web.address6()?),
                (query(3, "client", true), client.address4()?),
            ];
            client.enter(|| over_tcp(gateway, &asked))?;
            client.enter(|| over_udp(gateway, &asked))?;
        }
        Ok(())
    });
}

/// All queries in one write, in a byte at a time, and by somebody who has said all that he had to say.
fn over_tcp(gateway: SocketAddr, asked: &[(Vec<u8>, IpAddr)]) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&gateway, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    let framed = |query: &Vec<u8>| [&(query.len() as u16).to_be_bytes()[..], query].concat();
    let all: Vec<u8> = asked.iter().flat_map(|(query, _)| framed(query)).collect();
    stream.write_all(&all)?;
    for (query, address) in asked {
        let answer = read_message(&mut stream)?;
        ensure!(names(&answer, query, *address), "{query:?}: {answer:?}");
    }
    let (query, address) = &asked[0];
    for byte in framed(query) {
        stream.write_all(&[byte])?;
    }
    ensure!(names(&read_message(&mut stream)?, query, *address), "byte by byte");
    stream.write_all(&framed(query))?;
    stream.shutdown(Shutdown::Write)?;
    ensure!(names(&read_message(&mut stream)?, query, *address), "the last one");
    ensure!(stream.read(&mut [0; 1])? == 0, "it is over");
    // What is said to be longer than any query is not waited for.
    let mut stream = TcpStream::connect_timeout(&gateway, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&[0xff; 2])?;
    let end = stream.read(&mut [0; 1]);
    ensure!(matches!(&end, Err(error) if error.kind() == ErrorKind::ConnectionReset), "{end:?}");
    Ok(())
}

/// A burst of queries: every one is answered.
fn over_udp(gateway: SocketAddr, asked: &[(Vec<u8>, IpAddr)]) -> Result<()> {
    let any: SocketAddr = if gateway.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
    let socket = UdpSocket::bind(any)?;
    socket.connect(gateway)?;
    socket.set_read_timeout(Some(LIMIT))?;
    for _ in 0..20 {
        for (query, _) in asked {
            socket.send(query)?;
        }
    }
    for number in 0..20 * asked.len() {
        let mut answer = [0; 512];
        let len = socket.recv(&mut answer).with_context(|| format!("answer {number}"))?;
        let found = asked.iter().any(|(query, address)| names(&answer[..len], query, *address));
        ensure!(found, "{:?}", &answer[..len]);
    }
    Ok(())
}
