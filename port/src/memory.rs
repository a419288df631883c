//! Memory port for tests: two ends, a bounded queue in each direction, the outcomes of a TAP.
//! Frames pass in the same form as through a device, offload header first, and never wait for anything.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::Frame;

use crate::{Received, Sent};

type Queue = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// Shorter frames than an Ethernet header are refused, as a TAP does.
const ETHERNET_HEADER: usize = 14;

/// One end of a pair.
#[derive(Debug)]
pub struct Memory {
    incoming: Queue,
    outgoing: Queue,
    capacity: usize,
}

impl Memory {
    /// Two ends; what goes into one comes out of the other. At most `capacity` frames wait in each direction.
    pub fn pair(capacity: usize) -> (Memory, Memory) {
        let (one, two) = (Queue::default(), Queue::default());
        let left = Memory { incoming: Arc::clone(&one), outgoing: Arc::clone(&two), capacity };
        (left, Memory { incoming: two, outgoing: one, capacity })
    }

    /// Takes the frame that waited longest; `Gone` when none is left and the other end was dropped.
    ///
    /// # Errors
    /// None; the signature is that of a TAP.
    pub fn receive(&mut self, frame: &mut Frame) -> io::Result<Received> {
        frame.clear();
        // Whether there is another end is asked first: what it sent before it went is then seen below.
        let gone = Arc::strong_count(&self.incoming) == 1;
        match lock(&self.incoming).pop_front() {
            Some(bytes) => {
                frame.receive_area()[..bytes.len()].copy_from_slice(&bytes);
                frame.received(bytes.len());
                Ok(Received::Frame)
            }
            None if gone => Ok(Received::Gone),
            None => Ok(Received::Empty),
        }
    }

    /// Queues a copy of `frame` for the other end.
    ///
    /// # Errors
    /// None; the signature is that of a TAP.
    pub fn send(&mut self, frame: &mut Frame) -> io::Result<Sent> {
        if frame.len() < ETHERNET_HEADER {
            return Ok(Sent::Refused);
        }
        if Arc::strong_count(&self.outgoing) == 1 {
            return Ok(Sent::Gone);
        }
        let mut queue = lock(&self.outgoing);
        if queue.len() >= self.capacity {
            return Ok(Sent::Full);
        }
        queue.push_back(frame.with_offload().to_vec());
        Ok(Sent::Done)
    }
}

/// The queue stays whole whatever its other user did.
fn lock(queue: &Queue) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use wire::Offload;

    use super::*;

    #[test]
    fn frames_cross_in_order_with_their_offload() {
        let (mut left, mut right) = Memory::pair(2);
        let mut frame = Frame::from_bytes(&[1; 60]);
        frame.offload = Offload::partial(34, 16);
        assert_eq!(left.send(&mut frame).unwrap(), Sent::Done);
        assert_eq!(left.send(&mut Frame::from_bytes(&[2; 14])).unwrap(), Sent::Done);
        assert_eq!(left.send(&mut frame).unwrap(), Sent::Full);
        assert_eq!(left.receive(&mut frame).unwrap(), Received::Empty);

        assert_eq!(right.receive(&mut frame).unwrap(), Received::Frame);
        assert_eq!((frame.bytes(), frame.offload), (&[1; 60][..], Offload::partial(34, 16)));
        assert_eq!(right.receive(&mut frame).unwrap(), Received::Frame);
        assert_eq!((frame.bytes(), frame.offload), (&[2; 14][..], Offload::NONE));
        assert_eq!(right.receive(&mut frame).unwrap(), Received::Empty);
    }

    #[test]
    fn the_other_end_gone_is_told_after_its_last_frame() {
        let (mut left, mut right) = Memory::pair(2);
        let mut frame = Frame::from_bytes(&[1; 60]);
        assert_eq!(left.send(&mut Frame::from_bytes(&[1; 13])).unwrap(), Sent::Refused);
        assert_eq!(left.send(&mut frame).unwrap(), Sent::Done);
        drop(left);
        assert_eq!(right.receive(&mut frame).unwrap(), Received::Frame);
        assert_eq!(right.receive(&mut frame).unwrap(), Received::Gone);
        assert_eq!(right.send(&mut Frame::from_bytes(&[1; 60])).unwrap(), Sent::Gone);
    }

    #[test]
    fn the_longest_frame_fits() {
        let (mut left, mut right) = Memory::pair(1);
        let mut frame = Frame::from_bytes(&vec![3; Frame::MAX_LEN]);
        assert_eq!(left.send(&mut frame).unwrap(), Sent::Done);
        assert_eq!(right.receive(&mut frame).unwrap(), Received::Frame);
        assert_eq!(frame.len(), Frame::MAX_LEN);
    }
}
