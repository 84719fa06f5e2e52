//! Generated secrets: what a stack asks for (`secrets.schema.yml`) and values from the system's secure generator,
//! every symbol equally likely.

use super::Secret;
use crate::base::{Diagnostic, Result};
use rand::distr::Distribution;
use rand::distr::slice::Choose;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Shorter is guessable; longer helps nobody and some programs cut it.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=256;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
/// Safe unquoted in shells, URLs, connection strings and YAML.
const MARKS: &str = "-._~";

/// The symbols of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// Letters and digits.
    Alnum,
    /// 0-9 and a-f.
    Hex,
    /// Letters, digits and `-._~`, with at least one of each kind and a letter first, for password rules.
    Password,
}

/// One secret that a stack needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// How many symbols.
    #[serde(default = "default_length")]
    pub length: usize,
    /// From which.
    #[serde(default = "default_alphabet")]
    pub alphabet: Alphabet,
    /// What it is for, one line.
    #[serde(default)]
    pub about: String,
}

fn default_length() -> usize {
    24
}

fn default_alphabet() -> Alphabet {
    Alphabet::Alnum
}

/// The secrets of a stack, in the order of its schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// Name and kind.
    pub secrets: Vec<(String, SecretSpec)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    secrets: Map<String, Value>,
}

impl Spec {
    /// Reads a schema; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Self> {
        let bad = |what: String| Diagnostic::new(format!("`{path}`: {what}"));
        let schema: Schema = serde_yaml::from_str(text).map_err(|error| bad(error.to_string()))?;
        let mut secrets = Vec::with_capacity(schema.secrets.len());
        for (name, value) in schema.secrets {
            let spec: SecretSpec =
                serde_json::from_value(value).map_err(|error| bad(format!("`{name}`: {error}")))?;
            if !is_variable(&name) {
                return Err(bad(format!("`{name}` is not a variable name")));
            }
            if !LENGTHS.contains(&spec.length) {
                return Err(bad(format!(
                    "`{name}`: length {} is not within {} to {}",
                    spec.length,
                    LENGTHS.start(),
                    LENGTHS.end()
                )));
            }
            secrets.push((name, spec));
        }
        Ok(Self { secrets })
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A value for every secret of the spec.
pub fn generate(spec: &Spec) -> Vec<(String, Secret)> {
    spec.secrets
        .iter()
        .map(|(name, spec)| (name.clone(), one(spec)))
        .collect()
}

/// One value.
pub fn one(spec: &SecretSpec) -> Secret {
    match spec.alphabet {
        Alphabet::Alnum => pick(&[LOWER, UPPER, DIGITS].concat(), spec.length),
        Alphabet::Hex => pick(&[DIGITS, "abcdef"].concat(), spec.length),
        // Whole candidates are thrown away until one keeps the rules, so that all that do are equally likely.
        Alphabet::Password => loop {
            let candidate = pick(&[LOWER, UPPER, DIGITS, MARKS].concat(), spec.length);
            let text = candidate.expose();
            let has_all = [LOWER, UPPER, DIGITS, MARKS]
                .iter()
                .all(|kind| text.contains(|c| kind.contains(c)));
            if has_all && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
                break candidate;
            }
        },
    }
}

fn pick(symbols: &str, length: usize) -> Secret {
    let symbols: Vec<char> = symbols.chars().collect();
    let choose = Choose::new(&symbols).expect("an alphabet has symbols");
    Secret::new(
        choose
            .sample_iter(rand::rng())
            .take(length)
            .collect::<String>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn spec(length: usize, alphabet: Alphabet) -> SecretSpec {
        SecretSpec {
            length,
            alphabet,
            about: String::new(),
        }
    }

    #[test]
    fn a_schema_is_read_in_its_order() {
        let text = "secrets:\n  vault_b: {length: 12, alphabet: hex, about: key}\n  vault_a: {}\n";
        let read = Spec::parse(text, "s.yml").expect("read");
        let expected = SecretSpec {
            length: 12,
            alphabet: Alphabet::Hex,
            about: "key".into(),
        };
        assert_eq!(
            read.secrets,
            [
                ("vault_b".into(), expected),
                ("vault_a".into(), spec(24, Alphabet::Alnum))
            ]
        );
        for (text, part) in [
            ("secrets: {vault_x: {lenght: 3}}", "unknown field `lenght`"),
            (
                "secrets: {vault_x: {length: 3}}",
                "`vault_x`: length 3 is not within 8 to 256",
            ),
            ("secrets: {vault-x: {}}", "`vault-x` is not a variable name"),
            (
                "secrets: {vault_x: {alphabet: greek}}",
                "unknown variant `greek`",
            ),
            ("secret: {}", "unknown field `secret`"),
        ] {
            let error = Spec::parse(text, "s.yml").expect_err(part);
            assert!(
                error.message.starts_with("`s.yml`: ") && error.message.contains(part),
                "{error}"
            );
        }
    }

    #[test]
    fn values_keep_to_length_and_alphabet() {
        for (alphabet, fits) in [
            (
                Alphabet::Alnum,
                (|c| c.is_ascii_alphanumeric()) as fn(char) -> bool,
            ),
            (Alphabet::Hex, |c| {
                c.is_ascii_digit() || ('a'..='f').contains(&c)
            }),
            (Alphabet::Password, |c| {
                c.is_ascii_alphanumeric() || MARKS.contains(c)
            }),
        ] {
            for length in [8, 24, 64] {
                let secret = one(&spec(length, alphabet));
                assert_eq!(secret.expose().chars().count(), length);
                assert!(secret.expose().chars().all(fits));
                assert_ne!(secret, one(&spec(length, alphabet)));
            }
        }
        let password = one(&spec(8, Alphabet::Password));
        assert!(
            [LOWER, UPPER, DIGITS, MARKS]
                .iter()
                .all(|kind| password.expose().contains(|c| kind.contains(c)))
        );
    }

    #[test]
    fn every_symbol_is_about_equally_likely() {
        let mut counts: BTreeMap<char, usize> = BTreeMap::new();
        for _ in 0..100 {
            for symbol in one(&spec(256, Alphabet::Hex)).expose().chars() {
                *counts.entry(symbol).or_default() += 1;
            }
        }
        // 1600 each is expected with a deviation of about 39; eight of them never happen by chance.
        assert!(
            counts.len() == 16 && counts.values().all(|count| count.abs_diff(1600) < 312),
            "{counts:?}"
        );
    }
}
