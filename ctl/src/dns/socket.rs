//! One message to one server, and what comes back. Each has a socket of its own: the kernel gives it a random port, and
//! passes on only what comes from that server (RFC 5452 section 9).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Longest reply that is taken in a datagram, in bytes; the kernel cuts what is longer.
const DATAGRAM: usize = 4_096;

/// Sends a message and hands on what comes, until nothing more can come: always an error.
pub(super) async fn exchange<F: Future<Output = ()>>(
    to: SocketAddr,
    tcp: bool,
    message: &[u8],
    heard: impl Fn(Vec<u8>) -> F,
) -> io::Error {
    let result = if tcp { stream(to, message, heard).await } else { datagrams(to, message, heard).await };
    result.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn datagrams<F: Future<Output = ()>>(
    to: SocketAddr,
    message: &[u8],
    heard: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let len = socket.recv(&mut buffer).await?;
        heard(buffer[..len].to_vec()).await;
    }
}

async fn stream<F: Future<Output = ()>>(
    to: SocketAddr,
    message: &[u8],
    heard: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    let len = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes(), message].concat()).await?;
    loop {
        let len = stream.read_u16().await?;
        let mut reply = vec![0; usize::from(len)];
        stream.read_exact(&mut reply).await?;
        heard(reply).await;
    }
}
