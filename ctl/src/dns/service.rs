//! The task that owns the forwarder: questions, what sockets heard and the time go in, messages and answers come out.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ::dns::forward::{Action, Counters, Forwarder, Source, Upstream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::socket::{exchange, is_want};
use super::upstreams::{Followed, Upstreams};

/// Messages that wait at the most.
const INBOX: usize = 4_096;
/// How long the list of servers counts.
const FRESH: Duration = Duration::from_secs(1);
/// How long somebody who wants to know something waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is done with an answer.
pub type Answered = Box<dyn FnOnce(Vec<u8>, Source) + Send>;

/// What the service has to know of its host, and tells it.
pub trait Host: Send {
    /// Whether that address is a gateway of ours, which would ask us again.
    fn is_gateway(&self, address: IpAddr) -> bool;
    /// A server is silent, or speaks again.
    fn changed(&self, upstream: SocketAddr, down: bool);
    /// Those of the servers that are asked which are silent now.
    fn silent(&self, servers: &[SocketAddr]);
}

/// How it goes.
#[derive(Clone, Debug)]
pub struct Report {
    /// The servers, in the order in which they are asked.
    pub upstreams: Vec<Upstream>,
    /// What has happened so far.
    pub counters: Counters,
    /// Answers in the cache, and their bytes.
    pub cached: (usize, usize),
}

enum Message {
    Ask { owner: u64, query: Vec<u8>, answered: Answered },
    Heard { token: u64, bytes: Vec<u8> },
    Failed { token: u64, blameless: bool },
    Look,
    Report(oneshot::Sender<Report>),
    Flush(oneshot::Sender<usize>),
}

/// How to talk to the service.
#[derive(Clone)]
pub struct Handle {
    messages: mpsc::Sender<Message>,
}

impl Handle {
    /// Asks on behalf of an owner; `answered` is dropped if there are too many questions already.
    pub fn ask(&self, owner: u64, query: Vec<u8>, answered: Answered) {
        // Who has too much to say is not heard: the client asks again.
        let _ = self.messages.try_send(Message::Ask { owner, query, answered });
    }

    /// Has the list of servers looked at.
    pub fn look(&self) {
        // Somebody who asks does the same.
        let _ = self.messages.try_send(Message::Look);
    }

    /// How it goes; `None`: the service does not run.
    pub async fn report(&self) -> Option<Report> {
        self.want(Message::Report).await
    }

    /// Forgets all answers; how many.
    pub async fn flush(&self) -> Option<usize> {
        self.want(Message::Flush).await
    }

    async fn want<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.messages.send(message(answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok()?
    }
}

/// The service, before it runs.
pub struct Service {
    forwarder: Forwarder<Answered>,
    followed: Followed,
    looked: Option<Instant>,
    /// Whom the host knows to be silent.
    silent: Vec<SocketAddr>,
    inbox: mpsc::Receiver<Message>,
    messages: mpsc::Sender<Message>,
    start: Instant,
    sockets: JoinSet<()>,
    open: HashMap<u64, AbortHandle>,
}

impl Service {
    /// One that asks those servers, and how to talk to it.
    pub fn new(upstreams: Upstreams) -> (Handle, Service) {
        let (messages, inbox) = mpsc::channel(INBOX);
        let service = Service {
            forwarder: Forwarder::new(Box::new(rand::random::<u16>)),
            followed: Followed::new(upstreams),
            looked: None,
            silent: Vec::new(),
            inbox,
            messages: messages.clone(),
            start: Instant::now(),
            sockets: JoinSet::new(),
            open: HashMap::new(),
        };
        (Handle { messages }, service)
    }

    /// Serves until it is aborted.
    pub async fn run(mut self, host: impl Host) {
        self.follow(&host).await;
        loop {
            let due = self.forwarder.next_deadline().map(|due| self.start + due);
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.take(message, &host).await,
                    None => return,
                },
                () = wait => {}
                Some(_) = self.sockets.join_next() => {}
            }
            self.forwarder.maintain(self.start.elapsed());
            self.act(&host);
        }
    }

    async fn take(&mut self, message: Message, host: &impl Host) {
        let now = self.start.elapsed();
        match message {
            Message::Ask { owner, query, answered } => {
                self.follow(host).await;
                self.forwarder.ask(now, owner, answered, &query);
            }
            Message::Heard { token, bytes } => self.forwarder.heard(now, token, &bytes),
            Message::Failed { token, blameless } => {
                self.open.remove(&token);
                self.forwarder.failed(now, token, blameless);
            }
            Message::Look => self.follow(host).await,
            Message::Report(answer) => {
                self.follow(host).await;
                let upstreams = self.forwarder.upstreams().to_vec();
                let (counters, cached) = (self.forwarder.counters(), self.forwarder.cached());
                // Who asked may have given up.
                let _ = answer.send(Report { upstreams, counters, cached });
            }
            Message::Flush(answer) => drop(answer.send(self.forwarder.flush())),
        }
    }

    /// Looks whom to ask, if that is not known for sure.
    async fn follow(&mut self, host: &impl Host) {
        if self.looked.is_some_and(|looked| looked.elapsed() < FRESH) {
            return;
        }
        self.looked = Some(Instant::now());
        let servers = self.followed.look().await;
        let others: Vec<SocketAddr> = servers.iter().filter(|server| !host.is_gateway(server.ip())).copied().collect();
        self.forwarder.set_upstreams(&others);
        self.tell_silent(host);
    }

    fn tell_silent(&mut self, host: &impl Host) {
        let silent = self.forwarder.upstreams().iter().filter(|one| one.down).map(|one| one.address);
        let silent: Vec<SocketAddr> = silent.collect();
        if silent != self.silent {
            host.silent(&silent);
            self.silent = silent;
        }
    }

    fn act(&mut self, host: &impl Host) {
        while let Some(action) = self.forwarder.poll() {
            match action {
                Action::Send { token, to, tcp, message } => self.send(token, to, tcp, message),
                Action::Close { token } => {
                    if let Some(socket) = self.open.remove(&token) {
                        socket.abort();
                    }
                }
                Action::Answer { client, message, source } => client(message, source),
                Action::Changed { upstream, down } => {
                    host.changed(upstream, down);
                    self.tell_silent(host);
                }
            }
        }
    }

    fn send(&mut self, token: u64, to: SocketAddr, tcp: bool, message: Vec<u8>) {
        let messages = self.messages.clone();
        let socket = self.sockets.spawn(async move {
            let heard = |bytes| async {
                // It fails only when the service ends.
                let _ = messages.send(Message::Heard { token, bytes }).await;
            };
            let error = exchange(to, tcp, &message, heard).await;
            tracing::debug!(%error, %to, tcp, "a name server could not be asked");
            let blameless = is_want(&error);
            let _ = messages.send(Message::Failed { token, blameless }).await;
        });
        self.open.insert(token, socket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UdpSocket};

    use super::*;

    #[derive(Clone, Default)]
    struct Note(Arc<Mutex<Vec<SocketAddr>>>);

    impl Host for Note {
        fn is_gateway(&self, address: IpAddr) -> bool {
            address == IpAddr::from([127, 0, 0, 99])
        }

        fn changed(&self, _: SocketAddr, _: bool) {}

        fn silent(&self, servers: &[SocketAddr]) {
            *self.0.lock().unwrap() = servers.to_vec();
        }
    }

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";

    /// The same with an address, for a minute.
    fn reply(query: &[u8]) -> Vec<u8> {
        let mut reply = query.to_vec();
        (reply[2], reply[3], reply[7]) = (0x81, 0x80, 1);
        reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x07");
        reply
    }

    /// A server that says over UDP that there is more, and what over TCP.
    async fn serve() -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (len, from) = udp.recv_from(&mut buffer).await.unwrap();
                let mut cut = buffer[..len].to_vec();
                cut[2] |= 0x82;
                udp.send_to(&cut, from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut query).await.unwrap();
                let reply = reply(&query);
                stream.write_u16(reply.len() as u16).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            }
        });
        address
    }

    async fn ask(handle: &Handle) -> (Vec<u8>, Source) {
        let (answer, answered) = oneshot::channel();
        handle.ask(1, QUERY.to_vec(), Box::new(|message, source| drop(answer.send((message, source)))));
        answered.await.unwrap()
    }

    #[tokio::test]
    async fn the_next_server_is_asked_over_tcp_too_and_then_the_cache() {
        let server = serve().await;
        let absent = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let upstreams = Upstreams::Fixed(vec!["127.0.0.99:53".parse().unwrap(), absent, server]);
        let (handle, service) = Service::new(upstreams);
        let note = Note::default();
        let running = tokio::spawn(service.run(note.clone()));
        assert_eq!(ask(&handle).await, (reply(QUERY), Source::Upstream(server)));
        assert_eq!(ask(&handle).await.1, Source::Cache);
        assert_eq!(handle.flush().await, Some(1));
        assert_eq!(ask(&handle).await.1, Source::Upstream(server));
        let report = handle.report().await.unwrap();
        let addresses: Vec<SocketAddr> = report.upstreams.iter().map(|one| one.address).collect();
        assert_eq!(addresses, [absent, server], "and never our own gateway");
        assert_eq!((report.counters.asked, report.counters.cached, report.cached.0), (3, 1, 1));
        // Nobody is there: the first probe says so at once.
        while note.0.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*note.0.lock().unwrap(), [absent]);
        running.abort();
        assert!(running.await.is_err() && handle.report().await.is_none());
    }

    #[tokio::test]
    async fn a_server_that_is_not_asked_any_more_is_nobodys_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        // Nobody is at this address of the loopback's.
        std::fs::write(&path, "nameserver 127.0.0.98\n").unwrap();
        let (handle, service) = Service::new(Upstreams::File(path.clone()));
        let note = Note::default();
        let running = tokio::spawn(service.run(note.clone()));
        assert_eq!(ask(&handle).await.1, Source::Nobody);
        while note.0.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::fs::write(&path, "nameserver 127.0.0.97 # another one\n").unwrap();
        let start = Instant::now();
        while !note.0.lock().unwrap().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(10), "it is still told of");
            handle.report().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.abort();
    }
}
