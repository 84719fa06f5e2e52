//! Tasks that cannot be done: full disks, locks, mistakes in the project. The message names host, file and line.

use crate::Case;
use crate::bench::{Bench, HOSTS, eventually};
use crate::reach::marked;
use crate::scratch::Scratch;

pub const CASES: &[Case] = &[
    Case {
        name: "fault_disk_full",
        run: disk_full,
    },
    Case {
        name: "fault_own_state_on_a_full_disk",
        run: own_state_on_a_full_disk,
    },
    Case {
        name: "fault_apt_lock_is_waited_for",
        run: apt_lock_is_waited_for,
    },
    Case {
        name: "fault_apt_lock_is_held_too_long",
        run: apt_lock_is_held_too_long,
    },
    Case {
        name: "fault_undefined_variable",
        run: undefined_variable,
    },
    Case {
        name: "fault_mistakes_in_the_project",
        run: mistakes_in_the_project,
    },
];

fn disk_full(bench: &Bench) {
    let scratch = Scratch::new(bench, "disk_full");
    scratch.file("files/big", &"x".repeat(300_000)).file(
        "site.yml",
        "
- name: Big
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Make room
      ansible.builtin.file:
        path: /srv/full
        state: directory
        mode: \"0755\"
    - name: Copy what is too big
      ansible.builtin.copy:
        src: big
        dest: /srv/full/file
        mode: \"0644\"
",
    );
    bench.on(
        "app1",
        "mkdir -p /srv/full && mount -t tmpfs -o size=128k tmpfs /srv/full && echo as it was >/srv/full/file",
    );
    let run = scratch.hactl(&["deploy"]);
    let left = bench.on(
        "app1",
        "cat /srv/full/file; ls -A /srv/full; umount /srv/full",
    );
    run.ends(3).block(
        "✖ app1: Copy what is too big",
        &[
            "No space left",
            "--> site.yml:12:",
            "/srv/full/file",
            "error: a disk of the host is full",
            "= help: look with `df -h`",
        ],
    );
    assert_eq!(
        left,
        "as it was\nfile",
        "the target or something beside it\n{}",
        run.told()
    );
    for host in HOSTS.into_iter().filter(|host| *host != "app1") {
        assert_eq!(bench.on(host, "stat -c %s /srv/full/file"), "300000");
    }
    scratch
        .hactl(&["deploy"])
        .ends(0)
        .says(&["changed on 6 hosts"]);
    for host in HOSTS {
        bench.on(host, "rm -r /srv/full");
    }
}

fn own_state_on_a_full_disk(bench: &Bench) {
    let scratch = Scratch::new(bench, "state_full");
    scratch.file(
        "site.yml",
        "
- name: Notify
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Write the mark
      ansible.builtin.copy:
        content: done
        dest: /run/mark
        mode: \"0644\"
      notify: Say it
  handlers:
    - name: Say it
      ansible.builtin.command: /bin/true
      changed_when: false
",
    );
    // Another case that failed may have left its marks.
    marked(bench);
    bench.on(
        "db1",
        "mkdir -p -m 0700 /var/lib/hactl && mount -t tmpfs -o size=4k,mode=0700 tmpfs /var/lib/hactl && \
         head -c 4096 /dev/zero >/var/lib/hactl/filler",
    );
    let run = scratch.hactl(&["deploy"]);
    bench.on("db1", "umount /var/lib/hactl");
    run.ends(3).says(&[
        "error: db1: cannot take the lock in /var/lib/hactl",
        "No space left on device",
        "= help: is the disk full",
    ]);
    // A change whose handlers cannot be noted is not made.
    let others: Vec<&str> = HOSTS.into_iter().filter(|host| *host != "db1").collect();
    assert_eq!(marked(bench), others, "{}", run.told());
}

/// Holds dpkg's lock under another name for so many seconds.
const HOLD: &str = "perl -e 'use Fcntl; $0 = \"other-admin\"; open(my $f, \">>\", \"/var/lib/dpkg/lock-frontend\") or die; \
    my $l = pack(\"s s x4 q q i x4\", F_WRLCK, 0, 0, 0, 0); fcntl($f, F_SETLK, $l) or die \"locked\"; \
    open(my $m, \">\", \"/run/lock-held\"); close($m); sleep SECONDS; unlink(\"/run/lock-held\")'";

fn install(scratch: &Scratch, package: &str, more: &str) {
    scratch.file(
        "site.yml",
        &format!(
            "
- name: Packages
  hosts: app1:app2
  gather_facts: false
  become: true
  tasks:
    - name: Install one
      ansible.builtin.apt:
        name: {package}
        state: present
        install_recommends: false
{more}"
        ),
    );
}

fn apt_lock_is_waited_for(bench: &Bench) {
    let scratch = Scratch::new(bench, "apt_lock");
    install(&scratch, "zip", "");
    let holder = bench.start_on("app1", &HOLD.replace("SECONDS", "6"));
    eventually("the lock is held", 10, || {
        bench.try_on("app1", "test -e /run/lock-held").code == 0
    });
    let run = scratch.hactl(&["deploy"]);
    holder.wait().ends(0);
    run.ends(0)
        .block(
            "~ app1: Install one  changed",
            &["waited for apt's lock", "(other-admin)"],
        )
        .says(&["2 changed on 2 hosts"]);
    assert!(
        !run.stderr
            .lines()
            .any(|line| line.contains("app2") && line.contains("waited")),
        "{}",
        run.told()
    );
    for host in ["app1", "app2"] {
        bench.on(host, "dpkg-query -W zip");
    }
}

fn apt_lock_is_held_too_long(bench: &Bench) {
    let scratch = Scratch::new(bench, "apt_lock_too_long");
    install(&scratch, "bzip2", "        lock_timeout: 1\n");
    let holder = bench.start_on("app1", &HOLD.replace("SECONDS", "8"));
    eventually("the lock is held", 10, || {
        bench.try_on("app1", "test -e /run/lock-held").code == 0
    });
    let run = scratch.hactl(&["deploy"]);
    holder.wait().ends(0);
    run.ends(3).block(
        "✖ app1: Install one  failed",
        &[
            "another process holds apt's lock: ",
            "(other-admin)",
            "--> site.yml:7:",
            "= help: wait until it has ended",
            "`lock_timeout`",
        ],
    );
    // The other host has it.
    bench.on("app2", "dpkg-query -W bzip2");
    scratch
        .hactl(&["deploy"])
        .ends(0)
        .says(&["1 changed on 2 hosts"]);
}

fn undefined_variable(bench: &Bench) {
    let scratch = Scratch::new(bench, "undefined");
    scratch
        .file(
            "templates/mark.j2",
            "first\nsecond\n{% if inventory_hostname == 'db2' %}{{ adress_of_nobody }}{% endif %}\n",
        )
        .file(
            "site.yml",
            "
- name: Templates
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Write the mark
      ansible.builtin.template:
        src: mark.j2
        dest: /run/mark
        mode: \"0644\"
    - name: Go on
      ansible.builtin.command: touch /run/went-on
",
        );
    let run = scratch.hactl(&["deploy"]);
    run.ends(3).block(
        "✖ db2: Write the mark  failed",
        &[
            "`adress_of_nobody` is not defined",
            "--> templates/mark.j2:3:40",
            "in the task at site.yml:7:",
        ],
    );
    let others: Vec<&str> = HOSTS.into_iter().filter(|host| *host != "db2").collect();
    assert_eq!(marked(bench), others, "{}", run.told());
    for host in others {
        bench.on(host, "rm /run/went-on");
    }
    bench.on("db2", "test ! -e /run/went-on");
}

fn mistakes_in_the_project(bench: &Bench) {
    marked(bench);
    let tasks = |task: &str| {
        format!(
            "
- name: Marks
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Write the mark
      ansible.builtin.copy:
        content: done
        dest: /run/mark
        mode: \"0644\"
{task}"
        )
    };
    let cases: [(&str, String, &[&str]); 4] = [
        (
            "a typo in YAML",
            tasks("    - name: Broken\n      ansible.builtin.copy: {content: x, dest: /run/mark\n"),
            &["error: ", "--> site.yml:1"],
        ),
        (
            "a parameter that is misspelt",
            tasks(
                "    - name: Broken\n      ansible.builtin.copy:\n        content: x\n        destt: /run/mark\n",
            ),
            &["`destt`", "--> site.yml:15:9", "`dest`"],
        ),
        (
            "a module that is misspelt",
            tasks("    - name: Broken\n      ansible.builtin.coppy:\n        content: x\n"),
            &["coppy", "--> site.yml:13:7", "copy"],
        ),
        (
            "both at once",
            tasks(
                "    - name: One\n      ansible.builtin.coppy:\n        content: x\n    - name: Two\n      ansible.builtin.file:\n        pth: /x\n",
            ),
            &["coppy", "--> site.yml:13:7", "`pth`", "--> site.yml:17:9"],
        ),
    ];
    for (what, text, expected) in cases {
        let scratch = Scratch::new(bench, "mistakes");
        scratch.file("site.yml", &text);
        let run = scratch.hactl(&["deploy"]);
        eprintln!("lab:   {what}");
        run.ends(1).says(expected);
    }
    // Found before anybody was asked anything.
    assert!(marked(bench).is_empty());
}
