//! A server in HAProxy: seen and changed through the runtime socket, and kept out across reloads and restarts.
//!
//! The configuration (roles/haproxy) reads [`FILE`] whenever HAProxy starts or reloads. It holds lines of `show servers
//! state`, and only those of servers that are in maintenance: so a deploy, a reload and a reboot all keep them out, and the
//! other servers begin afresh, as ever. Never writes haproxy.cfg.

use crate::modules::Request;

/// What HAProxy reads when it starts (`server-state-file`).
pub const FILE: &str = "/etc/haproxy/maintenance.state";

/// One line of commands from standard input to the admin socket, by whatever can talk to one.
const SOCKET: &str = r#"s=/run/haproxy/admin.sock
if command -v socat >/dev/null 2>&1; then exec socat -t 5 - "UNIX-CONNECT:$s"
elif command -v perl >/dev/null 2>&1; then
exec perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\n"; print $s scalar(<STDIN>); $s->flush; print while <$s>' "$s"
else echo 'neither socat nor perl is there to talk to HAProxy' >&2; exit 127; fi"#;

/// A command to HAProxy.
pub fn command(line: &str) -> Request {
    Request::sh(SOCKET).stdin(format!("{line}\n"))
}

/// A change of a server's state, which says nothing when it is done: what HAProxy says then is an error.
pub fn set(backend: &str, server: &str, state: &str) -> Request {
    Request::sh(format!(
        "said=$( {SOCKET}\n ) || exit 1; [ -z \"$said\" ] || {{ echo \"$said\" >&2; exit 1; }}"
    ))
    .stdin(format!("set server {backend}/{server} state {state}\n"))
}

/// Ends the sessions of a server.
pub fn shutdown(backend: &str, server: &str) -> Request {
    command(&format!("shutdown sessions server {backend}/{server}"))
}

/// Whether the configuration reads [`FILE`].
pub fn configured() -> Request {
    Request::sh(format!(
        "grep -q '^[[:space:]]*server-state-file[[:space:]]*{FILE}' /etc/haproxy/haproxy.cfg && \
         grep -q '^[[:space:]]*load-server-state-from-file[[:space:]]*global' /etc/haproxy/haproxy.cfg"
    ))
}

/// A server as one HAProxy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub server: String,
    /// `UP`, `UP 1/2`, `DOWN`, `MAINT`, `DRAIN`…
    pub status: String,
    /// Sessions on it and in its queue.
    pub sessions: u64,
}

impl Row {
    /// Whether new requests go to it.
    pub fn serves(&self) -> bool {
        self.status == "UP" || self.status.starts_with("UP ") || self.status == "no check"
    }

    /// Whether it is up without reservation.
    pub fn is_up(&self) -> bool {
        self.status == "UP" || self.status == "no check"
    }

    /// Whether it was taken out by the administrator.
    pub fn is_out(&self) -> bool {
        self.status.starts_with("MAINT") || self.status.starts_with("DRAIN")
    }
}

/// The servers in `show stat`. Nothing when it is not that.
pub fn rows(text: &str) -> Option<Vec<Row>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .find_map(|line| line.strip_prefix("# "))?
        .split(',')
        .collect();
    let at = |name: &str| header.iter().position(|column| *column == name);
    let (backend, server, status) = (at("pxname")?, at("svname")?, at("status")?);
    let (kind, current, queue) = (at("type")?, at("scur")?, at("qcur")?);
    Some(
        lines
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|fields| fields.get(kind) == Some(&"2"))
            .filter_map(|fields| {
                let text = |at: usize| fields.get(at).map(|field| (*field).to_owned());
                let number = |at: usize| fields.get(at).and_then(|f| f.parse().ok()).unwrap_or(0);
                Some(Row {
                    backend: text(backend)?,
                    server: text(server)?,
                    status: text(status)?,
                    sessions: number(current) + number(queue),
                })
            })
            .collect(),
    )
}

/// Backend and server of a line of `show servers state`, with its address and port.
fn named(line: &str) -> Option<(&str, &str)> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        [id, backend, _, server, _, ..] if id.parse::<u32>().is_ok() => Some((backend, server)),
        _ => None,
    }
}

/// Whether a server is kept out by the text of [`FILE`].
pub fn keeps(file: &str, backend: &str, server: &str) -> bool {
    file.lines()
        .any(|line| named(line) == Some((backend, server)))
}

/// Where a server listens, from `show servers state`.
pub fn address(state: &str, backend: &str, server: &str) -> Option<(String, u16)> {
    let line = state
        .lines()
        .find(|line| named(line) == Some((backend, server)))?;
    let words: Vec<&str> = line.split(' ').collect();
    let header: Vec<&str> = state
        .lines()
        .find_map(|line| line.strip_prefix("# "))?
        .split(' ')
        .collect();
    let at = |name: &str| {
        let index = header.iter().position(|column| *column == name)?;
        words.get(index).copied()
    };
    Some((at("srv_addr")?.to_owned(), at("srv_port")?.parse().ok()?))
}

/// The text of [`FILE`] with a server added (its line is taken from `show servers state`) or left out.
pub fn file(old: &str, state: &str, backend: &str, server: &str, out: bool) -> String {
    let header = state
        .lines()
        .chain(old.lines())
        .find(|line| line.starts_with("# "))
        .unwrap_or("# be_id be_name srv_id srv_name srv_addr");
    let mut lines = vec!["1", header];
    let others = |line: &&str| named(line).is_some_and(|name| name != (backend, server));
    lines.extend(old.lines().filter(others));
    if out {
        lines.extend(
            state
                .lines()
                .filter(|line| named(line) == Some((backend, server))),
        );
    }
    lines.join("\n") + "\n"
}

/// Reads [`FILE`].
pub fn read() -> Request {
    Request::sh(format!("cat {FILE} 2>/dev/null; :"))
}

/// Replaces [`FILE`].
pub fn write(text: String) -> Request {
    Request::sh(format!(
        "umask 022; cat >{FILE}.new && sync {FILE}.new && mv {FILE}.new {FILE}"
    ))
    .stdin(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n\
        3 web 1 app1 192.0.2.21 0 1 5000\n3 web 2 app2 192.0.2.22 2 0 5000\n\n";

    #[test]
    fn servers_and_their_sessions_are_found_by_the_names_of_columns() {
        let csv = "# pxname,svname,qcur,scur,status,type,\n\
            www,FRONTEND,,4,OPEN,0,\nweb,app1,1,3,DRAIN,2,\nweb,app2,0,0,UP 1/2,2,\nweb,app3,0,0,MAINT,2,\nweb,BACKEND,0,0,UP,1,\n";
        let rows = rows(csv).expect("CSV");
        let seen: Vec<_> = rows
            .iter()
            .map(|r| {
                (
                    r.server.as_str(),
                    r.sessions,
                    r.serves(),
                    r.is_up(),
                    r.is_out(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("app1", 4, false, false, true),
                ("app2", 0, true, false, false),
                ("app3", 0, false, false, true)
            ]
        );
        assert_eq!(super::rows("<html>"), None);
    }

    #[test]
    fn the_file_holds_the_servers_in_maintenance_and_no_others() {
        let one = file("1\n", STATE, "web", "app1", true);
        let header =
            "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port";
        assert_eq!(
            one,
            format!("1\n{header}\n3 web 1 app1 192.0.2.21 0 1 5000\n")
        );
        let two = file(&one, STATE, "web", "app2", true);
        assert!(keeps(&two, "web", "app1") && keeps(&two, "web", "app2"));
        // Again is the same; a server of that name in another backend is another one.
        assert_eq!(file(&two, STATE, "web", "app2", true), two);
        assert!(!keeps(&two, "other", "app1"));
        let rest = file(&two, "", "web", "app1", false);
        assert_eq!(
            rest,
            format!("1\n{header}\n3 web 2 app2 192.0.2.22 2 0 5000\n")
        );
        assert_eq!(
            file(&rest, "", "web", "app2", false),
            format!("1\n{header}\n")
        );
    }

    #[test]
    fn a_server_says_where_it_listens() {
        assert_eq!(
            address(STATE, "web", "app2"),
            Some(("192.0.2.22".to_owned(), 5000))
        );
        assert_eq!(address(STATE, "web", "app9"), None);
    }
}
