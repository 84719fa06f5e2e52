//! Every case of `tests/modules` against what ansible-core made of it.

use super::testing::{run, shell};
use crate::base::value::{Map, Value};

const CASES: &str = include_str!("../../../tests/modules/files-cases.yaml");
const GOLDEN: &str = include_str!("../../../tests/modules/files-golden.json");
const DUMP: &str = include_str!("../../../tests/modules/dump.sh");

/// Registered values that cannot be the same: texts for people, times, places of temporary files, what the file system
/// decides.
const FREE: &[&str] = &[
    "msg",
    "src",
    "backup_file",
    "backup",
    "atime",
    "mtime",
    "ctime",
    "inode",
    "dev",
    "blocks",
    "stderr",
    "stdout",
];

fn same_values(ours: &Value, theirs: &Value, place: &str, faults: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            // How large a directory is, its file system decides.
            let folder = theirs
                .get("state")
                .is_some_and(|state| state == "directory")
                || theirs.get("isdir") == Some(&Value::Bool(true));
            let free = |key: &str| FREE.contains(&key) || (folder && key == "size");
            for (key, value) in ours.iter().filter(|(key, _)| !free(key.as_str())) {
                match theirs.get(key) {
                    Some(other) => same_values(value, other, &format!("{place}.{key}"), faults),
                    None => {
                        faults.push(format!("{place}.{key} is {value}, Ansible has no such key"));
                    }
                }
            }
        }
        // In what order an archive of a folder lists it, its file system decides.
        (Value::Array(ours), Value::Array(theirs))
            if place.rsplit('.').next() == Some("files") && ours.iter().all(Value::is_string) =>
        {
            let sorted = |list: &[Value]| {
                let mut names: Vec<String> = list.iter().map(ToString::to_string).collect();
                names.sort();
                names
            };
            if sorted(ours) != sorted(theirs) {
                faults.push(format!("{place} is {ours:?}, with Ansible {theirs:?}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                same_values(ours, theirs, &format!("{place}[{at}]"), faults);
            }
        }
        _ if ours == theirs => {}
        _ => faults.push(format!("{place} is {ours}, with Ansible {theirs}")),
    }
}

/// One case, twice, against what ansible-core did; gives what differs.
fn compare(case: &Value, golden: &Value) -> Vec<String> {
    let top = tempfile::tempdir().expect("temporary directory");
    let place = top.path().to_str().expect("text");
    shell(
        top.path(),
        &format!(
            "mkdir ctl; chmod 755 .\n{}",
            case["before"].as_str().unwrap_or(":")
        ),
    );
    let params: Map<String, Value> =
        serde_json::from_str(&case["params"].to_string().replace("%T%", place))
            .expect("parameters");
    let mut faults = Vec::new();
    for attempt in ["first", "second"] {
        let theirs = &golden[attempt];
        let failed = theirs["failed"].as_bool().unwrap_or(false);
        match run(case["module"].as_str().expect("module"), params.clone()) {
            Err(error) if failed => assert!(!error.message.is_empty()),
            Err(error) => faults.push(format!("{attempt}: fails: {error} {:?}", error.notes)),
            Ok(done) if failed => {
                faults.push(format!("{attempt}: does not fail: {:?}", done.outcome));
            }
            Ok(done) => {
                if Some(done.changed) != theirs["changed"].as_bool() {
                    faults.push(format!(
                        "{attempt}: changed is {}, with Ansible {}",
                        done.changed, theirs["changed"]
                    ));
                }
                if done.changed && done.diffs.is_empty() {
                    faults.push(format!("{attempt}: changes without showing what"));
                }
                let ours = Value::Object(done.outcome)
                    .to_string()
                    .replace(place, "%T%");
                let mut ours: Value = serde_json::from_str(&ours).expect("outcome");
                for key in case["free"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                {
                    ours.as_object_mut().expect("a mapping").remove(key);
                }
                same_values(&ours, theirs, attempt, &mut faults);
            }
        }
        let state = shell(top.path(), DUMP).replace(place, "%T%");
        let wanted: Vec<&str> = golden[format!("{attempt}_state")]
            .as_array()
            .expect("state")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let state: Vec<&str> = state.trim_end_matches('\n').split('\n').collect();
        if state != wanted {
            faults.push(format!(
                "{attempt}: end state\n      {}\n    with Ansible\n      {}",
                state.join("\n      "),
                wanted.join("\n      ")
            ));
        }
    }
    faults
}

/// Every case of the table comes to what ansible-core 2.19 made of it. Owners need root; without it those cases differ.
#[test]
fn every_case_comes_to_what_ansible_made_of_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let cases: Vec<Value> = serde_yaml::from_str(CASES).expect("cases");
    let golden: Vec<Value> = serde_json::from_str(GOLDEN).expect("golden");
    assert_eq!(
        cases.len(),
        golden.len(),
        "run tests/modules/differential.py again"
    );
    let only = std::env::var("CASE").unwrap_or_default();
    let pairs: Vec<(&Value, &Value)> = cases.iter().zip(&golden).collect();
    let faults: String = std::thread::scope(|scope| {
        let workers: Vec<_> = pairs
            .chunks(pairs.len().div_ceil(8))
            .map(|some| {
                scope.spawn(|| {
                    some.iter()
                        .map(|(case, golden)| judge(case, golden, &only))
                        .collect::<String>()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("worker"))
            .collect()
    });
    assert!(faults.is_empty(), "\n{faults}");
}

/// What is to be said about a case; nothing when it is as it should be.
fn judge(case: &Value, golden: &Value, only: &str) -> String {
    let name = case["name"].as_str().expect("name");
    assert_eq!(
        golden["name"].as_str(),
        Some(name),
        "run tests/modules/differential.py again"
    );
    let found = if name.contains(only) {
        compare(case, golden)
    } else {
        return String::new();
    };
    match (case["differs"].as_str(), found.is_empty()) {
        (Some(why), true) => format!("{name}: no longer differs ({why})\n"),
        (None, false) => format!("{name}:\n    {}\n", found.join("\n    ")),
        _ => String::new(),
    }
}
