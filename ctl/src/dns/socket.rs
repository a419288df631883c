//! One message to one server, and what comes back. Each has a socket of its own: the kernel gives it a random port, and
//! passes on only what comes from that server (RFC 5452 section 9).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Longest reply that is taken in a datagram, in bytes; the kernel cuts what is longer.
const DATAGRAM: usize = 4_096;

/// Whether an error means that this host lacks the means for a socket, which is not the server's fault.
pub(super) fn is_want(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    // EADDRINUSE: no port is left to send from.
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EADDRINUSE))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_to_blame_for_its_absence_and_not_for_our_wants() {
        // Nobody is at this address of the loopback's.
        let absent = "127.0.0.96:1".parse().unwrap();
        for tcp in [false, true] {
            assert!(!is_want(&exchange(absent, tcp, b"x", |_| async {}).await));
        }
        for want in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRINUSE] {
            assert!(is_want(&want.into()), "{want}");
        }
        assert!(!is_want(&Errno::ENETUNREACH.into()) && !is_want(&io::ErrorKind::UnexpectedEof.into()));
    }
}
