//! Python's generator of random numbers where it is seeded by a constant: some packers hide their text behind it.
//!
//! MT19937 by Matsumoto and Nishimura, seeded by `init_by_array` and drawn from as CPython's `random` module does.

const SIZE: usize = 624;
const PERIOD: usize = 397;

pub(super) struct MersenneTwister {
    state: Vec<u32>,
    at: usize,
}

impl MersenneTwister {
    /// As `random.seed(seed)` for a whole number.
    pub(super) fn new(seed: u64) -> Self {
        let low = u32::try_from(seed & 0xffff_ffff).unwrap_or(0);
        let high = u32::try_from(seed >> 32).unwrap_or(0);
        let key: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        let mut state = vec![0_u32; SIZE];
        let mut last = 19_650_218_u32;
        for (at, word) in (0_u32..).zip(state.iter_mut()) {
            if at > 0 {
                last = 1_812_433_253_u32.wrapping_mul(last ^ last >> 30).wrapping_add(at);
            }
            *word = last;
        }
        let mut twister = Self { state, at: SIZE };
        twister.mix(key);
        twister
    }

    fn word(&self, at: usize) -> u32 {
        self.state.get(at).copied().unwrap_or(0)
    }

    fn put(&mut self, at: usize, value: u32) {
        if let Some(word) = self.state.get_mut(at) {
            *word = value;
        }
    }

    fn mix(&mut self, key: &[u32]) {
        let (mut i, mut j) = (1, 0);
        for _ in 0..SIZE.max(key.len()) {
            let before = self.word(i - 1);
            let mixed = (self.word(i) ^ (before ^ before >> 30).wrapping_mul(1_664_525))
                .wrapping_add(key.get(j).copied().unwrap_or(0))
                .wrapping_add(u32::try_from(j).unwrap_or(0));
            self.put(i, mixed);
            i += 1;
            j += 1;
            if i >= SIZE {
                self.put(0, self.word(SIZE - 1));
                i = 1;
            }
            if j >= key.len() {
                j = 0;
            }
        }
        for _ in 0..SIZE - 1 {
            let before = self.word(i - 1);
            let mixed = (self.word(i) ^ (before ^ before >> 30).wrapping_mul(1_566_083_941))
                .wrapping_sub(u32::try_from(i).unwrap_or(0));
            self.put(i, mixed);
            i += 1;
            if i >= SIZE {
                self.put(0, self.word(SIZE - 1));
                i = 1;
            }
        }
        self.put(0, 0x8000_0000);
    }

    fn next(&mut self) -> u32 {
        if self.at >= SIZE {
            for at in 0..SIZE {
                let joined = self.word(at) & 0x8000_0000 | self.word((at + 1) % SIZE) & 0x7fff_ffff;
                let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.put(at, self.word((at + PERIOD) % SIZE) ^ joined >> 1 ^ odd);
            }
            self.at = 0;
        }
        let mut word = self.word(self.at);
        self.at += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// `randint(low, high)`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> Option<i64> {
        let width = u32::try_from(high.checked_sub(low)?.checked_add(1)?).ok().filter(|width| *width > 0)?;
        let bits = 32 - width.leading_zeros();
        for _ in 0..256 {
            let drawn = self.next() >> (32 - bits);
            if drawn < width {
                return low.checked_add(i64::from(drawn));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_cpython_draws() {
        let mut twister = MersenneTwister::new(1);
        let drawn: Vec<_> = (0..4).map(|_| twister.between(1, 100)).collect();
        assert_eq!(drawn, [Some(18), Some(73), Some(98), Some(9)]);
    }
}
