//! Roles that bring modules, filters or tests of their own as Python: one error a role instead of one for each use.
//!
//! The files are only read for the names that they bring, never run.

use super::loader::Loading;
use crate::base::Diagnostic;
use std::collections::BTreeSet;
use std::path::Path;

/// Where a role keeps them, and whether each file is a module that goes by its name.
const FOLDERS: [(&str, bool); 3] = [
    ("library", true),
    ("filter_plugins", false),
    ("test_plugins", false),
];

/// What a role brings.
struct Brought {
    folders: Vec<String>,
    names: BTreeSet<String>,
}

impl Loading<'_> {
    /// Puts what is said of names that roles bring together, one error a role.
    pub(super) fn tell_own_python(&mut self) {
        let mut roles = std::mem::take(&mut self.read_roles);
        roles.sort();
        roles.dedup();
        for dir in roles {
            if self.errors.is_empty() {
                return;
            }
            let Some(brought) = self.brought(&dir) else {
                continue;
            };
            let mut used = BTreeSet::new();
            let mut place = None;
            for error in self.errors.split_off(0) {
                match error.absent.as_ref() {
                    Some(name) if brought.names.contains(name) => {
                        used.insert(format!("`{name}`"));
                        place = place.or(error.at);
                    }
                    _ => self.errors.push(error),
                }
            }
            if used.is_empty() {
                continue;
            }
            let role = dir.rsplit('/').next().unwrap_or(&dir);
            let error = Diagnostic::new(format!(
                "the role `{role}` brings Python of its own (`{}`), and hactl runs none",
                brought.folders.join("`, `")
            ));
            let names: Vec<String> = used.into_iter().collect();
            let error = error
                .note(format!("used of it: {}", names.join(", ")))
                .help("use what hactl has instead (docs/ansible.md lists modules, filters and tests), or let the role run a program with `script` or `command`");
            self.errors.push(match place {
                Some(place) => error.at(&place),
                None => error,
            });
        }
    }

    fn brought(&self, dir: &str) -> Option<Brought> {
        let mut brought = Brought {
            folders: Vec::new(),
            names: BTreeSet::new(),
        };
        for (folder, is_modules) in FOLDERS {
            let folder = format!("{dir}/{folder}");
            let before = brought.names.len();
            let files = self.loader.files.list(Path::new(&folder));
            for file in files.unwrap_or_default() {
                if file.extension().is_none_or(|ending| ending != "py") {
                    continue;
                }
                if is_modules {
                    let name = file.file_stem().unwrap_or_default();
                    brought.names.insert(name.to_string_lossy().into_owned());
                } else if let Some(Ok(bytes)) = self.loader.files.read_bytes(&file) {
                    brought.names.extend(keys(&String::from_utf8_lossy(&bytes)));
                }
            }
            if brought.names.len() > before {
                brought.folders.push(folder);
            }
        }
        (!brought.folders.is_empty()).then_some(brought)
    }
}

/// The keys of all mappings in a piece of Python: what a plugin brings is among them.
fn keys(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(['\'', '"']) {
        let quote = &rest[begin..=begin];
        let after = &rest[begin + 1..];
        let word: String = after
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        rest = &after[word.len()..];
        if !word.is_empty()
            && let Some(behind) = rest.strip_prefix(quote)
            && behind.trim_start().starts_with([':', '='])
        {
            keys.push(word);
        }
    }
    keys
}

#[test]
fn keys_are_names_in_quotes_before_a_colon() {
    let text = "class FilterModule:\n    def filters(self):\n        return {'one': one, \"two\" : self.two, 'no'}\n";
    assert_eq!(keys(text), ["one", "two"]);
}
