//! What a person sees: the built binary is run in an empty folder, and its output and exit code are kept as snapshots.
//!
//! One binary for all commands, one file a command. Look at changed snapshots with `cargo insta review`, or run with
//! `INSTA_UPDATE=always` and read the diff.

mod chaos;
mod check;
mod general;
mod hosts;
mod init;
mod inventory;
mod lab;
mod plan;
mod sandbox;
mod templates;
mod vault;
