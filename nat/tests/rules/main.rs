//! Rules: text loaded, saved, refused, and loaded again.

mod kernel;
mod refused;
mod round;
mod size;
