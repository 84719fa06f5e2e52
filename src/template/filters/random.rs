//! `random` and `shuffle`. With a seed they give what Python gives, so that a run repeats itself.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;
use rand::RngExt;
use sha2::Digest;

/// The filters of this file.
pub const FILTERS: Table = &[("random", random), ("shuffle", shuffle)];

/// Where numbers below a limit come from.
enum Source {
    System,
    Seeded(Box<Twister>),
}

impl Source {
    fn of(seed: Option<Val>) -> Result<Self> {
        Ok(match seed {
            None | Some(Val::None) => Source::System,
            Some(Val::Int(seed)) => {
                let seed = seed.unsigned_abs();
                #[expect(clippy::cast_possible_truncation, reason = "the number is taken apart")]
                let words = if seed >> 32 == 0 {
                    vec![seed as u32]
                } else {
                    vec![seed as u32, (seed >> 32) as u32]
                };
                Source::Seeded(Box::new(Twister::new(&words)))
            }
            Some(seed) => {
                // Python seeds with the text followed by its SHA-512, as one large number.
                let mut bytes = seed.string()?.into_bytes();
                let digest = sha2::Sha512::digest(&bytes);
                bytes.extend_from_slice(&digest);
                bytes.reverse();
                while bytes.last() == Some(&0) {
                    bytes.pop();
                }
                let words: Vec<u32> = bytes
                    .chunks(4)
                    .map(|chunk| {
                        chunk
                            .iter()
                            .rev()
                            .fold(0, |word, byte| word << 8 | u32::from(*byte))
                    })
                    .collect();
                Source::Seeded(Box::new(Twister::new(&words)))
            }
        })
    }

    fn below(&mut self, limit: u64) -> u64 {
        match self {
            Source::System => rand::rng().random_range(0..limit),
            Source::Seeded(twister) => {
                let bits = 64 - limit.leading_zeros();
                loop {
                    let number = twister.bits(bits);
                    if number < limit {
                        return number;
                    }
                }
            }
        }
    }
}

fn random(call: &Call) -> Result<Val> {
    let mut source = Source::of(call.arg(2, "seed"))?;
    let empty = || Diagnostic::new("`random`: there is nothing to choose from");
    if let Val::Int(end) = call.input {
        let start = call.int(0, "start")?.unwrap_or(0);
        let step = call.int(1, "step")?.filter(|step| *step != 0).unwrap_or(1);
        let width = end.saturating_sub(start);
        let count = if step > 0 {
            (width + step - 1).div_euclid(step)
        } else {
            (width + step + 1) / step
        };
        let count = u64::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(empty)?;
        let chosen = i64::try_from(source.below(count)).unwrap_or(0);
        return Ok(Val::Int(start + step * chosen));
    }
    let items = call.input.items()?;
    let count = u64::try_from(items.len())
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(empty)?;
    let chosen = usize::try_from(source.below(count)).unwrap_or(0);
    items.get(chosen).cloned().ok_or_else(empty)
}

fn shuffle(call: &Call) -> Result<Val> {
    let seed = call
        .arg(0, "seed")
        .filter(|seed| seed.truthy().unwrap_or(false));
    let mut source = Source::of(seed)?;
    let mut items = call.input.items()?;
    for last in (1..items.len()).rev() {
        let limit = u64::try_from(last + 1).unwrap_or(1);
        items.swap(last, usize::try_from(source.below(limit)).unwrap_or(0));
    }
    Ok(Val::list(items))
}

/// The Mersenne Twister that Python's `random` uses.
struct Twister {
    state: [u32; 624],
    index: usize,
}

impl Twister {
    fn new(key: &[u32]) -> Self {
        let mut state = [0u32; 624];
        state[0] = 19_650_218;
        let mut count = 0u32;
        for i in 1..624 {
            count += 1;
            let last: u32 = state[i - 1];
            state[i] = 1_812_433_253u32
                .wrapping_mul(last ^ last >> 30)
                .wrapping_add(count);
        }
        let key = if key.is_empty() { &[0] } else { key };
        let (mut i, mut j) = (1, 0);
        for _ in 0..key.len().max(624) {
            let last = state[i - 1];
            let place = u32::try_from(j).unwrap_or(0);
            state[i] = (state[i] ^ (last ^ last >> 30).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(place);
            (i, j) = (i + 1, (j + 1) % key.len());
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
        }
        for _ in 0..623 {
            let last = state[i - 1];
            let place = u32::try_from(i).unwrap_or(0);
            state[i] =
                (state[i] ^ (last ^ last >> 30).wrapping_mul(1_566_083_941)).wrapping_sub(place);
            i += 1;
            if i >= 624 {
                state[0] = state[623];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        Self { state, index: 624 }
    }

    fn next(&mut self) -> u32 {
        if self.index >= 624 {
            for i in 0..624 {
                let mixed = self.state[i] & 0x8000_0000 | self.state[(i + 1) % 624] & 0x7fff_ffff;
                let twist = if mixed & 1 == 0 { 0 } else { 0x9908_b0df };
                self.state[i] = self.state[(i + 397) % 624] ^ mixed >> 1 ^ twist;
            }
            self.index = 0;
        }
        let mut number = self.state[self.index];
        self.index += 1;
        number ^= number >> 11;
        number ^= number << 7 & 0x9d2c_5680;
        number ^= number << 15 & 0xefc6_0000;
        number ^ number >> 18
    }

    fn bits(&mut self, count: u32) -> u64 {
        match count {
            0 => 0,
            1..=32 => u64::from(self.next() >> (32 - count)),
            _ => u64::from(self.next()) | u64::from(self.next() >> (64 - count)) << 32,
        }
    }
}
