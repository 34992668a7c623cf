//! Where a history comes from: a seed, a list that was found before, or every list there is.

/// Choices, drawn or given, and remembered.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    source: Source,
    taken: Vec<u32>,
    /// How many there were to choose from, each time.
    arities: Vec<u32>,
}

#[derive(Clone, Debug)]
enum Source {
    Seed(u64),
    /// These, then the first of every kind.
    Given(std::vec::IntoIter<u32>),
    /// The same, and the alternatives are noted: all will be tried.
    Every(std::vec::IntoIter<u32>),
}

impl Choices {
    pub(super) fn seeded(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
        Self::from(Source::Seed(state))
    }

    pub(super) fn given(list: Vec<u32>) -> Self {
        Self::from(Source::Given(list.into_iter()))
    }

    /// One of all lists; [`Self::next`] has the one after it.
    pub(super) fn every(list: Vec<u32>) -> Self {
        Self::from(Source::Every(list.into_iter()))
    }

    fn from(source: Source) -> Self {
        Self { source, taken: Vec::new(), arities: Vec::new() }
    }

    pub(super) fn taken(self) -> Vec<u32> {
        self.taken
    }

    pub(super) fn is_every(&self) -> bool {
        matches!(self.source, Source::Every(_))
    }

    /// The list after the one taken, as a clock counts.
    pub(super) fn next(mut self) -> Option<Vec<u32>> {
        while let (Some(last), Some(of)) = (self.taken.pop(), self.arities.pop()) {
            if last + 1 < of {
                self.taken.push(last + 1);
                return Some(self.taken);
            }
        }
        None
    }

    /// One of `0..of`.
    pub(super) fn pick(&mut self, of: u32) -> u32 {
        let choice = match &mut self.source {
            Source::Seed(state) => draw(state) % of,
            Source::Given(list) | Source::Every(list) => list.next().unwrap_or(0) % of,
        };
        self.took(choice, of)
    }

    /// True once in `of` times.
    pub(super) fn rarely(&mut self, of: u32) -> bool {
        match self.source {
            // Both will be tried.
            Source::Every(_) => self.pick(2) == 1,
            _ => self.pick(of) == of - 1,
        }
    }

    fn took(&mut self, choice: u32, of: u32) -> u32 {
        self.taken.push(choice);
        if self.is_every() {
            self.arities.push(of);
        }
        choice
    }
}

/// SplitMix64.
fn draw(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 32) as u32
}
