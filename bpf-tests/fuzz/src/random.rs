//! Random numbers that a seed gives again: SplitMix64 (Steele, Lea and Flood, 2014).

/// Their source.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        usize::try_from(self.any() % end).unwrap_or(0)
    }

    /// A byte.
    pub const fn byte(&mut self) -> u8 {
        self.any().to_le_bytes()[0]
    }

    /// One of several; none of none.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// A part of `length` elements: where it begins and ends.
    pub fn part(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let size = self.below((length - start).min(longest) + 1);
        start..start + size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        // The reference implementation's for seed 1234567.
        let mut random = Random::new(1_234_567);
        let found = [random.any(), random.any(), random.any()];
        assert_eq!(found, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn parts_lie_within() {
        let mut random = Random::new(1);
        for length in (0..50).cycle().take(10_000) {
            let part = random.part(length, 8);
            assert!(part.end <= length && part.len() <= 8, "{part:?} of {length}");
        }
    }
}
