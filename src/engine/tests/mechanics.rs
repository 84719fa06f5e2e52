//! Small playbooks of every mechanism of the language, replayed against what ansible-core came to with them
//! (tests/data/mechanics; recorded by tests/mechanics/record.py).

use crate::base::value::Value;
use crate::engine::testing::{Memory, Rig, Wish};
use crate::source::{self, SourceFile};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What was recorded of a case.
#[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
struct Recorded {
    /// It was refused before anything ran, or broke off.
    #[serde(default)]
    refused: bool,
    /// By host, one line a task or item.
    #[serde(default)]
    hosts: BTreeMap<String, Vec<String>>,
    /// The hosts that failed.
    #[serde(default)]
    failed: Vec<String>,
}

fn text(case: &Value, name: &str) -> Option<String> {
    case[name]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn list(case: &Value, name: &str) -> Vec<String> {
    text(case, name).map_or_else(Vec::new, |text| {
        text.split(',').map(str::to_owned).collect()
    })
}

fn wish(case: &Value) -> Wish {
    let site = if case["plays"].is_array() {
        case["plays"].clone()
    } else {
        serde_json::json!([{"name": "Play", "hosts": "all", "gather_facts": false, "tasks": case["tasks"]}])
    };
    let mut files = Memory::default();
    let given = case["files"].as_object().cloned().unwrap_or_default();
    for (name, content) in given.into_iter().chain([("site.yml".to_owned(), site)]) {
        let bytes = match content {
            Value::String(text) => text,
            other => other.to_string(),
        };
        files.0.insert(name.into(), bytes.into_bytes());
    }
    let hosts = case["hosts"].as_array().map_or_else(
        || vec!["here".to_owned()],
        |hosts| {
            hosts
                .iter()
                .filter_map(|host| host.as_str().map(str::to_owned))
                .collect()
        },
    );
    Wish {
        files,
        hosts,
        check: case["check"] == true,
        tags: list(case, "tags"),
        skip_tags: list(case, "skip_tags"),
        limit: text(case, "limit"),
        extra: case["extra"].as_object().cloned().unwrap_or_default(),
        force_handlers: case["force_handlers"] == true,
        inventory: case.get("inventory").cloned(),
        ..Wish::default()
    }
}

fn replay(wish: &Wish) -> Recorded {
    let rig = Rig::new();
    rig.empty();
    match rig.run(wish) {
        Ok(told) => {
            // Those that others stopped are no failures of their own in Ansible's recap.
            let mut failed = told.ending[..3].concat();
            failed.sort();
            // An include that is passed is no line of the record.
            let passed = |line: &String| {
                let include = ["include_tasks: ", "include_role: "];
                include.iter().any(|name| line.starts_with(name)) && !line.contains(": failed")
            };
            let mut hosts = told.lines;
            for lines in hosts.values_mut() {
                lines.retain(|line| !passed(line));
            }
            Recorded {
                refused: false,
                hosts,
                failed,
            }
        }
        Err(_) => Recorded {
            refused: true,
            hosts: BTreeMap::new(),
            failed: Vec::new(),
        },
    }
}

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mechanics");
    let mut paths: Vec<_> = fs_err::read_dir(folder)
        .expect("the cases")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml"))
        .collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let topic = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let file = Arc::new(SourceFile {
            path: path.display().to_string(),
            text: fs_err::read_to_string(&path).expect("read"),
        });
        let parsed = source::parse(&file).unwrap_or_else(|error| panic!("{error}"));
        let Value::Array(cases) = parsed.to_value().expect("plain data") else {
            panic!("{} is a list of cases", path.display());
        };
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            all.push((format!("{topic}: {name}"), case));
        }
    }
    all
}

#[test]
fn small_playbooks_come_to_what_ansible_made_of_them() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mechanics/recorded.json");
    let recorded: BTreeMap<String, Recorded> =
        serde_json::from_str(&fs_err::read_to_string(recorded).expect("recorded")).expect("JSON");
    let cases = cases();
    assert!(cases.len() >= 150, "the cases are there");
    assert_eq!(
        recorded.len(),
        cases.len(),
        "run tests/mechanics/record.py again"
    );
    let only = std::env::var("MECHANICS").unwrap_or_default();
    let wrong = std::sync::Mutex::new(Vec::new());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        while let Some((name, case)) =
            cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            if !name.contains(&only) {
                continue;
            }
            let wished = recorded.get(name).unwrap_or_else(|| {
                panic!("`{name}` is not recorded: run tests/mechanics/record.py")
            });
            let problem = judge(case, wished, &replay(&wish(case)));
            let named = problem.map(|problem| format!("=== {name} {problem}"));
            wrong.lock().expect("the list").extend(named);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism()
            .map_or(2, usize::from)
            .min(8)
        {
            scope.spawn(worker);
        }
    });
    let wrong = wrong.into_inner().expect("the list");
    assert!(
        wrong.is_empty(),
        "{}\n{} cases are wrong",
        wrong.join("\n"),
        wrong.len()
    );
}

/// What is wrong with a replay. A case may say `differs: WHY`; as soon as it differs no more, it must not say so.
fn judge(case: &Value, wished: &Recorded, found: &Recorded) -> Option<String> {
    let shown = |told: &Recorded| serde_json::to_string_pretty(told).expect("JSON");
    match case["differs"].as_str() {
        None if found != wished => {
            let (left, right) = (shown(wished), shown(found));
            let diff = similar::TextDiff::from_lines(&left, &right);
            let diff = diff.unified_diff().context_radius(3).to_string();
            Some(format!("(- ansible-core, + hactl)\n{diff}"))
        }
        Some(why) if found == wished => Some(format!("agrees: take away `differs: {why}`")),
        _ => None,
    }
}
