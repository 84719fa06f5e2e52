//! "Did you mean", among names that are made while they are looked at.

use crate::base::nearest;

/// The known name that is nearest to a misspelt one, if any is near.
pub fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let known: Vec<String> = known.collect();
    nearest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}
