//! How far the walk goes: far where nothing changes, a few steps where much does.
//!
//! What is seen after a change is thrown away and seen again. On a fresh host, where every other task changes something, looking
//! far ahead each time would ask about the last task of a play as often as there are changes before it: wasted processes
//! on the host, where a round trip costs less than they do. It never says what is looked at, only how much at once.

/// More than so many at once would only make a long batch longer.
const LONGEST: usize = 400;

/// Fewer would cost a round trip for every task that changes nothing.
const SHORTEST: usize = 8;

/// How many times further it goes after a walk that met no change.
const GROWTH: usize = 4;

/// How many entries the next walk may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach(usize);

impl Default for Reach {
    /// As far as possible: most deploys change next to nothing.
    fn default() -> Self {
        Self(LONGEST)
    }
}

impl Reach {
    /// Entries of the next walk.
    pub fn entries(self) -> usize {
        self.0
    }

    /// After a walk that met a change behind so many entries without one: changes are expected to go on as densely.
    #[must_use]
    pub fn after_change(behind: usize) -> Self {
        Self((GROWTH * (behind + 1)).clamp(SHORTEST, LONGEST))
    }

    /// After a walk that met none.
    #[must_use]
    pub fn after_none(self) -> Self {
        Self((self.0 * GROWTH).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_play_that_changes_nothing_is_one_walk() {
        assert_eq!(Reach::default().entries(), LONGEST);
        assert_eq!(Reach::default().after_none(), Reach::default());
    }

    #[test]
    fn dense_changes_keep_it_short_and_their_end_lets_it_grow() {
        for behind in [0, 1] {
            assert_eq!(Reach::after_change(behind).entries(), SHORTEST);
        }
        let dense = Reach::after_change(0);
        let grown: Vec<usize> =
            std::iter::successors(Some(dense), |reach| Some(reach.after_none()))
                .map(Reach::entries)
                .take(5)
                .collect();
        assert_eq!(grown, [8, 32, 128, LONGEST, LONGEST]);
    }

    #[test]
    fn a_lone_change_far_away_does_not_shorten_it() {
        assert_eq!(Reach::after_change(120), Reach::default());
    }
}
