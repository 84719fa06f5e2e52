//! Drills that break a database or its host.

use super::{
    CRASH as KILL, Drill, DrillStep, FAILOVER, LOSSY, REASON, REJOIN, START, STOP, What, Who,
    failover, refused,
};
use crate::ops::drill::plan::{Limits, Loss};

/// After a failure that nobody planned.
const UNPLANNED: Limits = Limits {
    write_gap: 12.0,
    read_gap: 8.0,
    loss: Loss::NotYetCopied,
    changes: 1,
    two: false,
};

pub const CRASH: Drill = Drill {
    id: "D2",
    name: "crash",
    what: "The primary's server is killed (SIGKILL); failover, and it comes back as a replica",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        KILL,
        FAILOVER,
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
    ],
    heal: &[REJOIN],
    limits: UNPLANNED,
};

pub const STOPPED: Drill = Drill {
    id: "D3",
    name: "stopped",
    what: "The primary's server is stopped in order: a failover then needs no consent to lose anything",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        STOP,
        failover(&["failover", "--promote=replica", "--again", REASON]),
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
    ],
    heal: &[REJOIN],
    limits: Limits {
        loss: Loss::Nothing,
        ..UNPLANNED
    },
};

pub const POWER_LOSS: Drill = Drill {
    id: "D4",
    name: "power-loss",
    what: "The primary's host loses its power; failover; the host comes back with its old data, and rejoins",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        DrillStep::Power(Who::Primary, false),
        FAILOVER,
        DrillStep::Writes,
        // Back with data that says that it is the primary: no client may be served by it.
        DrillStep::Power(Who::Primary, true),
        DrillStep::Writes,
    ],
    heal: &[DrillStep::Power(Who::Primary, true), REJOIN],
    limits: Limits {
        write_gap: 15.0,
        ..UNPLANNED
    },
};

pub const FROZEN: Drill = Drill {
    id: "D6",
    name: "frozen",
    what: "The primary's server is frozen, not dead: a failover is refused until it is told to kill it",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        DrillStep::Script {
            on: Who::Primary,
            what: What::Break,
            text: "freeze the database of {primary} (SIGSTOP)",
            script: "systemctl kill --signal=STOP \"$unit\"",
        },
        refused(LOSSY, &["--kill-frozen"]),
        failover(&[
            "failover",
            "--promote=replica",
            "--again",
            "--allow-data-loss",
            "--kill-frozen",
            REASON,
        ]),
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
    ],
    heal: &[
        DrillStep::Script {
            on: Who::Primary,
            what: What::Mend,
            text: "see that nothing is frozen on {primary}",
            script: "systemctl kill --signal=CONT \"$unit\" 2>/dev/null || true",
        },
        REJOIN,
    ],
    limits: Limits {
        write_gap: 25.0,
        read_gap: 15.0,
        ..UNPLANNED
    },
};

/// The server may write nothing more, as on a full disk: every write fails, and it gives up, tries to recover, and gives up for
/// good. A limit of its processes that ends with them: no data is moved, and whatever becomes of the drill, a server that is
/// started anew has the whole disk. Its own user lowers it, which needs no right that a container lacks.
const FILL: &str = r#"set -eu
read -r pid <"$data/postmaster.pid"
limit() { setpriv --reuid=postgres --regid=postgres --init-groups prlimit --pid "$1" --fsize=0: 2>/dev/null; }
limit "$pid"
for p in $(pgrep -P "$pid"); do limit "$p" || true; done
i=0
while [ "$i" -lt 40 ] && timeout 3 runuser -u postgres -- psql -XAtqw -p "$port" -d postgres -c "SELECT pg_switch_wal() IS NULL FROM (SELECT pg_logical_emit_message(true, 'drill', 'x')) AS m" >/dev/null 2>&1; do i=$((i + 1)); done
i=0
while kill -0 "$pid" 2>/dev/null; do i=$((i + 1)); [ "$i" -lt 400 ] || { echo 'it still runs' >&2; exit 1; }; sleep 0.05; done"#;

/// One that still runs may write again.
const ROOM: &str = r#"set -eu
read -r pid <"$data/postmaster.pid" 2>/dev/null || exit 0
case $(readlink "/proc/$pid/exe") in */postgres) ;; *) exit 0 ;; esac
for p in "$pid" $(pgrep -P "$pid"); do setpriv --reuid=postgres --regid=postgres --init-groups prlimit --pid "$p" --fsize=unlimited: 2>/dev/null || true; done"#;

pub const DISK_FULL: Drill = Drill {
    id: "D7",
    name: "disk-full",
    what: "The primary's server can write nothing more, as on a full disk, and gives up; failover, and it comes back",
    needs: None,
    breaks: &[Who::Primary],
    prepare: &[],
    steps: &[
        DrillStep::Script {
            on: Who::Primary,
            what: What::Break,
            text: "deny {primary}'s server every write, as a full disk does",
            script: FILL,
        },
        FAILOVER,
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Standby),
    ],
    heal: &[
        DrillStep::Script {
            on: Who::Primary,
            what: What::Mend,
            text: "let the server of {primary} write again, if it still runs",
            script: ROOM,
        },
        REJOIN,
        // It filled whole files of the log, and was lost before it could archive them.
        DrillStep::Backup,
    ],
    limits: Limits {
        write_gap: 25.0,
        ..UNPLANNED
    },
};

pub const PAUSED_REPLAY: Drill = Drill {
    id: "D8",
    name: "paused-replay",
    what: "The replica does not replay when the primary is lost: a failover to it is refused",
    needs: None,
    breaks: &[Who::Primary, Who::Standby],
    prepare: &[],
    steps: &[
        DrillStep::Script {
            on: Who::Standby,
            what: What::Break,
            text: "pause the replay of {standby}",
            script: PAUSE,
        },
        STOP,
        refused(LOSSY, &["refused (replay)"]),
        START,
        DrillStep::Writes,
        DrillStep::PrimaryIs(Who::Primary),
    ],
    heal: &[
        START,
        DrillStep::Script {
            on: Who::Standby,
            what: What::Mend,
            text: "let {standby} replay again",
            script: "systemctl is-active -q \"$unit\" || exit 0; runuser -u postgres -- psql -XAtqw -p \"$port\" -d postgres -c 'SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()'",
        },
    ],
    limits: Limits {
        write_gap: 15.0,
        loss: Loss::Nothing,
        changes: 0,
        ..UNPLANNED
    },
};

const PAUSE: &str =
    "runuser -u postgres -- psql -XAtqw -p \"$port\" -d postgres -c 'SELECT pg_wal_replay_pause()'";
