//! Frames in and out of the kernel.
