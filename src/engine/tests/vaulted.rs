//! Files of this side that are encrypted as a whole: opened wherever a task takes them, never cipher text on a host.

use crate::engine::testing::{Memory, Rig, Told, Wish};
use crate::vault::{Passwords, Secret, Source};
use std::process::Command;

const SITE: &str = r#"
- hosts: all
  gather_facts: false
  vars_files: [more.yml]
  tasks:
    - {include_vars: vars.yml}
    - {include_tasks: tasks.yml}
    - {template: {src: t.j2, dest: "{{ dir }}/template"}}
    - {copy: {content: "{{ lookup('file', 'k.pem') }} {{ lookup('template', 'part.j2') }}", dest: "{{ dir }}/lookups"}}
    - {copy: {src: k.pem, dest: "{{ dir }}/copied"}}
    - {copy: {src: k.pem, dest: "{{ dir }}/cipher", decrypt: false}}
    - {copy: {src: parts/, dest: "{{ dir }}/tree/"}}
    - {assemble: {src: parts, dest: "{{ dir }}/assembled", remote_src: false}}
    - {assemble: {src: parts, dest: "{{ dir }}/assembled-cipher", remote_src: false, decrypt: false}}
    - {script: "s.sh {{ dir }}/scripted"}
    - {file: {path: "{{ dir }}/unpacked", state: directory}}
    - {unarchive: {src: a.tar, dest: "{{ dir }}/unpacked"}}
    - {copy: {content: "{{ item }}", dest: "{{ dir }}/looped"}, with_file: k.pem}
"#;

fn archive() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    fs_err::write(dir.path().join("inside"), "of the archive").expect("written");
    let packed = Command::new("tar")
        .args(["-c", "inside"])
        .current_dir(dir.path())
        .output()
        .expect("tar");
    packed.stdout
}

fn project() -> Memory {
    let passwords = Passwords::new([Source::Text(Secret::new("p"), "the test")]);
    let mut files = Memory::default();
    files.0.insert("site.yml".into(), SITE.into());
    for (name, plain) in [
        ("vars.yml", b"number: 42\n".to_vec()),
        ("more.yml", b"more: of the play\n".to_vec()),
        (
            "tasks.yml",
            b"- {copy: {content: '{{ number }} {{ more }}', dest: '{{ dir }}/included'}}\n"
                .to_vec(),
        ),
        (
            "templates/t.j2",
            b"{{ 1 + 1 }} {% include 'part.j2' %}\n".to_vec(),
        ),
        ("templates/part.j2", b"part {{ number }}".to_vec()),
        ("files/k.pem", b"key material\n".to_vec()),
        ("files/parts/1", b"one\n".to_vec()),
        ("files/parts/2", b"two\n".to_vec()),
        ("files/s.sh", b"#!/bin/sh\necho ran >\"$1\"\n".to_vec()),
        ("files/a.tar", archive()),
    ] {
        let sealed = passwords.encrypt(&plain, None).expect("sealed");
        files.0.insert(name.into(), sealed.into_bytes());
    }
    files
}

#[test]
fn encrypted_files_reach_hosts_in_the_clear() {
    let rig = Rig::new();
    rig.reset();
    let wish = Wish {
        files: project(),
        hosts: vec!["here".to_owned()],
        password: Some("p"),
        ..Wish::default()
    };
    let told: Told = rig.run(&wish).expect("it loads");
    assert!(told.ending[0].is_empty(), "{told:#?}");
    for (name, content) in [
        ("template", "2 part 42\n"),
        ("lookups", "key material part 42"),
        ("copied", "key material\n"),
        ("tree/1", "one\n"),
        ("tree/2", "two\n"),
        ("assembled", "one\ntwo\n"),
        ("scripted", "ran\n"),
        ("unpacked/inside", "of the archive"),
        ("looped", "key material"),
        ("included", "42 of the play"),
    ] {
        let found = fs_err::read_to_string(rig.dir().join(name)).expect(name);
        assert_eq!(found, content, "{name}");
    }
    for name in ["cipher", "assembled-cipher"] {
        let found = fs_err::read_to_string(rig.dir().join(name)).expect(name);
        assert!(found.starts_with("$ANSIBLE_VAULT;"), "{name}: {found}");
    }
}

#[test]
fn without_a_password_nothing_runs_and_each_file_is_named() {
    let rig = Rig::new();
    rig.reset();
    let wish = Wish {
        files: project(),
        hosts: vec!["here".to_owned()],
        ..Wish::default()
    };
    let errors = rig.run(&wish).expect_err("nothing can be opened");
    for name in [
        "templates/t.j2",
        "files/k.pem",
        "files/s.sh",
        "files/a.tar",
        "more.yml",
    ] {
        let named = format!("`{name}` is encrypted: a vault password is needed");
        let found = errors.iter().find(|error| error.message.contains(&named));
        let error = found.unwrap_or_else(|| panic!("{name}: {errors:#?}"));
        assert!(error.at.is_some() && error.help.is_some(), "{error:?}");
    }
}
