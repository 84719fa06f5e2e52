//! Reads and writes secret files: whole or not at all, and never readable by others, not even for a moment.

use crate::base::{Diagnostic, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Reads a file as text.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read(path)?;
    String::from_utf8(bytes)
        .map_err(|_| Diagnostic::new(format!("`{}` is not UTF-8 text", path.display())))
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| failed("read", path, &error))
}

/// Replaces a file, or makes it, with mode 0600. A symbolic link stays one: its target is replaced.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let write = || {
        beside(&target, content)?
            .persist(&target)
            .map(|_| ())
            .map_err(io::Error::from)
    };
    write().map_err(|error| failed("write", path, &error))
}

/// Makes a file with mode 0600; one that exists is left alone and is an error.
pub fn create(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        beside(path, content)?
            .persist_noclobber(path)
            .map(|_| ())
            .map_err(io::Error::from)
    };
    write().map_err(|error| failed("write", path, &error))
}

/// A finished temporary file in the same folder; tempfile makes it 0600.
fn beside(path: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut file = tempfile::Builder::new()
        .prefix(".hactl-")
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Diagnostic {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::AlreadyExists => "it exists already".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    Diagnostic::new(format!("cannot {verb} `{}`: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn files_are_private_and_links_are_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("f"), dir.path().join("l"));
        std::fs::write(&file, "old").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("mode");
        symlink(&file, &link).expect("linked");
        replace(&link, b"new").expect("replaced");
        assert_eq!(
            (
                std::fs::read_to_string(&file).expect("read").as_str(),
                mode(&file)
            ),
            ("new", 0o600)
        );
        assert!(link.is_symlink());
        assert!(
            create(&file, b"other")
                .expect_err("exists")
                .message
                .ends_with("it exists already")
        );
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "new");
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("listed").count(),
            2,
            "no temporary file is left"
        );
    }
}
