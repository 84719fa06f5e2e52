//! "Did you mean": the known name that a misspelt one is nearest to. Says nothing where a guess would be far-fetched.

/// The name that differs least from a misspelt one: in one place, or in two where it has six characters and more.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = if length < 6 { 1 } else { 2 };
    known
        .filter(|other| {
            length > 1
                && !other.is_empty()
                && *other != name
                && other.chars().count().abs_diff(length) <= limit
        })
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, other)| other)
}

/// How many characters must be changed, added, taken away or exchanged with the next one to get from one name to the
/// other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, other) | (other, 0) => other,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let least = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let turned = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if turned {
                        least.min(rows[i - 2][j - 2] + 1)
                    } else {
                        least
                    }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_what_is_near_is_named() {
        let known = ["copy", "shell", "ping", "service", "when", "ansible_host"];
        for (name, found) in [
            ("copi", Some("copy")),
            ("wehn", Some("when")),
            ("pign", Some("ping")),
            ("sevrice", Some("service")),
            ("serivices", Some("service")),
            ("ansible_hots", Some("ansible_host")),
            ("helm", None),
            ("pkgng", None),
            ("services_of", None),
            ("copy", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), found, "{name}");
        }
    }
}
