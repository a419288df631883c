//! Rules: text loaded, saved, refused; packets judged.

mod judge;
mod kernel;
mod onto;
mod picked;
mod refused;
mod round;
mod size;
