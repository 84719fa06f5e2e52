//! A whole run: who takes part in which play, the order between plays, one runner a host.

use super::cursor::{Steps, steps};
use super::event::Event;
use super::link::Link;
use super::runner::Runner;
use super::scope::{Globals, PlayLayers, Scope, root};
use super::settings::Settings;
use super::state::{Coordinator, HostState, Hosts, PlayBoard, with_this_machine};
use super::survey;
use super::variables::{host_variables, vars_files};
use crate::base::value::{Value, to_text};
use crate::base::{Diagnostic, Diagnostics, Result};
use crate::connection::Target;
use crate::inventory::Inventory;
use crate::play::{Handler, Play, Playbook};
use crate::source::Node;
use crate::template;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// A play, ready to run.
#[derive(Debug)]
pub struct PlayRun {
    /// The play as loaded (its items are in `steps`).
    pub play: Play,
    /// What it does.
    pub steps: Steps,
    /// Its handlers, with their steps.
    pub handlers: Vec<(Handler, Steps)>,
    /// Variables.
    pub layers: Arc<PlayLayers>,
    /// The run.
    pub globals: Arc<Globals>,
    /// The plays that must be through, everywhere, before this one.
    pub after: Vec<usize>,
    /// At most so many percent of a batch may fail.
    pub max_fail_percentage: Option<f64>,
}

/// Everything that the runners share.
pub struct Shared {
    /// The flags.
    pub settings: Settings,
    /// The run's variables and hosts.
    pub globals: Arc<Globals>,
    /// The plays.
    pub plays: Vec<PlayRun>,
    /// The connections by host.
    pub links: HashMap<String, Arc<Mutex<Link>>>,
    /// Where the hosts are.
    pub targets: HashMap<String, Target>,
    /// Limits how many hosts are worked on at once.
    pub forks: Semaphore,
    /// Whether the plays hold tasks that cannot be done: hactl lacks the module, or a local file is not there.
    pub lacking: bool,
}

/// What a run is made of.
pub struct Plan {
    pub(super) shared: Arc<Shared>,
    pub(super) participants: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Hosts that failed.
    pub failed: Vec<String>,
    /// Hosts that could not be reached.
    pub unreachable: Vec<String>,
    /// Hosts locked by somebody else: nothing was changed anywhere.
    pub refused: Vec<String>,
    /// Hosts whose play ended before its end because others failed.
    pub stopped: Vec<String>,
}

/// What a run starts from.
pub struct Start<'a> {
    /// The hosts and their variables.
    pub inventory: &'a Inventory,
    /// What to do.
    pub playbook: Playbook,
    /// `--limit`.
    pub limit: Option<&'a str>,
    /// `--extra-vars`.
    pub extra: HashMap<String, Node>,
    /// Magic variables.
    pub magic: HashMap<String, Value>,
}

impl Plan {
    /// Resolves who does what. Connects to nobody.
    ///
    /// # Errors
    /// Patterns that name nothing, unreadable `vars_files`, bad connection variables; all of them at once.
    pub fn new(
        mut start: Start<'_>,
        settings: Settings,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut errors = Diagnostics::default();
        let inventory = start.inventory;
        let root = root(&settings.project);
        let hosts: Hosts = inventory
            .hosts()
            .into_iter()
            .map(|name| {
                let variables = host_variables(inventory, &name, &root);
                let state = HostState::new(&name, variables, inventory.host_groups(&name));
                (name, Arc::new(state))
            })
            .collect();
        let hosts = with_this_machine(hosts, inventory.variables("localhost"));
        let mut groups: BTreeMap<String, Vec<String>> = inventory
            .groups()
            .into_iter()
            .map(|group| (group.clone(), inventory.group_hosts(&group)))
            .collect();
        groups.insert("all".to_owned(), inventory.hosts());
        let limit = start
            .limit
            .and_then(|pattern| errors.take(inventory.select(pattern)));
        let globals = |coordinator: Arc<Coordinator>| Globals {
            hosts: hosts.clone(),
            localhost: Arc::new(HostState::new("localhost", HashMap::new(), Vec::new())),
            groups: groups.clone(),
            extra: start.extra.clone(),
            root: root.clone(),
            magic: start.magic.clone(),
            coordinator,
        };
        // Play keywords may use the play's variables, but no host's.
        let (silent, _) = mpsc::unbounded_channel();
        let early = Arc::new(globals(Arc::new(Coordinator::new(Vec::new(), silent))));
        let nobody = Arc::new(HostState::new("", HashMap::new(), Vec::new()));
        let context = |layers: PlayLayers| {
            settings.plain_context(&Scope {
                play: Some(Arc::new(layers)),
                ..Scope::of_host(&early, &nobody)
            })
        };
        let mut boards = Vec::new();
        let mut contexts = Vec::new();
        let mut found_files = Vec::new();
        for (index, play) in start.playbook.plays.iter_mut().enumerate() {
            let own = context(PlayLayers::new(index, play, Vec::new()));
            let files = errors
                .take(vars_files(play, &settings, &own))
                .unwrap_or_default();
            let context = context(PlayLayers::new(index, play, files.clone()));
            found_files.push(files);
            if play.name.contains("{{")
                && let Some(name) = errors.take(template::text(&play.name, &play.span, &context))
            {
                play.name = to_text(&name);
            }
            let mut board = PlayBoard {
                name: play.name.clone(),
                ..PlayBoard::default()
            };
            if let Some(names) = errors.take(play_hosts(play, inventory, &context)) {
                board.hosts = names
                    .into_iter()
                    .filter(|name| limit.as_ref().is_none_or(|limit| limit.contains(name)))
                    .collect();
            }
            order_hosts(play.order.as_deref(), &mut board.hosts);
            board.batches = errors
                .take(batches(play, &board.hosts, &context))
                .unwrap_or_default();
            boards.push(board);
            contexts.push(context);
        }
        let mut everybody = inventory.hosts();
        // Each takes part once, whether the inventory names this machine or a play alone does.
        if !everybody.iter().any(|host| host == "localhost") {
            everybody.push("localhost".to_owned());
        }
        let participants: Vec<String> = everybody
            .into_iter()
            .filter(|host| boards.iter().any(|board| board.hosts.contains(host)))
            .collect();
        let coordinator = Arc::new(Coordinator::new(boards, events));
        let globals = Arc::new(globals(coordinator));
        let names: Vec<String> = start
            .playbook
            .plays
            .iter()
            .map(|play| play.name.clone())
            .collect();
        let mut plays = Vec::new();
        let prepared = contexts.into_iter().zip(found_files);
        for (index, (mut play, (context, files))) in
            start.playbook.plays.into_iter().zip(prepared).enumerate()
        {
            let layers = Arc::new(PlayLayers::new(index, &play, files));
            let after = errors.take(after(&play, index, &names)).unwrap_or_default();
            let limit = play
                .max_fail_percentage
                .as_ref()
                .and_then(|node| errors.take(super::unit::number(Some(node), 100.0, &context)));
            let steps_of_play = steps(std::mem::take(&mut play.items));
            let handlers = play
                .handlers
                .iter()
                .map(|handler| (handler.clone(), steps(vec![handler.item.clone()])))
                .collect();
            plays.push(PlayRun {
                play,
                steps: steps_of_play,
                handlers,
                layers,
                globals: Arc::clone(&globals),
                after,
                max_fail_percentage: limit,
            });
        }
        let mut targets = HashMap::new();
        if !settings.offline {
            for (name, state) in &globals.hosts {
                let user = errors.take(super::users::wished(&plays, name, &settings));
                if let Some(mut target) = errors.take(target(&globals, state, &settings)) {
                    target.user = target.user.or(user.flatten());
                    targets.insert(name.clone(), target);
                }
            }
            targets
                .entry("localhost".to_owned())
                .or_insert_with(|| Target {
                    host: "localhost".to_owned(),
                    local: true,
                    ..Target::default()
                });
        }
        if let Some(text) = crate::connection::unheeded_note(targets.values()) {
            globals.coordinator.tell(Event::Note { host: None, text });
        }
        // Tasks may be delegated to this machine, which no inventory has to name.
        let here = "localhost".to_owned();
        let links = targets
            .keys()
            .chain(participants.iter())
            .chain([&here])
            .map(|name| {
                (
                    name.clone(),
                    Arc::new(Mutex::new(if settings.offline {
                        Link::Empty
                    } else {
                        Link::Down
                    })),
                )
            })
            .collect();
        let forks = Semaphore::new(settings.forks.max(1));
        let plan = Self {
            shared: Arc::new(Shared {
                settings,
                globals,
                plays,
                links,
                targets,
                forks,
                lacking: start.playbook.missing || !start.playbook.lacking.is_empty(),
            }),
            participants,
        };
        survey::at_load(&plan, &mut errors);
        errors.finish(plan)
    }

    /// The plays and their hosts.
    pub fn plays(&self) -> Vec<(String, Vec<String>)> {
        self.shared
            .globals
            .coordinator
            .board()
            .plays
            .iter()
            .map(|play| (play.name.clone(), play.hosts.clone()))
            .collect()
    }

    /// Everybody who takes part.
    pub fn participants(&self) -> &[String] {
        &self.participants
    }

    /// Runs all hosts to their end.
    pub async fn run(self) -> Ending {
        let mut runners = tokio::task::JoinSet::new();
        let everybody = Arc::new(self.participants.clone());
        for name in &self.participants {
            let Some(host) = self.shared.globals.host(name) else {
                continue;
            };
            let runner = Runner::new(Arc::clone(&self.shared), host, Arc::clone(&everybody));
            runners.spawn(runner.run());
        }
        let mut ending = Ending::default();
        while let Some(result) = runners.join_next().await {
            match result {
                Ok((host, super::runner::Fate::Failed)) => ending.failed.push(host),
                Ok((host, super::runner::Fate::Unreachable)) => ending.unreachable.push(host),
                Ok((host, super::runner::Fate::Refused)) => ending.refused.push(host),
                Ok((host, super::runner::Fate::Stopped)) => ending.stopped.push(host),
                Ok((_, super::runner::Fate::Done)) => {}
                Err(error) => ending.failed.push(format!("(a runner broke: {error})")),
            }
        }
        self.part().await;
        ending.failed.sort();
        ending.unreachable.sort();
        ending.refused.sort();
        ending.stopped.sort();
        ending
    }
}

impl Plan {
    /// Ends the connections, all at once: when a run is over its locks are free.
    async fn part(&self) {
        let mut partings = tokio::task::JoinSet::new();
        for link in self.shared.links.values() {
            let link = Arc::clone(link);
            partings.spawn(async move {
                if let Link::Live(connection) = &mut *link.lock().await {
                    connection.shell.close().await;
                }
            });
        }
        partings.join_all().await;
    }
}

/// How a host is entered, from its rendered variables.
///
/// # Errors
/// Variables that cannot be rendered or passed on.
pub fn target(
    globals: &Arc<Globals>,
    host: &Arc<HostState>,
    settings: &Settings,
) -> Result<Target> {
    let scope = Scope::of_host(globals, host);
    let context = settings.plain_context(&scope);
    let mut variables = crate::base::value::Map::new();
    for (name, node) in host.variables.iter().chain(&globals.extra) {
        if name.starts_with("ansible_") {
            variables.insert(
                name.clone(),
                template::value(node, &context)
                    .map_err(|error| error.at(&node.span).on(&host.name))?,
            );
        }
    }
    let mut target = Target::from_variables(&host.name, &variables)?;
    target.host_keys = settings.host_keys;
    Ok(target)
}

fn play_hosts(
    play: &Play,
    inventory: &Inventory,
    context: &template::Context,
) -> Result<Vec<String>> {
    let value = template::value(&play.hosts, context)?;
    let pattern = match &value {
        Value::Array(items) => items.iter().map(to_text).collect::<Vec<_>>().join(","),
        other => to_text(other),
    };
    inventory
        .matching(&pattern)
        .map_err(|error| error.at(&play.hosts.span))
}

fn order_hosts(order: Option<&str>, hosts: &mut [String]) {
    match order {
        Some("reverse_inventory") => hosts.reverse(),
        Some("sorted") => hosts.sort(),
        Some("reverse_sorted") => {
            hosts.sort();
            hosts.reverse();
        }
        _ => {}
    }
}

fn batches(play: &Play, hosts: &[String], context: &template::Context) -> Result<Vec<Vec<String>>> {
    let Some(node) = &play.serial else {
        return Ok(vec![hosts.to_vec()]);
    };
    let value = template::value(node, context)?;
    let sizes = match value {
        Value::Array(items) => items,
        other => vec![other],
    };
    let mut rest = hosts;
    let mut batches = Vec::new();
    let mut sizes = sizes.iter().peekable();
    let mut size = 0;
    while !rest.is_empty() {
        if let Some(next) = sizes.next() {
            let text = to_text(next);
            let wrong = || {
                Diagnostic::new(format!(
                    "`serial` takes a number or a percentage, not `{text}`"
                ))
                .at(&node.span)
            };
            size = match text.strip_suffix('%') {
                Some(percent) => {
                    let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
                    // A percentage of hosts is a small positive number.
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        clippy::cast_precision_loss,
                        reason = "bounded by the number of hosts"
                    )]
                    let size = (hosts.len() as f64 * percent / 100.0) as usize;
                    size.max(1)
                }
                None => text.trim().parse().map_err(|_| wrong())?,
            };
            if size == 0 {
                size = rest.len();
            }
        }
        let (batch, others) = rest.split_at(size.min(rest.len()));
        batches.push(batch.to_vec());
        rest = others;
    }
    if batches.is_empty() {
        batches.push(Vec::new());
    }
    Ok(batches)
}

fn after(play: &Play, index: usize, names: &[String]) -> Result<Vec<usize>> {
    let Some(after) = &play.after else {
        return Ok((0..index).collect());
    };
    after
        .iter()
        .map(|name| {
            names[..index]
                .iter()
                .rposition(|known| known == name)
                .ok_or_else(|| {
                    Diagnostic::new(format!(
                        "`hactl_after` names `{name}`, which is no play before this one"
                    ))
                    .at(&play.span)
                })
        })
        .collect()
}
