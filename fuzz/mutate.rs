//! Small changes to inputs.

/// xorshift: repeatable.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }
}

/// Values at which formats change their mind.
const NUMBERS: [u32; 10] = [
    0,
    1,
    2,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    8,
    0x0403_4b50,
];
/// Inputs stay within what the intake lets through.
const MAX_BYTES: usize = 300_000;

/// A seed with one to eight changes; `words` are pieces of the target's language.
pub fn mutated(pool: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| {
        pool.get(random.below(pool.len()))
            .cloned()
            .unwrap_or_default()
    };
    let mut input = pick(random);
    for _ in 0..=random.below(8) {
        let length = input.len();
        let at = random.below(length + 1);
        let end = (at + 1 + random.below(40)).min(length);
        match random.below(10) {
            0 if length > 0 => input[at.min(length - 1)] ^= 1 << random.below(8),
            1 if length > 0 => input[at.min(length - 1)] = random.below(256) as u8,
            2 => drop(input.drain(at.min(end)..end)),
            3 => {
                let piece = input[at.min(end)..end].to_vec();
                splice(&mut input, at, &piece);
            }
            4 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                let width = [1, 2, 4][random.below(3)];
                let stop = (at + width).min(length);
                for (to, from) in input[at.min(stop)..stop].iter_mut().zip(number) {
                    *to = from;
                }
            }
            5 | 6 if !words.is_empty() => {
                let word = words[random.below(words.len())];
                splice(&mut input, at, word.as_bytes());
            }
            7 if !words.is_empty() => {
                let word = words[random.below(words.len())].repeat(1 + random.below(300));
                splice(&mut input, at, word.as_bytes());
            }
            8 => {
                let other = pick(random);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(2_000)).min(other.len());
                splice(&mut input, at, &other[from..to]);
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(MAX_BYTES);
    input
}

fn splice(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, piece.iter().copied());
}
