//! What is told while an operation runs, and how it can end. Nothing here prints.

use crate::base::{Diagnostic, Result, exit};

/// What happens, for whoever reports.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step begins.
    Begun {
        id: &'static str,
        host: String,
        what: String,
    },
    /// A step is done.
    Done {
        id: &'static str,
        host: String,
        seconds: f64,
        at: f64,
    },
    /// A step failed.
    Failed { id: &'static str, error: Diagnostic },
    /// A step is taken back.
    Undoing { id: &'static str, host: String },
    /// Something to know.
    Says(String),
}

/// Told of everything, as it happens.
pub type Tell<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// How it ended.
#[derive(Debug)]
pub enum Ending {
    /// All done.
    Done,
    /// Taken back: all is as it was before; why.
    Undone(Diagnostic),
    /// It cannot be known, or could not be ended; `resume` takes it up. Why.
    Incomplete(Vec<Diagnostic>),
    /// Another operator has ended it or taken it up: nothing more was done. What said so.
    Overtaken(Diagnostic),
}

/// Why a step was not made.
pub(super) enum Stop {
    /// It failed; it may be repeated, or taken back.
    Failed(Diagnostic),
    /// It has certainly not happened, although it is past the point of no return.
    NotDone(Diagnostic),
    /// The operation is somebody else's now.
    Overtaken(Diagnostic),
}

impl Ending {
    /// The errors to show and the exit code.
    ///
    /// # Errors
    /// When it was taken back (3) or is incomplete (4).
    pub fn result(self) -> Result<(), Vec<Diagnostic>> {
        match self {
            Self::Done => Ok(()),
            Self::Undone(mut error) => {
                error.code = exit::FAILED;
                let error =
                    error.note("everything was taken back: the service is as it was before");
                Err(vec![if error.help.is_some() {
                    error
                } else {
                    error.help("hactl status shows how things are now; when the cause is fixed, run this command again")
                }])
            }
            Self::Incomplete(mut errors) => {
                for error in &mut errors {
                    error.code = exit::INCOMPLETE;
                }
                Err(errors)
            }
            Self::Overtaken(mut error) => {
                error.code = exit::INCOMPLETE;
                Err(vec![error.help(
                    "nothing more was done here; hactl status shows how things are, hactl history who it was",
                )])
            }
        }
    }
}
