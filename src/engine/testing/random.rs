//! Random playbooks, as JSON, which is YAML. They are deterministic: what a task does depends on what was before only.

use super::Memory;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Files that the playbooks use.
pub const TEMPLATES: [(&str, &str); 2] = [
    (
        "templates/t0.j2",
        "v0 is {{ v0 }}\n{% for part in acc %}\n- {{ part }}\n{% endfor %}\n",
    ),
    (
        "templates/t1.j2",
        "{{ r0.stdout | default('nothing') }} {{ r1 is changed }} {{ item | default('no item') }}\n",
    ),
];

const PATHS: [&str; 7] = ["f0", "f1", "f2", "d0/f1", "d0/f3", "l0", "d1/f0"];
const TEXTS: [&str; 9] = [
    "plain",
    "{{ v0 }}",
    "{{ v1 | default('unset') }}-{{ v0 }}",
    "{{ acc | join(',') }}",
    "{{ r0.stdout | default('none') }}",
    "{{ r1 is changed }}",
    "{{ (r2.results | default([])) | length }}",
    "{{ hostvars[inventory_hostname].r0.rc | default('norc') }}",
    "{{ item | default('x') }}",
];
const CONDITIONS: [&str; 16] = [
    "true",
    "false",
    "r0 is changed",
    "r1 is not changed",
    "r2 is failed",
    "r0 is skipped",
    "r3 is succeeded",
    "r0.rc | default(0) == 0",
    "v0 == 'plain'",
    "v1 is defined",
    "acc | length > 2",
    "(r1.stat | default({})).exists | default(false)",
    "hostvars[inventory_hostname].r2 is changed",
    "r3.stdout | default('') is search('a')",
    "item | default('a') == 'a'",
    "ansible_facts.os_family is defined",
];
const LOOPS: [&str; 6] = [
    "[]",
    "['a']",
    "['a', 'b', 'c']",
    "{{ acc }}",
    "{{ r0.stdout_lines | default(['n']) }}",
    "{{ r2.results | default([]) | map(attribute='changed') | list }}",
];
const HANDLERS: [&str; 6] = ["h0", "h1", "h2", "h3", "topic", "{{ 'h' ~ 1 }}"];

fn one_of(list: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(list).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    one_of(&PATHS).prop_map(|path| format!("{{{{ dir }}}}/{path}"))
}

/// Module and parameters.
fn action() -> impl Strategy<Value = (&'static str, Value)> {
    let mode = || prop::sample::select(vec!["0644", "0600", "u=rw,g=r"]);
    prop_oneof![
        4 => (path(), one_of(&TEXTS), mode()).prop_map(|(dest, content, mode)| ("copy", json!({"dest": dest, "content": format!("{content}\n"), "mode": mode}))),
        3 => (path(), prop::sample::select(vec!["t0.j2", "t1.j2"])).prop_map(|(dest, src)| ("template", json!({"dest": dest, "src": src}))),
        3 => (path(), one_of(&TEXTS), prop::option::of(prop::sample::select(vec!["^v", "a$", "^none"])), any::<bool>())
            .prop_map(|(path, line, regexp, present)| {
                let mut args = json!({"path": path, "create": true, "state": if present { "present" } else { "absent" }});
                if present || regexp.is_none() { args["line"] = json!(line) }
                if let Some(regexp) = regexp { args["regexp"] = json!(regexp) }
                ("lineinfile", args)
            }),
        2 => (path(), one_of(&TEXTS)).prop_map(|(path, block)| ("blockinfile", json!({"path": path, "block": block, "create": true}))),
        2 => (path(), prop::sample::select(vec!["directory", "absent", "touch", "file"]), mode()).prop_map(|(path, state, mode)| {
            let mut args = json!({"path": path, "state": state});
            if state != "absent" { args["mode"] = json!(mode) }
            ("file", args)
        }),
        1 => (path(), one_of(&PATHS), any::<bool>()).prop_map(|(path, src, force)| ("file", json!({"path": path, "src": src, "state": "link", "force": force}))),
        2 => path().prop_map(|path| ("stat", json!({"path": path}))),
        1 => path().prop_map(|path| ("slurp", json!({"src": path}))),
        3 => path().prop_map(|path| ("read", json!({"cmd": format!("cat {path} 2>/dev/null || echo none")}))),
        1 => path().prop_map(|path| ("read", json!({"cmd": format!("grep a {path}")}))),
        3 => one_of(&TEXTS).prop_map(|text| ("shell", json!({"cmd": format!("echo '{text}' | tee -a {{{{ dir }}}}/log")}))),
        1 => path().prop_map(|path| ("command", json!({"cmd": format!("cat {path}")}))),
        1 => path().prop_map(|path| ("shell", json!({"cmd": format!("echo made > {path}"), "creates": path}))),
        1 => path().prop_map(|path| ("command", json!({"argv": ["rm", path], "removes": path}))),
        1 => (0..4).prop_map(|code| ("shell", json!({"cmd": format!("echo out; exit {code}")}))),
        3 => one_of(&TEXTS).prop_map(|text| ("set_fact", json!({"v0": text}))),
        1 => one_of(&TEXTS).prop_map(|text| ("set_fact", json!({"v1": text, "v0": "plain"}))),
        3 => one_of(&TEXTS).prop_map(|text| ("set_fact", json!({"acc": format!("{{{{ acc + ['{}'] }}}}", text.replace("{{", "").replace("}}", "").replace('\'', ""))}))),
        2 => Just(("set_fact", json!({"acc": "{{ acc + [item | default('i')] }}"}))),
        2 => one_of(&TEXTS).prop_map(|text| ("debug", json!({"msg": text}))),
        1 => prop::sample::select(vec!["r0", "r1", "r2", "acc", "v1"]).prop_map(|name| ("debug", json!({"var": name}))),
        1 => one_of(&CONDITIONS).prop_map(|that| ("assert", json!({"that": [that]}))),
        1 => one_of(&TEXTS).prop_map(|text| ("fail", json!({"msg": text}))),
    ]
}

/// A task with keywords.
pub fn task(handler: bool) -> impl Strategy<Value = Value> {
    let sometimes = |weight: u32, list: &'static [&'static str]| {
        prop::option::weighted(f64::from(weight) / 100.0, one_of(list))
    };
    let seldom = |weight: f64, list: &'static [&'static str]| {
        prop::option::weighted(weight, prop::sample::select(list))
    };
    let judged = seldom(
        0.1,
        &[
            "false",
            "true",
            "REG is defined",
            "(REG.rc | default(0)) == 3",
        ],
    );
    let failing = seldom(
        0.1,
        &[
            "false",
            "(REG.rc | default(0)) > 1",
            "v0 == 'never'",
            "REG.changed",
        ],
    );
    let until = seldom(
        0.06,
        &[
            "REG is succeeded",
            "REG.rc | default(0) == 0",
            "v0 == 'plain'",
        ],
    );
    (
        (
            action(),
            sometimes(30, &CONDITIONS),
            prop::option::weighted(0.4, 0..4),
            sometimes(if handler { 5 } else { 18 }, &LOOPS),
        ),
        (
            sometimes(if handler { 20 } else { 30 }, &HANDLERS),
            prop::bool::weighted(0.25),
            judged,
            failing,
            until,
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
        ),
    )
        .prop_map(
            move |(
                ((module, args), when, register, looped),
                (notify, ignore, changed, failed, until, vars, tagged),
            )| {
                let mut task = serde_json::Map::new();
                let register = register.map(|number| format!("r{number}"));
                let own = |text: &str| text.replace("REG", register.as_deref().unwrap_or("r0"));
                if module == "read" {
                    task.insert("shell".to_owned(), args);
                    task.insert("changed_when".to_owned(), json!(false));
                    task.insert("check_mode".to_owned(), json!(false));
                } else {
                    task.insert(module.to_owned(), args);
                }
                if let Some(when) = when {
                    task.insert("when".to_owned(), json!(when));
                }
                if let Some(register) = &register {
                    task.insert("register".to_owned(), json!(register));
                }
                if let Some(looped) = looped {
                    task.insert(
                        "loop".to_owned(),
                        serde_json::from_str(&looped.replace('\'', "\"")).unwrap_or(json!(looped)),
                    );
                }
                if let Some(notify) = notify {
                    task.insert("notify".to_owned(), json!(notify));
                }
                if ignore || module == "fail" && !tagged {
                    task.insert("ignore_errors".to_owned(), json!(true));
                }
                if let Some(changed) = changed
                    && module != "read"
                {
                    task.insert("changed_when".to_owned(), json!(own(changed)));
                }
                if let Some(failed) = failed {
                    task.insert("failed_when".to_owned(), json!(own(failed)));
                }
                if let Some(until) = until {
                    task.insert("until".to_owned(), json!(own(until)));
                    task.insert("retries".to_owned(), json!(2));
                    task.insert("delay".to_owned(), json!(0));
                }
                if vars {
                    task.insert("vars".to_owned(), json!({"v1": "of the task {{ v0 }}"}));
                }
                if tagged {
                    task.insert("tags".to_owned(), json!(["t1"]));
                }
                Value::Object(task)
            },
        )
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    let leaf = || {
        prop_oneof![
            30 => task(false),
            2 => Just(json!({"meta": "flush_handlers"})),
            1 => one_of(&CONDITIONS).prop_map(|when| json!({"meta": "end_host", "when": [when, "acc | length > 3"]})),
            2 => (prop::sample::select(vec!["inc0.yml", "inc1.yml", "inc{{ acc | length % 2 }}.yml"]), prop::option::weighted(0.3, one_of(&CONDITIONS)), prop::option::weighted(0.3, one_of(&LOOPS)))
                .prop_map(|(file, when, looped)| {
                    let mut task = json!({"include_tasks": file, "vars": {"v1": "of the include"}});
                    if let Some(when) = when { task["when"] = json!(when) }
                    if let Some(looped) = looped { task["loop"] = serde_json::from_str(&looped.replace('\'', "\"")).unwrap_or(json!(looped)) }
                    task
                }),
        ]
    };
    let part = move || prop::collection::vec(leaf(), 1..4);
    let block = (
        part(),
        prop::option::of(part()),
        prop::option::of(part()),
        prop::option::weighted(0.2, one_of(&CONDITIONS)),
    )
        .prop_map(|(tasks, rescue, always, when)| {
            let mut block = json!({"block": tasks});
            if let Some(rescue) = rescue {
                block["rescue"] = json!(rescue);
            }
            if let Some(always) = always {
                block["always"] = json!(always);
            }
            if let Some(when) = when {
                block["when"] = json!(when);
            }
            block
        });
    prop::collection::vec(
        prop_oneof![8 => task(false), 2 => leaf(), 2 => block],
        3..18,
    )
}

/// Names all tasks, so that events can be told apart.
pub fn name(items: &mut [Value], prefix: &str) {
    for (index, item) in items.iter_mut().enumerate() {
        let own = format!("{prefix}{index}");
        for part in ["block", "rescue", "always"] {
            if let Some(Value::Array(inner)) = item.get_mut(part) {
                name(inner, &format!("{own}{part}"));
            }
        }
        item["name"] = json!(own);
    }
}

/// A playbook with its files, and the tags to run it with.
pub fn playbook() -> impl Strategy<Value = (Memory, Vec<String>)> {
    let include = || prop::collection::vec(task(false), 1..4);
    let handlers = prop::collection::vec(task(true), 4);
    (items(), items(), handlers, include(), include(), prop::bool::weighted(0.1)).prop_map(|(mut tasks, mut post, mut handlers, mut inc0, mut inc1, tags)| {
        name(&mut tasks, "task");
        name(&mut post, "post");
        name(&mut inc0, "inc0-");
        name(&mut inc1, "inc1-");
        name(&mut handlers, "h");
        handlers[2]["listen"] = json!("topic");
        handlers[3]["listen"] = json!(["topic"]);
        post.truncate(4);
        let vars = json!({"v0": "plain", "acc": [], "r0": {}, "r1": {}, "r2": {}, "r3": {}});
        let play = json!([{"hosts": "all", "gather_facts": false, "vars": vars, "tasks": tasks, "post_tasks": post, "handlers": handlers}]);
        let mut files = Memory::default();
        let pretty = |value: &Value| serde_json::to_vec_pretty(value).expect("JSON");
        files.0.insert("site.yml".into(), pretty(&play));
        files.0.insert("inc0.yml".into(), pretty(&json!(inc0)));
        files.0.insert("inc1.yml".into(), pretty(&json!(inc1)));
        for (path, text) in TEMPLATES {
            files.0.insert(path.into(), text.into());
        }
        (files, if tags { vec!["t1".to_owned()] } else { Vec::new() })
    })
}
