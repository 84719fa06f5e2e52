//! Facts about processors, memory, mounts and the machine's make.

use super::Sections;
use crate::base::value::{Map, Value};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn add(seen: &Sections, facts: &mut Map<String, Value>) {
    processors(seen, facts);
    memory(seen, facts);
    mounts(seen, facts);
    let uptime = seen
        .line("/proc/uptime")
        .split('.')
        .next()
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0);
    facts.insert("uptime_seconds".into(), json!(uptime));
    let loads: Vec<f64> = seen
        .line("/proc/loadavg")
        .split(' ')
        .take(3)
        .filter_map(|load| load.parse().ok())
        .collect();
    if let [one, five, fifteen] = loads[..] {
        facts.insert(
            "loadavg".into(),
            json!({"1m": one, "5m": five, "15m": fifteen}),
        );
    }
    for (name, file) in [
        ("bios_date", "bios_date"),
        ("bios_vendor", "bios_vendor"),
        ("bios_version", "bios_version"),
        ("board_name", "board_name"),
        ("board_vendor", "board_vendor"),
        ("board_serial", "board_serial"),
        ("chassis_vendor", "chassis_vendor"),
        ("product_name", "product_name"),
        ("product_serial", "product_serial"),
        ("product_uuid", "product_uuid"),
        ("product_version", "product_version"),
        ("system_vendor", "sys_vendor"),
    ] {
        let value = seen.line(&format!("/sys/class/dmi/id/{file}"));
        facts.insert(
            name.into(),
            json!(if value.is_empty() { "NA" } else { value }),
        );
    }
}

fn processors(seen: &Sections, facts: &mut Map<String, Value>) {
    let (mut list, mut sockets) = (Vec::new(), BTreeSet::new());
    let (mut vcpus, mut cores, mut siblings) = (0_u64, 1_u64, 1_u64);
    for line in seen.section("cpu") {
        let Some((key, value)) = line
            .split_once(':')
            .map(|(key, value)| (key.trim(), value.trim()))
        else {
            continue;
        };
        match key {
            "processor" => {
                vcpus += 1;
                list.push(value);
            }
            "vendor_id" | "model name" | "Processor" | "CPU implementer" => list.push(value),
            "physical id" => drop(sockets.insert(value)),
            "cpu cores" => cores = value.parse().unwrap_or(1),
            "siblings" => siblings = value.parse().unwrap_or(1),
            _ => {}
        }
    }
    let count = if sockets.is_empty() {
        vcpus.max(1)
    } else {
        sockets.len() as u64
    };
    for (name, value) in [
        ("processor", json!(list)),
        ("processor_count", json!(count)),
        ("processor_cores", json!(cores)),
        (
            "processor_threads_per_core",
            json!((siblings / cores.max(1)).max(1)),
        ),
        ("processor_vcpus", json!(vcpus)),
        ("processor_nproc", json!(vcpus)),
    ] {
        facts.insert(name.into(), value);
    }
}

fn memory(seen: &Sections, facts: &mut Map<String, Value>) {
    let sizes: BTreeMap<&str, u64> = seen
        .file("/proc/meminfo")
        .iter()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(key, rest)| {
            Some((
                key,
                rest.split_whitespace().next()?.parse::<u64>().ok()? / 1024,
            ))
        })
        .collect();
    let mb = |key: &str| sizes.get(key).copied().unwrap_or(0);
    let (total, free) = (mb("MemTotal"), mb("MemFree"));
    let nocache = free + mb("Cached") + mb("Buffers");
    let (swap, swap_free) = (mb("SwapTotal"), mb("SwapFree"));
    facts.insert("memtotal_mb".into(), json!(total));
    facts.insert("memfree_mb".into(), json!(free));
    facts.insert("swaptotal_mb".into(), json!(swap));
    facts.insert("swapfree_mb".into(), json!(swap_free));
    facts.insert(
        "memory_mb".into(),
        json!({
            "real": {"total": total, "used": total.saturating_sub(free), "free": free},
            "nocache": {"free": nocache, "used": total.saturating_sub(nocache)},
            "swap": {"total": swap, "free": swap_free, "used": swap.saturating_sub(swap_free), "cached": mb("SwapCached")},
        }),
    );
}

/// `\040` and the like in `/proc/mounts`.
fn unescaped(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (code, character)| {
        text.replace(code, character)
    })
}

fn mounts(seen: &Sections, facts: &mut Map<String, Value>) {
    let lines = seen.section("mounts");
    let mut spaces: BTreeMap<&str, [u64; 5]> = BTreeMap::new();
    for line in lines.iter().filter_map(|line| line.strip_prefix("space ")) {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        let numbers: Vec<u64> = words
            .iter()
            .take(5)
            .filter_map(|word| word.parse().ok())
            .collect();
        if let (Ok(numbers), Some(path)) = (<[u64; 5]>::try_from(numbers), words.get(5)) {
            spaces.insert(path, numbers);
        }
    }
    let mut mounts = Vec::new();
    for line in lines.iter().filter_map(|line| line.strip_prefix("mount ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, path, fstype, options, dump, passno] = words[..] else {
            continue;
        };
        let path = unescaped(path);
        let mut mount = json!({
            "device": unescaped(device), "mount": path, "fstype": fstype, "options": options,
            "dump": dump.parse::<u64>().unwrap_or(0), "passno": passno.parse::<u64>().unwrap_or(0), "uuid": "N/A",
        });
        if let (Some([size, total, available, inodes, inodes_free]), Some(map)) =
            (spaces.get(path.as_str()), mount.as_object_mut())
        {
            map.insert("size_total".into(), json!(size * total));
            map.insert("size_available".into(), json!(size * available));
            map.insert("block_size".into(), json!(size));
            map.insert("block_total".into(), json!(total));
            map.insert("block_available".into(), json!(available));
            map.insert("block_used".into(), json!(total.saturating_sub(*available)));
            map.insert("inode_total".into(), json!(inodes));
            map.insert("inode_available".into(), json!(inodes_free));
            map.insert(
                "inode_used".into(),
                json!(inodes.saturating_sub(*inodes_free)),
            );
        }
        mounts.push(mount);
    }
    facts.insert("mounts".into(), Value::Array(mounts));
}
