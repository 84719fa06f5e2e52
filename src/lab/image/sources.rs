//! Where an image's packages come from: the mirrors that the machine's own apt uses. No mirror is named here.

use crate::base::{Diagnostic, Result};
use crate::lab::{program, run};

/// The package sources of a release, as lines of a sources.list: those that the machine's apt has, else those of the
/// machine's own release (`own`) with the other name in them; a mirror usually has more than one.
pub(super) fn of(suite: &str, own: &str) -> Result<Vec<String>> {
    let ask = || {
        run(program("apt-get").args([
            "indextargets",
            "--format",
            "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
            "Created-By: Packages",
        ]))
    };
    let lines_of = |targets: &str| {
        let lines = source_lines(targets, suite);
        if lines.is_empty() {
            renamed(&source_lines(targets, own), own, suite)
        } else {
            lines
        }
    };
    let mut lines = lines_of(&ask()?);
    if lines.is_empty() {
        run(program("apt-get").args(["-o", "Acquire::Retries=5", "update"]))?;
        lines = lines_of(&ask()?);
    }
    if lines.is_empty() {
        return Err(
            Diagnostic::new(format!("the machine's apt knows no mirror for `{suite}`"))
                .help("see that `apt-get update` works on this machine"),
        );
    }
    Ok(lines)
}

/// Lines of one release as lines of another: `bookworm-security` becomes `trixie-security`.
fn renamed(lines: &[String], own: &str, suite: &str) -> Vec<String> {
    let rename = |line: &String| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let release = words.get_mut(2)?;
        let rest = release.strip_prefix(own)?;
        *release = format!("{suite}{rest}");
        Some(words.join(" "))
    };
    lines.iter().filter_map(rename).collect()
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
    fn another_release_is_looked_for_on_the_same_mirrors() {
        let own = [
            "deb http://mirror.example/bookworm/ bookworm main",
            "deb http://mirror.example/sec/ bookworm-security main",
        ]
        .map(str::to_owned);
        assert_eq!(
            renamed(&own, "bookworm", "trixie"),
            [
                "deb http://mirror.example/bookworm/ trixie main",
                "deb http://mirror.example/sec/ trixie-security main",
            ]
        );
    }
}
