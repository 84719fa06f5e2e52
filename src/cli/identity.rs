//! What a project is called on its hosts: the same from every checkout of one repository, another for every other project.
//!
//! Only reads. Nothing secret is in it: a remote's user and password are left out.

use std::path::{Path, PathBuf};

/// The origin of the repository that the folder is in, with the folder's place inside it; else this machine and the path.
pub fn of(root: &Path) -> String {
    for top in root.ancestors() {
        let Some(git) = repository(&top.join(".git")) else {
            continue;
        };
        let Some(origin) = fs_err::read_to_string(git.join("config"))
            .ok()
            .and_then(|text| origin(&text))
        else {
            break;
        };
        return match root.strip_prefix(top) {
            Ok(below) if below != Path::new("") => format!("{origin}/{}", below.display()),
            _ => origin,
        };
    }
    let machine = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "?".to_owned());
    format!("{machine}:{}", root.display())
}

/// The folder that holds a repository's configuration: `.git` itself, or what the file `.git` of a worktree leads to.
fn repository(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = fs_err::read_to_string(git).ok()?;
    let own = git.parent()?.join(text.strip_prefix("gitdir:")?.trim());
    match fs_err::read_to_string(own.join("commondir")) {
        Ok(common) => Some(own.join(common.trim())),
        Err(_) => Some(own),
    }
}

/// The address of the remote `origin`, without scheme, user and ending, so that all ways to it are one.
fn origin(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[remote \"origin\"]";
        } else if inside
            && let Some((name, url)) = line.split_once('=')
            && name.trim() == "url"
        {
            let url = url.trim();
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or(host);
            // `git@host:path` is another way to write `ssh://git@host/path`.
            let host = if scheme.is_empty() {
                host.replacen(':', "/", 1)
            } else {
                host.to_owned()
            };
            let whole = format!("{host}/{path}");
            let whole = whole.trim_end_matches('/');
            return Some(whole.strip_suffix(".git").unwrap_or(whole).to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_a_repository_are_one_project() {
        for url in [
            "https://git.example.org/acme/infra.git",
            "https://me:secret@git.example.org/acme/infra",
            "git@git.example.org:acme/infra.git",
            "ssh://git@git.example.org/acme/infra.git/",
        ] {
            let config = format!(
                "[core]\n\turl = no\n[remote \"fork\"]\n\turl = x\n[remote \"origin\"]\n\turl = {url}\n"
            );
            let found = origin(&config);
            assert_eq!(
                found.as_deref(),
                Some("git.example.org/acme/infra"),
                "{url}"
            );
        }
        assert_eq!(origin("[core]\n\tbare = false\n"), None);
    }

    #[test]
    fn a_folder_is_named_by_its_repository_or_by_its_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let site = dir.path().join("site");
        fs_err::create_dir_all(&site).expect("made");
        assert!(of(&site).ends_with(&format!(":{}", site.display())));
        let git = dir.path().join(".git");
        fs_err::create_dir_all(git.join("worktrees/w")).expect("made");
        let config = "[remote \"origin\"]\nurl = git@h:a/b.git\n";
        fs_err::write(git.join("config"), config).expect("written");
        assert_eq!(of(dir.path()), "h/a/b");
        assert_eq!(of(&site), "h/a/b/site");
        // A worktree is a checkout of the same repository.
        let other = tempfile::tempdir().expect("a folder");
        let link = format!("gitdir: {}\n", git.join("worktrees/w").display());
        fs_err::write(other.path().join(".git"), link).expect("written");
        fs_err::write(git.join("worktrees/w/commondir"), "../..\n").expect("written");
        assert_eq!(of(other.path()), "h/a/b");
    }
}
