//! Frames that come in several chunks, put together. Knows what comes and whether more follows, not rings or chunks.
//! Invariant: a frame is handed on whole or not at all; what is not is counted. It rests on the receive ring having a place
//! for every chunk that the kernel may fill: so the end of a chain is never lost.

use wire::{Frame, Pool};

/// The frame that is being put together, if there is one.
#[derive(Debug, Default)]
pub(super) struct Joint {
    frame: Option<Frame>,
    /// Whether it has outgrown every frame: the rest of it is passed over.
    outgrown: bool,
    too_long: u64,
}

impl Joint {
    /// Whether what comes next belongs to the same frame as what came last.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.frame.is_some()
    }

    /// Appends a piece; the frame, when it was the last one.
    #[cold]
    pub(super) fn add(&mut self, piece: Frame, is_last: bool, pool: &mut Pool) -> Option<Frame> {
        let mut frame = self.frame.take().unwrap_or_else(|| pool.get());
        if !self.outgrown && !frame.extend(piece.bytes()) {
            self.outgrown = true;
            self.too_long += 1;
        }
        if !is_last {
            self.frame = Some(frame);
            return None;
        }
        if std::mem::take(&mut self.outgrown) {
            pool.put(frame);
            return None;
        }
        Some(frame)
    }

    /// How many frames were longer than frames can be, or had no end.
    pub(super) fn too_long(&self) -> u64 {
        self.too_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(byte: u8, len: usize) -> Frame {
        Frame::from_bytes(&vec![byte; len])
    }

    #[test]
    fn pieces_become_the_frame_that_they_were() {
        let (mut joint, mut pool) = (Joint::default(), Pool::new(4));
        let bytes: Vec<u8> = (0..9_000_u32).map(|index| (index / 7) as u8).collect();
        for _ in 0..2 {
            for len in [100, 3_840, 4_096, 8_999, 9_000] {
                let pieces = bytes.chunks(len);
                let last = pieces.len() - 1;
                for (number, piece) in pieces.enumerate() {
                    assert_eq!(joint.is_open(), number > 0);
                    let frame = joint.add(Frame::from_bytes(piece), number == last, &mut pool);
                    assert_eq!(frame.is_some(), number == last);
                    if let Some(frame) = frame {
                        assert_eq!(frame.bytes(), bytes);
                        pool.put(frame);
                    }
                }
            }
        }
        assert_eq!((joint.is_open(), joint.too_long()), (false, 0));
    }

    #[test]
    fn what_has_no_end_is_counted_once_and_what_follows_is_whole() {
        let (mut joint, mut pool) = (Joint::default(), Pool::new(4));
        for number in 1..=3 {
            for _ in 0..100 {
                assert!(joint.add(of(7, 3_840), false, &mut pool).is_none() && joint.is_open());
            }
            assert!(joint.add(of(7, 60), true, &mut pool).is_none());
            assert_eq!((joint.is_open(), joint.too_long()), (false, number));
            assert!(joint.add(of(1, 3_840), false, &mut pool).is_none());
            let frame = joint.add(of(2, 60), true, &mut pool).unwrap();
            assert_eq!((frame.len(), frame.bytes()[0], frame.bytes()[3_840]), (3_900, 1, 2));
            pool.put(frame);
        }
        // The longest there is.
        assert!(joint.add(of(3, Frame::MAX_LEN - 1), false, &mut pool).is_none());
        assert_eq!(joint.add(of(3, 1), true, &mut pool).unwrap().len(), Frame::MAX_LEN);
        assert!(joint.add(of(3, Frame::MAX_LEN), false, &mut pool).is_none());
        assert!(joint.add(of(3, 1), true, &mut pool).is_none());
        assert_eq!(joint.too_long(), 4);
    }
}
