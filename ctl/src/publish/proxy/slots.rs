//! Things by number, and numbers as mio's tokens. A number never names what came later in the same place: an event of
//! a closed socket that is still in the list finds nothing.

use mio::Token;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A command waits.
    Wake,
    /// A listening TCP socket.
    Listener(Id),
    /// A bound UDP socket.
    Datagrams(Id),
    /// Either end of a connection.
    Stream(Id),
    /// A UDP session's socket.
    Session(Id),
}

/// A place and which of its tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    slot: u32,
    serial: u32,
}

const SERIAL: u32 = (1 << 28) - 1;

impl Key {
    /// As a token: kind, serial, slot.
    pub(super) fn token(self) -> Token {
        let pack = |kind: u64, id: Id| Token((kind << 60 | u64::from(id.serial) << 32 | u64::from(id.slot)) as usize);
        match self {
            Key::Wake => Token(0),
            Key::Listener(id) => pack(1, id),
            Key::Datagrams(id) => pack(2, id),
            Key::Stream(id) => pack(3, id),
            Key::Session(id) => pack(4, id),
        }
    }

    /// Back from a token.
    pub(super) fn of(token: Token) -> Key {
        let bits = token.0 as u64;
        let id = Id { slot: bits as u32, serial: (bits >> 32) as u32 & SERIAL };
        match bits >> 60 {
            1 => Key::Listener(id),
            2 => Key::Datagrams(id),
            3 => Key::Stream(id),
            4 => Key::Session(id),
            _ => Key::Wake,
        }
    }
}

/// A table with numbers that are not used again soon.
pub(super) struct Slots<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots { places: Vec::new(), free: Vec::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The number that [`Slots::insert`] gives next.
    pub(super) fn next(&self) -> Id {
        match self.free.last() {
            Some(slot) => Id { slot: *slot, serial: self.places[*slot as usize].0 },
            None => Id { slot: self.places.len() as u32, serial: 0 },
        }
    }

    pub(super) fn insert(&mut self, value: T) -> Id {
        let id = self.next();
        match self.free.pop() {
            Some(slot) => self.places[slot as usize].1 = Some(value),
            None => self.places.push((0, Some(value))),
        }
        id
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.places.get(id.slot as usize).filter(|place| place.0 == id.serial)?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.places.get_mut(id.slot as usize).filter(|place| place.0 == id.serial)?.1.as_mut()
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let place = self.places.get_mut(id.slot as usize).filter(|place| place.0 == id.serial)?;
        let value = place.1.take()?;
        place.0 = (place.0 + 1) & SERIAL;
        self.free.push(id.slot);
        Some(value)
    }

    /// Removes all that `gone` says.
    pub(super) fn drain(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let place = |(slot, (serial, value)): (usize, &(u32, Option<T>))| {
            let id = Id { slot: slot as u32, serial: *serial };
            value.as_ref().is_some_and(&gone).then_some(id)
        };
        let ids: Vec<Id> = self.places.iter().enumerate().filter_map(place).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_never_names_a_later_tenant() {
        let mut slots = Slots::new();
        let a = slots.insert('a');
        assert_eq!((slots.remove(a), slots.remove(a), slots.len()), (Some('a'), None, 0));
        let b = slots.insert('b');
        assert_eq!((slots.get(a), slots.get(b).copied(), slots.len()), (None, Some('b'), 1));
        slots.insert('c');
        assert_eq!(slots.drain(|value| *value == 'b'), ['b']);
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn keys_are_tokens() {
        let id = Id { slot: u32::MAX, serial: SERIAL };
        for key in [Key::Wake, Key::Listener(id), Key::Datagrams(id), Key::Stream(id), Key::Session(id)] {
            assert_eq!(Key::of(key.token()), key);
        }
    }
}
