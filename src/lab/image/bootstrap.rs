//! A root file system by mmdebstrap, in a folder that goes with the lab.

use super::files::{self, CUSTOMIZE, REPOSITORY};
use super::{Recipe, sources, words};
use crate::base::{Result, quote};
use crate::lab::keeper::{Keeper, Network};
use crate::lab::{failed, while_doing};
use fs_err as fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

/// Builds the root file system of a recipe as a file or folder.
pub(super) fn run(
    recipe: &Recipe,
    keeper: &Keeper,
    work: &Path,
    format: &str,
    target: &Path,
    say: &dyn Fn(&str),
) -> Result<()> {
    let folder = work.join("files");
    let own = files::of(recipe.kind);
    for (path, content) in own.all() {
        let mode = files::mode(path, content);
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&folder))
            .and_then(|()| fs::write(&path, content))
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(mode)))
            .map_err(while_doing("cannot write the image's files"))?;
    }
    let customize = work.join("customize.sh");
    fs::write(&customize, CUSTOMIZE).map_err(while_doing("cannot write the image's recipe"))?;
    let fit = work.join("fit.sh");
    fs::write(&fit, own.fit).map_err(while_doing("cannot write the image's recipe"))?;
    // The new root belongs to root and may be entered by all, also when the folder above is private.
    fs::set_permissions(work, PermissionsExt::from_mode(0o755))
        .map_err(while_doing("cannot open the build folder"))?;
    let sources = sources::of(&recipe.suite, &Recipe::own_suite()?)?;
    let mut last = None;
    for attempt in 1..=3 {
        let mut command = keeper.enter(Network::Machine, "mmdebstrap");
        command
            .args([
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                "--skip=cleanup/apt/lists",
            ])
            .args([
                "--aptopt=Acquire::Retries \"5\"",
                "--aptopt=Acquire::http::Timeout \"30\"",
                "--aptopt=Acquire::Languages \"none\"",
            ])
            .arg(format!("--format={format}"))
            .arg(format!("--include={}", recipe.includes().join(",")))
            // Before any package is configured: what builds the initramfs reads these.
            .arg(format!(
                "--setup-hook=mkdir -p \"$1\"/etc && cp -a {}/etc/initramfs-tools \"$1\"/etc/ 2>/dev/null || true",
                quote::sh(&folder.to_string_lossy())
            ))
            .arg(format!(
                "--customize-hook=sh {} \"$1\"",
                quote::sh(&customize.to_string_lossy())
            ))
            .arg(&recipe.suite)
            .arg(target)
            .args(&sources)
            .env("HACTL_REPOSITORY", words(REPOSITORY).join(" "))
            .env("HACTL_FILES", &folder)
            .env("HACTL_KIND", &fit)
            .env("HACTL_PACKED", own.packed)
            .env("TMPDIR", work)
            .stdin(Stdio::null());
        match crate::lab::run(&mut command) {
            Ok(_) => return Ok(()),
            // An interrupt took the lab down, and the build with it.
            Err(error) if !keeper.is_alive() => return Err(error),
            Err(error) => {
                say(&format!(
                    "building the image failed (attempt {attempt} of 3)"
                ));
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| failed("the image was not built")))
}
