//! Random playbooks for several hosts whose tasks depend on each other. Within one task the hosts do not meet: each writes
//! in its own folder, so that only the order between tasks decides what comes of it.

use super::Memory;
use super::random;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The hosts, which have their folders below `{{ dir }}`.
pub const HOSTS: [&str; 3] = ["a", "b", "c"];

const OWN: &str = "{{ dir }}/{{ inventory_hostname }}/";

/// What one host finds out about the others.
const TEXTS: [&str; 6] = [
    "{{ hostvars['a'].r0.stdout | default('none') }} {{ hostvars['b'].v0 | default('unset') }}",
    "{{ hostvars['c'].acc | default([]) | length }} {{ hostvars['a'].r1.changed | default('no') }}",
    "{{ hostvars['b'].r2.rc | default('norc') }} {{ hostvars['a'].v1 | default('unset') }}",
    "{{ ansible_play_hosts | join(',') }} {{ ansible_play_batch | join(',') }}",
    "{{ (hostvars['a'].r1.stat | default({})).exists | default('unseen') }}",
    "{{ groups['all'] | map('extract', hostvars) | map(attribute='v0', default='unset') | join(',') }}",
];
const CONDITIONS: [&str; 7] = [
    "inventory_hostname == 'a'",
    "inventory_hostname != 'b'",
    "inventory_hostname == ansible_play_hosts[0]",
    "hostvars['a'].r0 is defined and hostvars['a'].r0 is changed",
    "(hostvars['b'].acc | default([])) | length > 0",
    "hostvars['c'].v0 | default('') == 'plain'",
    "ansible_play_hosts | length > 2",
];

/// A task that has to do with other hosts.
fn task() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(TEXTS.to_vec());
    let host = || prop::sample::select(HOSTS.to_vec());
    let register = prop::option::weighted(0.5, 0..3);
    let once = prop::bool::weighted(0.2);
    let when = prop::option::weighted(0.4, prop::sample::select(CONDITIONS.to_vec()));
    let action = prop_oneof![
        3 => text().prop_map(|text| json!({"debug": {"msg": text}})),
        3 => text().prop_map(|text| json!({"set_fact": {"v0": text}})),
        2 => text().prop_map(|text| json!({"set_fact": {"acc": format!("{{{{ acc + ['{}'] }}}}", text.len()), "v1": text}})),
        4 => text().prop_map(|text| json!({"copy": {"dest": format!("{OWN}f0"), "content": format!("{text}\n")}})),
        2 => text().prop_map(|text| json!({"shell": format!("echo '{text}' >>{OWN}log; cat {OWN}log | cksum")})),
        3 => host().prop_map(|host| json!({"stat": {"path": format!("{{{{ dir }}}}/{host}/f0")}})),
        2 => host().prop_map(|host| json!({"slurp": {"src": format!("{{{{ dir }}}}/{host}/f1")}, "ignore_errors": true})),
        2 => host().prop_map(|host| json!({"shell": format!("cat {{{{ dir }}}}/{host}/log 2>&1 | tail -1"), "changed_when": false, "check_mode": false})),
        2 => Just(json!({"shell": "cat {{ dir }}/*/f0 2>/dev/null | cksum"})),
        2 => host().prop_map(|host| json!({"delegate_to": host, "copy": {"dest": format!("{{{{ dir }}}}/{host}/from-{{{{ inventory_hostname }}}}"), "content": "{{ v0 }} {{ acc | length }}\n"}})),
        1 => host().prop_map(|host| json!({"fail": {"msg": "on purpose"}, "when": format!("inventory_hostname == '{host}'")})),
        1 => (host(), any::<bool>()).prop_map(|(host, fatal)| json!({"command": format!("test {{{{ inventory_hostname }}}} != {host}"), "any_errors_fatal": fatal})),
        1 => host().prop_map(|host| json!({"meta": "end_host", "when": format!("inventory_hostname == '{host}'")})),
        1 => Just(json!({"meta": "end_play", "when": "acc | length > 2"})),
        2 => host().prop_map(|host| json!({"include_tasks": {"file": format!("inc{{{{ 0 if inventory_hostname == '{host}' else 1 }}}}.yml")}})),
    ];
    (action, register, once, when, prop::bool::weighted(0.3)).prop_map(
        |(mut task, register, once, when, notify)| {
            let plain = task.get("include_tasks").is_none() && task.get("meta").is_none();
            if let Some(register) = register
                && plain
            {
                task["register"] = json!(format!("r{register}"));
            }
            if once && plain && task.get("delegate_to").is_none() {
                task["run_once"] = json!(true);
            }
            if notify && plain {
                task["notify"] = json!("h1");
            }
            if let Some(when) = when
                && task.get("when").is_none()
            {
                task["when"] = json!(when);
            }
            task
        },
    )
}

/// Own tasks keep to the host's own folder.
fn own(value: &Value) -> Value {
    let text = value.to_string().replace("{{ dir }}/", OWN);
    serde_json::from_str(&text).expect("JSON")
}

/// A block around some of the tasks.
fn block() -> impl Strategy<Value = Value> {
    let part = || prop::collection::vec(task(), 1..3);
    (part(), prop::option::of(part()), prop::option::of(part())).prop_map(
        |(tasks, rescue, always)| {
            let mut block = json!({"block": tasks});
            if let Some(rescue) = rescue {
                block["rescue"] = json!(rescue);
            }
            if let Some(always) = always {
                block["always"] = json!(always);
            }
            block
        },
    )
}

/// A playbook with its files.
pub fn playbook() -> impl Strategy<Value = Memory> {
    let own_task = || random::task(false).prop_map(|task| own(&task));
    let items = prop::collection::vec(
        prop_oneof![4 => own_task(), 4 => task(), 1 => block()],
        3..16,
    );
    let include = || prop::collection::vec(prop_oneof![own_task(), task()], 1..3);
    let handlers = prop::collection::vec(random::task(true).prop_map(|task| own(&task)), 4);
    let serial = prop::option::weighted(0.2, 1..3);
    let limit = prop::option::weighted(0.2, prop::sample::select(vec![20, 50]));
    (items, handlers, include(), include(), serial, limit).prop_map(
        |(mut tasks, mut handlers, mut inc0, mut inc1, serial, limit)| {
            random::name(&mut tasks, "task");
            random::name(&mut inc0, "inc0-");
            random::name(&mut inc1, "inc1-");
            random::name(&mut handlers, "h");
            handlers[2]["listen"] = json!("topic");
            // An include that includes itself would never end.
            for task in inc0.iter_mut().chain(&mut inc1) {
                if let Some(task) = task.as_object_mut()
                    && task.remove("include_tasks").is_some()
                {
                    task.insert("debug".to_owned(), json!({"msg": "no further"}));
                }
            }
            let vars = json!({"v0": "plain", "acc": [], "r0": {}, "r1": {}, "r2": {}, "r3": {}});
            let mut play = json!({"hosts": "all", "gather_facts": false, "vars": vars, "tasks": tasks, "handlers": handlers});
            if let Some(serial) = serial {
                play["serial"] = json!(serial);
            }
            if let Some(limit) = limit {
                play["max_fail_percentage"] = json!(limit);
            }
            let last = json!({"hosts": "all", "gather_facts": false, "tasks": [{"name": "second play", "debug": {"msg": TEXTS[3]}}]});
            let mut files = Memory::default();
            let pretty = |value: &Value| serde_json::to_vec_pretty(value).expect("JSON");
            files.0.insert("site.yml".into(), pretty(&json!([play, last])));
            files.0.insert("inc0.yml".into(), pretty(&json!(inc0)));
            files.0.insert("inc1.yml".into(), pretty(&json!(inc1)));
            for (path, text) in random::TEMPLATES {
                files.0.insert(path.into(), text.into());
            }
            files
        },
    )
}
