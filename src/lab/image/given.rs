//! An image that somebody gives: a disk with a boot loader and cloud-init, as distributions publish it. Many machines
//! may be made of one; each has its disk as a layer over it.
//!
//! The file is its owner's: it must never be written, moved or removed. What was made of it is of no use any more when
//! somebody else writes to it, so it is known again by its time and size.

use crate::base::{Diagnostic, Result};
use crate::lab::spec::Kind;
use crate::lab::{doctor, program, run, while_doing};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Published images are often as small as they can be; a host gets room.
const LEAST: u64 = 8 << 30;
/// What the first sector of a disk that a machine can boot from ends with; also where its partitions are a GPT.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
const SECTOR: u64 = 512;

/// An image file as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    pub file: PathBuf,
    pub format: Format,
    /// What the guest sees, in bytes.
    pub size: u64,
    /// When it was last written to.
    pub changed: SystemTime,
}

/// How the file holds the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Raw,
    Qcow2,
}

impl Format {
    /// QEMU's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

impl Given {
    /// Looks at a file.
    ///
    /// # Errors
    /// When it is no image that a machine could boot from.
    pub fn look(file: &Path) -> Result<Self> {
        let shown = file.display();
        let data = std::fs::metadata(file).map_err(|error| {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => format!("there is no image `{shown}`"),
                _ => format!("the image `{shown}` cannot be opened: {error}"),
            };
            Diagnostic::new(message).help("name a cloud image (qcow2 or raw) that is there")
        })?;
        if !data.is_file() {
            return Err(Diagnostic::new(format!("`{shown}` is not a file"))
                .help("name a cloud image (qcow2 or raw)"));
        }
        if which::which_in("qemu-img", Some(doctor::search_path()), "/").is_err() {
            doctor::require(&[Kind::Vm])?;
        }
        let told = run(program("qemu-img")
            .args(["info", "--output=json", "--force-share"])
            .arg(file))
        .map_err(|error| {
            let refused = no_image(file, "`qemu-img info` does not understand it");
            error.notes.into_iter().fold(refused, Diagnostic::note)
        })?;
        let mut sector = Vec::new();
        fs::File::open(file)
            .and_then(|file| file.take(SECTOR).read_to_end(&mut sector))
            .map_err(while_doing("cannot read the image"))?;
        let (format, size) = judge(&told, &sector).map_err(|why| no_image(file, &why))?;
        if format == Format::Qcow2 && !is_whole(file)? {
            return Err(no_image(file, "parts of it are missing or damaged"));
        }
        Ok(Self {
            file: file.to_owned(),
            format,
            size,
            changed: data
                .modified()
                .map_err(while_doing("cannot inspect the image"))?,
        })
    }

    /// The file must be the one that was looked at: a layer over another one is garbage.
    pub fn unchanged(&self) -> Result<()> {
        let now = Self::look(&self.file)?;
        if now == *self {
            return Ok(());
        }
        Err(crate::lab::failed(format!(
            "the image `{}` has changed since the host was made of it",
            self.file.display()
        ))
        .help("take the lab down and up again, so that its hosts are made of the new one"))
    }

    /// How big a disk made of it is.
    pub fn disk_size(&self) -> u64 {
        self.size.max(LEAST)
    }
}

/// Whether all that the file says to have is in it: a download that broke off is understood, but not whole. Only room that
/// is wasted is no damage (3).
fn is_whole(file: &Path) -> Result<bool> {
    let said = program("qemu-img")
        .args(["check", "--force-share", "-q", "-f", Format::Qcow2.word()])
        .arg(file)
        .output()
        .map_err(while_doing("cannot run `qemu-img`"))?;
    Ok(matches!(said.status.code(), Some(0 | 3)))
}

fn no_image(file: &Path, why: &str) -> Diagnostic {
    Diagnostic::new(format!("`{}` is not a cloud image: {why}", file.display())).help(
        "expected is a disk with a boot loader in the format qcow2 or raw; `qemu-img convert -O qcow2` makes one of others",
    )
}

/// The format and the size, by what qemu-img says (anything is raw to it) and what the file begins with.
fn judge(told: &str, sector: &[u8]) -> Result<(Format, u64), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Told {
        format: String,
        virtual_size: u64,
    }
    let told: Told = serde_json::from_str(told)
        .map_err(|error| format!("`qemu-img info` says what nobody understands: {error}"))?;
    let format = match told.format.as_str() {
        "qcow2" => Format::Qcow2,
        "raw" if sector.get(510..512) == Some(&SIGNATURE) => Format::Raw,
        "raw" => return Err("its first sector is not that of a disk with a boot loader".to_owned()),
        other => return Err(format!("its format is {other}")),
    };
    Ok((format, told.virtual_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_qemu_says_and_what_a_machine_could_boot_from() {
        let told = |format: &str| {
            format!("{{\"format\": \"{format}\", \"virtual-size\": 3221225472, \"children\": []}}")
        };
        let mut bootable = vec![0; 512];
        bootable[510..].copy_from_slice(&SIGNATURE);
        assert_eq!(
            judge(&told("qcow2"), b"QFI\xfb"),
            Ok((Format::Qcow2, 3 << 30))
        );
        assert_eq!(judge(&told("raw"), &bootable), Ok((Format::Raw, 3 << 30)));
        for (told, sector, why) in [
            (told("raw"), vec![0; 512], "first sector"),
            (told("raw"), b"a short text".to_vec(), "first sector"),
            (told("vmdk"), bootable.clone(), "its format is vmdk"),
            ("{}".to_owned(), bootable, "nobody understands"),
        ] {
            let error = judge(&told, &sector).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_disk_has_room_and_never_less_than_its_image() {
        let given = |size| Given {
            file: "/i".into(),
            format: Format::Raw,
            size,
            changed: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(given(2 << 30).disk_size(), 8 << 30);
        assert_eq!(given(20 << 30).disk_size(), 20 << 30);
    }

    #[test]
    fn what_is_not_there_is_said_before_any_program_is_asked() {
        let error = Given::look(Path::new("/nowhere/x.qcow2")).unwrap_err();
        assert_eq!(error.message, "there is no image `/nowhere/x.qcow2`");
        let error = Given::look(Path::new("/")).unwrap_err();
        assert_eq!(error.message, "`/` is not a file");
    }
}
