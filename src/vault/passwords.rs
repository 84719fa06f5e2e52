//! Where vault passwords come from, and opening and sealing with them.
//!
//! A source is read when the first vault needs it and not before: a command that meets no vault never prompts and
//! never runs a password program.

use super::envelope::{self, Envelope};
use super::{Secret, prompt};
use crate::base::{Diagnostic, Result, mask};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The label of a password that was given without one.
const DEFAULT_ID: &str = "default";

/// Where one password comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file that holds it or, when executable, a program that prints it.
    File(PathBuf),
    /// The password itself, and where it was found ("the environment").
    Text(Secret, &'static str),
    /// The terminal; asked twice when `confirm`, as for something new.
    Prompt {
        /// What to ask for: "Vault password".
        text: &'static str,
        /// Ask again and compare.
        confirm: bool,
    },
}

impl Source {
    /// How a person would name it.
    fn name(&self) -> String {
        match self {
            Self::File(path) => format!("`{}`", path.display()),
            Self::Text(_, place) => (*place).to_owned(),
            Self::Prompt { .. } => "the prompt".to_owned(),
        }
    }

    fn load(&self, id: &str) -> Result<Secret> {
        let secret = match self {
            Self::File(path) => read_file(path, id)?,
            Self::Text(secret, _) => secret.clone(),
            Self::Prompt { text, confirm } => prompt::ask(text, *confirm)?,
        };
        if secret.is_empty() {
            return Err(Diagnostic::new(format!(
                "the vault password from {} is empty",
                self.name()
            )));
        }
        Ok(secret)
    }
}

/// The passwords of a run. Cheap to make; the sources are read on first use.
#[derive(Debug, Default)]
pub struct Passwords {
    sources: Vec<(String, Source)>,
    loaded: OnceLock<Result<Vec<(String, Secret)>>>,
}

/// A decrypted vault, and which password and id it had, so that it can be sealed again the same way.
pub struct Opened {
    /// The plain bytes.
    pub plain: Vec<u8>,
    /// The vault id of the envelope.
    pub id: Option<String>,
    secret: Secret,
}

impl Opened {
    /// Encrypts new content as the old one was.
    pub fn seal(&self, plain: &[u8]) -> String {
        envelope::seal(plain, &self.secret, self.id.as_deref())
    }
}

impl Passwords {
    /// No password: whatever is encrypted cannot be read.
    pub fn none() -> Self {
        Self::default()
    }

    /// From sources, in the order in which they are tried.
    pub fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        Self::labelled(
            sources
                .into_iter()
                .map(|source| (DEFAULT_ID.to_owned(), source)),
        )
    }

    /// From sources with vault ids.
    pub fn labelled(sources: impl IntoIterator<Item = (String, Source)>) -> Self {
        Self {
            sources: sources.into_iter().collect(),
            loaded: OnceLock::new(),
        }
    }

    /// Whether there is no source at all.
    pub fn is_none(&self) -> bool {
        self.sources.is_empty()
    }

    /// Decrypts an armoured text with the password that fits.
    pub fn decrypt(&self, armoured: &str) -> Result<Vec<u8>> {
        self.open(armoured).map(|opened| opened.plain)
    }

    /// Decrypts an inline value. It is masked in all output from here on.
    pub fn decrypt_secret(&self, armoured: &str) -> Result<String> {
        let text = String::from_utf8(self.decrypt(armoured)?)
            .map_err(|_| Diagnostic::new("the decrypted value is not UTF-8 text"))?;
        mask::register(&text);
        Ok(text)
    }

    /// Decrypts, and keeps what is needed to encrypt new content the same way.
    pub fn open(&self, armoured: &str) -> Result<Opened> {
        let envelope = Envelope::parse(armoured)?;
        let secrets = self.loaded()?;
        // The password with the envelope's own id first: each try costs a key derivation.
        let fits = |(id, _): &&(String, Secret)| envelope.id.as_deref() == Some(id.as_str());
        let ordered = secrets
            .iter()
            .filter(fits)
            .chain(secrets.iter().filter(|entry| !fits(entry)));
        for (_, secret) in ordered {
            if let Some(plain) = envelope.open(secret) {
                return Ok(Opened {
                    plain: plain?,
                    id: envelope.id,
                    secret: secret.clone(),
                });
            }
        }
        let tried: Vec<String> = self
            .sources
            .iter()
            .map(|(_, source)| source.name())
            .collect();
        let mut error = Diagnostic::new("wrong vault password")
            .note(format!("tried the password from {}", tried.join(", ")));
        if let Some(id) = &envelope.id {
            error = error.note(format!("it was encrypted with the vault id `{id}`"));
        }
        Err(error.help("give the password that it was encrypted with; if it is the right one, the vault text was altered"))
    }

    /// Encrypts with the password of that id, or else the first one.
    pub fn encrypt(&self, plain: &[u8], id: Option<&str>) -> Result<String> {
        let secrets = self.loaded()?;
        let chosen = secrets
            .iter()
            .find(|(label, _)| id == Some(label))
            .or_else(|| secrets.first());
        chosen
            .map(|(_, secret)| envelope::seal(plain, secret, id))
            .ok_or_else(missing)
    }

    /// Reads the sources now, so that a missing file or a prompt does not come in the middle of something.
    pub fn load(&self) -> Result<()> {
        self.loaded().map(|_| ())
    }

    /// The first password itself.
    pub fn first(&self) -> Result<Secret> {
        self.loaded()?
            .first()
            .map(|(_, secret)| secret.clone())
            .ok_or_else(missing)
    }

    fn loaded(&self) -> Result<&[(String, Secret)]> {
        if self.is_none() {
            return Err(missing());
        }
        let load = || {
            self.sources
                .iter()
                .map(|(id, source)| Ok((id.clone(), source.load(id)?)))
                .collect()
        };
        self.loaded
            .get_or_init(load)
            .as_deref()
            .map_err(Clone::clone)
    }
}

fn missing() -> Diagnostic {
    Diagnostic::new("a vault password is needed and none was given").help(
        "give it with `--vault-password-file FILE`, `--ask-vault-pass`, or in HACTL_VAULT_PASSWORD",
    )
}

/// Ansible's rules: an executable file is run, and one whose name ends in `-client` is told the vault id.
fn read_file(path: &Path, id: &str) -> Result<Secret> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        Diagnostic::new(format!(
            "cannot read the vault password file `{shown}`: {}",
            plain(&error)
        ))
    };
    // fs_err would repeat the path, and a program is started by a path that has a slash.
    let full = std::path::absolute(path).map_err(failed)?;
    let status = std::fs::metadata(&full).map_err(failed)?;
    if status.is_dir() {
        return Err(Diagnostic::new(format!(
            "the vault password file `{shown}` is a folder"
        )));
    }
    if status.permissions().mode() & 0o111 == 0 {
        let text = zeroize::Zeroizing::new(std::fs::read_to_string(&full).map_err(failed)?);
        return Ok(Secret::new(text.trim()));
    }
    let mut command = Command::new(&full);
    if path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .is_some_and(|stem| stem.ends_with("-client"))
    {
        command.args(["--vault-id", id]);
    }
    // stdin and stderr stay with the person: such a program may itself ask for something.
    let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output().map_err(|error| {
        Diagnostic::new(format!("cannot run the vault password program `{shown}`"))
            .note(plain(&error))
            .help("it is run because the file is executable; `chmod -x` it if it holds the password itself")
    })?;
    if !output.status.success() {
        return Err(Diagnostic::new(format!(
            "the vault password program `{shown}` failed ({})",
            output.status
        )));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| {
        Diagnostic::new(format!(
            "the vault password program `{shown}` printed something else than UTF-8 text"
        ))
    })?;
    Ok(Secret::new(text.trim_matches(['\r', '\n'])))
}

/// An I/O error without the system's number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(password: &str) -> Source {
        Source::Text(Secret::new(password), "the test")
    }

    #[test]
    fn the_password_that_fits_is_found_and_kept() {
        let sealed = Passwords::new([text("two")])
            .encrypt(b"x", Some("prod"))
            .expect("sealed");
        let both = Passwords::labelled([
            ("default".into(), text("one")),
            ("other".into(), text("two")),
        ]);
        let opened = both.open(&sealed).expect("opened");
        assert_eq!(opened.plain, b"x");
        let again = opened.seal(b"y");
        assert!(again.starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
        assert_eq!(
            Passwords::new([text("two")])
                .decrypt(&again)
                .expect("the same password"),
            b"y"
        );
    }

    #[test]
    fn encrypting_with_an_id_takes_its_password() {
        let both = Passwords::labelled([("a".into(), text("one")), ("b".into(), text("two"))]);
        let sealed = both.encrypt(b"x", Some("b")).expect("sealed");
        assert!(Passwords::new([text("two")]).decrypt(&sealed).is_ok());
    }

    #[test]
    fn wrong_and_missing_passwords_are_told_apart() {
        let sealed = Passwords::new([text("right")])
            .encrypt(b"x", None)
            .expect("sealed");
        for (passwords, message) in [
            (Passwords::new([text("wrong")]), "wrong vault password"),
            (
                Passwords::none(),
                "a vault password is needed and none was given",
            ),
            (
                Passwords::new([text("")]),
                "the vault password from the test is empty",
            ),
            (
                Passwords::new([Source::File("/nonexistent/pw".into())]),
                "cannot read the vault password file `/nonexistent/pw`: no such file or directory",
            ),
        ] {
            let error = passwords.decrypt(&sealed).expect_err(message);
            assert_eq!(error.message, message);
            assert!(!format!("{error:?}").contains("\"wrong\""));
        }
    }

    #[test]
    fn an_inline_value_is_masked_once_decrypted() {
        let passwords = Passwords::new([text("p")]);
        let sealed = passwords
            .encrypt(b"inline-and-secret", None)
            .expect("sealed");
        assert_eq!(
            passwords.decrypt_secret(&sealed).expect("text"),
            "inline-and-secret"
        );
        assert_eq!(mask::mask("x=inline-and-secret"), "x=********");
    }

    #[test]
    fn files_are_read_and_programs_are_run() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, mode, content, password) in [
            ("plain", 0o600, "from file \n", "from file"),
            (
                "program",
                0o700,
                "#!/bin/sh\necho from program $#\n",
                "from program 0",
            ),
            (
                "keys-client.sh",
                0o700,
                "#!/bin/sh\necho \"$@\"\n",
                "--vault-id default",
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, content).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
            assert_eq!(
                Source::File(path).load("default").expect(name).expose(),
                password
            );
        }
        let path = dir.path().join("fails");
        std::fs::write(&path, "#!/bin/sh\nexit 3\n").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("mode");
        let error = Source::File(path).load("default").expect_err("it fails");
        assert!(
            error.message.ends_with("failed (exit status: 3)"),
            "{error}"
        );
    }
}
