//! The images that lab hosts start from: the machine's own distribution, or another release of it, built by mmdebstrap
//! from the mirror that the machine's apt uses, with a package repository inside. Built once for each recipe and kept for
//! all labs.
//!
//! No mirror is named here, and nothing is fetched while a lab starts from a built image. Nothing half-built is ever
//! taken for an image.

mod bootstrap;
mod disk;
pub(in crate::lab) mod files;
pub mod given;
mod sources;
pub mod user_mode;

use super::keeper::Keeper;
use super::podman::Podman;
use super::spec::{Kind, suite};
use super::state::{lock_file, make_dir};
use super::{failed, while_doing};
use crate::base::Result;
use files::{BASE, CUSTOMIZE, PYTHON, REPOSITORY};
use fs_err as fs;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// How images of containers are called before their release.
const CONTAINER_IMAGE: &str = "localhost/hactl-lab:";
/// How those of virtual machines are.
const MACHINE_IMAGE: &str = "vm-";

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub kind: Kind,
    /// The distribution's own word for its release, like `bookworm`.
    pub suite: String,
    pub with_python: bool,
}

impl Recipe {
    /// The recipe for hosts of a release, or of the machine's own.
    pub fn new(kind: Kind, named: Option<&str>, with_python: bool) -> Result<Self> {
        let suite = match named {
            Some(name) => suite(name)?,
            None => Self::own_suite()?,
        };
        Ok(Self {
            kind,
            suite,
            with_python,
        })
    }

    /// The release that this machine runs.
    fn own_suite() -> Result<String> {
        let text = fs::read_to_string("/etc/os-release")
            .map_err(while_doing("cannot tell which distribution this is"))?;
        codename(&text).ok_or_else(|| {
            failed("/etc/os-release names no VERSION_CODENAME")
                .help("the lab's images are built on Debian and Ubuntu machines")
        })
    }

    /// The image's name: its content decides, so a changed recipe is another image.
    pub fn image(&self) -> String {
        let own = files::of(self.kind);
        let mut hash = Sha256::new();
        for part in [
            self.suite.as_str(),
            CUSTOMIZE,
            BASE,
            REPOSITORY,
            own.fit,
            own.base,
            own.packed,
            if self.with_python { PYTHON } else { "" },
        ] {
            hash.update(part);
            hash.update([0]);
        }
        for (path, content) in own.all() {
            hash.update(format!("{path}\0{content}\0"));
        }
        if self.kind == Kind::Vm {
            hash.update(disk::FORMAT);
        }
        let digest = super::hex(&hash.finalize()[..6]);
        let python = if self.with_python { "-python" } else { "" };
        let suite = &self.suite;
        match self.kind {
            Kind::Container => format!("{CONTAINER_IMAGE}{suite}{python}-{digest}"),
            Kind::Vm => format!("{MACHINE_IMAGE}{suite}{python}-{digest}"),
        }
    }

    fn includes(&self) -> Vec<String> {
        let python = if self.with_python { PYTHON } else { "" };
        let kernel = match self.kind {
            Kind::Container => None,
            Kind::Vm => Some(disk::kernel_package(&self.suite)),
        };
        [BASE, files::of(self.kind).base, python]
            .into_iter()
            .flat_map(words)
            .map(str::to_owned)
            .chain(kernel)
            .collect()
    }
}

fn codename(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?
        .trim_matches(['"', '\'']);
    suite(value).ok()
}

/// The words of a list with `#` comments.
pub(in crate::lab) fn words(list: &str) -> Vec<&str> {
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
}

/// The image store of all labs.
pub fn store(cache: &Path) -> PathBuf {
    cache.join("store")
}

/// What is there when an image is: a note for a container's, the files themselves for a machine's.
fn built(cache: &Path, kind: Kind, image: &str) -> PathBuf {
    match kind {
        Kind::Container => cache
            .join("images")
            .join(image.rsplit(['/', ':']).next().unwrap_or(image)),
        Kind::Vm => machine(cache, image),
    }
}

/// The folder of a virtual machine's image: `disk.raw`, `kernel`, `initrd`.
pub fn machine(cache: &Path, image: &str) -> PathBuf {
    cache.join("machines").join(image)
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
    let built = built(cache, recipe.kind, &image);
    if let Some(folder) = built.parent() {
        make_dir(folder)?;
    }
    if built.exists() {
        return Ok(image);
    }
    let _lock = lock_file(&cache.join("lock"))?;
    if built.exists() {
        return Ok(image);
    }
    say(&format!(
        "building the image {image} (once; a minute or two)"
    ));
    let work = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(work)
        .map_err(while_doing("cannot make a folder for the image"))?;
    match recipe.kind {
        Kind::Container => {
            let tar = work.path().join("image.tar");
            bootstrap::run(recipe, keeper, work.path(), "tar", &tar, say)?;
            say("storing the image");
            Podman::for_store(keeper, cache).import(&tar, &image)?;
            fs::write(&built, "").map_err(while_doing("cannot note the image"))?;
        }
        Kind::Vm => {
            let root = work.path().join("root");
            bootstrap::run(recipe, keeper, work.path(), "directory", &root, say)?;
            say("storing the image");
            disk::store(&root, &built)?;
        }
    }
    Ok(image)
}

/// The images of a kind that are there.
pub fn list(cache: &Path, kind: Kind) -> Vec<String> {
    let (folder, prefix) = match kind {
        Kind::Container => ("images", CONTAINER_IMAGE),
        Kind::Vm => ("machines", ""),
    };
    let mut names: Vec<String> = fs::read_dir(cache.join(folder))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| format!("{prefix}{}", entry.file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}

/// The release that an image is of, and whether this program would build this very image today.
pub fn provenance(kind: Kind, image: &str) -> Option<(String, bool)> {
    let name = match kind {
        Kind::Container => image.strip_prefix(CONTAINER_IMAGE)?,
        Kind::Vm => image.strip_prefix(MACHINE_IMAGE)?,
    };
    let (name, _digest) = name.rsplit_once('-')?;
    let (suite, with_python) = match name.strip_suffix("-python") {
        Some(suite) => (suite, true),
        None => (name, false),
    };
    let recipe = Recipe::new(kind, Some(suite), with_python).ok()?;
    Some((suite.to_owned(), recipe.image() == image))
}

/// Removes one image. The caller sees to it that no lab uses it.
pub fn remove(cache: &Path, kind: Kind, image: &str, keeper: &Keeper) -> Result<()> {
    let built = built(cache, kind, image);
    match kind {
        Kind::Container => {
            // The note first: an image without it is built anew, a note without an image is a lab that does not start.
            fs::remove_file(&built).map_err(while_doing("cannot remove the image"))?;
            Podman::for_store(keeper, cache).remove(image)
        }
        Kind::Vm => fs::remove_dir_all(&built).map_err(while_doing("cannot remove the image")),
    }
}

/// Removes all images. The caller sees to it that no lab uses them.
pub fn prune(cache: &Path) -> Result<()> {
    let _lock = lock_file(&cache.join("lock"))?;
    for dir in ["images", "store", "podman", "machines", "kernels"] {
        let path = cache.join(dir);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(while_doing("cannot remove the images"))?;
        }
    }
    Ok(())
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
            assert_eq!(codename(text).as_deref(), expected);
        }
    }

    #[test]
    fn another_recipe_is_another_image_and_only_the_asked_one_has_python() {
        let recipe =
            |kind, suite, with_python| Recipe::new(kind, Some(suite), with_python).unwrap();
        let images: std::collections::BTreeSet<String> = [
            recipe(Kind::Container, "bookworm", false),
            recipe(Kind::Container, "bookworm", true),
            recipe(Kind::Container, "noble", false),
            recipe(Kind::Vm, "bookworm", false),
            recipe(Kind::Vm, "noble", false),
        ]
        .iter()
        .map(Recipe::image)
        .collect();
        assert_eq!(images.len(), 5);
        let has =
            |recipe: Recipe, word: &str| recipe.includes().iter().any(|name| name.contains(word));
        assert!(!has(recipe(Kind::Container, "bookworm", false), "python"));
        assert!(has(recipe(Kind::Container, "bookworm", true), "python3"));
        assert!(!has(
            recipe(Kind::Container, "bookworm", false),
            "linux-image"
        ));
        assert!(has(recipe(Kind::Vm, "bookworm", false), "linux-image"));
        assert!(Recipe::new(Kind::Vm, Some("../x"), false).is_err());
    }

    #[test]
    fn an_image_tells_where_it_comes_from() {
        for kind in [Kind::Container, Kind::Vm] {
            for with_python in [false, true] {
                let image = Recipe::new(kind, Some("trixie"), with_python)
                    .unwrap()
                    .image();
                let found = |image: &str| provenance(kind, image);
                assert_eq!(found(&image), Some(("trixie".to_owned(), true)));
                let (old, _) = image.rsplit_once('-').unwrap();
                assert_eq!(
                    found(&format!("{old}-0123")),
                    Some(("trixie".to_owned(), false))
                );
            }
            assert_eq!(provenance(kind, ".new-x"), None);
        }
    }
}
