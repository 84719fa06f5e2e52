//! The actions that are the engine's own, not a module on a host, with their parameters; and the one place that looks
//! up a name among both.

use crate::modules::{self, Kind, Param, Spec};

const MESSAGE: Param = Param::new("msg", Kind::Any);

const DEBUG: Spec = Spec {
    names: &["debug"],
    params: &[
        MESSAGE,
        Param::new("var", Kind::Str),
        Param::new("verbosity", Kind::Int),
    ],
    one_of: &[(&["msg", "var"], false)],
    read_only: true,
    summary: "print a message or a variable",
    ..Spec::EMPTY
};

const ASSERT: Spec = Spec {
    names: &["assert"],
    params: &[
        Param::new("that", Kind::Any).required(),
        Param::new("fail_msg", Kind::Any).aliases(&["msg"]),
        Param::new("success_msg", Kind::Any),
        Param::new("quiet", Kind::Bool).idle("an assertion that holds is not shown in any case"),
    ],
    read_only: true,
    summary: "fail unless all conditions hold",
    ..Spec::EMPTY
};

const FAIL: Spec = Spec {
    names: &["fail"],
    params: &[MESSAGE],
    read_only: true,
    summary: "fail with a message",
    ..Spec::EMPTY
};

const SET_FACT: Spec = Spec {
    names: &["set_fact"],
    params: &[Param::new("cacheable", Kind::Bool)],
    read_only: true,
    summary: "set variables of the host for the rest of the run",
    ..Spec::EMPTY
};

const INCLUDE_VARS: Spec = Spec {
    names: &["include_vars"],
    params: &[
        Param::new("file", Kind::Path),
        Param::new("dir", Kind::Path),
        Param::new("name", Kind::Str),
        Param::new("depth", Kind::Int),
        Param::new("files_matching", Kind::Str),
        Param::new("ignore_files", Kind::List),
        Param::new("extensions", Kind::List),
        Param::new("ignore_unknown_extensions", Kind::Bool),
        Param::new("hash_behaviour", Kind::Str).choices(&["replace", "merge"]),
    ],
    free_form: true,
    one_of: &[(&["file", "dir", "_raw_params"], true)],
    read_only: true,
    summary: "read variables from a file or folder during the run",
    ..Spec::EMPTY
};

const META: Spec = Spec {
    names: &["meta"],
    params: &[Param::new("_raw_params", Kind::Str).required().choices(&[
        "flush_handlers",
        "noop",
        "end_play",
        "end_host",
        "end_batch",
        "end_role",
        "clear_host_errors",
        "reset_connection",
        "refresh_inventory",
        "clear_facts",
    ])],
    free_form: true,
    read_only: true,
    summary: "steer the run itself",
    ..Spec::EMPTY
};

const PAUSE: Spec = Spec {
    names: &["pause"],
    params: &[
        Param::new("seconds", Kind::Float),
        Param::new("minutes", Kind::Float),
        Param::new("prompt", Kind::Str),
        Param::new("echo", Kind::Bool).idle("nobody types during a run"),
    ],
    one_of: &[(&["seconds", "minutes"], false)],
    read_only: true,
    summary: "wait for a time or for a person",
    ..Spec::EMPTY
};

const WAIT_FOR_CONNECTION: Spec = Spec {
    names: &["wait_for_connection"],
    params: &[
        Param::new("connect_timeout", Kind::Float),
        Param::new("delay", Kind::Float),
        Param::new("sleep", Kind::Float),
        Param::new("timeout", Kind::Float),
    ],
    read_only: true,
    summary: "wait until the host can be entered, over a new connection when the old one is gone",
    ..Spec::EMPTY
};

const ADD_HOST: Spec = Spec {
    names: &["add_host"],
    params: &[
        Param::new("name", Kind::Str)
            .required()
            .aliases(&["hostname", "host"]),
        Param::new("groups", Kind::List).aliases(&["group", "groupname"]),
    ],
    read_only: true,
    summary: "add a host to the inventory of this run",
    refused: Some(
        "a run has the hosts of its inventory: write the host into it (a file of an inventory folder may be made by another program)",
    ),
    ..Spec::EMPTY
};

const GROUP_BY: Spec = Spec {
    names: &["group_by"],
    params: &[
        Param::new("key", Kind::Str).required(),
        Param::new("parents", Kind::List),
    ],
    read_only: true,
    summary: "put hosts into groups by a value",
    refused: Some(
        "a host is in the groups that the inventory says: put it there, or use `when` with the value itself",
    ),
    ..Spec::EMPTY
};

const VALIDATE_ARGUMENT_SPEC: Spec = Spec {
    names: &["validate_argument_spec"],
    params: &[
        Param::new("argument_spec", Kind::Dict).required(),
        Param::new("provided_arguments", Kind::Dict),
        Param::new("validate_args_context", Kind::Dict),
    ],
    read_only: true,
    summary: "fail unless variables are of the types and values that a role asks for",
    ..Spec::EMPTY
};

const INCLUDE_TASKS: Spec = Spec {
    names: &["include_tasks"],
    params: &[
        Param::new("file", Kind::Path),
        Param::new("apply", Kind::Dict),
    ],
    free_form: true,
    one_of: &[(&["file", "_raw_params"], true)],
    read_only: true,
    summary: "run the tasks of a file, chosen during the run",
    ..Spec::EMPTY
};

const IMPORT_TASKS: Spec = Spec {
    names: &["import_tasks"],
    params: &[Param::new("file", Kind::Path)],
    summary: "take in the tasks of a file at load",
    ..INCLUDE_TASKS
};

/// What both ways to run a role from tasks take.
macro_rules! with_role {
    ($($own:expr),* $(,)?) => {
        &[
            Param::new("name", Kind::Str).required().aliases(&["role"]),
            Param::new("tasks_from", Kind::Path),
            Param::new("vars_from", Kind::Path),
            Param::new("defaults_from", Kind::Path),
            Param::new("handlers_from", Kind::Path),
            Param::new("rolespec_validate", Kind::Bool),
            Param::new("allow_duplicates", Kind::Bool)
                .only(true, "guard the task with `when`"),
            $($own,)*
        ]
    };
}

const INCLUDE_ROLE: Spec = Spec {
    names: &["include_role"],
    params: with_role!(
        Param::new("public", Kind::Bool),
        Param::new("apply", Kind::Dict),
    ),
    read_only: true,
    summary: "run a role, chosen during the run",
    ..Spec::EMPTY
};

const IMPORT_ROLE: Spec = Spec {
    names: &["import_role"],
    params: with_role!(Param::new("public", Kind::Bool).only(
        true,
        "use `include_role`, whose variables only the role itself sees",
    ),),
    read_only: true,
    summary: "take in a role at load",
    ..Spec::EMPTY
};

static TABLE: &[Spec] = &[
    DEBUG,
    ASSERT,
    FAIL,
    SET_FACT,
    INCLUDE_VARS,
    META,
    PAUSE,
    WAIT_FOR_CONNECTION,
    ADD_HOST,
    GROUP_BY,
    VALIDATE_ARGUMENT_SPEC,
    INCLUDE_TASKS,
    IMPORT_TASKS,
    INCLUDE_ROLE,
    IMPORT_ROLE,
];

/// The engine's own actions, for documentation and suggestions.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    TABLE.iter()
}

/// The engine's own action of that name (`debug`, `ansible.builtin.debug`).
pub fn builtin(name: &str) -> Option<&'static Spec> {
    let short = short(name);
    TABLE.iter().find(|spec| spec.names[0] == short)
}

/// The action or module of that name.
pub fn find(name: &str) -> Option<&'static Spec> {
    builtin(name).or_else(|| {
        modules::find(name)
            .or_else(|| modules::find(short(name)))
            .map(crate::modules::Module::spec)
    })
}

/// Whether an action takes parameters of any name.
pub fn takes_any(spec: &Spec) -> bool {
    matches!(spec.names[0], "set_fact" | "add_host")
}

/// All names that a task may use, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .chain(modules::all().map(crate::modules::Module::spec))
        .map(|spec| spec.names[0])
}

fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_found_with_and_without_the_collection() {
        for (name, found) in [
            ("debug", Some("debug")),
            ("ansible.builtin.debug", Some("debug")),
            ("ansible.legacy.set_fact", Some("set_fact")),
            ("community.general.debug", None),
        ] {
            assert_eq!(super::find(name).map(|spec| spec.names[0]), found, "{name}");
        }
    }
}
