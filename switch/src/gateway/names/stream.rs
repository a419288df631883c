//! One TCP connection to a name server: smoltcp is its TCP, here are the messages in it, each behind its length (RFC 7766
//! section 8). Queries may follow each other without waiting; answers come in the order in which they are known.
//! Knows no ports, no names and no rules: segments in, queries out; answers in, segments out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};
use wire::{Frame, Pool, Time, WayBack};

/// Bytes of the window: the longest query with its length. Nobody needs more to ask for a name.
const RECEIVE: usize = 4_096;
/// Bytes that TCP keeps until they are acknowledged.
const SEND: usize = 8_192;
/// Answers that wait for room in TCP, in bytes; no more queries are read while so much waits.
const WAITING: usize = 8_192;
/// Longest answer with its length, in bytes; so much more may wait when several come late.
const LONGEST: usize = 2 + 65_535;
/// How long a connection may be silent (RFC 7766 section 6.2.3: a few seconds).
const IDLE: Duration = Duration::from_secs(10);
/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// A connection.
pub(super) struct Stream {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    way: WayBack,
    mtu: usize,
    /// Answers that TCP has no room for yet.
    waiting: Vec<u8>,
    /// Who asks elsewhere for this connection holds one more.
    questions: Arc<()>,
    /// When it is given up.
    until: Time,
    ends: bool,
    /// Distinguishes it from an earlier one with the same ends.
    pub(super) serial: u64,
}

/// What is next in the stream of queries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Query(Vec<u8>),
    Nothing,
    /// What is said there is no query, or too long for one.
    Nonsense,
}

impl Stream {
    /// A connection that waits for its first segment. `serial` is new; `seed` decides about its sequence numbers.
    pub(super) fn new(now: Time, way: WayBack, mtu: u16, serial: u64, seed: u64) -> Stream {
        let mtu = usize::from(mtu).max(576);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut link = Link { incoming: None, outgoing: &mut Vec::new(), pool: &mut Pool::new(0), way: &way, mtu };
        let mut interface = Interface::new(config, &mut link, instant(now));
        let (address, port) = way.from();
        interface.update_ip_addrs(|addresses| {
            // Everybody is a neighbour: the way back is known.
            _ = addresses.push(IpCidr::new(address.into(), 0));
        });
        let buffer = |len| SocketBuffer::new(vec![0; len]);
        let mut socket = Socket::new(buffer(RECEIVE), buffer(SEND));
        socket.set_timeout(Some(smoltcp::time::Duration::from_micros(IDLE.as_micros() as u64)));
        socket.set_nagle_enabled(false);
        // The port is not 0, and the socket is new: that cannot fail.
        _ = socket.listen((smoltcp::wire::IpAddress::from(address), port));
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        let waiting = Vec::new();
        let until = now + IDLE;
        Stream { interface, sockets, socket, way, mtu, waiting, questions: Arc::default(), until, ends: false, serial }
    }

    /// Takes an IP packet, if there is one, and whatever time has brought; adds the frames to be sent to `out`.
    pub(super) fn poll(&mut self, now: Time, packet: Option<&[u8]>, pool: &mut Pool, out: &mut Vec<Frame>) {
        if now >= self.until {
            self.give_up(now);
        }
        self.feed(now);
        let Stream { interface, sockets, way, mtu, .. } = self;
        let mut link = Link { incoming: packet, outgoing: out, pool, way, mtu: *mtu };
        interface.poll(instant(now), &mut link, sockets);
    }

    /// The next query.
    pub(super) fn next(&mut self, now: Time) -> Next {
        let full = self.waiting.len() >= WAITING;
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        let mut length = [0; 2];
        if full || socket.peek_slice(&mut length) != Ok(2) {
            return Next::Nothing;
        }
        let len = usize::from(u16::from_be_bytes(length));
        if len == 0 || len + 2 > RECEIVE {
            return Next::Nonsense;
        }
        if socket.recv_queue() < len + 2 {
            return Next::Nothing;
        }
        let mut query = vec![0; len + 2];
        if socket.recv_slice(&mut query) != Ok(len + 2) {
            return Next::Nonsense;
        }
        query.drain(..2);
        self.until = now + IDLE;
        Next::Query(query)
    }

    /// Sends an answer. `false`: it is too long, or nobody takes what was sent before.
    pub(super) fn say(&mut self, now: Time, answer: &[u8]) -> bool {
        let Ok(len) = u16::try_from(answer.len()) else { return false };
        if self.waiting.len() + 2 + answer.len() > WAITING + LONGEST {
            return false;
        }
        self.waiting.extend_from_slice(&len.to_be_bytes());
        self.waiting.extend_from_slice(answer);
        self.until = now + IDLE;
        self.feed(now);
        true
    }

    /// To be held by who asks elsewhere, until there is an answer or none will come. `None`: too many do.
    pub(super) fn asks(&self, most: usize) -> Option<Arc<()>> {
        (Arc::strong_count(&self.questions) <= most).then(|| self.questions.clone())
    }

    /// Hands TCP what it has room for; once all is said and the client is done, so is this side.
    fn feed(&mut self, now: Time) {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        if !self.waiting.is_empty()
            && let Ok(sent @ 1..) = socket.send_slice(&self.waiting)
        {
            self.waiting.drain(..sent);
            if self.waiting.is_empty() {
                self.waiting = Vec::new();
            }
            self.until = now + IDLE;
        }
        if socket.state() == State::CloseWait
            && self.waiting.is_empty()
            && Arc::strong_count(&self.questions) == 1
            && !is_whole(socket)
        {
            socket.close();
        }
    }

    /// Ends a silent connection; one that does not end is cut.
    fn give_up(&mut self, now: Time) {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        match self.ends || socket.state() == State::SynReceived {
            true => socket.abort(),
            false => socket.close(),
        }
        self.ends = true;
        self.until = now + ENDING;
    }

    /// Cuts it: the client is told with the next frames.
    pub(super) fn abort(&mut self) {
        self.sockets.get_mut::<Socket<'_>>(self.socket).abort();
    }

    /// Whether nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.sockets.get::<Socket<'_>>(self.socket).state(), State::Closed | State::Listen | State::TimeWait)
    }

    /// When it wants to be polled next.
    pub(super) fn due(&mut self, now: Time) -> Time {
        let timer = self.interface.poll_at(instant(now), &self.sockets);
        let timer = timer.map(|at| Time::ZERO + Duration::from_micros(at.total_micros().max(0) as u64));
        timer.map_or(self.until, |timer| timer.min(self.until))
    }
}

/// Whether a whole query waits.
fn is_whole(socket: &mut Socket<'_>) -> bool {
    let mut length = [0; 2];
    socket.peek_slice(&mut length) == Ok(2) && socket.recv_queue() >= 2 + usize::from(u16::from_be_bytes(length))
}

fn instant(now: Time) -> Instant {
    Instant::from_micros(now.since(Time::ZERO).as_micros() as i64)
}

/// What smoltcp takes for a network card: the one packet that came, and the frames that are to leave.
struct Link<'a> {
    incoming: Option<&'a [u8]>,
    outgoing: &'a mut Vec<Frame>,
    pool: &'a mut Pool,
    way: &'a WayBack,
    mtu: usize,
}

struct Incoming<'a>(&'a [u8]);

struct Outgoing<'a> {
    frames: &'a mut Vec<Frame>,
    pool: &'a mut Pool,
    way: &'a WayBack,
}

impl Device for Link<'_> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing { frames: self.outgoing, pool: self.pool, way: self.way }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing { frames: self.outgoing, pool: self.pool, way: self.way })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // Looked at before; what is still to be completed would be wrong.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        let mut frame = self.pool.get();
        self.way.begin(&mut frame);
        match frame.extend(&packet) {
            true => self.frames.push(frame),
            false => self.pool.put(frame),
        }
        result
    }
}

/// The ends of a connection: the client's address and port, and the gateway's address.
pub(super) fn ends(way: &WayBack) -> (IpAddr, u16, IpAddr) {
    let ((client, port), (gateway, _)) = (way.to(), way.from());
    (client, port, gateway)
}
