//! Many probes as few commands: one `find` and one `sha256sum` for all files, one `dpkg-query`, one `systemctl show`,
//! one `getent` a database.
//!
//! Pure: [`compile`] makes the requests, [`Decoder`] reads the replies. Anything that does not look as asked for is an error, never a guess.

mod files;
#[cfg(test)]
mod tests;

use crate::base::quote::sh_join;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::{FileProbe, Package, Probe, Reply, Request, Seen};
use files::{Files, file_script, parse_files};
use std::collections::{BTreeMap, BTreeSet};

const UNIT_PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,UnitFilePreset,FragmentPath,NeedDaemonReload,MainPID,Type,Result,ActiveEnterTimestampMonotonic";

/// Reads the replies to compiled probes back into one answer for each probe.
#[derive(Debug)]
pub struct Decoder {
    probes: Vec<Probe>,
    slots: Vec<Slot>,
    units: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Files(usize),
    Packages(usize),
    Units(usize),
    Entries(usize),
    Run(usize),
}

/// Merges probes into requests.
pub fn compile(probes: &[Probe]) -> (Vec<Request>, Decoder) {
    let mut requests = Vec::new();
    let mut decoder = Decoder {
        probes: probes.to_vec(),
        slots: Vec::new(),
        units: Vec::new(),
    };
    let files: Vec<&FileProbe> = probes
        .iter()
        .filter_map(|p| {
            if let Probe::File(f) = p {
                Some(f)
            } else {
                None
            }
        })
        .collect();
    let files_at = push_if(&mut requests, !files.is_empty(), || {
        Request::sh(file_script(&files))
    });

    let packages: BTreeSet<&str> = probes
        .iter()
        .filter_map(|p| {
            if let Probe::Packages(names) = p {
                Some(names)
            } else {
                None
            }
        })
        .flatten()
        .map(String::as_str)
        .collect();
    let packages_at = push_if(
        &mut requests,
        probes.iter().any(|p| matches!(p, Probe::Packages(_))),
        || {
            let names = sh_join(packages);
            Request::sh(format!(
                "dpkg-query -W -f '${{Package}}\\t${{Architecture}}\\t${{db:Status-Want}}\\t${{db:Status-Status}}\\t${{Version}}\\n' -- {names} 2>/dev/null; :"
            ))
        },
    );

    let units: BTreeSet<&str> = probes
        .iter()
        .filter_map(|p| {
            if let Probe::Unit(u) = p {
                Some(u.as_str())
            } else {
                None
            }
        })
        .collect();
    decoder.units = units.iter().map(|&unit| unit.to_owned()).collect();
    let units_at = push_if(&mut requests, !units.is_empty(), || {
        let names = sh_join(units);
        Request::sh(format!(
            "systemctl show -p {UNIT_PROPERTIES} -- {names} 2>/dev/null; :"
        ))
    });

    let mut databases: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for probe in probes {
        if let Probe::Entry { database, key } = probe {
            databases.entry(database).or_default().1.insert(key);
        }
    }
    for (database, (at, keys)) in &mut databases {
        *at = requests.len();
        let keys = sh_join(keys.iter().copied());
        requests.push(Request::sh(format!("getent {database} {keys}; :")));
    }

    for probe in probes {
        decoder.slots.push(match probe {
            Probe::File(_) => Slot::Files(files_at),
            Probe::Packages(_) => Slot::Packages(packages_at),
            Probe::Unit(_) => Slot::Units(units_at),
            Probe::Entry { database, .. } => Slot::Entries(databases[database].0),
            Probe::Run(request) => {
                requests.push(request.clone());
                Slot::Run(requests.len() - 1)
            }
        });
    }
    (requests, decoder)
}

fn push_if(requests: &mut Vec<Request>, wanted: bool, make: impl FnOnce() -> Request) -> usize {
    if wanted {
        requests.push(make());
    }
    requests.len().saturating_sub(1)
}

fn malformed(what: &str) -> Diagnostic {
    Diagnostic::with_code(
        exit::FAILED,
        format!("the host's answer about {what} cannot be read"),
    )
    .help("this is a fault of hactl or an unusual tool on the host; run with -vv and report it")
}

impl Decoder {
    /// One answer for each probe, in order.
    ///
    /// # Errors
    /// When a reply cannot be read.
    pub fn decode(&self, replies: &[Reply]) -> Result<Vec<Seen>> {
        let mut files: Option<Files> = None;
        let mut answers = Vec::with_capacity(self.probes.len());
        for (probe, slot) in self.probes.iter().zip(&self.slots) {
            let at = |index: usize| replies.get(index).ok_or_else(|| malformed("probes"));
            answers.push(match (probe, *slot) {
                (Probe::File(probe), Slot::Files(index)) => {
                    if files.is_none() {
                        files = Some(parse_files(&at(index)?.stdout)?);
                    }
                    Seen::File(files.as_ref().and_then(|files| files.answer(probe)))
                }
                (Probe::Packages(names), Slot::Packages(index)) => {
                    Seen::Packages(packages(&at(index)?.out(), names))
                }
                (Probe::Unit(name), Slot::Units(index)) => {
                    let position = self
                        .units
                        .iter()
                        .position(|unit| unit == name)
                        .ok_or_else(|| malformed("units"))?;
                    Seen::Properties(properties(&at(index)?.out(), position))
                }
                (Probe::Entry { key, .. }, Slot::Entries(index)) => {
                    Seen::Entry(entry(&at(index)?.out(), key))
                }
                (Probe::Run(_), Slot::Run(index)) => Seen::Reply(at(index)?.clone()),
                _ => return Err(malformed("probes")),
            });
        }
        Ok(answers)
    }
}

fn packages(output: &str, names: &[String]) -> BTreeMap<String, Package> {
    let mut found = BTreeMap::new();
    for line in output.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, architecture, want, status, version] = fields[..] else {
            continue;
        };
        let qualified = format!("{name}:{architecture}");
        let package = Package {
            status: status.to_owned(),
            version: version.to_owned(),
            want: want.to_owned(),
        };
        for asked in names
            .iter()
            .filter(|asked| **asked == name || **asked == qualified)
        {
            // Of several architectures the one that is installed counts.
            if package.status == "installed" || !found.contains_key(asked) {
                found.insert(asked.clone(), package.clone());
            }
        }
    }
    found
}

fn properties(output: &str, position: usize) -> BTreeMap<String, String> {
    output
        .split("\n\n")
        .nth(position)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn entry(output: &str, key: &str) -> Option<Vec<String>> {
    output
        .lines()
        .map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| {
            fields.first().is_some_and(|name| name == key)
                || fields.get(2).is_some_and(|id| id == key)
        })
}
