//! The exit codes of hactl, in one place.

/// Done, or nothing to do.
pub const DONE: u8 = 0;
/// Wrong usage or a configuration error; nothing was changed.
pub const USAGE: u8 = 1;
/// Refused by a safety check; nothing was changed.
pub const REFUSED: u8 = 2;
/// A step failed; the message names the host.
pub const FAILED: u8 = 3;
/// The outcome is not known or the tail is not done; take it up with `hactl resume` or run again.
pub const INCOMPLETE: u8 = 4;
/// A host could not be reached.
pub const UNREACHABLE: u8 = 5;
/// `verify` found faults.
pub const FAULTS: u8 = 6;
/// `--check --detailed-exitcode`: changes are pending.
pub const PENDING: u8 = 10;
