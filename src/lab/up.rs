//! Up and down: from nothing to hosts that can be logged in to, and back to nothing, from whatever state a crash or an
//! interrupt has left.

use super::image::{self, Recipe};
use super::keeper::{Keeper, Starting, remove_cgroups};
use super::provider::{self, HostState};
use super::spec::{HostSpec, Kind, LabName};
use super::state::{Lab, Places, cache_dir};
use super::{access, cabling, doctor, failed, ready, vm, while_doing};
use crate::base::{Diagnostic, Result};
use nix::sys::signal::{SigSet, Signal};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct UpOptions {
    pub name: LabName,
    pub provider: Kind,
    pub hosts: Vec<HostSpec>,
    pub with_python: bool,
    /// The user that the inventory names.
    pub login: String,
}

/// What `up` did.
#[derive(Debug)]
pub struct Done {
    pub lab: Lab,
    /// Hosts that were made or started.
    pub started: Vec<String>,
}

/// Brings a lab up, or what is missing of it. An error or an interrupt takes down what was begun here, and leaves a lab
/// that was up before as it was. `interrupted` is called, after the cleaning, instead of returning.
pub fn up(
    options: &UpOptions,
    places: &Places,
    say: &(dyn Fn(&str) + Sync),
    interrupted: fn() -> !,
) -> Result<Done> {
    doctor::require(&[options.provider])?;
    super::limits::raise(say)?;
    let _lock = places.lock()?;
    match Lab::load(places)? {
        Some(lab) if lab.keeper.as_ref().is_some_and(Keeper::is_alive) => {
            return complete(lab, options, places, say);
        }
        _ => clean(places)?,
    }
    let begun = Begun {
        places: places.clone(),
        phase: Arc::new(Mutex::new(Phase::Begun(None))),
    };
    begun.on_interrupt(interrupted)?;
    let result = create(options, places, &begun, say);
    // Whoever comes first, this or an interrupt, cleans; the other finds it done.
    let mut phase = begun.phase();
    if let (Err(_), Phase::Begun(keeper)) = (&result, &*phase) {
        if let Some(keeper) = keeper {
            keeper.kill()?;
        }
        clean(places)?;
        places.forget();
    }
    *phase = Phase::Over;
    result
}

/// How far `up` is, for the interrupt that may come.
enum Phase {
    /// At work, with a keeper or not yet.
    Begun(Option<Keeper>),
    /// Nothing to take down any more.
    Over,
}

/// What an interrupt has to take down.
struct Begun {
    places: Places,
    phase: Arc<Mutex<Phase>>,
}

impl Begun {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an interrupt beside the work. The programs that run meanwhile are ended by the keeper's death.
    fn on_interrupt(&self, interrupted: fn() -> !) -> Result<()> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals
            .thread_block()
            .map_err(while_doing("cannot wait for interrupts"))?;
        let (phase, places) = (Arc::clone(&self.phase), self.places.clone());
        std::thread::spawn(move || {
            while signals.wait().is_err() {}
            // Held to the end: the work cannot start a keeper, or return, while this cleans.
            let phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
            if let Phase::Begun(keeper) = &*phase {
                if let Some(keeper) = keeper {
                    let _ = keeper.kill();
                }
                let _ = clean(&places);
                places.forget();
                interrupted()
            }
        });
        Ok(())
    }
}

fn create(
    options: &UpOptions,
    places: &Places,
    begun: &Begun,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Done> {
    let recipe = Recipe::new(options.provider, None, options.with_python)?;
    let mut lab = Lab {
        version: Lab::VERSION,
        name: options.name.clone(),
        keeper: None,
        provider: options.provider,
        hosts: options.hosts.clone(),
        image: recipe.image(),
        with_python: options.with_python,
        login: options.login.clone(),
        cuts: Vec::new(),
    };
    let keeper = {
        let mut phase = begun.phase();
        places.create()?;
        let log = places.root.join("keeper.log");
        let starting = Starting::new(&places.cgroup(), &lab.hosts, &log).map_err(|error| {
            match std::fs::read_to_string(&log) {
                Ok(text) if !text.is_empty() => error.note(text),
                _ => error,
            }
        })?;
        // On record before it may stay: whatever happens after this, `down` finds it.
        lab.keeper = Some(starting.keeper.clone());
        lab.save(places)?;
        let keeper = starting.stay()?;
        *phase = Phase::Begun(Some(keeper.clone()));
        keeper
    };
    build(&lab, &lab.hosts, &keeper, places, say)?;
    access::prepare(&lab, places)?;
    access::publish(&lab, places)?;
    let started = start(&lab, &keeper, places, say)?;
    Ok(Done { lab, started })
}

/// Builds the images that hosts of a lab start from, if they are not there.
fn build(
    lab: &Lab,
    hosts: &[HostSpec],
    keeper: &Keeper,
    places: &Places,
    say: &dyn Fn(&str),
) -> Result<()> {
    let suites: BTreeSet<Option<&str>> = hosts.iter().map(|host| host.suite.as_deref()).collect();
    for suite in suites {
        let recipe = Recipe::new(lab.provider, suite, lab.with_python)?;
        let image = image::ensure(&recipe, keeper, &cache_dir(), &places.root, say)?;
        if lab.provider == Kind::Vm {
            vm::prepare(
                keeper,
                &image::machine(&cache_dir(), &image),
                &places.root,
                say,
            )?;
        }
    }
    Ok(())
}

/// Starts the dead hosts of a lab that is up, and adds hosts that are new.
fn complete(
    mut lab: Lab,
    options: &UpOptions,
    places: &Places,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Done> {
    let keeper = lab
        .keeper
        .clone()
        .ok_or_else(|| failed("the lab has no keeper"))?;
    let down = || format!("take it down first: `hactl lab down --name {}`", lab.name);
    if lab.with_python != options.with_python {
        let (is, wanted) = if lab.with_python {
            ("with", "without")
        } else {
            ("without", "with")
        };
        return Err(Diagnostic::new(format!(
            "the lab `{}` is up {is} Python, and was asked for {wanted}",
            lab.name
        ))
        .help(down()));
    }
    if lab.provider != options.provider {
        let (is, wanted) = (lab.provider.word(), options.provider.word());
        return Err(Diagnostic::new(format!(
            "the lab `{}` is up with the provider `{is}`, and was asked for with `{wanted}`",
            lab.name
        ))
        .help(down()));
    }
    let mut new = Vec::new();
    for host in &options.hosts {
        match lab.hosts.iter().find(|known| known.name == host.name) {
            Some(known) if known == host => {}
            Some(known) => {
                let difference = difference(known, host);
                return Err(Diagnostic::new(format!(
                    "the lab `{}` has this host with {difference}",
                    lab.name
                ))
                .on(&host.name)
                .help(down()));
            }
            None => new.push(host.clone()),
        }
    }
    let known = |address| super::spec::gateways(&lab.hosts).contains(&address);
    if let Some(host) = new
        .iter()
        .find(|host| !known(super::spec::gateway(host.address, &lab.hosts)))
    {
        return Err(Diagnostic::new(format!(
            "{} is in no network of the lab `{}`",
            host.address, lab.name
        ))
        .on(&host.name)
        .help(down()));
    }
    // A host that keeps the lab's own release starts from the lab's image, even if a newer hactl would build another.
    let others: Vec<HostSpec> = new
        .iter()
        .filter(|host| host.suite.is_some())
        .cloned()
        .collect();
    build(&lab, &others, &keeper, places, say)?;
    if !new.is_empty() || lab.login != options.login {
        lab.hosts.extend(new);
        super::spec::check(&lab.hosts)?;
        lab.login.clone_from(&options.login);
        lab.save(places)?;
    }
    access::prepare(&lab, places)?;
    access::publish(&lab, places)?;
    let started = start(&lab, &keeper, places, say)?;
    Ok(Done { lab, started })
}

/// How a host that is there differs from the one that is asked for.
fn difference(known: &HostSpec, wished: &HostSpec) -> String {
    if known.address != wished.address {
        return format!("the address {}", known.address);
    }
    match (&known.image, &wished.image) {
        (is, wanted) if is == wanted => "other hardware or another release".to_owned(),
        (Some(is), Some(wanted)) if is.file == wanted.file => {
            format!("`{}` as it was before it changed", is.file.display())
        }
        (Some(is), _) => format!("the image `{}`", is.file.display()),
        (None, _) => "an image that was built here".to_owned(),
    }
}

/// Starts what does not run, all at once, and waits until ssh greets on it.
fn start(
    lab: &Lab,
    keeper: &Keeper,
    places: &Places,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Vec<String>> {
    let provider = provider::of(lab, keeper, places);
    let dead: Vec<&HostSpec> = lab
        .hosts
        .iter()
        .filter(|host| matches!(provider.state(host), HostState::Absent | HostState::Dead))
        .collect();
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    say(&format!(
        "starting {}",
        dead.iter()
            .map(|host| host.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    ));
    provider::at_once(&dead, |host| provider.start(host))?;
    ready::await_logins(lab, keeper, &*provider, &dead, say)?;
    Ok(dead.into_iter().map(|host| host.name.clone()).collect())
}

/// Takes a lab down; whether there was anything to take down.
pub fn down(places: &Places) -> Result<bool> {
    let _lock = places.lock()?;
    let there = places.root.exists();
    // A record that cannot be read must not keep a lab alive for ever; its cgroup still leads to it.
    if let Ok(Some(Lab {
        keeper: Some(keeper),
        ..
    })) = Lab::load(places)
    {
        keeper.kill()?;
    }
    clean(places)?;
    places.forget();
    Ok(there)
}

/// Removes what a lab without a keeper has left: cgroups and files. Everything else went with the keeper.
fn clean(places: &Places) -> Result<()> {
    if !places.root.exists() {
        return Ok(());
    }
    remove_cgroups(&places.cgroup());
    std::fs::remove_dir_all(&places.root).map_err(while_doing(format!(
        "cannot remove `{}`",
        places.root.display()
    )))
}

/// Changes the cuts of a lab that is up.
pub fn set_cuts(
    places: &Places,
    change: impl FnOnce(&Lab) -> Result<Vec<super::state::Cut>>,
) -> Result<()> {
    let _lock = places.lock()?;
    let (mut lab, keeper) = Lab::alive(places)?;
    lab.cuts = change(&lab)?;
    cabling::apply_cuts(&keeper, &lab)?;
    lab.save(places)
}
