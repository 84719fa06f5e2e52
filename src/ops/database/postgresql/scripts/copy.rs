//! What a rejoin does with data directories: keep, rewind, copy anew. Nothing is deleted that was a cluster; what is broken off
//! is never taken for one.

use super::Server;
use crate::base::quote::sh;

impl Server {
    /// Keeps a copy of the data directory (or of its log and control file only) under another name.
    pub fn keep(&self, copy: &str, log_only: bool) -> String {
        let what = if log_only {
            "install -d -o postgres -g postgres -m 0700 \"$k.new\"; cp -a --reflink=auto \"$data/pg_wal\" \"$data/global/pg_control\" \"$data/PG_VERSION\" \"$k.new/\""
        } else {
            "cp -a --reflink=auto \"$data\" \"$k.new\""
        };
        format!(
            "{}k={}; [ ! -e \"$k\" ] || exit 0; rm -rf \"$k.new\"; {what}; sync -f \"$k.new\"; mv -T \"$k.new\" \"$k\"\n",
            self.prelude(),
            sh(copy)
        )
    }

    /// Rewinds this host to the primary. Broken off, it leaves a mark: the directory is unusable then.
    pub fn rewind(&self, primary: &Self) -> String {
        let source = format!(
            "host={} port={} user={} dbname=postgres passfile={}/.pgpass target_session_attrs=read-write",
            primary.address, primary.port, primary.replicator, self.home
        );
        format!(
            "{}: >\"$data.rewinding\"; sync \"$data.rewinding\"
runuser -u postgres -- \"$bin/pg_rewind\" --target-pgdata \"$data\" --config-file \"$conf/postgresql.conf\" --source-server {} >&2
rm -f \"$data.rewinding\"
",
            self.prelude(),
            sh(&source)
        )
    }

    /// Writes a little log on a primary. A rewind demands all that its source had begun to write, also what is not flushed
    /// yet: on an idle one the standby would wait for it in vain.
    pub fn write_on(&self) -> String {
        format!(
            "{}echo \"SELECT pg_logical_emit_message(true, 'hactl', 'rejoin')\" | ask >/dev/null\n",
            self.prelude()
        )
    }

    /// A new copy of the primary; the old directory is kept under another name. Made beside its place and moved there when
    /// complete: what was broken off is never taken for a cluster.
    pub fn reclone(&self, primary: &Self, kept: &str) -> String {
        format!(
            "{}n=\"$data.cloning\"; k={}
exec 8>/run/hactl-postgresql-{}.lock; flock -w 600 8
[ ! -e \"$k\" ] || [ -e \"$data\" ] || {{ [ ! -e \"$n.done\" ] || mv -T \"$n\" \"$data\"; }}
if [ ! -e \"$k\" ]; then
rm -rf \"$n\" \"$n.done\"
runuser -u postgres -- \"$bin/pg_basebackup\" -D \"$n\" -w -X stream -S {} --checkpoint=fast -d {} </dev/null
rm -f \"$n/postgresql.conf\" \"$n/pg_hba.conf\" \"$n/pg_ident.conf\"
install -o postgres -g postgres -m 0600 /dev/null \"$n/standby.signal\"
sync -f \"$n\"; : >\"$n.done\"; mv -T \"$data\" \"$k\"; mv -T \"$n\" \"$data\"
fi
rm -f \"$n.done\" \"$data.rewinding\"
",
            self.prelude(),
            sh(kept),
            sh(&self.cluster),
            sh(&self.slot),
            sh(&primary.conninfo(self))
        )
    }
}
