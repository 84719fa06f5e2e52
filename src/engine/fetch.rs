//! Keeps what `fetch` brought from a host: the only thing that a run writes on this machine.

use crate::base::value::{Map, Value, to_bool};
use crate::base::{Diagnostic, Result, exit};
use base64::Engine as _;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

/// The key under which the module hands over the content.
const CONTENT: &str = "hactl_content";

/// Writes the content below `dest` (`DEST/HOST/PATH`, or `DEST` itself with `flat`), takes it out of the result and says whether it changed.
///
/// # Errors
/// When it cannot be written.
pub fn keep(
    result: &mut Map<String, Value>,
    args: &crate::modules::Args,
    host: &str,
    project: &Path,
) -> Result<()> {
    let Some(Value::String(content)) = result.remove(CONTENT) else {
        return Ok(());
    };
    let failed = |what: String| {
        Diagnostic::with_code(
            exit::FAILED,
            format!("cannot keep the fetched file: {what}"),
        )
    };
    let content = base64::engine::general_purpose::STANDARD
        .decode(content)
        .map_err(|error| failed(error.to_string()))?;
    let dest = args.str_or("dest", "");
    let source = args.str_or("src", "");
    let flat = args.get("flat").and_then(to_bool).unwrap_or(false);
    // The path of a host stays below the folder, whatever it holds.
    let below: PathBuf = Path::new(source)
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let target = match (flat, dest.ends_with('/')) {
        (true, true) => project
            .join(dest)
            .join(below.file_name().unwrap_or_default()),
        (true, false) => project.join(dest),
        (false, _) => project.join(dest).join(host).join(below),
    };
    let same = fs_err::read(&target).is_ok_and(|old| old == content);
    if !same {
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
        }
        replace(&target, &content).map_err(|error| failed(error.to_string()))?;
    }
    result.insert("dest".to_owned(), Value::from(target.display().to_string()));
    result.insert("changed".to_owned(), Value::Bool(!same));
    Ok(())
}

/// Writes the file whole or not at all. What comes from a host may be a secret: a new file is for its owner only (0600), one
/// that is there keeps its mode.
fn replace(target: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".hactl-")
        .tempfile_in(folder)?;
    file.write_all(content)?;
    if let Ok(old) = fs_err::metadata(target) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_fetched_is_for_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let mode = || {
            std::fs::metadata(&path)
                .expect("written")
                .permissions()
                .mode()
                & 0o777
        };
        replace(&path, b"secret").expect("written");
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("set");
        replace(&path, b"other").expect("written");
        assert_eq!(mode(), 0o640);
        assert_eq!(std::fs::read(&path).expect("read"), b"other");
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
    }
}
