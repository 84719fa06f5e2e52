//! Files that import each other, in a circle, can only be understood all at once. Found by their `use` lines and full paths;
//! what a file takes from the folder above it (`pub use`) does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Module = Vec<String>;

/// Circles that are there; each goes by its first file. None may grow, and none may come.
const ALLOWED: &[(&str, usize, &str)] = &[
    ("cli/config", 2, "both read ansible.cfg"),
    (
        "engine/action",
        27,
        "lookahead, executor and pending handlers of one host: they are to become three parts that know each other one way",
    ),
    ("lab/cabling", 6, "the keeper starts what needs its state"),
    (
        "lab/cgroup",
        5,
        "providers build images, and images need a provider",
    ),
    (
        "modules/files/copy",
        2,
        "a folder is copied file by file, a file may be a folder",
    ),
    (
        "ops/database/postgresql/replay",
        2,
        "scripts of the server that wait for its replay",
    ),
    (
        "ops/drill/catalog",
        4,
        "a drill names its faults, a fault names its drill",
    ),
    ("ops/drill/drill_run", 3, "a run keeps its record"),
    (
        "ops/status/databases",
        2,
        "the estimate of a loss is shown with the databases",
    ),
    (
        "play/action",
        10,
        "tasks contain blocks and includes, which contain tasks",
    ),
    ("template/blanks", 3, "the parser and its two readers"),
    (
        "template/checks",
        23,
        "an expression calls filters, and filters call expressions (`map`, `select`)",
    ),
];

/// The paths of a `use` tree.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![path.trim().to_owned()];
    };
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    let (mut found, mut depth, mut part) = (Vec::new(), 0, String::new());
    for letter in body.chars().chain([',']) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !part.trim().is_empty() {
                    found.extend(paths(&format!("{before}{}", part.trim())));
                }
                part.clear();
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    found
}

fn resolve(path: &[String], modules: &BTreeMap<Module, String>) -> Option<Module> {
    (1..=path.len())
        .rev()
        .map(|length| path[..length].to_vec())
        .find(|path| modules.contains_key(path))
}

fn absolute(said: &str, module: &Module) -> Option<Module> {
    let mut words: Vec<String> = said
        .split("::")
        .map(|word| word.trim().to_owned())
        .collect();
    let mut base = module.clone();
    match words.first()?.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while words.first().is_some_and(|word| word == "super") {
                words.remove(0);
                base.pop();
            }
            base.extend(words);
            return Some(base);
        }
        _ => return None,
    }
    base.extend(words.into_iter().skip(1));
    Some(base)
}

fn imports(module: &Module, text: &str, modules: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let code: String = text
        .split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .filter(|line| !line.trim_start().starts_with("pub use"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut said = Vec::new();
    for statement in code.split("\nuse ").skip(1) {
        said.extend(paths(statement.split(';').next().unwrap_or_default()));
    }
    let letters = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    said.extend(
        code.split(|c: char| !letters(c))
            .filter(|word| word.starts_with("crate::") || word.starts_with("super::"))
            .map(str::to_owned),
    );
    said.iter()
        .filter_map(|said| resolve(&absolute(said, module)?, modules))
        .filter(|found| !module.starts_with(found))
        .collect()
}

fn reached(from: &Module, edges: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut next = vec![from.clone()];
    while let Some(module) = next.pop() {
        for other in edges.get(&module).into_iter().flatten() {
            if found.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    found
}

#[test]
fn no_circle_of_files_is_new_or_grows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let modules: BTreeMap<Module, String> = super::sources()
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().contains("test"))
        .map(|(path, text)| {
            let path = path
                .strip_prefix(&root)
                .expect("below src")
                .with_extension("");
            let mut words: Module = path
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            if words
                .last()
                .is_some_and(|last| last == "mod" || last == "lib")
            {
                words.pop();
            }
            (words, text)
        })
        .collect();
    let edges: BTreeMap<Module, BTreeSet<Module>> = modules
        .iter()
        .map(|(module, text)| (module.clone(), imports(module, text, &modules)))
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<Module>> = edges
        .keys()
        .map(|module| (module, reached(module, &edges)))
        .collect();
    let mut circles: BTreeSet<BTreeSet<&Module>> = BTreeSet::new();
    for (module, others) in &reach {
        if others.contains(*module) {
            let circle = reach
                .iter()
                .filter(|(other, back)| others.contains(**other) && back.contains(*module))
                .map(|(other, _)| *other)
                .collect();
            circles.insert(circle);
        }
    }
    let found: Vec<(String, usize)> = circles
        .iter()
        .map(|circle| {
            (
                circle
                    .first()
                    .map_or_else(String::new, |name| name.join("/")),
                circle.len(),
            )
        })
        .collect();
    let allowed: Vec<(String, usize)> = ALLOWED
        .iter()
        .map(|(name, size, why)| {
            assert!(!why.is_empty());
            ((*name).to_owned(), *size)
        })
        .collect();
    assert_eq!(found, allowed, "{circles:#?}");
}
