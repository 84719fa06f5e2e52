//! A stack's `vault.yml`: made with all its secrets, or completed with those that it lacks. Values that are there are
//! never changed, and neither are comments and order.

use super::{Passwords, SecretSpec, Spec, generate, is_vault};
use crate::base::{Diagnostic, Result};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// The new content of a `vault.yml`.
pub struct Completed {
    /// What to write; encrypted, or with the new values encrypted inline when the file was not.
    pub text: String,
    /// The names of the secrets that were generated. None: there is nothing to write.
    pub added: Vec<String>,
}

/// Completes a `vault.yml`; `existing` is its text, encrypted or not.
pub fn complete(existing: Option<&str>, spec: &Spec, passwords: &Passwords) -> Result<Completed> {
    let Some(existing) = existing else {
        let mut text = Zeroizing::new(
            "# The secrets of this stack. Change them with `hactl vault edit`.\n".to_owned(),
        );
        for entry in &spec.secrets {
            text.push_str(&plain_entry(entry));
        }
        return Ok(Completed {
            text: passwords.encrypt(text.as_bytes(), None)?,
            added: names(&spec.secrets),
        });
    };
    if !is_vault(existing) {
        let missing = missing(existing, spec)?;
        let mut text = with_line_end(existing);
        for entry in &missing {
            text.push_str(&inline_entry(entry, passwords)?);
        }
        return Ok(Completed {
            text,
            added: names(&missing),
        });
    }
    let opened = passwords.open(existing)?;
    let plain = std::str::from_utf8(&opened.plain)
        .map_err(|_| Diagnostic::new("the decrypted file is not UTF-8 text"))?;
    let missing = missing(plain, spec)?;
    let mut text = Zeroizing::new(with_line_end(plain));
    for entry in &missing {
        text.push_str(&plain_entry(entry));
    }
    Ok(Completed {
        text: opened.seal(text.as_bytes()),
        added: names(&missing),
    })
}

type Entry = (String, SecretSpec);

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|(name, _)| name.clone()).collect()
}

fn missing(text: &str, spec: &Spec) -> Result<Vec<Entry>> {
    // The error is not shown: it could quote a line of the file.
    let broken = || Diagnostic::new("the file with the secrets is not a YAML mapping");
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|_| broken())?;
    let has = |name: &str| value.get(name).is_some();
    if !value.is_null() && !value.is_mapping() {
        return Err(broken());
    }
    Ok(spec
        .secrets
        .iter()
        .filter(|(name, _)| !has(name))
        .cloned()
        .collect())
}

fn with_line_end(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}")
}

fn about(spec: &SecretSpec) -> String {
    let text = spec.about.lines().next().unwrap_or_default();
    if text.is_empty() {
        String::new()
    } else {
        format!("# {text}\n")
    }
}

/// No alphabet has a quote, so the value needs no escaping.
fn plain_entry((name, spec): &Entry) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "{}{name}: '{}'\n",
        about(spec),
        generate::one(spec).expose()
    ))
}

fn inline_entry((name, spec): &Entry, passwords: &Passwords) -> Result<String> {
    let sealed = passwords.encrypt(generate::one(spec).expose().as_bytes(), None)?;
    let mut text = format!("{}{name}: !vault |\n", about(spec));
    for line in sealed.lines() {
        let _ = writeln!(text, "  {line}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Secret, Source};

    fn passwords() -> Passwords {
        Passwords::new([Source::Text(Secret::new("p"), "the test")])
    }

    fn spec() -> Spec {
        Spec::parse(
            "secrets: {vault_a: {about: first}, vault_b: {length: 8, alphabet: hex}}",
            "s",
        )
        .expect("a schema")
    }

    fn plain(text: &str) -> String {
        String::from_utf8(passwords().decrypt(text).expect("encrypted")).expect("text")
    }

    #[test]
    fn a_new_file_has_all_secrets() {
        let made = complete(None, &spec(), &passwords()).expect("made");
        assert_eq!(made.added, ["vault_a", "vault_b"]);
        let text = plain(&made.text);
        assert!(
            text.contains("\n# first\nvault_a: '") && text.contains("\nvault_b: '"),
            "{text}"
        );
    }

    #[test]
    fn an_encrypted_file_keeps_what_it_has() {
        let old = passwords()
            .encrypt(b"# mine\nvault_b: kept", None)
            .expect("sealed");
        let made = complete(Some(&old), &spec(), &passwords()).expect("completed");
        assert_eq!(made.added, ["vault_a"]);
        assert!(plain(&made.text).starts_with("# mine\nvault_b: kept\n# first\nvault_a: '"));
        assert!(
            complete(Some(&made.text), &spec(), &passwords())
                .expect("again")
                .added
                .is_empty()
        );
        assert!(complete(Some(&old), &spec(), &Passwords::none()).is_err());
    }

    #[test]
    fn a_plain_file_gets_inline_vaults() {
        let made =
            complete(Some("vault_b: !vault |\n  x\n"), &spec(), &passwords()).expect("completed");
        let (head, armoured) = made
            .text
            .split_once("vault_a: !vault |\n")
            .expect("an inline value");
        assert_eq!(head, "vault_b: !vault |\n  x\n# first\n");
        assert_eq!(plain(armoured).len(), 24);
        assert!(complete(Some("- a list"), &spec(), &passwords()).is_err());
    }
}
