//! UDP's part of the loop: datagrams of clients by their sessions to the container, and back.

use std::io;

use mio::Interest;
use nix::errno::Errno;

use super::{BATCH, EARLY, SHORTAGE, Turn, is_shortage};
use crate::publish::proxy::session::{self, Asked, Session};
use crate::publish::proxy::slots::{Id, Key};

/// Sessions at once; another one ends the one that was quiet for the longest.
const SESSIONS: usize = 4096;
/// Of these, those of one publication.
const SHARE: usize = SESSIONS / 4;

impl Turn {
    /// Datagrams of clients.
    pub(super) fn hear(&mut self, id: Id) {
        for _ in 0..BATCH {
            let Some(at) = self.datagrams.get(id) else { return };
            let (length, client, local) = match session::receive(&at.socket, &mut self.buffer) {
                Ok(heard) => heard,
                Err(Errno::EAGAIN) => return,
                Err(errno) if is_shortage(Some(errno)) => {
                    return self.pause(Key::Datagrams(id), SHORTAGE);
                }
                // An ICMP error about an earlier answer, or an address of a family that cannot be.
                Err(_) => continue,
            };
            let (service, offset) = (at.service, at.offset);
            let asked = Asked { at: id, client, local };
            let known = self.by_client.get(&asked).copied();
            let session = known.or_else(|| self.meet(asked, service, offset));
            let Some(session) = session.and_then(|id| self.sessions.get_mut(id)) else { continue };
            (session.used, session.fresh) = (self.now, known.is_some());
            // What the switch does not take now is lost, as on any network.
            let _ = session.socket.send(&self.buffer[..length]);
        }
        self.enqueue(Key::Datagrams(id));
    }

    /// Takes all that waits, and sends it nowhere.
    pub(super) fn overhear(&mut self, id: Id) {
        for _ in 0..EARLY {
            let Some(at) = self.datagrams.get(id) else { return };
            match session::receive(&at.socket, &mut self.buffer) {
                Err(errno) if errno == Errno::EAGAIN || is_shortage(Some(errno)) => return,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// A new session, in place of another if need be.
    fn meet(&mut self, asked: Asked, service: u32, offset: u16) -> Option<Id> {
        let to = self.services.get(&service)?.target.of(asked.client.ip().to_canonical().is_ipv4(), offset)?;
        if self.services.get(&service)?.sessions >= SHARE {
            self.evict(service);
        } else if self.sessions.len() >= SESSIONS {
            let most = self.services.iter().max_by_key(|(_, open)| open.sessions).map(|(id, _)| *id)?;
            self.evict(most);
        }
        let mut session = Session::begin(asked, &self.upstream, to, service, self.now).ok()?;
        let key = Key::Session(self.sessions.next());
        self.poll.registry().register(&mut session.socket, key.token(), Interest::READABLE).ok()?;
        let id = self.sessions.insert(session);
        self.by_client.insert(asked, id);
        let open = self.services.get_mut(&service)?;
        open.sessions += 1;
        open.order.push_back(id);
        Some(id)
    }

    /// Ends the oldest session of a publication that was quiet since the last look; each look makes a session quiet.
    fn evict(&mut self, service: u32) {
        let Some(open) = self.services.get_mut(&service) else { return };
        while let Some(id) = open.order.pop_front() {
            match self.sessions.get_mut(id) {
                Some(session) if session.fresh => {
                    session.fresh = false;
                    open.order.push_back(id);
                }
                Some(_) => {
                    open.sessions -= 1;
                    if let Some(session) = self.sessions.remove(id) {
                        self.by_client.remove(&session.asked);
                    }
                    return;
                }
                None => {}
            }
        }
    }

    /// Answers of the container.
    pub(super) fn answer(&mut self, id: Id) {
        for _ in 0..BATCH {
            let Some(session) = self.sessions.get_mut(id) else { return };
            let length = match session.socket.recv(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The container refused an earlier datagram: the client hears nothing, as of a lost one.
                Err(_) => continue,
            };
            session.used = self.now;
            if let Some(at) = self.datagrams.get(session.asked.at) {
                let _ = session::answer(&at.socket, &session.asked, &self.buffer[..length]);
            }
        }
        self.enqueue(Key::Session(id));
    }
}
