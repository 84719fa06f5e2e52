//! Two people at once, and one who is gone.

use crate::Case;
use crate::bench::{Bench, HOSTS, eventually};
use crate::command::Running;
use crate::reach::marked;
use crate::scratch::Scratch;

pub const CASES: &[Case] = &[
    Case {
        name: "operators_the_second_is_refused",
        run: the_second_is_refused,
    },
    Case {
        name: "operators_a_killed_run_holds_nothing",
        run: a_killed_run_holds_nothing,
    },
];

/// A play that takes a while, and one that would write a mark.
fn projects(bench: &Bench, seconds: u32) -> (Scratch<'_>, Scratch<'_>) {
    let (slow, quick) = (Scratch::new(bench, "slow"), Scratch::new(bench, "quick"));
    slow.file(
        "site.yml",
        &format!(
            "
- name: Slow
  hosts: lb1:db1
  gather_facts: false
  become: true
  tasks:
    - name: Begin
      ansible.builtin.command: touch /run/slow
    - name: Take a while
      ansible.builtin.command: sleep {seconds}
"
        ),
    );
    quick.file(
        "site.yml",
        "
- name: Mark
  hosts: all
  gather_facts: false
  become: true
  tasks:
    - name: Write the mark
      ansible.builtin.copy:
        content: done
        dest: /run/mark
        mode: \"0644\"
",
    );
    (slow, quick)
}

fn begun(bench: &Bench, slow: &Scratch) -> Running {
    let running = slow.start(&["deploy"]);
    for host in ["lb1", "db1"] {
        eventually("the slow run has begun", 20, || {
            bench.try_on(host, "test -e /run/slow && rm /run/slow").code == 0
        });
    }
    running
}

fn the_second_is_refused(bench: &Bench) {
    let (slow, quick) = projects(bench, 6);
    let first = begun(bench, &slow);
    let holder = format!("pid {}", first.id());
    let second = quick.hactl(&["deploy"]);
    second.ends(2);
    for host in ["lb1", "db1"] {
        second.block(
            &format!("error: {host}: another operator is at work on this host"),
            &[
                "held by ",
                "`hactl deploy`",
                &holder,
                "since ",
                "= help: wait until that run ends",
            ],
        );
    }
    second.says(&[
        "refused: nothing was changed anywhere, because of db1, lb1",
        "0 changed on 6 hosts",
    ]);
    assert!(marked(bench).is_empty(), "{}", second.told());
    // Looking is allowed, and the first one is not disturbed.
    quick
        .hactl(&["deploy", "--check"])
        .ends(0)
        .says(&["6 would change"]);
    first.wait().ends(0).says(&["4 changed on 2 hosts"]);
    quick.hactl(&["deploy"]).ends(0);
    assert_eq!(marked(bench), HOSTS);
}

fn a_killed_run_holds_nothing(bench: &Bench) {
    marked(bench);
    // What it had begun on the hosts is waited for: nobody comes between.
    let (slow, quick) = projects(bench, 5);
    begun(bench, &slow).kill_alone();
    let run = quick.hactl(&["deploy"]);
    run.ends(0).says(&[
        "lb1: a run that was killed has left something at work here; waiting for its end (",
        "`hactl deploy`, pid ",
        "6 changed on 6 hosts",
    ]);
    assert_eq!(marked(bench), HOSTS);
    bench.on("lb1", "! pgrep -x sleep");
    // Nobody has to wait for ever.
    let (slow, quick) = projects(bench, 300);
    begun(bench, &slow).kill_alone();
    let run = quick.hactl(&["deploy", "--break-lock"]);
    run.ends(0).says(&["6 changed on 6 hosts"]);
    assert!(run.seconds < 60.0, "it was waited for\n{}", run.told());
    assert_eq!(marked(bench), HOSTS);
    for host in ["lb1", "db1"] {
        bench.on(host, "pkill -x sleep; true");
    }
    // A run that hangs with its connections open: nothing of it is at work, its shells wait for their next batch.
    let (slow, quick) = projects(bench, 3);
    let hanging = begun(bench, &slow);
    hanging.freeze();
    for host in ["lb1", "db1"] {
        eventually("its last command ends", 20, || {
            bench.try_on(host, "! pgrep -x sleep").code == 0
        });
    }
    quick
        .hactl(&["deploy"])
        .ends(2)
        .says(&["another operator is at work on this host"]);
    let run = quick.hactl(&["deploy", "--break-lock"]);
    run.ends(0).says(&["6 changed on 6 hosts"]);
    assert_eq!(marked(bench), HOSTS);
    hanging.kill_alone();
    for host in ["lb1", "db1"] {
        eventually("no folder of the run is left", 10, || {
            bench
                .on(host, "ls -d /run/hactl.* 2>/dev/null; :")
                .is_empty()
        });
    }
}
