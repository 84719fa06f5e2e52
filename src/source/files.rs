//! Where files come from: the disk, or (elsewhere) the binary with the disk over it. Only reads.

use super::SourceFile;
use crate::base::{Diagnostic, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A tree of files. Paths are as the user writes them.
pub trait Files: Send + Sync {
    /// The bytes of a file; `None` when there is no such file.
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>>;

    /// The bytes as they are stored, where [`Files::read_bytes`] opens what is encrypted.
    fn read_raw(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        self.read_bytes(path)
    }

    /// Whether there is such a folder.
    fn is_dir(&self, path: &Path) -> bool;

    /// The full paths of what is in a folder, sorted; `None` when there is no such folder.
    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>>;

    /// How messages name a file of that path.
    fn shown(&self, path: &Path) -> String {
        path.display().to_string()
    }

    /// The text of a file; `None` when there is no such file, an error when it is not UTF-8.
    fn read(&self, path: &Path) -> Option<Result<Arc<SourceFile>>> {
        Some(
            self.read_bytes(path)?
                .and_then(|bytes| text(self.shown(path), bytes)),
        )
    }

    /// Whether there is such a file.
    fn is_file(&self, path: &Path) -> bool {
        !self.is_dir(path) && self.read_bytes(path).is_some()
    }
}

/// Makes a source file of bytes.
///
/// # Errors
/// When they are not UTF-8; says in which line.
pub fn text(path: String, bytes: Vec<u8>) -> Result<Arc<SourceFile>> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceFile { path, text })),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error
                .as_bytes()
                .iter()
                .take(good)
                .filter(|byte| **byte == b'\n')
                .count();
            Err(
                Diagnostic::new(format!("`{path}` is not UTF-8 text (line {line})"))
                    .help("save it as UTF-8"),
            )
        }
    }
}

/// Reads a file of the disk.
///
/// # Errors
/// When it is not there, cannot be read or is not UTF-8.
pub fn load(path: &Path) -> Result<Arc<SourceFile>> {
    Disk.read(path).unwrap_or_else(|| {
        Err(Diagnostic::new(format!(
            "there is no file `{}`",
            path.display()
        )))
    })
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read_bytes(&self, path: &Path) -> Option<Result<Vec<u8>>> {
        if path.is_dir() || !path.exists() {
            return None;
        }
        Some(fs_err::read(path).map_err(|error| Diagnostic::new(error.to_string())))
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, dir: &Path) -> Option<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = fs_err::read_dir(dir)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        Some(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_names_the_line() {
        let error = text("x.yml".to_owned(), b"a\nb\n\xff".to_vec()).expect_err("not UTF-8");
        assert_eq!(error.message, "`x.yml` is not UTF-8 text (line 3)");
    }

    #[test]
    fn the_disk_tells_missing_files_from_folders() {
        let dir = tempfile::tempdir().expect("a folder");
        fs_err::write(dir.path().join("b"), "x").expect("written");
        fs_err::write(dir.path().join("a"), "x").expect("written");
        assert_eq!(
            Disk.list(dir.path()),
            Some(vec![dir.path().join("a"), dir.path().join("b")])
        );
        assert!(Disk.read(dir.path()).is_none() && Disk.read(&dir.path().join("c")).is_none());
        assert_eq!(
            Disk.read(&dir.path().join("a"))
                .expect("there")
                .expect("read")
                .text,
            "x"
        );
        assert!(Disk.is_file(&dir.path().join("a")) && !Disk.is_file(dir.path()));
    }
}
