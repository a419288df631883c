//! The proxy on loopback: a server at an address of its own stands for the switch.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn target(v4: Option<SocketAddr>, v6: Option<SocketAddr>) -> Target {
    Target { v4, v6 }
}

/// A published TCP port at `at` that leads to `target`.
fn tcp(proxy: &Proxy, at: &str, target: Target) -> (u32, SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    (open(proxy, Protocol::Tcp, vec![listener.into()], target), address)
}

fn open(proxy: &Proxy, protocol: Protocol, sockets: Vec<OwnedFd>, target: Target) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    // As the real ones are.
    sockets.iter().for_each(|fd| {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).map(drop).unwrap();
    });
    proxy.open(Service { id, protocol, sockets, target }).unwrap();
    id
}

fn udp(at: &str) -> OwnedFd {
    let at: SocketAddr = at.parse().unwrap();
    let spec = match at.ip() {
        ip if ip.is_unspecified() => crate::publish::At::Any,
        ip => crate::publish::At::Address(ip),
    };
    // Not port 0: the socket is made by the code that makes the real ones.
    let port = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let ports = crate::publish::Ports { first: port, last: port };
    super::super::bind::bind_all(spec, Protocol::Udp, ports).ok().unwrap().remove(0)
}

fn port_of(fd: &OwnedFd) -> u16 {
    UdpSocket::from(fd.try_clone().unwrap()).local_addr().unwrap().port()
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn accept(server: &TcpListener) -> TcpStream {
    let stream = server.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn each_side_may_end_before_the_other() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let (_, published) = tcp(&proxy, "127.0.0.1:0", target(Some(server.local_addr().unwrap()), None));
    let mut client = connect(published);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut inside = accept(&server);
    let mut heard = String::new();
    inside.read_to_string(&mut heard).expect("the end of the question arrives");
    assert_eq!(heard, "question");
    // The other way is still open.
    inside.write_all(b"answer").unwrap();
    drop(inside);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[test]
fn much_arrives_whole_and_in_order_while_the_reader_is_slow() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let (_, published) = tcp(&proxy, "127.0.0.1:0", target(Some(server.local_addr().unwrap()), None));
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n / 7) as u8).collect();
    let mut client = connect(published);
    let bytes = sent.clone();
    let sender = std::thread::spawn(move || client.write_all(&bytes).unwrap());
    let mut inside = accept(&server);
    std::thread::sleep(Duration::from_millis(50));
    let mut got = Vec::new();
    inside.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert!(got == sent, "{} of {} bytes, or not in order", got.len(), sent.len());
}

#[test]
fn a_reset_is_passed_on_both_ways() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let (_, published) = tcp(&proxy, "127.0.0.1:0", target(Some(server.local_addr().unwrap()), None));
    for inside_resets in [true, false] {
        let client = connect(published);
        let inside = accept(&server);
        let (resets, mut hears) = if inside_resets { (inside, client) } else { (client, inside) };
        stream::reset(&resets);
        drop(resets);
        assert_eq!(hears.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn what_nobody_answers_is_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::default();
    for target in [target(Some(nobody), None), Target::default()] {
        let (_, published) = tcp(&proxy, "127.0.0.1:0", target);
        assert_eq!(connect(published).read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_client_of_one_family_reaches_a_container_of_the_other() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let (_, published) = tcp(&proxy, "[::1]:0", target(Some(server.local_addr().unwrap()), None));
    let mut client = connect(published);
    accept(&server).write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

#[tokio::test]
async fn closing_frees_the_port_resets_clients_and_ends_the_thread() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let to = target(Some(server.local_addr().unwrap()), None);
    let (one, published) = tcp(&proxy, "127.0.0.1:0", to);
    let (two, _) = tcp(&proxy, "127.0.0.1:0", to);
    let mut client = connect(published);
    let _inside = accept(&server);
    proxy.close(one).await.unwrap();
    TcpListener::bind(published).expect("the port is free when this is answered");
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(proxy.running.lock().unwrap().is_some());
    proxy.close(two).await.unwrap();
    assert!(proxy.running.lock().unwrap().is_none());
    let (three, published) = tcp(&proxy, "127.0.0.1:0", to);
    connect(published);
    accept(&server);
    proxy.close(three).await.unwrap();
}

#[test]
fn aiming_elsewhere_ends_what_was_connected() {
    let old = TcpListener::bind("127.0.0.1:0").unwrap();
    let new = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let (id, published) = tcp(&proxy, "127.0.0.1:0", target(Some(old.local_addr().unwrap()), None));
    let mut client = connect(published);
    let _inside = accept(&old);
    proxy.aim(id, target(Some(new.local_addr().unwrap()), None));
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let _client = connect(published);
    accept(&new);
}

#[test]
fn who_comes_before_there_is_a_target_is_not_served_later() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let proxy = Proxy::default();
    let socket = udp("127.0.0.1:0");
    let port = port_of(&socket);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"early", ("127.0.0.1", port)).unwrap();
    let id = open(&proxy, Protocol::Udp, vec![socket], Target::default());
    client.send_to(b"early", ("127.0.0.1", port)).unwrap();
    proxy.aim(id, target(Some(server.local_addr().unwrap()), None));
    // The command may be heard after the first of these, but none of the early ones are.
    let mut heard = [0; 8];
    let n = loop {
        client.send_to(b"late", ("127.0.0.1", port)).unwrap();
        server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        if let Ok(n) = server.recv(&mut heard) {
            break n;
        }
    };
    assert_eq!(&heard[..n], b"late");
}

#[test]
fn datagrams_come_back_from_the_address_that_was_asked() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let proxy = Proxy::default();
    let socket = udp("[::]:0");
    let port = port_of(&socket);
    open(&proxy, Protocol::Udp, vec![socket], target(Some(server.local_addr().unwrap()), None));
    let mut seen = Vec::new();
    for asked in ["127.0.0.1", "127.0.0.9", "::1"] {
        let asked: IpAddr = asked.parse().unwrap();
        let client = UdpSocket::bind((if asked.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        // A connected socket hears only the address that it asked.
        client.connect((asked, port)).unwrap();
        for round in 0..3_u8 {
            client.send(&[round; 1200]).unwrap();
            let mut buffer = [0; 2000];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [round; 1200]);
            seen.push(from);
            server.send_to(&[round, round], from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 2);
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "one session for each client, the same for all its datagrams");
}

#[test]
fn ranges_lead_to_the_port_with_the_same_offset() {
    let servers: Vec<TcpListener> = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let Some(next) = port.checked_add(1) else { continue };
        if let Ok(second) = TcpListener::bind(("127.0.0.1", next)) {
            break vec![first, second];
        }
    };
    let proxy = Proxy::default();
    let listeners: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let sockets = listeners.into_iter().map(OwnedFd::from).collect();
    open(&proxy, Protocol::Tcp, sockets, target(Some(servers[0].local_addr().unwrap()), None));
    for (address, server) in addresses.iter().zip(&servers) {
        let mut client = connect(*address);
        accept(server).write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn sessions_are_bounded_and_the_busy_ones_stay() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let proxy = Proxy::default();
    let socket = udp("127.0.0.1:0");
    let port = port_of(&socket);
    open(&proxy, Protocol::Udp, vec![socket], target(Some(server.local_addr().unwrap()), None));
    let ask = |client: &UdpSocket| {
        client.send_to(b"x", ("127.0.0.1", port)).unwrap();
        server.recv_from(&mut [0; 8]).unwrap().1
    };
    let busy = UdpSocket::bind("127.0.0.1:0").unwrap();
    let session = ask(&busy);
    for _ in 0..3 {
        for _ in 0..700 {
            ask(&UdpSocket::bind("127.0.0.1:0").unwrap());
        }
        assert_eq!(ask(&busy), session, "the busy one kept its session");
    }
}

#[test]
fn thousands_of_connections_are_open_at_once() {
    // A proxy in front of a container, or idle sockets of a browser's pages: each is one for a long time.
    const MANY: usize = 1500;
    port::limits::ensure_open_files(10_000).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::default();
    let (_, published) = tcp(&proxy, "127.0.0.1:0", target(Some(server.local_addr().unwrap()), None));
    let mut open = Vec::new();
    for _ in 0..MANY {
        let mut client = connect(published);
        client.write_all(b"x").unwrap();
        let mut inside = accept(&server);
        inside.read_exact(&mut [0]).unwrap();
        open.push((client, inside));
    }
    assert_eq!(open.len(), MANY);
}
