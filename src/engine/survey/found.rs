//! What a survey found: who reaches what hactl cannot do, and how certain that is. Only data and its messages.

use crate::base::Diagnostic;
use crate::source::Span;
use std::collections::{BTreeMap, HashSet};

/// Where something stands: file, line, column.
type Place = (String, usize, usize);

/// How certain it is that a host gets to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Known during the run only.
    Perhaps,
    /// Unless something fails before.
    Certain,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Tasks with modules that hactl lacks: what is wrong, and who reaches them.
    pub lacking: BTreeMap<Place, Lacking>,
    /// Includes of which it is known during the run only what they take in, and their titles.
    pub unread: BTreeMap<Place, (Span, String)>,
}

/// A task that hactl cannot do.
#[derive(Debug)]
pub struct Lacking {
    /// What is wrong with it.
    pub error: Diagnostic,
    /// Whether it is the module that hactl lacks; a local file otherwise.
    pub module: bool,
    /// The hosts that get there.
    pub hosts: BTreeMap<String, Certainty>,
}

impl Survey {
    /// How many tasks with modules that hactl lacks some host reaches, or may reach.
    pub fn modules(&self) -> usize {
        self.lacking
            .values()
            .filter(|lacking| lacking.module)
            .count()
    }

    /// The tasks that some host certainly reaches, as errors.
    pub fn errors(&self) -> Vec<Diagnostic> {
        self.lacking
            .values()
            .filter_map(|lacking| lacking.told(Certainty::Certain))
            .collect()
    }

    /// The same of those that some host may reach, and none certainly.
    pub fn doubts(&self) -> Vec<Diagnostic> {
        self.lacking
            .values()
            .filter(|lacking| lacking.told(Certainty::Certain).is_none())
            .filter_map(|lacking| lacking.told(Certainty::Perhaps))
            .collect()
    }

    /// A host gets to a task that hactl cannot do.
    pub(super) fn add(
        &mut self,
        error: &Diagnostic,
        module: bool,
        host: &str,
        certainty: Certainty,
    ) {
        let Some(span) = &error.at else { return };
        let lacking = self.lacking.entry(place(span)).or_insert_with(|| Lacking {
            error: error.clone(),
            module,
            hosts: BTreeMap::new(),
        });
        let known = lacking.hosts.entry(host.to_owned()).or_insert(certainty);
        *known = certainty.max(*known);
    }

    /// An include that cannot be judged.
    pub(super) fn leave_unread(&mut self, span: &Span, title: String) {
        self.unread.insert(place(span), (span.clone(), title));
    }

    /// What holds whichever of two sets of facts a host turns out to have.
    #[must_use]
    pub fn whichever(mut self, other: Self) -> Self {
        for (place, theirs) in other.lacking {
            let own = self.lacking.entry(place).or_insert_with(|| Lacking {
                error: theirs.error,
                module: theirs.module,
                hosts: BTreeMap::new(),
            });
            let both: HashSet<String> = own
                .hosts
                .keys()
                .chain(theirs.hosts.keys())
                .cloned()
                .collect();
            own.hosts = both
                .into_iter()
                .map(|host| {
                    let certain = own.hosts.get(&host) == Some(&Certainty::Certain)
                        && theirs.hosts.get(&host) == Some(&Certainty::Certain);
                    let certainty = if certain {
                        Certainty::Certain
                    } else {
                        Certainty::Perhaps
                    };
                    (host, certainty)
                })
                .collect();
        }
        self.unread.extend(other.unread);
        self
    }
}

impl Lacking {
    fn told(&self, wanted: Certainty) -> Option<Diagnostic> {
        let hosts: Vec<&str> = self
            .hosts
            .iter()
            .filter(|(_, certainty)| **certainty == wanted)
            .map(|(host, _)| host.as_str())
            .collect();
        let how = match wanted {
            Certainty::Certain => "would run on",
            Certainty::Perhaps => "may run on",
        };
        let hosts = hosts.join(", ");
        let message = if self.module {
            format!("not supported: {how} {hosts}: {}", self.error.message)
        } else {
            format!("{}: the task {how} {hosts}", self.error.message)
        };
        (!hosts.is_empty()).then(|| Diagnostic {
            message,
            ..self.error.clone()
        })
    }
}

fn place(span: &Span) -> Place {
    (span.file.path.clone(), span.line, span.column)
}
