//! A secret text in the person's editor. The plain text lies in a 0600 file in a folder of its own, in memory where
//! the system has such a place, and goes with it on every way out.

use crate::base::{Diagnostic, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// Opens `content` in $VISUAL or $EDITOR and gives what was saved. The name of `file` is kept, so that the editor
/// knows its language.
pub(super) fn edit(file: &Path, content: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let command = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let command = command.unwrap_or_else(|| "vi".to_owned());
    let words = shlex::split(&command).filter(|words| !words.is_empty());
    let words =
        words.ok_or_else(|| Diagnostic::new(format!("$EDITOR is not a command: `{command}`")))?;

    let private = |what: std::io::Error| {
        Diagnostic::new("cannot make a private folder for the editor").note(what.to_string())
    };
    let folder = tempfile::Builder::new()
        .prefix("hactl-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(memory_folder())
        .map_err(private)?;
    let draft = folder
        .path()
        .join(file.file_name().unwrap_or(file.as_os_str()));
    crate::vault::store::create(&draft, content)?;
    run(&words, &draft)?;
    crate::vault::store::read(&draft).map(Zeroizing::new)
}

/// The user's runtime folder is a memory file system; so is /dev/shm.
fn memory_folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    let usable =
        |place: &PathBuf| nix::unistd::access(place, nix::unistd::AccessFlags::W_OK).is_ok();
    places
        .filter(|place| place.is_dir())
        .find(usable)
        .unwrap_or_else(std::env::temp_dir)
}

/// Runs the editor. Signals that would end hactl are waited out or end the editor first: the draft must go.
fn run(words: &[String], draft: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Diagnostic::new(format!("cannot run the editor `{}`", words[0]))
            .note(error.to_string())
            .help("set EDITOR to the editor to use")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let _interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let _quit = signal(SignalKind::quit()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let mut editor = tokio::process::Command::new(&words[0]).args(&words[1..]).arg(draft).kill_on_drop(true).spawn().map_err(failed)?;
        let status = tokio::select! {
            status = editor.wait() => status.map_err(failed)?,
            _ = terminate.recv() => return Err(Diagnostic::new("stopped by a signal; the file is unchanged")),
            _ = hangup.recv() => return Err(Diagnostic::new("the terminal went away; the file is unchanged")),
        };
        if status.success() {
            return Ok(());
        }
        Err(Diagnostic::new(format!("the editor `{}` failed ({status}); the file is unchanged", words[0])))
    })
}
