//! The cables of a lab: one bridge, a cable to each host, and the cuts in them. Works inside the lab's network
//! namespace only.

use super::keeper::{BRIDGE, Keeper, Network};
use super::spec::{HostSpec, PREFIX, gateway};
use super::state::{Cut, Lab, Places};
use super::{failed, program, run, while_doing};
use crate::base::Result;
use std::fmt::Write as _;
use std::io::{Seek, Write};
use std::process::Stdio;

/// The annotation that tells the runtime's hook which host it is plugging in.
pub const ANNOTATION: &str = "hactl.host";

/// Text as the standard input of a program.
pub(crate) fn text_as_stdin(text: &str) -> Result<Stdio> {
    let write = || -> std::io::Result<Stdio> {
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.rewind()?;
        Ok(file.into())
    };
    write().map_err(while_doing("cannot write a temporary file"))
}

/// `hactl lab __wire FOLDER`: the container runtime calls it when a host's namespaces exist and before its first
/// process starts, so that a host never boots without its network, and a dead one has none.
pub fn plug_in(places: &Places) -> Result<()> {
    let state: serde_json::Value = serde_json::from_reader(std::io::stdin())
        .map_err(while_doing("no container state on stdin"))?;
    let name = state["annotations"][ANNOTATION]
        .as_str()
        .ok_or_else(|| failed("the container has no host name"))?;
    let pid = state["pid"]
        .as_i64()
        .ok_or_else(|| failed("the container has no process"))?;
    let lab = Lab::load(places)?.ok_or_else(|| failed("no such lab"))?;
    let host = lab.host(name)?;
    let (outside, inside) = batches(host, &lab.hosts, pid);
    // The cable of a host that died a moment ago may still be there.
    let _ = program("ip")
        .args(["link", "delete", &host.port()])
        .stderr(Stdio::null())
        .status();
    run(program("ip")
        .args(["-batch", "-"])
        .stdin(text_as_stdin(&outside)?))?;
    let target = pid.to_string();
    run(program("nsenter")
        .args(["--target", &target, "--net", "ip", "-batch", "-"])
        .stdin(text_as_stdin(&inside)?))?;
    Ok(())
}

/// What `ip` does on the lab's side and on the host's.
fn batches(host: &HostSpec, hosts: &[HostSpec], pid: i64) -> (String, String) {
    let (port, mac, address) = (host.port(), host.mac(), host.address);
    let router = gateway(address, hosts);
    let outside = format!(
        "link add {port} type veth peer name eth0 address {mac} netns {pid}\nlink set {port} master {BRIDGE} up"
    );
    let inside = format!(
        "link set lo up\naddress add {address}/{PREFIX} brd + dev eth0\nlink set eth0 up\nroute add default via {router} dev eth0"
    );
    (outside, inside)
}

/// Plugs in a virtual machine: a tap on the bridge, under the name that a container's cable would have.
pub fn plug_in_tap(keeper: &Keeper, host: &HostSpec) -> Result<()> {
    tap(keeper, host, &host.port(), &format!("master {BRIDGE} up"))
}

/// Plugs in the lab's own way into a host, beside its network: a tap on no bridge, with the address that it gives itself.
pub fn plug_in_lane(keeper: &Keeper, host: &HostSpec, port: &str) -> Result<()> {
    tap(keeper, host, port, "up")
}

/// A new tap of a host, with what is set on it.
fn tap(keeper: &Keeper, host: &HostSpec, port: &str, set: &str) -> Result<()> {
    // What a dead machine left may be in any state.
    let _ = keeper
        .enter(Network::Lab, "ip")
        .args(["link", "delete", port])
        .stderr(Stdio::null())
        .status();
    let batch = format!("tuntap add dev {port} mode tap\nlink set {port} {set}");
    run(keeper
        .enter(Network::Lab, "ip")
        .args(["-batch", "-"])
        .stdin(text_as_stdin(&batch)?))
    .map(drop)
    .map_err(|error| error.on(&host.name))
}

/// Unplugs a host at once: what a power cut does to the link before anything else.
pub fn unplug(keeper: &Keeper, host: &HostSpec) {
    let mut ip = keeper.enter(Network::Lab, "ip");
    let _ = ip
        .args(["link", "set", &host.port(), "down"])
        .stderr(Stdio::null())
        .status();
}

/// Makes the network as cut as the lab's record says, in one step.
pub fn apply_cuts(keeper: &Keeper, lab: &Lab) -> Result<()> {
    let rules = ruleset(lab)?;
    run(keeper
        .enter(Network::Lab, "nft")
        .args(["-f", "-"])
        .stdin(text_as_stdin(&rules)?))?;
    Ok(())
}

/// The packet filter of the bridge. It replaces the one before as a whole, so that no packet slips through between.
fn ruleset(lab: &Lab) -> Result<String> {
    let mut text = String::from("table bridge hactl\ndelete table bridge hactl\n");
    if lab.cuts.is_empty() {
        return Ok(text);
    }
    let (mut forward, mut input, mut output) = (String::new(), String::new(), String::new());
    for Cut { host, from } in &lab.cuts {
        let port = lab.host(host)?.port();
        if let Some(other) = from {
            let other = lab.host(other)?.port();
            for (a, b) in [(&port, &other), (&other, &port)] {
                let _ = writeln!(forward, "    iifname \"{a}\" oifname \"{b}\" drop");
            }
        } else {
            let _ = writeln!(
                forward,
                "    iifname \"{port}\" drop\n    oifname \"{port}\" drop"
            );
            let _ = writeln!(input, "    iifname \"{port}\" drop");
            let _ = writeln!(output, "    oifname \"{port}\" drop");
        }
    }
    text.push_str("table bridge hactl {\n");
    for (hook, rules) in [("forward", forward), ("input", input), ("output", output)] {
        let _ = write!(
            text,
            "  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n{rules}  }}\n"
        );
    }
    text.push_str("}\n");
    Ok(text)
}

/// The cuts after `cut HOST [OTHER]`.
pub fn with_cut(cuts: &[Cut], cut: Cut) -> Vec<Cut> {
    let mut cuts = cuts.to_vec();
    if !cuts.iter().any(|known| same(known, &cut)) {
        cuts.push(cut);
    }
    cuts
}

/// The cuts after `heal [HOST [OTHER]]`: all, those of a host, or those between two.
pub fn without(cuts: &[Cut], host: Option<&str>, other: Option<&str>) -> Vec<Cut> {
    let healed = |cut: &Cut| {
        let touches = |name: &str| cut.host == name || cut.from.as_deref() == Some(name);
        match (host, other) {
            (None, _) => true,
            (Some(host), None) => touches(host),
            (Some(host), Some(other)) => touches(host) && touches(other),
        }
    };
    cuts.iter().filter(|cut| !healed(cut)).cloned().collect()
}

fn same(a: &Cut, b: &Cut) -> bool {
    a == b || (a.from.as_ref() == Some(&b.host) && b.from.as_ref() == Some(&a.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::{Kind, LabName, parse_hosts};

    fn cut(host: &str, from: Option<&str>) -> Cut {
        Cut {
            host: host.to_owned(),
            from: from.map(str::to_owned),
        }
    }

    fn lab(cuts: Vec<Cut>) -> Lab {
        Lab {
            version: Lab::VERSION,
            name: LabName::new("x").unwrap(),
            keeper: None,
            provider: Kind::Container,
            hosts: parse_hosts("a=10.0.0.2,b=10.0.0.3,c=10.0.0.4").unwrap(),
            image: String::new(),
            with_python: false,
            login: "root".to_owned(),
            cuts,
        }
    }

    #[test]
    fn cutting_twice_is_cutting_once_and_healing_takes_either_order() {
        let one = with_cut(&[], cut("a", Some("b")));
        assert_eq!(with_cut(&one, cut("b", Some("a"))), one);
        let two = with_cut(&one, cut("c", None));
        let cases: &[(Option<&str>, Option<&str>, usize)] = &[
            (None, None, 0),
            (Some("b"), Some("a"), 1),
            (Some("b"), None, 1),
            (Some("c"), None, 1),
            (Some("a"), Some("c"), 2),
        ];
        for (host, other, left) in cases {
            assert_eq!(
                without(&two, *host, *other).len(),
                *left,
                "{host:?} {other:?}"
            );
        }
    }

    #[test]
    fn the_filter_cuts_both_ways_and_nothing_else() {
        assert_eq!(
            ruleset(&lab(vec![])).unwrap(),
            "table bridge hactl\ndelete table bridge hactl\n"
        );
        let pair = ruleset(&lab(vec![cut("a", Some("b"))])).unwrap();
        assert!(pair.contains("iifname \"h0a000002\" oifname \"h0a000003\" drop"));
        assert!(pair.contains("iifname \"h0a000003\" oifname \"h0a000002\" drop"));
        assert_eq!(pair.matches(" drop").count(), 2);
        let alone = ruleset(&lab(vec![cut("c", None)])).unwrap();
        assert_eq!(alone.matches("h0a000004\" drop").count(), 4);
        assert!(ruleset(&lab(vec![cut("d", None)])).is_err());
    }

    #[test]
    fn a_host_is_plugged_in_with_its_address_and_router() {
        let lab = lab(vec![]);
        let (outside, inside) = batches(&lab.hosts[0], &lab.hosts, 7);
        assert!(outside.contains(
            "link add h0a000002 type veth peer name eth0 address 02:ac:0a:00:00:02 netns 7"
        ));
        assert!(
            inside.contains("address add 10.0.0.2/24 brd + dev eth0")
                && inside.contains("default via 10.0.0.1")
        );
    }
}
