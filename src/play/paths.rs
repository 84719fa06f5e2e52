//! Paths inside the project, as text with `/`; nothing here touches a disk.

/// `path` as seen from a folder; an absolute path stays. `.` and `..` are resolved where they can be.
pub fn join(dir: &str, path: &str) -> String {
    if path.starts_with('/') || path.starts_with('~') {
        return path.to_owned();
    }
    let absolute = dir.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute {
        format!("/{joined}")
    } else {
        joined
    }
}

/// The folder of a file.
pub fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((dir, _)) => dir.to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned() {
        for (dir, path, joined) in [
            ("", "site.yml", "site.yml"),
            ("roles/x/tasks", "../files/a", "roles/x/files/a"),
            ("roles/x", "/etc/a", "/etc/a"),
            ("/home/me", "../you/./a", "/home/you/a"),
            ("", "../x", "../x"),
        ] {
            assert_eq!(join(dir, path), joined);
        }
        assert_eq!(
            [parent("a/b.yml"), parent("b.yml"), parent("/b.yml")],
            ["a", "", "/"]
        );
    }
}
