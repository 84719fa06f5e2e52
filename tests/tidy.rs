//! Rules that no compiler holds: the floors, the size of files, what is left open, who may print.

use std::path::{Path, PathBuf};

#[path = "tidy/circles.rs"]
mod circles;

/// Lowest first. A floor names only floors before it.
const FLOORS: &[&str] = &[
    "base",
    "source",
    "assets",
    "template",
    "vault",
    "inventory",
    "modules",
    "play",
    "connection",
    "engine",
    "ops",
    "lab",
    "report",
    "cli",
];

fn files(folder: &str, endings: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, endings, found);
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                let text = std::fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    walk(&root, endings, &mut found);
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    files("src", &[".rs"])
}

fn floor(path: &Path) -> Option<usize> {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .ok()?;
    let first = below.components().next()?.as_os_str().to_str()?;
    FLOORS
        .iter()
        .position(|name| *name == first.trim_end_matches(".rs"))
}

/// A file up to the module of its tests, which may use anything. Modules of tests in other files end nothing.
fn code(text: &str) -> &str {
    let body = |at: &usize| {
        let rest = &text[at + TESTS.len()..];
        let line = rest.trim_start().lines().next().unwrap_or_default();
        !line.ends_with(';')
    };
    let end = text.match_indices(TESTS).map(|(at, _)| at).find(body);
    &text[..end.unwrap_or(text.len())]
}

const TESTS: &str = "#[cfg(test)]";

#[test]
fn floors_do_not_look_up() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = floor(&path) else { continue };
        let code = code(&text);
        for (number, line) in code.lines().enumerate() {
            for (index, name) in FLOORS.iter().enumerate().skip(own + 1) {
                let named = line.contains(&format!("crate::{name}::"))
                    || line
                        .trim_start()
                        .starts_with(&format!("use crate::{name};"));
                if named
                    && !line.trim_start().starts_with("//")
                    && !path.ends_with("tests.rs")
                    && !path.to_string_lossy().contains("/testing")
                {
                    wrong.push(format!(
                        "{}:{}: `{}` names `{}`",
                        path.display(),
                        number + 1,
                        FLOORS[own],
                        FLOORS[index]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// More lines than this are about two things.
const LONGEST: usize = 500;

#[test]
fn no_file_is_two_files() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| {
            format!(
                "{} has {lines} lines, {LONGEST} at most: find what else it is about and give that a file of its own \
                 (`NAME/PART.rs`, a `//!` that says what it is for and must never do); unit tests may go to `NAME/tests.rs`",
                path.display()
            )
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn nothing_is_left_open() {
    let words = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    let open: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| {
            text.lines()
                .enumerate()
                .map(move |(number, line)| (path, number, line))
        })
        .filter(|(_, _, line)| words.iter().any(|word| line.contains(word)))
        .map(|(path, number, line)| format!("{}:{}: {line}", path.display(), number + 1))
        .collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn only_reporters_print() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let printing =
            floor(&path).is_some_and(|floor| FLOORS[floor] == "report" || FLOORS[floor] == "cli");
        let code = code(&text);
        let test = path.to_string_lossy().contains("test");
        if !printing && !test && (code.contains("println!(") || code.contains("eprint!(")) {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// `systemctl reload` right after `start` would end a service that has no handler for SIGHUP yet; pgBackRest was seen to end so.
#[test]
fn a_reload_ends_no_unit_that_has_just_been_started() {
    let mut reloaded = files("roles", &[".service"]);
    reloaded.extend(files("templates", &[".service.j2"]));
    reloaded.retain(|(_, text)| text.contains("ExecReload=/bin/kill -HUP"));
    assert!(reloaded.len() >= 2, "the units are there");
    for (path, text) in reloaded {
        assert!(
            text.contains("Type=notify") || text.contains("trap '' HUP"),
            "{}: it is ready as soon as it runs, and SIGHUP ends it meanwhile",
            path.display()
        );
    }
}

/// `Diagnostic::refused` cannot be had without what to do instead.
#[test]
fn every_refusal_says_how_to_go_on() {
    let built: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| {
            let packed: String = text.split_whitespace().collect();
            packed.contains("with_code(exit::REFUSED")
                || packed.contains("with_code(crate::base::exit::REFUSED")
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(built.is_empty(), "take Diagnostic::refused: {built:?}");
}

/// What messages say otherwise now: `docs/glossary.md` has the words.
const OLD_WORDS: &[(&str, &str)] = &[
    ("the service is whole", "healthy"),
    ("lets in", "SSH works"),
    ("not to be reached", "unreachable"),
    ("whether it did is not known", "outcome unknown"),
    ("taken back is taken back", "rolling back"),
    ("nobody here can do that", "this drill needs a lab"),
    ("not for him", "should be closed to it"),
    ("gave up", "limit exceeded"),
    ("mend ", "fix"),
    ("then again", "and retry"),
    ("look again", "and retry"),
    ("look at ", "check"),
    ("the entrance", "service endpoint"),
];

#[test]
fn messages_have_the_words_of_the_glossary() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            // The odd parts between quotes are what is said.
            for said in code.split('"').skip(1).step_by(2) {
                for (old, new) in OLD_WORDS {
                    if said.contains(old) {
                        let at = format!("{}:{}", path.display(), number + 1);
                        found.push(format!("{at}: `{old}`; write: {new}"));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Ansible takes a role's own template before the one beside the playbook: of two with one name, people would read the one and
/// hosts would get the other.
#[test]
fn a_template_lies_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roles: Vec<PathBuf> = std::fs::read_dir(root.join("roles"))
        .expect("roles")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    for (path, _) in files("templates", &[""]) {
        let name = path.strip_prefix(root.join("templates")).expect("below it");
        for role in &roles {
            for place in [role.join("templates").join(name), role.join(name)] {
                assert!(
                    !place.exists(),
                    "{} hides {}",
                    place.display(),
                    path.display()
                );
            }
        }
        assert!(
            name.extension().is_some_and(|end| end == "j2"),
            "{}",
            path.display()
        );
    }
}

/// So that it can be told which role uses which template, and that a user's file is read by none.
#[test]
fn roles_name_their_templates_in_full() {
    let mut named = String::new();
    for (path, text) in files("roles", &[".yml"]) {
        assert!(
            !text.contains("}}.j2"),
            "{}: a name is put together",
            path.display()
        );
        named.push_str(&text);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for (path, _) in files("templates", &[""]) {
        let name = path
            .strip_prefix(&root)
            .expect("below it")
            .display()
            .to_string();
        let used = [format!(" {name}"), format!("[{name}")];
        assert!(
            used.iter().any(|use_| named.contains(use_)),
            "no role uses templates/{name}"
        );
    }
}

/// The variables of roles that a template's expressions name; what is in quotes counts as none.
fn variables(body: &str, prefixes: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (open, close) in [("{{", "}}"), ("{%", "%}")] {
        for part in body.split(open).skip(1) {
            let code = part.split(close).next().unwrap_or_default();
            let code: String = code.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
            let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
            let own = words.map(|word| word.split('.').next().unwrap_or_default());
            found.extend(
                own.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
                    .map(str::to_owned),
            );
        }
    }
    found
}

/// People read, compare and override these files: each says what it becomes, whose it is and which variables it reads.
#[test]
fn templates_say_what_they_become_and_what_they_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roles: Vec<String> = std::fs::read_dir(root.join("roles"))
        .expect("roles")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let prefixes: Vec<String> = roles.iter().map(|role| format!("{role}_")).collect();
    for (path, text) in files("templates", &[""]) {
        let shown = path.strip_prefix(root).expect("below it").display();
        let (head, body) = text
            .strip_prefix("{# ")
            .and_then(|rest| rest.split_once(" #}\n"))
            .unwrap_or_else(|| {
                panic!("{shown} begins with {{# what it becomes, by role R. Reads … #}}")
            });
        let file = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let role = head.split_once(", by role ").map(|(becomes, rest)| {
            assert!(becomes.contains(&file), "{shown}: it becomes {file}");
            rest.split(['.', ';']).next().unwrap_or_default().to_owned()
        });
        assert!(
            role.is_some_and(|role| roles.contains(&role)),
            "{shown}: by which role?"
        );
        let (_, reads) = head.split_once(" Reads ").expect("what it reads");
        let reads: Vec<&str> = reads
            .trim_end_matches('.')
            .split(',')
            .map(str::trim)
            .filter(|name| *name != "no variable")
            .collect();
        for name in &reads {
            assert!(body.contains(name), "{shown}: `{name}` is not in it");
        }
        for name in variables(body, &prefixes) {
            assert!(reads.contains(&name.as_str()), "{shown} reads `{name}` too");
        }
    }
}
