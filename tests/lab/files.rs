//! What is written into files: secrets that no other user reads, at no moment; values that arrive as they were given; what
//! would break its reader is refused and the old file stays; and no name that another user can take first.

use crate::Case;
use crate::bench::{Bench, HOSTS, eventually};
use crate::scratch::Scratch;
use serde_json::json;

pub const CASES: &[Case] = &[
    Case {
        name: "files_are_closed_while_they_are_written",
        run: closed_while_written,
    },
    Case {
        name: "files_keep_any_value",
        run: any_value,
    },
    Case {
        name: "files_with_a_bad_setting_are_refused",
        run: bad_setting,
    },
    Case {
        name: "files_of_others_stop_nothing",
        run: names_taken_first,
    },
    Case {
        name: "files_of_backup_keys_are_renewed",
        run: keys_are_renewed,
    },
];

/// Forty files with a secret, new ones and such that were open to all.
const PLAY: &str = r#"
- name: Write
  hosts: app1
  gather_facts: false
  become: true
  tasks:
    - name: Write a secret
      ansible.builtin.copy:
        content: "hidden-{{ item }}"
        dest: "/run/watched/{{ item }}"
        mode: "0600"
        owner: "{{ 'root' if item is divisibleby 2 else 'daemon' }}"
      loop: "{{ range(40) | list }}"
      no_log: true
    - name: Add a secret
      ansible.builtin.lineinfile:
        line: hidden-line
        path: "/run/watched/line-{{ item }}"
        create: true
        mode: "0600"
      loop: "{{ range(10) | list }}"
      no_log: true
"#;

/// Reads whatever it can of a folder, as fast as it can, until it is told to end.
const WATCHER: &str = r#"exec setpriv --reuid nobody --regid nogroup --clear-groups perl -e '
my ($rounds, %read) = (0);
until (-e "/run/watched/end") {
    $rounds++;
    opendir(my $all, "/run/watched") or die;
    for my $name (readdir $all) {
        open(my $file, "<", "/run/watched/$name") or next;
        my $text = <$file>;
        $read{$name} = 1 if defined $text && $text =~ /hidden|canary/;
    }
}
print "$rounds rounds: ", join(" ", sort keys %read), "\n";'"#;

fn closed_while_written(bench: &Bench) {
    bench.on(
        "app1",
        "rm -rf /run/watched; mkdir -m 0755 /run/watched; echo canary >/run/watched/canary; \
         for n in 1 2 3 4 5; do echo old >/run/watched/$n; done",
    );
    let scratch = Scratch::new(bench, "closed_while_written");
    scratch.file("site.yml", PLAY);
    let watcher = bench.start_on("app1", WATCHER);
    let run = scratch.hactl(&["deploy"]);
    bench.on("app1", "touch /run/watched/end");
    let watched = watcher.wait();
    bench.on("app1", "rm -rf /run/watched");
    run.ends(0);
    watched.ends(0);
    assert!(
        watched.stdout.ends_with(" rounds: canary\n"),
        "another user read: {}",
        watched.stdout
    );
}

/// Blanks, a comment sign, both quotes, a backslash, what parts fields, what shells and formats expand.
const NASTY: &str = r#" a b#c"d'e\f:g%h$i`j "#;

fn any_value(bench: &Bench) {
    bench.deployed();
    let scratch = Scratch::new(bench, "any_value");
    let vars = json!({
        "vault_haproxy_stats_password": NASTY,
        "vault_welcome_app_db_password": NASTY,
        "vault_postgresql_replicator_password": NASTY,
        "postgresql_settings": {"log_line_prefix": format!("%m it's {NASTY}"), "hactl_test.word": NASTY},
    });
    scratch.file("vars.json", &vars.to_string());
    let given = format!("@{}", scratch.dir().join("vars.json").display());
    bench
        .hactl(&["deploy", "-e", &given])
        .ends(0)
        .hides(&[NASTY]);
    let again = bench.hactl(&["deploy", "-e", &given, "--json"]);
    let verified = bench.hactl(&["verify", "--wait", "200", "-e", &given]);
    let shown = bench.on(
        "db1",
        "cd /; runuser -u postgres -- psql -XAtqw -c 'SHOW hactl_test.word'; grep -c . /var/lib/postgresql/.pgpass",
    );
    let parsed = bench.on(
        "lb1",
        "haproxy -c -f /etc/haproxy/haproxy.cfg >/dev/null 2>&1 && keepalived -t && echo fine",
    );
    bench.hactl(&["deploy"]).ends(0);
    bench.whole();
    again.ends(0);
    let report = again.json();
    for host in HOSTS {
        let changed = &report["hosts"][host]["counts"]["changed"];
        assert!(changed.is_null() || changed == 0, "{host}: {changed}");
    }
    // It logs in to the statistics, to the database through the application, and for replication.
    verified.ends(0);
    assert!(shown.starts_with(NASTY.trim_start()), "{shown}");
    assert_eq!(parsed, "fine");
    let cut = bench.hactl(&[
        "deploy",
        "--tags",
        "keepalived",
        "-e",
        r#"{"vault_keepalived_auth_pass": "a b#c'd\""}"#,
    ]);
    cut.ends(3).says(&["exactly 8 characters"]);
}

fn bad_setting(bench: &Bench) {
    bench.deployed();
    let file = "sha256sum /etc/postgresql/15/main/conf.d/50-cluster.conf";
    let before = bench.on("db2", file);
    for (settings, says) in [
        (
            json!({"wrk_mem": "8MB"}),
            "unrecognized configuration parameter \"wrk_mem\"",
        ),
        (
            json!({"work_mem": "lots"}),
            "invalid value for parameter \"work_mem\": \"lots\"",
        ),
        (
            json!({"shared_preload_libraries": "pg_stat_statemnts"}),
            "shared_preload_libraries names pg_stat_statemnts",
        ),
        (
            json!({"work_mem = '1MB'\nfsync": "off"}),
            "postgresql_settings are letters",
        ),
    ] {
        let vars = json!({"postgresql_settings": settings}).to_string();
        let run = bench.hactl(&["deploy", "--tags", "postgresql", "-e", &vars]);
        run.ends(3).says(&["db2", says]);
        assert_eq!(bench.on("db2", file), before, "{settings}");
    }
    bench.hactl(&["deploy"]).ends(0);
    bench.whole();
}

fn names_taken_first(bench: &Bench) {
    bench.deployed();
    let taken = "setpriv --reuid nobody --regid nogroup --clear-groups sh -c \
                 'umask 077; mkdir -p /tmp/pgbackrest; touch /run/lock/postgresql-main.lock'; \
                 ls -ld /tmp/pgbackrest | cut -d' ' -f3";
    bench.on("app2", "rm -rf /tmp/pgbackrest");
    bench.on("app2", taken);
    for host in ["db1", "db2"] {
        bench.on(host, "rm -rf /tmp/pgbackrest");
        assert_eq!(bench.on(host, taken), "nobody");
    }
    let count =
        "cd /; runuser -u postgres -- psql -XAtqwc 'SELECT archived_count FROM pg_stat_archiver'";
    let primary = if bench.on(
        "db1",
        "cd /; runuser -u postgres -- psql -XAtqwc 'SELECT pg_is_in_recovery()'",
    ) == "f"
    {
        "db1"
    } else {
        "db2"
    };
    let before = bench.on(primary, count);
    bench.on(
        primary,
        "cd /; runuser -u postgres -- psql -XAtqwc 'SELECT pg_switch_wal()'",
    );
    eventually("the log is archived", 90, || {
        bench.on(primary, count) != before
    });
    bench.hactl(&["backup", "now"]).ends(0);
    let standby = if primary == "db1" { "db2" } else { "db1" };
    // A clone as on a new host.
    bench.on(
        standby,
        "systemctl stop postgresql@15-main; rm -rf /var/lib/postgresql/15/main",
    );
    bench.hactl(&["deploy"]).ends(0);
    for host in ["app2", "db1", "db2"] {
        bench.on(
            host,
            "rm -rf /tmp/pgbackrest /run/lock/postgresql-main.lock",
        );
    }
    bench.whole();
}

fn keys_are_renewed(bench: &Bench) {
    bench.deployed();
    let serial = "openssl x509 -in /etc/pgbackrest/tls/host.crt -noout -serial";
    let hosts = ["app2", "db1", "db2"];
    // One that ends soon is named.
    bench.on(
        "db2",
        "cd /etc/pgbackrest/tls && cp -p host.crt kept.crt && openssl x509 -in kept.crt -signkey host.key -days 5 -out host.crt",
    );
    bench.hactl(&["status"]).says(&[
        "the backup certificate of db2 ends soon",
        "hactl deploy renews it",
    ]);
    bench.on("db2", "cd /etc/pgbackrest/tls && mv kept.crt host.crt");
    let before: Vec<String> = hosts.iter().map(|host| bench.on(host, serial)).collect();
    bench
        .hactl(&[
            "deploy",
            "-e",
            "postgresql_backup_certificate_renew_days=9999",
        ])
        .ends(0);
    for (host, before) in hosts.iter().zip(before) {
        assert_ne!(bench.on(host, serial), before, "{host}");
        assert_eq!(
            bench.on(host, "ls /etc/pgbackrest/tls"),
            "host.crt\nhost.key\ntrusted.crt"
        );
        assert_eq!(
            bench.on(host, "stat -c '%U %a' /etc/pgbackrest/tls/host.key"),
            "postgres 600"
        );
    }
    bench.hactl(&["backup", "now"]).ends(0);
    bench.whole();
    // The old ones are trusted no longer.
    bench.hactl(&["deploy"]).ends(0);
    assert_eq!(
        bench.on("db1", "grep -c BEGIN /etc/pgbackrest/tls/trusted.crt"),
        "3"
    );
    bench.whole();
}
