//! The templates beside the playbook: which file each rendered one comes from, whose counts, and what is told of those that
//! nothing reads.

use crate::sandbox::Sandbox;
use serde_json::Value;
use std::collections::BTreeMap;

const HAPROXY: &str = "templates/haproxy/haproxy.cfg.j2";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut made = Sandbox::new();
    made.hactl(&format!("init pg-nfs {}", sandbox.path().display()));
    sandbox
}

/// Where the files of a host come from, as JSON says it: path on the host, file, whether it is inside the binary.
fn sources(sandbox: &Sandbox, arguments: &str) -> BTreeMap<String, (String, bool)> {
    let mut apart = Sandbox::new();
    let folder = sandbox.path().display().to_string();
    let shown = apart.hactl(&format!(
        "-C {folder} -i inventories/pg-nfs render --host lb --json {arguments}"
    ));
    let document: Value =
        serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{}", apart.transcript()));
    let files = document["hosts"]["lb"].as_object().expect("files");
    let source = |file: &Value| {
        let source = &file["source"];
        let name = source["file"].as_str().expect("a file").to_owned();
        (name, source["embedded"].as_bool().expect("yes or no"))
    };
    files
        .iter()
        .map(|(path, file)| (path.clone(), source(file)))
        .collect()
}

#[test]
fn render_says_where_each_file_comes_from() {
    let mut sandbox = project();
    sandbox.hactl("render -i inventories/pg-nfs --host lb -o before");
    sandbox.file("templates/exports.j2", "{# mine #}\n/srv *(ro)\n");
    sandbox.file("templates/none.j2", "nobody reads it\n");
    let shown = sandbox.hactl("render -i inventories/pg-nfs --host lb -o after");
    assert!(
        shown.contains("lb:/etc/exports  templates/exports.j2\n"),
        "{shown}"
    );
    assert_eq!(sandbox.read("after/lb/etc/exports"), "/srv *(ro)\n");
    // Each file on its own: the others come from the binary as before.
    let cfg = "lb/etc/haproxy/haproxy.cfg";
    assert_eq!(
        sandbox.read(&format!("before/{cfg}")),
        sandbox.read(&format!("after/{cfg}"))
    );
    let sources = sources(&sandbox, "");
    let of = |path: &str| {
        sources
            .get(path)
            .map(|(file, inside)| (file.as_str(), *inside))
    };
    assert_eq!(of("/etc/exports"), Some(("templates/exports.j2", false)));
    assert_eq!(of("/etc/haproxy/haproxy.cfg"), Some((HAPROXY, true)));
    assert_eq!(
        of("/etc/haproxy/maintenance.state"),
        Some(("roles/haproxy/tasks/main.yml", true))
    );
    sandbox.compare("templates_render");

    let mut printed = Sandbox::new();
    let folder = sandbox.path().display().to_string();
    let shown = printed.hactl(&format!(
        "-C {folder} -i inventories/pg-nfs render --host lb"
    ));
    for head in [
        "==> lb:/etc/exports <== templates/exports.j2\n",
        "==> lb:/etc/haproxy/haproxy.cfg <== (embedded) templates/haproxy/haproxy.cfg.j2\n",
    ] {
        assert!(shown.contains(head), "{head}");
    }
}

#[test]
fn the_nearest_template_counts() {
    let sandbox = project();
    let config =
        "[defaults]\nvault_password_file = .vault-password\n[hactl]\nembedded_roles = haproxy\n";
    sandbox.file("ansible.cfg", config);
    sandbox.file("plays/own.yml", "- hosts: haproxy\n  roles: [haproxy]\n");
    let found = |sandbox: &Sandbox| {
        let sources = sources(sandbox, "plays/own.yml");
        sources["/etc/haproxy/haproxy.cfg"].clone()
    };
    // Where Ansible looks, from the last place to the first; what is inside the binary lies in the last one.
    assert_eq!(found(&sandbox), (HAPROXY.to_owned(), true));
    for place in [
        HAPROXY.to_owned(),
        format!("plays/{HAPROXY}"),
        "roles/haproxy/templates/haproxy/haproxy.cfg.j2".to_owned(),
    ] {
        sandbox.file(&place, "mine\n");
        assert_eq!(found(&sandbox), (place, false));
    }
}

#[test]
fn check_names_templates_of_the_users_own_and_those_that_nothing_reads() {
    let mut sandbox = project();
    sandbox.file(HAPROXY, "mine\n");
    sandbox.file("templates/exports.j2", "mine\n");
    sandbox.file("roles/haproxy/templates/haproxy.cfg.j2", "mine\n");
    sandbox.file("roles/nfs_server/templates/exports.j2", "mine\n");
    sandbox.file("roles/sshd/templates/sshd.conf.j2", "mine\n");
    sandbox.hactl("check -i inventories/pg-nfs");
    sandbox.hactl("render -i inventories/pg-nfs --host db1 -o out");
    sandbox.compare("templates_check");
}

#[test]
fn init_copies_the_templates_that_the_stack_uses() {
    let mut sandbox = Sandbox::new();
    sandbox.file("demo/templates/exports.j2", "mine\n");
    sandbox.hactl("init pg-nfs demo --with-templates");
    sandbox.list("demo/templates");
    assert_eq!(sandbox.read("demo/templates/exports.j2"), "mine\n");
    sandbox.hactl("init pg-nfs demo --with-templates");
    sandbox.compare("templates_init");

    // Copies render to what hactl's own render to.
    let contents = |sandbox: &Sandbox| {
        let mut apart = Sandbox::new();
        let folder = sandbox.path().join("demo");
        let shown = apart.hactl(&format!(
            "-C {} -i inventories/pg-nfs render --json",
            folder.display()
        ));
        let mut document: Value = serde_json::from_str(&shown).expect("JSON");
        let mut embedded = 0;
        for host in document["hosts"]
            .as_object_mut()
            .expect("hosts")
            .values_mut()
        {
            for (path, file) in host.as_object_mut().expect("files") {
                let source = file["source"].take();
                let template = source["file"]
                    .as_str()
                    .is_some_and(|file| file.starts_with("templates/"));
                embedded += u32::from(template && source["embedded"] == true);
                if path == "/etc/exports" {
                    file["content"].take();
                }
            }
        }
        (document, embedded)
    };
    let (copied, embedded) = contents(&sandbox);
    assert_eq!(embedded, 0, "all of them are the project's own");
    std::fs::remove_dir_all(sandbox.path().join("demo/templates")).expect("removed");
    let (own, embedded) = contents(&sandbox);
    assert!(embedded > 20, "{embedded}");
    assert_eq!(copied, own);
}
