//! The kernel of hosts in user mode, and its modules: built here from the distribution's newest kernel sources, once, and kept
//! for all labs. The distribution's ready-made one has no packet filter for IP, and its older ones take three times as long
//! to start a process.
//!
//! What cannot be fetched or built is said, and hosts are emulated then. A half-built one is never taken for a kernel.

use super::super::keeper::{Keeper, Network};
use super::super::state::{lock_file, make_dir};
use super::super::{failed, hex, run, while_doing};
use super::{Recipe, sources};
use crate::base::Result;
use fs_err as fs;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What is asked of it beyond what its architecture has by default.
const CONFIG: &str = include_str!("../../../lab/image/vm/user-mode.config");
/// The kernel, in its folder.
pub const KERNEL: &str = "linux";
/// What belongs under `/usr/lib/modules`, in its folder.
pub const MODULES: &str = "modules.tar";
/// In place of both: why it could not be built.
const WHY_NOT: &str = "why-not";
/// The release whose sources are taken, whatever the hosts are.
const RELEASE: &str = "sid";
/// A program, and the package that brings it.
const TOOLS: &[(&str, &str)] = &[
    ("make", "make"),
    ("cc", "gcc"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    ("depmod", "kmod"),
];

/// The folder of the kernel, if it was built.
pub fn built(cache: &Path) -> Option<PathBuf> {
    Some(folder(cache)).filter(|folder| folder.join(KERNEL).exists())
}

/// Builds the kernel when it is not there and can be built. Gives why it could not be.
/// `work` is a folder that goes with the lab.
///
/// # Errors
/// When the lab was taken down meanwhile, or its folders cannot be written.
pub fn ensure(
    keeper: &Keeper,
    cache: &Path,
    work: &Path,
    say: &dyn Fn(&str),
) -> Result<std::result::Result<(), String>> {
    if std::env::consts::ARCH != "x86_64" {
        return Ok(Err("Linux has no user mode on this processor".to_owned()));
    }
    let folder = folder(cache);
    let known = |folder: &Path| {
        let why = fs::read_to_string(folder.join(WHY_NOT)).ok();
        folder.exists().then(|| why.map_or(Ok(()), Err))
    };
    if let Some(known) = known(&folder) {
        return Ok(known);
    }
    let path = super::super::doctor::search_path();
    let there = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(program, _)| !there(program))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        return Ok(Err(format!(
            "hosts in user mode would be faster and need `apt-get install {}`",
            missing.join(" ")
        )));
    }
    let _lock = lock_file(&cache.join("lock"))?;
    if let Some(known) = known(&folder) {
        return Ok(known);
    }
    say("building a kernel for hosts in user mode (once; ten to twenty minutes)");
    let above = folder.parent().unwrap_or(cache);
    make_dir(above)?;
    let work = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(work)
        .map_err(while_doing("cannot make a folder for the kernel"))?;
    // Into place at once, also from another file system.
    let kept = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(above)
        .map_err(while_doing("cannot make a folder for the kernel"))?;
    let outcome = match build(keeper, work.path(), kept.path()) {
        Err(error) if !keeper.is_alive() => return Err(error),
        Err(error) => {
            // Not tried again at each start; `hactl lab prune` forgets it.
            let why = format!("the kernel for hosts in user mode could not be built: {error}");
            fs::write(kept.path().join(WHY_NOT), &why)
                .map_err(while_doing("cannot note why there is no kernel"))?;
            Err(why)
        }
        Ok(()) => Ok(()),
    };
    let kept = kept.keep();
    fs::rename(&kept, &folder).map_err(|error| {
        let _ = fs::remove_dir_all(&kept);
        failed(format!("cannot keep the kernel: {error}"))
    })?;
    Ok(outcome)
}

fn build(keeper: &Keeper, work: &Path, target: &Path) -> Result<()> {
    let lines: Vec<String> = sources::of(RELEASE, &Recipe::own_suite()?)?
        .into_iter()
        .filter(|line| line.split(' ').nth(2) == Some(RELEASE))
        .collect();
    fs::write(work.join("config"), CONFIG)
        .and_then(|()| fs::write(work.join("sources.list"), lines.join("\n") + "\n"))
        .map_err(while_doing("cannot write the kernel's configuration"))?;
    for script in [FETCH, BUILD] {
        run(keeper
            .enter(Network::Machine, "sh")
            .args(["-euc", script, "sh"])
            .arg(work))?;
    }
    for name in [KERNEL, MODULES] {
        fs::copy(work.join(name), target.join(name))
            .map_err(while_doing("cannot keep the kernel"))?;
    }
    Ok(())
}

/// The sources, by apt and with its signatures, past what the machine's own apt knows and without changing it; in the folder $1.
const FETCH: &str = r#"
cd "$1"
mkdir -p lists/partial cache
o="-o Dir::Etc::SourceList=$1/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$1/lists -o Dir::Cache=$1/cache
-o APT::Sandbox::User=root -o Acquire::Retries=5 -o Acquire::Languages=none -q"
apt-get $o update
package=$(apt-cache $o depends linux-source | sed -n 's/.*Depends: \(linux-source-[0-9.]*\)$/\1/p' | head -n 1)
apt-get $o download "$package"
dpkg-deb -x "$package"_*.deb package
rm -rf lists cache "$package"_*.deb
"#;

/// The kernel, in the folder $1.
const BUILD: &str = r#"
cd "$1"
mkdir source
tar -xf package/usr/src/linux-source-*.tar.* -C source --strip-components=1
rm -rf package
cd source
make -s ARCH=um defconfig
scripts/kconfig/merge_config.sh -m .config "$1/config" >/dev/null
make -s ARCH=um olddefconfig
# The answer to a question that nobody asks any more would be a kernel without it.
for wanted in $(grep -oE '^CONFIG_[A-Z0-9_]+=[ym]' "$1/config"); do
    grep -q "^$wanted$" .config || { echo "the sources do not know $wanted" >&2; exit 1; }
done
nice make -s ARCH=um -j"$(nproc)" linux modules
make -s ARCH=um INSTALL_MOD_PATH="$1/root" INSTALL_MOD_STRIP=1 modules_install
strip -o "$1/linux" linux
rm -f "$1"/root/lib/modules/*/build "$1"/root/lib/modules/*/source
tar -cf "$1/modules.tar" -C "$1/root/lib/modules" --owner=0 --group=0 .
cd "$1"
rm -rf source root
"#;

/// Where the kernel is kept. Other sources alone are no reason to build it anew.
fn folder(cache: &Path) -> PathBuf {
    let mut hash = Sha256::new();
    for part in [CONFIG, FETCH, BUILD] {
        hash.update(part);
    }
    let digest = hex(&hash.finalize()[..6]);
    cache.join("kernels").join(format!("um-{digest}"))
}
