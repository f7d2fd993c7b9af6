//! Input for parsers: samples, and what becomes of them when bytes, words and lines go wrong.

use std::collections::BTreeSet;

#[path = "../replies/dice.rs"]
mod dice;

pub use dice::Dice;

/// Between two samples of a file.
const SEPARATOR: &str = "\n----\n";
/// What parsers stumble over wherever it stands.
const ANYWHERE: &[&str] = &[
    "",
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{a0}",
    "\u{3000}",
    "\u{feff}",
    "\u{202e}",
    "\u{200d}",
    "\u{301}",
    "·",
    "•",
    "．",
    "０",
    "９",
    "－",
    "Ⅷ",
    "\u{1f4b3}",
    "\"",
    "'",
    ",",
    ";",
    "=",
    "[",
    "]",
    "{",
    "}",
    "#",
    "\\",
    "\\u0000",
    "-0",
    "1e999",
    "18446744073709551616",
    "null",
    "true",
    "nan",
];

/// Makes input from samples.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// `\0` in a sample stands for a zero byte.
    pub fn new(samples: &str) -> Self {
        let samples = samples.trim_end_matches('\n').replace("\\0", "\0");
        let seeds: Vec<Vec<u8>> = samples
            .split(SEPARATOR)
            .map(|seed| seed.as_bytes().to_vec())
            .collect();
        let mut words: BTreeSet<Vec<u8>> = ANYWHERE
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let parts = samples.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        words.extend(parts.map(|word| word.as_bytes().to_vec()));
        words.extend(samples.lines().map(|line| line.as_bytes().to_vec()));
        Self {
            seeds,
            words: words.into_iter().collect(),
        }
    }

    pub fn seeds(&self) -> impl Iterator<Item = &[u8]> {
        self.seeds.iter().map(Vec::as_slice)
    }

    /// One input; one in sixteen is nothing but random bytes.
    pub fn input(&self, dice: &mut Dice) -> Vec<u8> {
        if dice.below(16) == 0 {
            let length = dice.below(64);
            return (0..length).map(|_| dice.byte()).collect();
        }
        let mut input = self.seeds[dice.below(self.seeds.len())].clone();
        for _ in 0..=dice.below(5) {
            self.mutate(&mut input, dice);
        }
        input
    }

    fn mutate(&self, input: &mut Vec<u8>, dice: &mut Dice) {
        let at = dice.below(input.len() + 1);
        let upto = (at + dice.below(12)).min(input.len());
        match dice.below(8) {
            0 if at < input.len() => input[at] = dice.byte(),
            1 if at < input.len() => input[at] ^= 1 << dice.below(8),
            2 => drop(input.drain(at..upto)),
            3 => {
                let again = input[at..upto].to_vec();
                let place = dice.below(input.len() + 1);
                input.splice(place..place, again);
            }
            // a digit stays one, so that sums and dates are what goes wrong
            4 => {
                if let Some(digit) = input[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                    *digit = b'0' + dice.below(10) as u8;
                }
            }
            5 => {
                let other = &self.seeds[dice.below(self.seeds.len())];
                let cut = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[cut..]);
            }
            _ => {
                let word = self.words[dice.below(self.words.len())].clone();
                let until = if dice.below(2) == 0 { upto } else { at };
                input.splice(at..until, word);
            }
        }
    }
}
