//! Which images nobody needs: those that no lab was made from and no `up` of this program would start from. Nothing that
//! a lab uses is ever removed, also not of one that is down but not cleaned.

use super::image;
use super::keeper::Starting;
use super::spec::{Kind, LabName};
use super::state::{Lab, Places, lock_file, make_dir, names};
use super::while_doing;
use crate::base::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Removes them, and gives their names.
pub fn collect(base: &Path, cache: &Path) -> Result<Vec<String>> {
    make_dir(cache)?;
    // Nobody builds meanwhile.
    let _lock = lock_file(&cache.join("lock"))?;
    let used = used(base)?;
    let mut idle = Vec::new();
    for kind in [Kind::Container, Kind::Vm] {
        for image in image::list(cache, kind) {
            let keep = match image::provenance(kind, &image) {
                Some((suite, current)) => current || used.keeps(&image, &suite),
                // What a killed build left.
                None => !image.starts_with(".new-"),
            };
            if !keep {
                idle.push((kind, image));
            }
        }
    }
    if idle.is_empty() {
        return Ok(Vec::new());
    }
    // podman runs in namespaces of a lab and nowhere else; this one has no hosts and ends here.
    let work = tempfile::tempdir().map_err(while_doing("cannot make a folder"))?;
    let places = Places::new(work.path().to_owned(), &LabName::new("gc")?);
    make_dir(&places.root)?;
    let starting = Starting::new(&places.cgroup(), &[], &places.root.join("keeper.log"))?;
    let removed = idle
        .iter()
        .try_for_each(|(kind, name)| image::remove(cache, *kind, name, &starting.keeper));
    starting.keeper.kill()?;
    super::keeper::remove_cgroups(&places.cgroup());
    removed.map(|()| idle.into_iter().map(|(_, name)| name).collect())
}

/// What the labs of a folder were made from.
#[derive(Default)]
struct Used {
    images: BTreeSet<String>,
    /// Releases that hosts asked for by name; which image of theirs is not on record, so all are kept.
    suites: BTreeSet<String>,
}

impl Used {
    fn keeps(&self, image: &str, suite: &str) -> bool {
        self.images.contains(image) || self.suites.contains(suite)
    }
}

fn used(base: &Path) -> Result<Used> {
    let mut used = Used::default();
    for name in names(base) {
        let Some(lab) = Lab::load(&Places::new(base.to_owned(), &name))? else {
            continue;
        };
        used.suites
            .extend(lab.hosts.into_iter().filter_map(|host| host.suite));
        used.images.insert(lab.image);
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::image::given::{Format, Given};
    use crate::lab::spec::parse_hosts;

    #[test]
    fn a_lab_keeps_what_its_hosts_take_packages_from() {
        let base = tempfile::tempdir().unwrap();
        let places = Places::new(base.path().to_owned(), &LabName::new("x").unwrap());
        places.create().unwrap();
        let mut hosts = parse_hosts("a=10.0.0.2,b=10.0.0.3").unwrap();
        for host in &mut hosts {
            host.image = Some(Given {
                file: "/images/cloud.qcow2".into(),
                format: Format::Qcow2,
                size: 1 << 30,
                changed: std::time::SystemTime::UNIX_EPOCH,
            });
        }
        hosts[1].suite = Some("trixie".to_owned());
        let lab = Lab {
            version: Lab::VERSION,
            name: LabName::new("x").unwrap(),
            keeper: None,
            provider: Kind::Vm,
            hosts,
            image: "vm-bookworm-1".to_owned(),
            with_python: false,
            login: "root".to_owned(),
            cuts: Vec::new(),
        };
        lab.save(&places).unwrap();
        let used = used(base.path()).unwrap();
        assert!(used.keeps("vm-bookworm-1", "bookworm"));
        assert!(used.keeps("vm-trixie-old", "trixie"));
        assert!(!used.keeps("vm-bookworm-0", "bookworm"));
    }
}
