//! The one reader for files of this side: whatever is encrypted as a whole is handed out in the clear.
//!
//! Playbooks, roles, variables, templates, `lookup('file')` and everything that a module takes to a host come through
//! here, so that no cipher text is ever taken for content. Its values are secrets from here on. Only reads.

use super::{is_vault, register_leaves};
use crate::base::{Result, mask};
use crate::source::{self, Files};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How an armoured text is opened: [`super::Passwords::decrypt`].
pub type Opener = Arc<dyn Fn(&str) -> Result<Vec<u8>> + Send + Sync>;

/// A tree of files whose encrypted ones are opened.
pub struct ClearFiles {
    inner: Arc<dyn Files>,
    open: Opener,
    /// By armoured text: opening derives a key each time, and a template is read once a host.
    opened: Mutex<HashMap<String, Vec<u8>>>,
}

impl ClearFiles {
    /// Over another tree.
    pub fn new(inner: Arc<dyn Files>, open: Opener) -> Self {
        Self {
            inner,
            open,
            opened: Mutex::default(),
        }
    }

    fn clear(&self, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let armoured = match std::str::from_utf8(&bytes) {
            Ok(text) if is_vault(text) => text,
            _ => return Ok(bytes),
        };
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = opened.get(armoured) {
            return Ok(plain.clone());
        }
        let plain = (self.open)(armoured).map_err(|mut error| {
            error.message = format!("`{}` is encrypted: {}", self.shown(path), error.message);
            error
        })?;
        hide(&plain);
        opened.insert(armoured.to_owned(), plain.clone());
        Ok(plain)
    }
}

/// Registers what a file holds as secrets: its lines, and the values of a file of variables.
fn hide(plain: &[u8]) {
    let Ok(text) = std::str::from_utf8(plain) else {
        return;
    };
    mask::register(text);
    let node = source::text(String::new(), plain.to_vec()).and_then(|file| source::parse(&file));
    if let Ok(node) = node
        && !node.entries().is_empty()
        && let Ok(value) = node.to_value_with(&|_| Ok(String::new()))
    {
        register_leaves(&value);
    }
}

impl Files for ClearFiles {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        let bytes = self.inner.read_bytes(path)?;
        Some(bytes.and_then(|bytes| self.clear(path, bytes)))
    }

    fn read_raw(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        self.inner.read_raw(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.inner.is_dir(path)
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        self.inner.list(dir)
    }

    fn shown(&self, path: &Path) -> String {
        self.inner.shown(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.inner.is_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Disk;
    use crate::vault::{Passwords, Secret, Source};

    fn clear(passwords: Passwords) -> ClearFiles {
        ClearFiles::new(
            Arc::new(Disk),
            Arc::new(move |text: &str| passwords.decrypt(text)),
        )
    }

    #[test]
    fn encrypted_files_are_read_in_the_clear_and_masked() {
        let password = || Passwords::new([Source::Text(Secret::new("p"), "the test")]);
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        let sealed = |plain: &[u8]| password().encrypt(plain, None).expect("sealed");
        let binary = b"\xff\xfe\x00key";
        for (name, plain) in [
            ("vars.yml", &b"reader_password: value-of-a-file\n"[..]),
            ("key.pem", b"line-of-a-key\n"),
            ("binary", binary),
        ] {
            fs_err::write(path(name), sealed(plain)).expect("written");
            let files = clear(password());
            // Twice: what is remembered is the same.
            for _ in 0..2 {
                let read = files.read_bytes(&path(name)).expect("there");
                assert_eq!(read.expect("opened"), plain, "{name}");
            }
            let raw = files.read_raw(&path(name)).expect("there").expect("read");
            assert!(raw.starts_with(b"$ANSIBLE_VAULT;"), "{name}");
        }
        assert_eq!(mask::mask("x value-of-a-file y"), "x ******** y");
        assert_eq!(mask::mask("x line-of-a-key y"), "x ******** y");
        fs_err::write(path("plain"), "as it is").expect("written");
        let read = clear(Passwords::none()).read_bytes(&path("plain"));
        assert_eq!(read.expect("there").expect("read"), b"as it is");
    }

    #[test]
    fn without_a_password_an_encrypted_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("k.pem");
        let sealed = Passwords::new([Source::Text(Secret::new("p"), "the test")])
            .encrypt(b"x", None)
            .expect("sealed");
        fs_err::write(&path, sealed).expect("written");
        let files = clear(Passwords::none());
        assert!(files.is_file(&path));
        let error = files
            .read_bytes(&path)
            .expect("there")
            .expect_err("encrypted");
        assert!(
            error
                .message
                .ends_with("k.pem` is encrypted: a vault password is needed and none was given"),
            "{error}"
        );
    }
}
