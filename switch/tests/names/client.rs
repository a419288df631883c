//! A TCP client of a name server: smoltcp over a memory port.

use std::collections::VecDeque;
use std::net::IpAddr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};
use switch::PortId;
use wire::{Frame, Offload, Time};

use crate::sandbox::{link, query};
use crate::world::Host;

pub(crate) struct Client {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    link: Link,
    from: IpAddr,
    gateway: IpAddr,
    port: PortId,
    /// Leaves checksums to a device, as a container's kernel does.
    pub(crate) partial: bool,
    /// Loses that many of the gateway's frames.
    pub(crate) lose: usize,
}

impl Client {
    /// Connects to port 53, if the gateway wants that.
    pub(crate) fn connect(host: &mut Host, port: PortId, (from, gateway): (IpAddr, IpAddr), source: u16) -> Client {
        let mut link = Link::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = u64::from(source);
        let mut interface = Interface::new(config, &mut link, instant(host.now));
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(from.into(), 0)).unwrap());
        let buffer = || SocketBuffer::new(vec![0; 70_000]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.connect(interface.context(), (smoltcp::wire::IpAddress::from(gateway), 53), source).unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        let mut client = Client { interface, sockets, socket, link, from, gateway, port, partial: false, lose: 0 };
        client.run(host);
        client
    }

    pub(crate) fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    pub(crate) fn state(&mut self) -> State {
        self.socket().state()
    }

    /// Says something, each message behind its length.
    pub(crate) fn say(&mut self, messages: &[&[u8]]) {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(*message);
        }
        assert_eq!(self.socket().send_slice(&bytes), Ok(bytes.len()));
    }

    pub(crate) fn ask(&mut self, name: &str, kind: simple_dns::TYPE) {
        self.say(&[&query(name, kind)]);
    }

    /// What came, message by message.
    pub(crate) fn hear(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let socket = self.socket();
        let mut length = [0; 2];
        while socket.peek_slice(&mut length) == Ok(2) {
            let len = usize::from(u16::from_be_bytes(length));
            assert!(socket.recv_queue() >= len + 2, "a whole message");
            let mut message = vec![0; len + 2];
            socket.recv_slice(&mut message).unwrap();
            messages.push(message.split_off(2));
        }
        messages
    }

    /// Lets both talk until neither has more to say.
    pub(crate) fn run(&mut self, host: &mut Host) {
        for _ in 0..1_000 {
            self.interface.poll(instant(host.now), &mut self.link, &mut self.sockets);
            if self.link.sent.is_empty() {
                return;
            }
            while let Some(packet) = self.link.sent.pop_front() {
                let mut frame = self.frame(&packet);
                if self.partial {
                    let start = if self.from.is_ipv4() { 34 } else { 54 };
                    frame.bytes_mut()[usize::from(start) + 16] ^= 0xff;
                    frame.offload = Offload::partial(start, 16);
                }
                let (frames, _) = host.send_frame(self.port, frame);
                self.take(frames);
            }
        }
        panic!("they never stop");
    }

    /// Hands over what the gateway has sent.
    pub(crate) fn take(&mut self, frames: Vec<(PortId, Frame)>) {
        let (client, server) = link(self.from, self.gateway);
        for (port, frame) in frames {
            assert_eq!((port, &frame.bytes()[..12]), (self.port, &[client.0, server.0].concat()[..]));
            if self.lose > 0 {
                self.lose -= 1;
                continue;
            }
            self.link.came.push_back(frame.bytes()[14..].to_vec());
        }
    }

    /// Lets time pass for both.
    pub(crate) fn later(&mut self, host: &mut Host, millis: u64) {
        for _ in 0..millis.div_ceil(100) {
            host.later(std::time::Duration::from_millis(100));
            host.switch.tend_streams(host.now, &mut host.out);
            let frames = std::mem::take(&mut host.out.frames);
            self.take(frames);
            self.run(host);
        }
    }

    fn frame(&self, packet: &[u8]) -> Frame {
        let (client, server) = link(self.from, self.gateway);
        let kind: [u8; 2] = if self.from.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
        Frame::from_bytes(&[&server.0, &client.0, &kind[..], packet].concat())
    }
}

fn instant(now: Time) -> Instant {
    Instant::from_micros(now.since(Time::ZERO).as_micros() as i64)
}

#[derive(Default)]
struct Link {
    came: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

struct Came(Vec<u8>);
struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Link {
    type RxToken<'a> = Came;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Came, Sent<'_>)> {
        Some((Came(self.came.pop_front()?), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
