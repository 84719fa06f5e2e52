//! Reads what commands on a host print. Pure; what does not look as expected is nothing, never a guess.

use std::collections::BTreeMap;

/// The blocks of `systemctl show`, by unit.
pub fn units(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    text.split("\n\n")
        .map(|block| {
            block
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect::<BTreeMap<_, _>>()
        })
        .filter_map(|unit| Some((unit.get("Id")?.clone(), unit)))
        .collect()
}

/// A file system as `df -P` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// How much of it is used.
    pub percent: u8,
}

/// The lines of `df -P` or `df -Pi`, each mount once. A file system that does not count inodes has no line.
pub fn disks(text: &str) -> Vec<Disk> {
    let mut disks: Vec<Disk> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(4);
            let percent = words.next()?.strip_suffix('%')?.parse().ok()?;
            Some(Disk {
                mount: words.next()?.to_owned(),
                percent,
            })
        })
        .collect();
    disks.dedup_by(|a, b| a.mount == b.mount);
    disks
}

/// The IPv4 and IPv6 addresses of `ip -o addr show`, without prefix, with their interface.
pub fn addresses(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let interface = words.next()?;
            matches!(words.next()?, "inet" | "inet6").then_some(())?;
            let address = words.next()?.split('/').next()?;
            Some((interface.to_owned(), address.to_owned()))
        })
        .collect()
}

/// The hardware addresses of `ip -o link show`, by interface.
pub fn links(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let interface = words.next()?.trim_end_matches(':').split('@').next()?;
            let mac = words.skip_while(|word| *word != "link/ether").nth(1)?;
            Some((interface.to_owned(), mac.to_owned()))
        })
        .collect()
}

/// The hardware address in `ip -o neigh show to ADDRESS`.
pub fn neighbour(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| !line.contains("FAILED") && !line.contains("INCOMPLETE"))
        .find_map(|line| {
            let mut words = line.split_whitespace();
            words.find(|word| *word == "lladdr")?;
            words.next().map(str::to_owned)
        })
}

/// A line of HAProxy's `show stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaproxyServer {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// `UP`, `DOWN`, `MAINT`, `no check`…
    pub status: String,
    /// What its last check said.
    pub check: String,
}

impl HaproxyServer {
    /// Whether requests go to it.
    pub fn is_up(&self) -> bool {
        // "UP 1/3" is on its way down and still takes requests.
        self.status == "UP" || self.status.starts_with("UP ")
    }

    /// Whether somebody took it out by hand.
    pub fn is_out(&self) -> bool {
        ["MAINT", "DRAIN"]
            .iter()
            .any(|word| self.status.starts_with(word))
    }
}

/// The servers in HAProxy's CSV, without front ends and totals. Nothing when it is not that CSV.
pub fn servers(text: &str) -> Option<Vec<HaproxyServer>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .find_map(|line| line.strip_prefix("# "))?
        .split(',')
        .collect();
    let at = |name: &str| header.iter().position(|column| *column == name);
    let (backend, name, status, kind) = (at("pxname")?, at("svname")?, at("status")?, at("type")?);
    let check = at("check_status")?;
    Some(
        lines
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|fields| fields.get(kind) == Some(&"2"))
            .filter_map(|fields| {
                let field = |at: usize| fields.get(at).map(|field| (*field).to_owned());
                Some(HaproxyServer {
                    backend: field(backend)?,
                    name: field(name)?,
                    status: field(status)?,
                    check: field(check)?,
                })
            })
            .collect(),
    )
}

/// A value of HAProxy's `show info`.
pub fn info<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_print_is_read() {
        let found =
            units("Id=a.service\nActiveState=active\nX=a=b\n\nId=b.service\nActiveState=failed\n");
        assert_eq!(found["a.service"]["X"], "a=b");
        assert_eq!(found["b.service"]["ActiveState"], "failed");

        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  overlay 100 81 19 81% /\noverlay 100 81 19 81% /\n/dev/sda1 9 0 9 0% /var/log\nnone 0 0 0 - /x\n";
        let disk = |mount: &str, percent| Disk {
            mount: mount.into(),
            percent,
        };
        assert_eq!(disks(df), [disk("/", 81), disk("/var/log", 0)]);

        let addr = "1: lo    inet 127.0.0.1/8 scope host lo\\ valid_lft forever\n\
                    2: eth0    inet 192.168.104.11/24 brd 192.168.104.255 scope global eth0\\\n\
                    2: eth0    inet6 fe80::1/64 scope link \\\n";
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            addresses(addr),
            [
                pair("lo", "127.0.0.1"),
                pair("eth0", "192.168.104.11"),
                pair("eth0", "fe80::1")
            ]
        );

        let link = "1: lo: <LOOPBACK> mtu 65536 state UNKNOWN \\    link/loopback 00:00:00:00:00:00 brd 00\n\
                    2: eth0@if7: <BROADCAST> mtu 1500 \\    link/ether 5a:8e:09:2d:01:02 brd ff:ff:ff:ff:ff:ff\n";
        assert_eq!(links(link), [pair("eth0", "5a:8e:09:2d:01:02")].into());

        for (text, mac) in [
            (
                "192.168.104.10 dev eth0 lladdr 5a:8e:09:2d:01:02 REACHABLE\n",
                Some("5a:8e:09:2d:01:02"),
            ),
            ("192.168.104.10 dev eth0 FAILED\n", None),
            ("192.168.104.10 dev eth0 INCOMPLETE\n", None),
            ("", None),
        ] {
            assert_eq!(neighbour(text).as_deref(), mac, "{text}");
        }
    }

    #[test]
    fn servers_are_found_by_the_names_of_columns() {
        let csv = "# pxname,svname,status,type,check_status,\n\
                   www,FRONTEND,OPEN,0,,\nweb,app1,UP,2,L7OK,\nweb,app2,DOWN 1/2,2,L4CON,\nweb,BACKEND,UP,1,,\n";
        let servers = servers(csv).expect("csv");
        let names: Vec<_> = servers
            .iter()
            .map(|s| (s.name.as_str(), s.is_up()))
            .collect();
        assert_eq!(names, [("app1", true), ("app2", false)]);
        assert_eq!(super::servers("<html>"), None);
        assert!(
            HaproxyServer {
                status: "UP 1/3".into(),
                ..servers[1].clone()
            }
            .is_up()
        );
        assert!(
            !HaproxyServer {
                status: "no check".into(),
                ..servers[1].clone()
            }
            .is_up()
        );
    }
}
