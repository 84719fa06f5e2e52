//! One item of apt's `name` list, taken apart.

use super::version;
use crate::base::{Diagnostic, Result, quote};
use crate::modules::system::support::matches;
use std::cmp::Ordering;

/// `name`, `name=version`, `name>=version`, `name/release`, `name:arch`, `na*me`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// The name alone, perhaps with wildcards.
    pub name: String,
    /// The architecture after the colon.
    pub arch: Option<String>,
    /// The version, perhaps with wildcards.
    pub version: Option<String>,
    /// The version is the least one.
    pub at_least: bool,
    /// The release after the slash.
    pub release: Option<String>,
}

impl Wish {
    /// Reads an item.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = || {
            Diagnostic::new(format!(
                "`{}` is not the name of a package",
                quote::for_terminal(text)
            ))
            .help(
                "a name is lower-case letters, digits and + - . ; a version follows as `name=1.2`",
            )
        };
        let (head, version, at_least) = if let Some((head, version)) = text.split_once(">=") {
            (head.trim(), Some(version.trim()), true)
        } else if let Some((head, version)) = text.split_once('=') {
            (head.trim(), Some(version.trim()), false)
        } else {
            (text.trim(), None, false)
        };
        let (head, release) = head
            .split_once('/')
            .map_or((head, None), |(head, release)| (head, Some(release)));
        let (name, arch) = head
            .split_once(':')
            .map_or((head, None), |(name, arch)| (name, Some(arch)));
        let fits = |text: &str, more: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c) || more.contains(c))
        };
        let fine = fits(name, "*?[]_")
            && arch.is_none_or(|arch| fits(arch, ""))
            && version.is_none_or(|version| fits(version, "*?[]~:_"))
            && release.is_none_or(|release| fits(release, "_~"));
        if !fine {
            return Err(wrong());
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            name: name.to_owned(),
            arch: owned(arch),
            version: owned(version),
            at_least,
            release: owned(release),
        })
    }

    /// Whether the merged package probe cannot answer it.
    pub fn odd(&self) -> bool {
        self.arch.is_some() || self.name.contains(['*', '?', '['])
    }

    /// As dpkg-query is asked.
    pub fn query(&self) -> String {
        self.arch
            .as_ref()
            .map_or_else(|| self.name.clone(), |arch| format!("{}:{arch}", self.name))
    }

    /// As apt-get is told.
    pub fn argument(&self) -> String {
        let version = self.version.as_ref().filter(|_| !self.at_least);
        let version = version.map_or_else(String::new, |version| format!("={version}"));
        let release = self
            .release
            .as_ref()
            .map_or_else(String::new, |release| format!("/{release}"));
        format!("{}{version}{release}", self.query())
    }

    /// As it is shown.
    pub fn subject(&self) -> String {
        format!("package {}", self.query())
    }

    /// Whether it means that package.
    pub fn covers(&self, name: &str, arch: &str) -> bool {
        matches(&self.name, name)
            && self
                .arch
                .as_ref()
                .is_none_or(|wanted| matches!(wanted.as_str(), "any" | "native") || wanted == arch)
    }

    /// Whether an installed version is good.
    pub fn satisfied_by(&self, installed: &str) -> bool {
        match &self.version {
            None => true,
            Some(least) if self.at_least => version::compare(installed, least) != Ordering::Less,
            Some(wanted) => wanted == installed || matches(wanted, installed),
        }
    }
}
