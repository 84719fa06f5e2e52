//! Where a step stands in a play, so that two hosts can tell which of them is ahead.
//!
//! The order is Ansible's `linear` one: the tasks of a block before its rescue before its always, what is included where
//! the include stands, handlers where they are flushed. Every two places of a play compare, so the hosts that wait for
//! those behind them never wait in a circle. It knows nothing of what a step does.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// One level of a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// A position in a list.
    At(u32),
    /// What an include brings: of two that differ from host to host, the one that the first host takes comes first.
    In(Arc<str>),
}

/// A place: level below level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Place(Vec<Part>);

/// By what an include brings (its place and its content): the first host that takes it, and how far down its list.
#[derive(Debug, Default)]
pub struct Ranks(HashMap<Place, (usize, usize)>);

impl Place {
    /// Behind everything.
    pub fn end() -> Self {
        Self(vec![Part::At(u32::MAX)])
    }

    /// A place below this one.
    #[must_use]
    pub fn at(&self, index: usize) -> Self {
        self.with(Part::At(u32::try_from(index).unwrap_or(u32::MAX - 1)))
    }

    /// Inside of what is included here.
    #[must_use]
    pub fn inside(&self, content: &str) -> Self {
        self.with(Part::In(Arc::from(content)))
    }

    fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }

    /// The first place after this one and all that is below it.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut parts = self.0.clone();
        match parts.last_mut() {
            Some(Part::At(index)) => *index = index.saturating_add(1),
            _ => return Self::end(),
        }
        Self(parts)
    }

    /// The position in the play's own list.
    pub fn first(&self) -> usize {
        match self.0.first() {
            Some(Part::At(index)) => *index as usize,
            _ => 0,
        }
    }
}

impl Ranks {
    /// A host goes into what an include brings.
    pub fn enter(&mut self, place: &Place, host: usize, number: usize) {
        let rank = self.0.entry(place.clone()).or_insert((host, number));
        *rank = (*rank).min((host, number));
    }

    /// Which of two places comes first.
    pub fn compare(&self, one: &Place, other: &Place) -> Ordering {
        for (depth, (left, right)) in one.0.iter().zip(&other.0).enumerate() {
            let order = match (left, right) {
                (Part::At(left), Part::At(right)) => left.cmp(right),
                (Part::In(left), Part::In(right)) if left == right => Ordering::Equal,
                (Part::In(left), Part::In(right)) => {
                    let rank = |place: &Place| {
                        let known = self.0.get(&Place(place.0[..=depth].to_vec()));
                        known.copied().unwrap_or((usize::MAX, usize::MAX))
                    };
                    rank(one).cmp(&rank(other)).then(left.cmp(right))
                }
                (Part::At(_), Part::In(_)) => Ordering::Less,
                (Part::In(_), Part::At(_)) => Ordering::Greater,
            };
            if order.is_ne() {
                return order;
            }
        }
        one.0.len().cmp(&other.0.len())
    }

    /// Whether one place is before another.
    pub fn before(&self, one: &Place, other: &Place) -> bool {
        self.compare(one, other).is_lt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_the_play() {
        let root = Place::default();
        let block = root.at(3);
        let ordered = [
            root.clone(),
            root.at(0),
            block.clone(),
            block.at(0).at(0),
            block.at(0).at(1),
            block.at(1).at(0),
            block.at(2).at(5),
            root.at(4),
            root.at(4).inside("a").at(0),
            root.at(4).inside("a").at(1),
            root.at(5),
            Place::end(),
        ];
        let ranks = Ranks::default();
        for (left, one) in ordered.iter().enumerate() {
            for (right, other) in ordered.iter().enumerate() {
                assert_eq!(
                    ranks.compare(one, other),
                    left.cmp(&right),
                    "{one:?} {other:?}"
                );
            }
        }
        assert_eq!(root.at(3).at(1).next(), root.at(3).at(2));
    }

    #[test]
    fn of_two_contents_that_of_the_first_host_comes_first() {
        let include = Place::default().at(1);
        let (first, second) = (include.inside("z.yml"), include.inside("a.yml"));
        let mut ranks = Ranks::default();
        ranks.enter(&second, 1, 0);
        ranks.enter(&first, 2, 0);
        assert!(ranks.before(&second.at(7), &first.at(0)));
        ranks.enter(&first, 0, 0);
        assert!(ranks.before(&first.at(7), &second.at(0)));
        assert!(ranks.before(&second.at(9), &include.next()));
    }
}
