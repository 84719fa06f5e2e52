//! Files as one `find`, one `sha256sum` and the contents that are needed, and what they answer.
//!
//! Fields end in NUL, so that no name of a file can be taken for an answer.

use super::malformed;
use crate::base::Result;
use crate::base::quote::{sh, sh_join};
use crate::modules::{Content, FileKind, FileProbe, SeenFile};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most that a look at a differing file brings back.
const LARGEST: u64 = 1 << 20;

/// What the files' part of an answer says.
#[derive(Debug, Default)]
pub struct Files {
    stats: BTreeMap<(bool, String), SeenFile>,
    digests: BTreeMap<String, String>,
    same: BTreeSet<String>,
    contents: BTreeMap<String, Vec<u8>>,
}

/// The script that asks for all of them.
pub fn file_script(files: &[&FileProbe]) -> String {
    let mut text = String::new();
    for follow in [false, true] {
        let paths: BTreeSet<&str> = files
            .iter()
            .filter(|f| f.follow == follow)
            .map(|f| f.path.as_str())
            .collect();
        if !paths.is_empty() {
            let (flag, mark) = if follow { ("-L", "L") } else { ("-P", "P") };
            let paths = sh_join(paths);
            let _ = writeln!(
                text,
                "find {flag} {paths} -maxdepth 0 -printf '{mark}\\0%p\\0%y\\0%m\\0%U\\0%G\\0%u\\0%g\\0%s\\0%i\\0%n\\0%D\\0%T@\\0%A@\\0%C@\\0%l\\0' 2>/dev/null"
            );
        }
    }
    let digests: BTreeSet<&str> = files
        .iter()
        .filter(|f| f.content == Content::Digest)
        .map(|f| f.path.as_str())
        .collect();
    if !digests.is_empty() {
        let paths = sh_join(digests);
        // Without -z a name with a line feed would be escaped; a dash keeps the names of pipes and directories out.
        let _ = writeln!(
            text,
            "printf 'D\\0'; sha256sum -z -- {paths} 2>/dev/null; printf '\\0'"
        );
    }
    let mut wanted: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for file in files {
        match &file.content {
            Content::Whole => {
                wanted.insert(&file.path, None);
            }
            Content::UnlessDigest(digest) => {
                // Two wishes for one path: bring the content, then either can be answered.
                wanted
                    .entry(&file.path)
                    .and_modify(|other| {
                        if *other != Some(digest.as_str()) {
                            *other = None;
                        }
                    })
                    .or_insert(Some(digest.as_str()));
            }
            Content::None | Content::Digest => {}
        }
    }
    let (checked, whole): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|(path, digest)| digest.is_some() && !path.contains(['\n', '\\']));
    if !checked.is_empty() {
        let lines: String = checked
            .iter()
            .map(|(path, digest)| format!("{}  {path}\n", digest.unwrap_or_default()))
            .collect();
        // One sha256sum for all; only what differs is read again, and only when it is not huge.
        let _ = writeln!(
            text,
            "printf %s {} | sha256sum -c 2>/dev/null | while IFS= read -r l; do case $l in \
             *': OK') printf 'K\\0%s\\0' \"${{l%: OK}}\";; \
             *': FAILED') p=${{l%: FAILED}}; if [ -f \"$p\" ] && [ \"$(stat -L -c %s \"$p\")\" -le {LARGEST} ]; \
             then printf 'C\\0%s\\0' \"$p\"; base64 -w0 \"$p\"; printf '\\0'; else printf 'B\\0%s\\0' \"$p\"; fi;; esac; done",
            sh(&lines)
        );
    }
    for (path, _) in whole {
        let path = sh(path);
        let _ = writeln!(
            text,
            "[ -f {path} ] && {{ printf 'C\\0%s\\0' {path}; base64 -w0 {path}; printf '\\0'; }}"
        );
    }
    text.push(':');
    text
}

/// Reads its answer.
pub fn parse_files(output: &[u8]) -> Result<Files> {
    let mut files = Files::default();
    let mut fields = output
        .split(|&byte| byte == 0)
        .map(|field| String::from_utf8_lossy(field).into_owned());
    let mut next = || fields.next().ok_or_else(|| malformed("files"));
    loop {
        let mark = next()?;
        match mark.as_str() {
            "P" | "L" => {
                let path = next()?;
                let kind = match next()?.as_str() {
                    "f" => FileKind::File,
                    "d" => FileKind::Directory,
                    "l" | "N" | "L" => FileKind::Link,
                    _ => FileKind::Other,
                };
                let mode = u32::from_str_radix(&next()?, 8).map_err(|_| malformed("files"))?;
                let uid = number(&next()?)?;
                let gid = number(&next()?)?;
                let (owner, group) = (next()?, next()?);
                let (size, inode, links, device) = (
                    number(&next()?)?,
                    number(&next()?)?,
                    number(&next()?)?,
                    number(&next()?)?,
                );
                let (mtime, atime, ctime) =
                    (seconds(&next()?)?, seconds(&next()?)?, seconds(&next()?)?);
                let target = Some(next()?).filter(|target| !target.is_empty());
                let seen = SeenFile {
                    kind,
                    mode,
                    uid,
                    gid,
                    owner,
                    group,
                    size,
                    inode,
                    links,
                    device,
                    mtime,
                    atime,
                    ctime,
                    target,
                    sha256: None,
                    content: None,
                };
                files.stats.insert((mark == "L", path), seen);
            }
            "D" => loop {
                let line = next()?;
                if line.is_empty() {
                    break;
                }
                let (digest, path) = line.split_once("  ").ok_or_else(|| malformed("digests"))?;
                files.digests.insert(path.to_owned(), digest.to_owned());
            },
            "K" => {
                files.same.insert(next()?);
            }
            "B" => {
                next()?;
            }
            "C" => {
                let path = next()?;
                let content = STANDARD
                    .decode(next()?)
                    .map_err(|_| malformed("contents"))?;
                files.contents.insert(path, content);
            }
            "" => return Ok(files),
            _ => return Err(malformed("files")),
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| malformed("files"))
}

fn seconds(text: &str) -> Result<i64> {
    number(text.split('.').next().unwrap_or(text))
}

impl Files {
    /// What it says of one probe.
    pub fn answer(&self, probe: &FileProbe) -> Option<SeenFile> {
        let mut seen = self.stats.get(&(probe.follow, probe.path.clone()))?.clone();
        let readable =
            seen.kind == FileKind::File || (seen.kind == FileKind::Link && !probe.follow);
        match &probe.content {
            Content::None => {}
            Content::Digest => seen.sha256 = self.digests.get(&probe.path).cloned(),
            Content::UnlessDigest(digest) if self.same.contains(&probe.path) => {
                seen.sha256 = Some(digest.clone());
            }
            Content::UnlessDigest(digest) => {
                if let Some(content) = self.contents.get(&probe.path).filter(|_| readable) {
                    let found = hex(content);
                    if found != *digest {
                        seen.content = Some(content.clone());
                    }
                    seen.sha256 = Some(found);
                }
            }
            Content::Whole => {
                if let Some(content) = self.contents.get(&probe.path).filter(|_| readable) {
                    seen.sha256 = Some(hex(content));
                    seen.content = Some(content.clone());
                }
            }
        }
        Some(seen)
    }
}

/// SHA-256 in lower-case hex.
pub fn hex(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
