//! "Did you mean": the known name that is nearest to a misspelt one.

/// The name that differs least from a misspelt one, if any is near.
pub fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let limit = 1 + name.chars().count() / 4;
    known
        .filter(|other| {
            other != name && other.chars().count().abs_diff(name.chars().count()) <= limit
        })
        .map(|other| (distance(name, &other), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

/// How many characters must change to get from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
