//! Writes `docs/ansible.md` from the tables that the loader, the modules and the templates work with, and holds the file
//! against them: what it says is what the binary does.
//!
//! `HACTL_WRITE_DOCS=1 cargo test --lib manual` writes it anew.

use super::keywords::{self, Owner};
use super::{actions, elsewhere, loops, plays};
use crate::base::Diagnostics;
use crate::modules::{self, Kind, Limit, Param, Spec};
use crate::source::{SourceFile, parse};
use crate::template;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

const HEAD: &str = "# What of Ansible hactl runs

Made from hactl's own tables, and held against them by a test. What stands here is taken; `tests/data/mechanics` and
`tests/data/template` hold how it behaves against what ansible-core 2.19 was seen to do. What is refused is an error at load, with
file and line. Modules that hactl lacks and parameters that a module does not have are errors only where a host of the run would get
to them, before anything is changed wherever that can be known by then. `hactl check` says all of it without asking a host.

The order between hosts is in docs/order.md.
";

const OWNERS: [(&str, Owner); 7] = [
    ("play", Owner::Play),
    ("block, import", Owner::Block),
    ("role", Owner::Role),
    ("task", Owner::Task),
    ("handler", Owner::Handler),
    ("include", Owner::Include),
    ("import_playbook", Owner::Playbook),
];

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn table(heads: &[&str]) -> String {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let rule: Vec<String> = heads.iter().map(|_| "---".to_owned()).collect();
    row(&heads) + &row(&rule)
}

/// Why a keyword is refused whatever it says.
fn refusal(name: &str, owner: Owner) -> Option<String> {
    let file = Arc::new(SourceFile {
        path: "site.yml".to_owned(),
        text: format!("{name}: x\n"),
    });
    let node = parse(&file).expect("YAML");
    let mut errors = Diagnostics::default();
    keywords::read(node.entries(), owner, &mut errors);
    let errors = errors.into_vec();
    let error = errors.first()?;
    let refused = ["hactl does not take", "hactl has no"];
    refused
        .iter()
        .any(|words| error.message.starts_with(words))
        .then(|| error.help.clone().unwrap_or_default())
}

fn of_keywords() -> String {
    let mut text = String::from("\n## Keywords\n\n");
    let mut heads = vec!["keyword"];
    heads.extend(OWNERS.iter().map(|(name, _)| *name));
    text += &table(&heads);
    let mut refused = Vec::new();
    for name in keywords::all() {
        let mut cells = vec![format!("`{name}`")];
        let owners = OWNERS
            .iter()
            .filter(|(_, owner)| keywords::of(*owner).any(|it| it == name));
        let why = owners.clone().find_map(|(_, owner)| refusal(name, *owner));
        let word = if why.is_some() { "refused" } else { "yes" };
        for (title, _) in OWNERS {
            let takes = owners.clone().any(|(other, _)| *other == title);
            cells.push(if takes { word } else { "" }.to_owned());
        }
        text += &row(&cells);
        refused.extend(why.map(|why| format!("- `{name}`: {why}\n")));
    }
    let own: Vec<String> = plays::own().map(|name| format!("`{name}`")).collect();
    let _ = write!(
        text,
        "\nPlays also have: {}. Strategies: {}.\n\nRefused, and what to do:\n\n{}",
        own.join(", "),
        plays::STRATEGIES.map(|name| format!("`{name}`")).join(", "),
        refused.concat()
    );
    for (name, why, help) in plays::REFUSED {
        let _ = writeln!(text, "- `{name}` of a play ({why}): {help}");
    }
    let _ = writeln!(
        text,
        "\n`gather_subset` and `collections` are taken and change nothing: all facts come with the first answer of a host, and\n\
         modules are found by their short names. `become_method` can only be `sudo`; `connection` `ssh` or `local`."
    );
    let _ = writeln!(
        text,
        "\nLoops: `loop`, {}. `loop_control`: {}.",
        loops::NAMES.map(|name| format!("`with_{name}`")).join(", "),
        loops::CONTROL.map(|name| format!("`{name}`")).join(", ")
    );
    text
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Str => "text",
        Kind::Path => "path",
        Kind::Bool => "yes/no",
        Kind::Int => "whole number",
        Kind::Float => "number",
        Kind::List => "list",
        Kind::Dict => "mapping",
        Kind::Mode => "mode",
        Kind::Any => "anything",
    }
}

fn of_parameter(param: &Param) -> String {
    let mut text = format!("`{}`", param.name);
    let mut notes = Vec::new();
    if !param.aliases.is_empty() {
        let aliases: Vec<String> = param
            .aliases
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        notes.push(format!("or {}", aliases.join(", ")));
    }
    if param.choices.is_empty() {
        notes.push(kind(param.kind).to_owned());
    } else {
        notes.push(param.choices.join("\\|"));
    }
    if param.required {
        notes.push("required".to_owned());
    }
    if let Some(why) = param.idle {
        notes.push(format!("no effect: {why}"));
    }
    match param.limit {
        Limit::None => {}
        Limit::Only(value, instead) => notes.push(format!(
            "only {}: {instead}",
            if value { "yes" } else { "no" }
        )),
        Limit::Refused(instead) => notes.push(format!("refused: {instead}")),
    }
    let _ = write!(text, " ({})", notes.join("; "));
    text
}

fn of_modules() -> String {
    let mut specs: Vec<&'static Spec> = modules::all()
        .map(modules::Module::spec)
        .chain(actions::all())
        .collect();
    specs.sort_by_key(|spec| spec.names[0]);
    let mut text = format!("\n## Modules ({})\n", specs.len());
    for spec in specs {
        let _ = write!(text, "\n### {}\n\n", spec.names[0]);
        let full = spec.names.iter().find(|name| name.contains('.'));
        let full = full.map_or_else(
            || format!("ansible.builtin.{}", spec.names[0]),
            |name| (*name).to_owned(),
        );
        let _ = writeln!(text, "`{full}`: {}.", spec.summary.trim_end_matches('.'));
        if let Some(instead) = spec.refused {
            let _ = writeln!(text, "**Refused**: {instead}.");
            continue;
        }
        if spec.free_form {
            text += "Takes free text.\n";
        }
        let shown = spec
            .params
            .iter()
            .filter(|param| !param.name.starts_with('_'));
        let params: Vec<String> = shown.map(of_parameter).collect();
        if !params.is_empty() {
            let _ = writeln!(text, "\n{}.", params.join(", "));
        }
    }
    text
}

fn of_templates() -> String {
    let all = template::vocabulary();
    let mut text = String::from("\n## Templates\n");
    for (title, names) in [
        ("Filters", &all.filters),
        ("Tests", &all.tests),
        ("Lookups", &all.lookups),
        ("Functions", &all.functions),
    ] {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "\n{title} ({}): {}.", names.len(), names.join(", "));
    }
    text += "\nFull names work too (`ansible.builtin.b64decode`). The lookups `pipe`, `lines` and `url` are refused: they run or ask something each time\na template is rendered. The tests of files (`exists`, `directory`…) are refused: they ask about the machine of the operator.\n";
    text
}

fn of_facts() -> String {
    let facts: Vec<String> = modules::FACT_NAMES
        .split_whitespace()
        .map(|name| format!("`{name}`"))
        .collect();
    format!(
        "\n## Facts\n\nAs `ansible_facts.NAME` and `ansible_NAME` ({}), besides one for each network interface; some only where the host has the\nthing: {}.\n",
        facts.len(),
        facts.join(", ")
    )
}

fn of_the_rest() -> String {
    let mut text = String::from(
        "\n## What is not there\n\nA task of one of these is an error only where a host would get to it; the message names the collection and what to use.\n\n",
    );
    text += &table(&["module or collection", "instead"]);
    for (names, instead) in elsewhere::INSTEAD {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        text += &row(&[names.join(", "), (*instead).to_owned()]);
    }
    text += "\nFor all others: `command` or `shell` with `creates` or `changed_when`.\n";
    text
}

fn manual() -> String {
    [
        HEAD.to_owned(),
        of_keywords(),
        of_modules(),
        of_templates(),
        of_facts(),
        of_the_rest(),
    ]
    .concat()
}

#[test]
fn the_manual_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ansible.md");
    let text = manual();
    if std::env::var_os("HACTL_WRITE_DOCS").is_some() {
        fs_err::write(&path, &text).expect("written");
    }
    let kept = fs_err::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/ansible.md is not what the tables say: HACTL_WRITE_DOCS=1 cargo test --lib manual"
    );
}

/// The lists that are written by hand name what is there.
#[test]
fn loops_and_lookups_are_there() {
    let source = include_str!("../template/lookups/mod.rs");
    for name in template::vocabulary().lookups {
        let arms = [format!("\"{name}\" =>"), format!("\"{name}\" |")];
        assert!(arms.iter().any(|arm| source.contains(arm)), "{name}");
    }
    for name in loops::NAMES {
        assert!(loops::kind(name).is_some(), "{name}");
    }
}

/// Nothing stands in the table of what is missing that is there.
#[test]
fn what_is_missing_is_missing() {
    for (names, _) in elsewhere::INSTEAD {
        let there: Vec<_> = names
            .iter()
            .filter(|name| actions::find(name).is_some())
            .collect();
        assert!(there.is_empty(), "{there:?}");
    }
}
