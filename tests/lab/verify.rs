//! What `verify` finds: many things broken for real at once, and exactly those are named; roles count as they are seen.

use crate::Case;
use crate::bench::{Bench, VIP, eventually};
use std::collections::BTreeSet;

pub const CASES: &[Case] = &[
    Case {
        name: "verify_finds_what_is_broken_and_nothing_else",
        run: finds_what_is_broken,
    },
    Case {
        name: "verify_finds_a_second_address_and_a_blind_check",
        run: second_address,
    },
    Case {
        name: "verify_expects_a_fenced_server_to_stay_down",
        run: fenced_server,
    },
];

/// Something to break: where, how, how to mend it, and what is then found.
struct Break {
    host: &'static str,
    breaks: &'static str,
    mends: &'static str,
    found: &'static [&'static str],
}

/// The hosts with the roles that the first deploy gives them: db1 the primary, lb1 with the address.
fn as_deployed(bench: &Bench) {
    bench.deployed();
    bench.hactl(&["deploy"]).ends(0);
    bench.whole();
    bench.on(
        "db1",
        "test ! -e /var/lib/postgresql/*/main/standby.signal || { echo 'db1 is not the primary any more'; exit 1; }",
    );
    // On a busy machine lb2 may have taken the address meanwhile; by the flag it gives it back in order.
    let has = format!("ip -o addr | grep -qF ' {VIP}/'");
    if bench.try_on("lb1", &has).code != 0 {
        bench.on("lb2", "echo 1 >/etc/keepalived/maintenance");
        eventually("lb1 has the address", 30, || {
            bench.try_on("lb1", &has).code == 0
        });
        bench.on("lb2", "echo 0 >/etc/keepalived/maintenance");
    }
    eventually("nothing is broken", 60, || found(bench).is_empty());
}

/// All that does not pass.
fn found(bench: &Bench) -> BTreeSet<String> {
    let run = bench.hactl(&["verify", "--json"]);
    let document = run.json();
    let checks = document["checks"].as_array().expect("checks");
    eprintln!("lab:   {} findings in {:.1} s", checks.len(), run.seconds);
    checks
        .iter()
        .filter(|check| check["status"] != "pass")
        // How full the machine's own disk is, and that no restore was tried on a new repository, is none of the hosts' faults.
        .filter(|check| {
            let observed = check["observed"].as_str().unwrap_or_default();
            check["id"] != "backup.tested"
                && (check["id"] != "common.disk-room" || !observed.starts_with("/ "))
        })
        .map(|check| {
            let word = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
            assert!(
                !word("expected").is_empty()
                    && !word("observed").is_empty()
                    && !word("remedy").is_empty(),
                "{check:#}"
            );
            format!("{} {} {}", word("status"), word("id"), word("place"))
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// Breaks all, looks, mends all, and only then compares.
fn all(bench: &Bench, breaks: &[Break]) {
    for one in breaks {
        bench.on(one.host, one.breaks);
    }
    let seen = found(bench);
    for one in breaks {
        if !one.mends.is_empty() {
            bench.on(one.host, one.mends);
        }
    }
    let expected: BTreeSet<String> = breaks
        .iter()
        .flat_map(|one| one.found)
        .map(|line| (*line).to_owned())
        .collect();
    let missed: Vec<_> = expected.difference(&seen).collect();
    let invented: Vec<_> = seen.difference(&expected).collect();
    assert!(
        missed.is_empty() && invented.is_empty(),
        "missed: {missed:#?}\ninvented: {invented:#?}"
    );
    // What a deploy is for, it repairs.
    bench.hactl(&["deploy"]).ends(0);
    eventually("everything is fixed", 60, || found(bench).is_empty());
}

const PSQL: &str = "runuser -u postgres -- psql -Xqc";

fn finds_what_is_broken(bench: &Bench) {
    as_deployed(bench);
    bench.on("db1", &format!("{PSQL} \"SET password_encryption = 'md5'; CREATE ROLE legacy LOGIN PASSWORD 'legacy'\" 2>&1"));
    all(
        bench,
        &[
            Break {
                host: "app1",
                breaks: "systemctl stop chrony",
                mends: "",
                found: &["fail common.running app1"],
            },
            Break {
                host: "app1",
                breaks: "chmod 0644 /etc/welcome_app/env",
                mends: "",
                found: &[
                    "fail welcome_app.settings-private app1",
                    "fail security.secret-files app1",
                ],
            },
            Break {
                host: "app1",
                breaks: "sed -i 's/,192.168.104.32//' /etc/welcome_app/env",
                mends: "",
                found: &["fail welcome_app.databases app1"],
            },
            Break {
                host: "app2",
                breaks: "systemctl disable welcome_app 2>&1",
                mends: "",
                found: &["fail welcome_app.running app2"],
            },
            Break {
                host: "app2",
                breaks: "echo '# changed' >>/opt/welcome_app/welcome_app/pages.py",
                mends: "",
                found: &["warn welcome_app.same-code app2"],
            },
            Break {
                host: "app2",
                breaks: "mount -t tmpfs -o size=64k tmpfs /srv && head -c 65536 /dev/zero >/srv/full",
                mends: "umount /srv",
                found: &["fail common.disk-full app2", "warn common.disk-room app2"],
            },
            Break {
                host: "app2",
                breaks: "printf 'MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef\\nPRIORITY=5\\nMESSAGE=x.service: A process of this unit has been killed by the OOM killer.\\n' | logger --journald && journalctl --sync",
                mends: "journalctl --sync --rotate && journalctl --vacuum-time=1s 2>&1",
                found: &["warn common.out-of-memory app2"],
            },
            Break {
                host: "lb2",
                breaks: "sed -i 's/^192.168.104.31 db1$/192.168.104.99 db1/' /etc/hosts",
                mends: "",
                found: &["fail common.names lb2"],
            },
            Break {
                host: "lb2",
                breaks: "systemd-run -q --unit=broken false; while systemctl -q is-active broken; do :; done; systemctl -q is-failed broken",
                mends: "systemctl reset-failed broken",
                found: &["fail common.failed-units lb2"],
            },
            Break {
                host: "lb2",
                breaks: "p=$(sed -n 's/.*stats auth [^:]*://p' /etc/haproxy/haproxy.cfg); systemd-run -q --unit=shows sh -c \"sleep 300; : $p\"",
                mends: "systemctl stop shows",
                found: &[
                    "fail security.process-arguments lb2",
                    // systemd keeps the unit where everybody can read it.
                    "fail security.secret-files lb2",
                ],
            },
            Break {
                host: "lb1",
                breaks: "chmod 0777 /etc/keepalived/scripts/check-haproxy",
                mends: "",
                found: &[
                    "fail keepalived.scripts-safe lb1",
                    // keepalived says so itself.
                    "fail keepalived.config lb1",
                ],
            },
            Break {
                host: "lb1",
                breaks: "touch /etc/haproxy/haproxy.cfg; chmod 0666 /run/haproxy/admin.sock",
                mends: "chmod 0660 /run/haproxy/admin.sock; systemctl reload haproxy",
                found: &[
                    "warn haproxy.file-loaded lb1",
                    "fail haproxy.socket-private lb1",
                ],
            },
            Break {
                host: "lb2",
                // Behind the firewall nobody would get to it.
                breaks: "systemctl stop hactl-firewall; perl -MIO::Socket::INET -e 'fork and exit; open STDOUT, q(>/dev/null); open STDERR, q(>/dev/null); $0 = q(lab-listens); my $s = IO::Socket::INET->new(LocalAddr => q(192.168.104.12), LocalPort => 8405, Listen => 9, ReuseAddr => 1) or die; open my $f, q(>), q(/run/lab-listens); print $f $$; close $f; sleep 300' && while [ ! -s /run/lab-listens ]; do :; done",
                mends: "kill \"$(cat /run/lab-listens)\"; rm /run/lab-listens; systemctl start hactl-firewall",
                found: &[
                    "fail boot.firewall lb2",
                    "warn ports.undeclared lb2",
                    "fail ports.closed lb2:8405 seen from lb1",
                    "fail ports.closed lb2:8405 seen from app1",
                    "fail ports.closed lb2:8405 seen from app2",
                    "fail ports.closed lb2:8405 seen from db1",
                    "fail ports.closed lb2:8405 seen from db2",
                ],
            },
            Break {
                host: "db1",
                // The role was made before: it arrives on the standby, too.
                breaks: ":",
                mends: "runuser -u postgres -- psql -Xqc 'DROP ROLE legacy'",
                found: &["fail postgresql.scram db1", "fail postgresql.scram db2"],
            },
            Break {
                host: "db1",
                breaks: "runuser -u postgres -- psql -Xqc 'ALTER SYSTEM SET max_connections = 120' -c 'SELECT pg_reload_conf()' >/dev/null",
                mends: "runuser -u postgres -- psql -Xqc 'ALTER SYSTEM RESET max_connections' -c 'SELECT pg_reload_conf()' >/dev/null",
                found: &[
                    "fail postgresql.in-force db1",
                    "warn postgresql.pending-restart db1",
                ],
            },
            Break {
                host: "db1",
                breaks: "cd /etc/ssl/certs && cp -p ssl-cert-snakeoil.pem /run/kept.pem && openssl req -x509 -newkey ed25519 -nodes -keyout /dev/null -subj /CN=db1 -days 9 -out ssl-cert-snakeoil.pem 2>/dev/null",
                mends: "cp -p /run/kept.pem /etc/ssl/certs/ssl-cert-snakeoil.pem && rm /run/kept.pem",
                found: &["warn postgresql.certificate db1"],
            },
            Break {
                host: "db2",
                breaks: "cd /etc/postgresql/*/main && sed -i '/welcome_app.*192.168.104.21/d' pg_hba.conf && echo 'host all postgres 192.168.104.0/24 scram-sha-256' >>pg_hba.conf && systemctl reload 'postgresql@*-main.service' && touch -d '+1 hour' pg_ident.conf",
                mends: "touch /etc/postgresql/*/main/pg_ident.conf",
                found: &[
                    "fail ports.open db2:5432 (welcome_app) seen from app1",
                    "fail security.superuser-login db2 seen from app1",
                    "fail security.superuser-login db2 seen from db1",
                    "warn postgresql.files-loaded db2",
                ],
            },
            Break {
                host: "db2",
                breaks: "apt-mark hold \"$(dpkg-query -W -f '${Package}\\n' 'postgresql-[0-9]*' | head -n 1)\" >/dev/null",
                mends: "apt-mark unhold $(apt-mark showhold) >/dev/null",
                found: &["warn common.held-packages db2"],
            },
            Break {
                host: "db2",
                breaks: "cd /var/lib/postgresql/*/main && mv standby.signal standby.kept",
                mends: "cd /var/lib/postgresql/*/main && mv standby.kept standby.signal",
                found: &["fail postgresql.standby-signal db2"],
            },
            Break {
                host: "db2",
                breaks: "echo '{\"id\":\"1\",\"kind\":\"switchover\",\"operator\":\"ann\",\"started\":\"2026-11-21T15:00:00Z\"}' >/var/lib/hactl/operation; mkdir /var/lib/hactl/blocked; echo '{\"operator\":\"ann\"}' >/var/lib/hactl/blocked/db9; cp /var/lib/hactl/operation /var/lib/hactl/maintenance",
                mends: "cd /var/lib/hactl && rm -r operation maintenance blocked",
                found: &[
                    "fail common.operation db2",
                    "warn common.blocked db9",
                    "warn common.maintenance db2",
                ],
            },
        ],
    );
}

fn second_address(bench: &Bench) {
    as_deployed(bench);
    all(
        bench,
        &[
            Break {
                host: "lb2",
                breaks: "ip address add 192.168.104.10/32 dev eth0",
                mends: "ip address del 192.168.104.10/32 dev eth0",
                found: &[
                    "fail keepalived.one-holder",
                    "fail keepalived.seen-at-holder 192.168.104.10 seen from app1",
                    "fail keepalived.seen-at-holder 192.168.104.10 seen from db1",
                    "warn keepalived.state lb2",
                ],
            },
            Break {
                host: "lb2",
                breaks: "printf '#!/bin/sh\\nexit 0\\n' >/etc/keepalived/scripts/check-haproxy; sed -i 's/auth_pass .*/auth_pass other123/' /etc/keepalived/keepalived.conf",
                mends: "",
                found: &[
                    "fail keepalived.check-notices lb2",
                    "fail keepalived.same-secret lb2",
                ],
            },
        ],
    );
}

fn fenced_server(bench: &Bench) {
    as_deployed(bench);
    let fence = "cd /etc/postgresql/*/main && systemctl stop 'postgresql@*-main.service' && echo disabled >start.conf && \
                 echo '{\"operator\":\"ann\",\"since\":\"2026-11-21T15:00:00Z\",\"reason\":\"failover\"}' >/var/lib/hactl/fenced";
    bench.on("db2", fence);
    let down = found(bench);
    let said = bench.hactl(&["verify", "--only", "common.fenced,postgresql.running"]);
    // And then somebody starts it.
    bench.on("db2", "cd /etc/postgresql/*/main && echo auto >start.conf && v=$(basename \"$(dirname \"$PWD\")\") && systemctl start \"postgresql@$v-main\"");
    eventually("the standby follows again", 120, || {
        bench
            .hactl(&[
                "verify",
                "--only",
                "postgresql.streaming,postgresql.slots,postgresql.lag",
            ])
            .code
            == 0
    });
    let up = found(bench);
    bench.on("db2", "rm /var/lib/hactl/fenced");
    let expected = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        down,
        expected(&[
            "warn common.fenced db2",
            "fail postgresql.running db2",
            // It is still there: who fenced by hand did not drop it.
            "fail postgresql.slots db1",
        ])
    );
    said.ends(6).says(&[
        "it is fenced (since 2026-11-21T15:00:00Z by ann: failover)",
        "hactl rejoin db2",
    ]);
    assert_eq!(
        up,
        expected(&["warn common.fenced db2", "fail postgresql.fence db2"])
    );
    bench.hactl(&["deploy"]).ends(0);
    bench.whole();
}
