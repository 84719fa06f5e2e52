//! Facts about the operating system, its user, its time and its virtual surroundings.

use super::Sections;
use crate::base::value::{Map, Value};
use serde_json::json;

pub(super) fn add(seen: &Sections, facts: &mut Map<String, Value>) {
    distribution(seen, facts);
    names(seen, facts);
    date(seen, facts);
    virtualization(seen, facts);
    user(seen, facts);
    local(seen, facts);
    let mut put = |name: &str, value: Value| drop(facts.insert(name.to_owned(), value));
    put("system", json!("Linux"));
    put("kernel", json!(seen.line("/proc/sys/kernel/osrelease")));
    put(
        "kernel_version",
        json!(seen.line("/proc/sys/kernel/version")),
    );
    let machine = seen.section("machine");
    let architecture = machine.first().copied().unwrap_or_default();
    let bits = machine.get(1).copied().unwrap_or("64");
    put("machine", json!(architecture));
    put(
        "architecture",
        json!(if architecture == "i686" {
            "i386"
        } else {
            architecture
        }),
    );
    put("userspace_bits", json!(bits));
    let userspace = match (architecture, bits) {
        ("x86_64" | "i686" | "i586", "32") => "i386",
        (other, _) => other,
    };
    put("userspace_architecture", json!(userspace));
    put("machine_id", json!(seen.line("/etc/machine-id")));
    put(
        "pkg_mgr",
        json!(if seen.has("state", "apt") {
            "apt"
        } else {
            "unknown"
        }),
    );
    let first = seen.line("/proc/1/comm");
    put(
        "service_mgr",
        json!(if seen.has("state", "systemd") {
            "systemd"
        } else {
            first
        }),
    );
    put(
        "apparmor",
        json!({"status": if seen.has("state", "apparmor") { "enabled" } else { "disabled" }}),
    );
    put(
        "selinux",
        json!({"status": if seen.has("state", "selinux") { "enabled" } else { "disabled" }}),
    );
    put("is_chroot", json!(seen.has("state", "chroot")));
    put(
        "fips",
        json!(seen.line("/proc/sys/crypto/fips_enabled") == "1"),
    );
    let environment = seen
        .section("env")
        .iter()
        .filter_map(|line| line.split_once('='));
    put(
        "env",
        environment
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect(),
    );
    let cmdline: Map<_, _> = seen
        .line("/proc/cmdline")
        .split_whitespace()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::from(value)),
            None => (word.to_owned(), Value::from(true)),
        })
        .collect();
    put("cmdline", Value::Object(cmdline));
    for (path, lines) in &seen.files {
        let Some(kind) = path
            .strip_prefix("/etc/ssh/ssh_host_")
            .and_then(|rest| rest.strip_suffix("_key.pub"))
        else {
            continue;
        };
        let mut words = lines.first().map_or("", |line| line).split_whitespace();
        if let (Some(keytype), Some(key)) = (words.next(), words.next()) {
            facts.insert(format!("ssh_host_key_{kind}_public"), json!(key));
            facts.insert(
                format!("ssh_host_key_{kind}_public_keytype"),
                json!(keytype),
            );
        }
    }
}

fn distribution(seen: &Sections, facts: &mut Map<String, Value>) {
    let release = seen.assignments("/etc/os-release");
    let get = |key: &str| release.get(key).cloned().unwrap_or_default();
    let (id, like) = (get("ID"), get("ID_LIKE"));
    let name = match id.as_str() {
        "debian" => "Debian".to_owned(),
        "ubuntu" => "Ubuntu".to_owned(),
        "linuxmint" => "Linux Mint".to_owned(),
        _ => get("NAME"),
    };
    let family = if id == "debian"
        || like
            .split(' ')
            .any(|like| matches!(like, "debian" | "ubuntu"))
    {
        "Debian".to_owned()
    } else {
        name.clone()
    };
    let mut version = get("VERSION_ID");
    let precise = seen.line("/etc/debian_version");
    if id == "debian" && precise.starts_with(|c: char| c.is_ascii_digit()) {
        precise.clone_into(&mut version);
    }
    let mut codename = get("VERSION_CODENAME");
    if codename.is_empty() {
        codename = get("UBUNTU_CODENAME");
    }
    let (major, minor) = version.split_once('.').unwrap_or((&version, ""));
    let mut put = |name: &str, value: Value| drop(facts.insert(name.to_owned(), value));
    put("distribution", json!(name));
    put(
        "distribution_version",
        json!(if version.is_empty() { "NA" } else { &version }),
    );
    put(
        "distribution_major_version",
        json!(if major.is_empty() { "NA" } else { major }),
    );
    if !minor.is_empty() {
        put("distribution_minor_version", json!(minor));
    }
    put(
        "distribution_release",
        json!(if codename.is_empty() { "NA" } else { &codename }),
    );
    put("distribution_file_parsed", json!(true));
    put("distribution_file_path", json!("/etc/os-release"));
    put("distribution_file_variety", json!(family));
    put("os_family", json!(family));
    let lsb = seen.assignments("/etc/lsb-release");
    let or = |key: &str, other: &str| lsb.get(key).cloned().unwrap_or_else(|| other.to_owned());
    let number = or("DISTRIB_RELEASE", &get("VERSION_ID"));
    put(
        "lsb",
        json!({
            "id": or("DISTRIB_ID", &name), "release": number, "codename": or("DISTRIB_CODENAME", &codename),
            "description": or("DISTRIB_DESCRIPTION", &get("PRETTY_NAME")),
            "major_release": number.split('.').next().unwrap_or_default(),
        }),
    );
}

fn names(seen: &Sections, facts: &mut Map<String, Value>) {
    let node = seen.line("/proc/sys/kernel/hostname");
    let mut fqdn = node.to_owned();
    for line in seen.file("/etc/hosts") {
        let names: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .collect();
        if names.contains(&node) {
            let long = names
                .iter()
                .find(|name| name.contains('.'))
                .or_else(|| names.first());
            fqdn = long.map_or_else(|| node.to_owned(), |name| (*name).to_owned());
            break;
        }
    }
    if let Some(name) = seen
        .section("fqdn")
        .first()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
    {
        name.clone_into(&mut fqdn);
    }
    let domain = fqdn
        .split_once('.')
        .map_or("", |(_, domain)| domain)
        .to_owned();
    facts.insert("nodename".into(), json!(node));
    facts.insert(
        "hostname".into(),
        json!(node.split('.').next().unwrap_or_default()),
    );
    facts.insert("fqdn".into(), json!(fqdn));
    facts.insert("domain".into(), json!(domain));
}

fn date(seen: &Sections, facts: &mut Map<String, Value>) {
    let words: Vec<&str> = seen
        .section("date")
        .first()
        .map_or("", |line| line)
        .split(' ')
        .collect();
    let [
        year,
        month,
        day,
        hour,
        minute,
        second,
        epoch,
        nanos,
        zone,
        offset,
        weekday,
        number,
        week,
    ] = words[..]
    else {
        return;
    };
    let micros = &nanos.get(..6).unwrap_or("000000");
    let utc = epoch
        .parse()
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let utc = utc
        .map(|utc| utc.strftime("%Y-%m-%dT%H:%M:%S").to_string())
        .unwrap_or_default();
    facts.insert(
        "date_time".into(),
        json!({
            "year": year, "month": month, "day": day, "hour": hour, "minute": minute, "second": second,
            "epoch": epoch, "epoch_int": epoch, "date": format!("{year}-{month}-{day}"),
            "time": format!("{hour}:{minute}:{second}"), "iso8601": format!("{utc}Z"),
            "iso8601_micro": format!("{utc}.{micros}Z"),
            "iso8601_basic": format!("{year}{month}{day}T{hour}{minute}{second}{micros}"),
            "iso8601_basic_short": format!("{year}{month}{day}T{hour}{minute}{second}"),
            "tz": zone, "tz_dst": zone, "tz_offset": offset, "weekday": weekday, "weekday_number": number, "weeknumber": week,
        }),
    );
}

fn virtualization(seen: &Sections, facts: &mut Map<String, Value>) {
    let lines = seen.section("virtual");
    let detected = lines.first().copied().unwrap_or_default();
    let container = lines
        .iter()
        .find_map(|line| line.strip_prefix("container="));
    let has = |line: &str| seen.has("virtual", line);
    let (kind, contained) = match (container, detected) {
        (Some("podman"), _) | (_, "podman") => ("podman", true),
        (Some("lxc"), _) | (_, "lxc" | "lxc-libvirt") => ("lxc", true),
        (Some("docker"), _) | (_, "docker") => ("docker", true),
        (Some("systemd-nspawn"), _) | (_, "systemd-nspawn") => ("systemd-nspawn", true),
        _ if has("containerenv") => ("podman", true),
        _ if has("dockerenv") => ("docker", true),
        (Some(_), _) | (_, "container-other" | "rkt" | "wsl" | "proot" | "pouch") => {
            ("container", true)
        }
        (_, "openvz") => ("openvz", true),
        (_, "kvm" | "qemu" | "amazon" | "google") => ("kvm", false),
        (_, "vmware") => ("VMware", false),
        (_, "microsoft") => ("VirtualPC", false),
        (_, "oracle") => ("virtualbox", false),
        (_, "xen") => ("xen", false),
        (_, "parallels") => ("parallels", false),
        (_, "bhyve") => ("bhyve", false),
        _ => ("NA", false),
    };
    let host = kind == "NA" && has("dev-kvm");
    let role = if host {
        "host"
    } else if kind == "NA" {
        "NA"
    } else {
        "guest"
    };
    let guests: Vec<&str> = match kind {
        "NA" => Vec::new(),
        "container" => vec!["container"],
        kind if contained => vec![kind, "container"],
        kind => vec![kind],
    };
    facts.insert(
        "virtualization_type".into(),
        json!(if host { "kvm" } else { kind }),
    );
    facts.insert("virtualization_role".into(), json!(role));
    facts.insert("virtualization_tech_guest".into(), json!(guests));
    let hosts: &[&str] = if has("dev-kvm") { &["kvm"] } else { &[] };
    facts.insert("virtualization_tech_host".into(), json!(hosts));
}

fn user(seen: &Sections, facts: &mut Map<String, Value>) {
    let lines = seen.section("user");
    let numbers = |name: &str| -> i64 {
        let mut words = lines.first().map_or("", |line| line).split_whitespace();
        let word = words
            .find_map(|word| word.strip_prefix(name))
            .unwrap_or_default();
        word.split('(')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    let entry: Vec<&str> = lines
        .get(1)
        .map_or("", |line| line)
        .splitn(5, ':')
        .collect();
    let field = |index: usize| entry.get(index).copied().unwrap_or_default();
    let (uid, gid) = (numbers("uid="), numbers("gid="));
    for (name, value) in [
        ("user_id", json!(field(0))),
        ("user_uid", json!(uid)),
        ("user_gid", json!(field(1).parse().unwrap_or(gid))),
        ("user_gecos", json!(field(2))),
        ("user_dir", json!(field(3))),
        ("user_shell", json!(field(4))),
        ("real_user_id", json!(uid)),
        ("effective_user_id", json!(uid)),
        ("real_group_id", json!(gid)),
        ("effective_group_id", json!(gid)),
    ] {
        facts.insert(name.into(), value);
    }
}

/// `/etc/ansible/facts.d/*.fact`: JSON, else INI.
fn local(seen: &Sections, facts: &mut Map<String, Value>) {
    let mut local = Map::new();
    for (section, lines) in &seen.sections {
        if let Some(name) = section.strip_prefix("local ") {
            let text = lines.join("\n");
            local.insert(
                name.to_owned(),
                serde_json::from_str(&text).unwrap_or_else(|_| ini(&text)),
            );
        }
    }
    facts.insert("local".into(), Value::Object(local));
}

fn ini(text: &str) -> Value {
    let mut sections = Map::new();
    let mut current = String::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.clone_into(&mut current);
            sections.entry(name).or_insert_with(|| json!({}));
        } else if let Some((key, value)) = line.split_once(['=', ':'])
            && let Some(section) = sections.get_mut(&current).and_then(Value::as_object_mut)
        {
            section.insert(key.trim().to_lowercase(), json!(value.trim()));
        }
    }
    Value::Object(sections)
}
