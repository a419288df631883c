//! TCP's part of the loop: taking clients, and moving what they and the container say.

use std::io;

use nix::errno::Errno;

use super::{BATCH, EARLY, SHORTAGE, Turn, is_shortage};
use crate::publish::proxy::pump::CHUNK;
use crate::publish::proxy::slots::{Id, Key};
use crate::publish::proxy::stream::{Outcome, Stream, reset};

/// Connections at once, two descriptors each; a waiting client stays in the kernel's queue.
pub(in crate::publish) const CONNECTIONS: usize = 16_384;
/// Of these, those of one publication.
const SHARE: usize = CONNECTIONS / 2;

impl Turn {
    pub(super) fn accept(&mut self, id: Id) {
        let key = Key::Listener(id);
        for _ in 0..BATCH {
            let Some(listener) = self.listeners.get(id) else { return };
            let Some(open) = self.services.get_mut(&listener.service) else { return };
            if self.streams.len() >= CONNECTIONS || open.streams >= SHARE {
                return self.pause(key, "the most connections are open");
            }
            match listener.socket.accept() {
                Ok((client, peer)) => {
                    let target = open.target.of(peer.ip().to_canonical().is_ipv4(), listener.offset);
                    let Some(target) = target else {
                        reset(&client);
                        continue;
                    };
                    let Ok(mut stream) = Stream::begin(client, &self.upstream, target, listener.service, self.now)
                    else {
                        continue;
                    };
                    match stream.register(self.poll.registry(), Key::Stream(self.streams.next())) {
                        Ok(()) => {
                            open.streams += 1;
                            self.streams.insert(stream);
                        }
                        Err(_) => stream.abort(),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_shortage(error.raw_os_error().map(Errno::from_raw)) => {
                    return self.pause(key, SHORTAGE);
                }
                // The client has gone, or its network has: the next one.
                Err(_) => {}
            }
        }
        self.enqueue(key);
    }

    /// Takes all who wait, and refuses them.
    pub(super) fn turn_away(&mut self, id: Id) {
        for _ in 0..EARLY {
            match self.listeners.get(id).map(|listener| listener.socket.accept()) {
                Some(Ok((client, _))) => reset(&client),
                _ => return,
            }
        }
    }

    pub(super) fn pump(&mut self, id: Id) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        match stream.pump(&mut self.buffer[..CHUNK]) {
            Outcome::Waits => {}
            Outcome::More => self.enqueue(Key::Stream(id)),
            Outcome::Done => drop(self.forget(id)),
            Outcome::Broken => self.forget(id).into_iter().for_each(Stream::abort),
        }
    }

    fn forget(&mut self, id: Id) -> Option<Stream> {
        let stream = self.streams.remove(id)?;
        if let Some(open) = self.services.get_mut(&stream.service) {
            open.streams -= 1;
        }
        Some(stream)
    }
}
