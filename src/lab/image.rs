//! The image that lab hosts start from: the machine's own distribution, built by mmdebstrap from the mirror that the
//! machine's apt uses, with a package repository inside. Built once for each recipe and kept for all labs.
//!
//! No mirror is named here, and nothing is fetched while a lab starts from a built image.

use super::keeper::{Keeper, Network};
use super::podman::Podman;
use super::state::{lock_file, make_dir};
use super::{failed, program, run, while_doing};
use crate::base::{Diagnostic, Result};
use fs_err as fs;
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const CUSTOMIZE: &str = include_str!("../../lab/image/customize.sh");
const BASE: &str = include_str!("../../lab/image/base.txt");
const PYTHON: &str = include_str!("../../lab/image/python.txt");
const REPOSITORY: &str = include_str!("../../lab/image/repository.txt");

/// Files of the image: path and content.
const FILES: &[(&str, &str)] = &[
    (
        "usr/local/lib/hactl-lab/setup",
        include_str!("../../lab/image/setup.sh"),
    ),
    (
        "usr/local/lib/hactl-lab/chrony.env",
        include_str!("../../lab/image/chrony.env"),
    ),
    (
        "etc/systemd/system/lab-setup.service",
        include_str!("../../lab/image/lab-setup.service"),
    ),
    (
        "etc/systemd/system/ssh.service.d/lab.conf",
        include_str!("../../lab/image/ssh.conf"),
    ),
    (
        "etc/systemd/system/chrony.service.d/lab.conf",
        include_str!("../../lab/image/chrony.conf"),
    ),
    (
        "etc/systemd/system.conf.d/lab.conf",
        include_str!("../../lab/image/manager.conf"),
    ),
    ("etc/sudoers.d/lab", include_str!("../../lab/image/sudoers")),
    (
        "etc/dpkg/dpkg.cfg.d/lab",
        include_str!("../../lab/image/dpkg.cfg"),
    ),
    (
        "etc/apt/apt.conf.d/90lab",
        include_str!("../../lab/image/apt.conf"),
    ),
];

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The distribution's own word for its release, like `bookworm`.
    pub suite: String,
    pub with_python: bool,
}

impl Recipe {
    /// The recipe for this machine.
    pub fn new(with_python: bool) -> Result<Self> {
        let text = fs::read_to_string("/etc/os-release")
            .map_err(while_doing("cannot tell which distribution this is"))?;
        let suite = suite(&text).ok_or_else(|| {
            failed("/etc/os-release names no VERSION_CODENAME")
                .help("the lab's images are built on Debian and Ubuntu machines")
        })?;
        Ok(Self { suite, with_python })
    }

    /// The image's name: its content decides, so a changed recipe is another image.
    pub fn image(&self) -> String {
        let mut hash = Sha256::new();
        for part in [
            self.suite.as_str(),
            CUSTOMIZE,
            BASE,
            REPOSITORY,
            if self.with_python { PYTHON } else { "" },
        ] {
            hash.update(part);
            hash.update([0]);
        }
        for (path, content) in FILES {
            hash.update(format!("{path}\0{content}\0"));
        }
        let digest = super::hex(&hash.finalize()[..6]);
        let python = if self.with_python { "-python" } else { "" };
        format!("localhost/hactl-lab:{}{python}-{digest}", self.suite)
    }

    fn includes(&self) -> String {
        let python = if self.with_python { PYTHON } else { "" };
        words(BASE)
            .into_iter()
            .chain(words(python))
            .collect::<Vec<_>>()
            .join(",")
    }
}

fn suite(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?
        .trim_matches(['"', '\'']);
    let good = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    good.then(|| value.to_owned())
}

/// The words of a list with `#` comments.
fn words(list: &str) -> Vec<&str> {
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
}

/// The image store of all labs.
pub fn store(cache: &Path) -> PathBuf {
    cache.join("store")
}

fn marker(cache: &Path, image: &str) -> PathBuf {
    cache
        .join("images")
        .join(image.rsplit(['/', ':']).next().unwrap_or(image))
}

/// Makes sure that the image is there, and gives its name. Whoever comes second waits for the first.
/// `work` is a folder that goes with the lab, so that an interrupted build leaves nothing in the cache.
pub fn ensure(
    recipe: &Recipe,
    keeper: &Keeper,
    cache: &Path,
    work: &Path,
    say: &dyn Fn(&str),
) -> Result<String> {
    let image = recipe.image();
    let marker = marker(cache, &image);
    make_dir(&cache.join("images"))?;
    if marker.exists() {
        return Ok(image);
    }
    let _lock = lock_file(&cache.join("lock"))?;
    if marker.exists() {
        return Ok(image);
    }
    say(&format!(
        "building the image {image} (once; a minute or two)"
    ));
    let work = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(work)
        .map_err(while_doing("cannot make a folder for the image"))?;
    let tar = work.path().join("image.tar");
    bootstrap(recipe, keeper, work.path(), &tar, say)?;
    say("storing the image");
    Podman::for_store(keeper, cache).import(&tar, &image)?;
    fs::write(&marker, "").map_err(while_doing("cannot note the image"))?;
    Ok(image)
}

/// Removes all images. The caller sees to it that no lab uses them.
pub fn prune(cache: &Path) -> Result<()> {
    let _lock = lock_file(&cache.join("lock"))?;
    for dir in ["images", "store", "podman"] {
        let path = cache.join(dir);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(while_doing("cannot remove the images"))?;
        }
    }
    Ok(())
}

fn bootstrap(
    recipe: &Recipe,
    keeper: &Keeper,
    work: &Path,
    tar: &Path,
    say: &dyn Fn(&str),
) -> Result<()> {
    let files = work.join("files");
    for (path, content) in FILES {
        let path = files.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&files))
            .and_then(|()| fs::write(&path, content))
            .map_err(while_doing("cannot write the image's files"))?;
    }
    let customize = work.join("customize.sh");
    fs::write(&customize, CUSTOMIZE).map_err(while_doing("cannot write the image's recipe"))?;
    // The new root belongs to root and may be entered by all, also when the folder above is private.
    fs::set_permissions(work, PermissionsExt::from_mode(0o755))
        .map_err(while_doing("cannot open the build folder"))?;
    let sources = sources(&recipe.suite)?;
    let mut last = None;
    for attempt in 1..=3 {
        let mut command = keeper.enter(Network::Machine, "mmdebstrap");
        command
            .args([
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                "--format=tar",
                "--skip=cleanup/apt/lists",
            ])
            .args([
                "--aptopt=Acquire::Retries \"5\"",
                "--aptopt=Acquire::http::Timeout \"30\"",
                "--aptopt=Acquire::Languages \"none\"",
            ])
            .arg(format!("--include={}", recipe.includes()))
            .arg(format!(
                "--customize-hook=sh {} \"$1\"",
                crate::base::quote::sh(&customize.to_string_lossy())
            ))
            .arg(&recipe.suite)
            .arg(tar)
            .args(&sources)
            .env("HACTL_REPOSITORY", words(REPOSITORY).join(" "))
            .env("HACTL_FILES", &files)
            .env("TMPDIR", work)
            .stdin(Stdio::null());
        match run(&mut command) {
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

/// The machine's own package sources of its distribution, as lines of a sources.list.
fn sources(suite: &str) -> Result<Vec<String>> {
    let ask = || {
        run(program("apt-get").args([
            "indextargets",
            "--format",
            "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
            "Created-By: Packages",
        ]))
    };
    let mut lines = source_lines(&ask()?, suite);
    if lines.is_empty() {
        run(program("apt-get").args(["-o", "Acquire::Retries=5", "update"]))?;
        lines = source_lines(&ask()?, suite);
    }
    if lines.is_empty() {
        return Err(
            Diagnostic::new(format!("the machine's apt knows no mirror for `{suite}`"))
                .help("see that `apt-get update` works on this machine"),
        );
    }
    Ok(lines)
}

fn source_lines(targets: &str, suite: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for target in targets.lines() {
        let [origin, codename, uri, release, component] = target.split('|').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let ours = matches!(origin, "Debian" | "Ubuntu")
            && (codename == suite
                || codename
                    .strip_prefix(suite)
                    .is_some_and(|rest| rest.starts_with('-')));
        // Backports replace versions only when asked to, which nobody does here.
        if !ours || release.contains("backports") {
            continue;
        }
        let line = format!("deb {uri} {release} {component}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_what_the_machine_says() {
        let cases = [
            ("VERSION_CODENAME=bookworm\n", Some("bookworm")),
            ("A=b\nVERSION_CODENAME=\"noble\"\n", Some("noble")),
            ("ID=x\n", None),
            ("VERSION_CODENAME=$(x)\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(suite(text).as_deref(), expected);
        }
    }

    #[test]
    fn only_the_distributions_own_sources_are_taken_and_each_once() {
        let targets = "Debian|bookworm|http://mirror.example/debian/|bookworm|main\n\
                       Debian|bookworm|http://mirror.example/debian/|bookworm|main\n\
                       Debian|bookworm-updates|http://mirror.example/debian/|bookworm-updates|main\n\
                       Debian|bookworm-security|http://mirror.example/sec/|bookworm-security|main\n\
                       Debian Backports|bookworm-backports|http://mirror.example/debian/|bookworm-backports|main\n\
                       Vendor|bookworm|http://vendor.example/|bookworm|main\n\
                       Debian|trixie|http://mirror.example/debian/|trixie|main\n";
        assert_eq!(
            source_lines(targets, "bookworm"),
            [
                "deb http://mirror.example/debian/ bookworm main",
                "deb http://mirror.example/debian/ bookworm-updates main",
                "deb http://mirror.example/sec/ bookworm-security main",
            ]
        );
    }

    #[test]
    fn another_recipe_is_another_image_and_only_the_asked_one_has_python() {
        let recipe = |suite: &str, with_python| Recipe {
            suite: suite.to_owned(),
            with_python,
        };
        let images: std::collections::BTreeSet<String> = [
            recipe("bookworm", false),
            recipe("bookworm", true),
            recipe("noble", false),
        ]
        .iter()
        .map(Recipe::image)
        .collect();
        assert_eq!(images.len(), 3);
        assert!(!recipe("bookworm", false).includes().contains("python"));
        assert!(recipe("bookworm", true).includes().contains("python3"));
    }
}
