//! Where a history comes from: a seed, or a list that was found before.

/// Choices, drawn or given, and remembered.
#[derive(Debug)]
pub(super) struct Choices {
    state: u64,
    given: Option<std::vec::IntoIter<u32>>,
    taken: Vec<u32>,
}

impl Choices {
    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            given: None,
            taken: Vec::new(),
        }
    }

    /// These choices, then the first of every kind.
    pub(super) fn given(list: Vec<u32>) -> Self {
        Self { state: 0, given: Some(list.into_iter()), taken: Vec::new() }
    }

    pub(super) fn taken(self) -> Vec<u32> {
        self.taken
    }

    /// One of `0..of`.
    pub(super) fn pick(&mut self, of: u32) -> u32 {
        let choice = match &mut self.given {
            Some(given) => given.next().unwrap_or(0) % of,
            None => self.draw() % of,
        };
        self.taken.push(choice);
        choice
    }

    /// True once in `of` times.
    pub(super) fn rarely(&mut self, of: u32) -> bool {
        self.pick(of) == of - 1
    }

    fn draw(&mut self) -> u32 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}
