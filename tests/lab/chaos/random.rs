//! Histories out of a seed: the same words in another order, short, and always healed at the end.

use crate::bench::Bench;

/// Plays as many as are asked for.
pub fn rounds(_bench: &Bench) {}
