//! Modules about files: file copy template lineinfile blockinfile replace stat find slurp get_url unarchive…
//!
//! They write through `write` only, so that a file is never half there, and edit only what they have seen.

mod assemble;
pub(super) mod attributes;
mod blockinfile;
#[cfg(test)]
mod closed;
mod copy;
mod copy_tree;
#[cfg(test)]
mod differential;
mod download;
mod edit;
mod file;
mod find;
mod flags;
mod get_url;
mod ini_file;
mod lineinfile;
mod links;
pub(super) mod mode;
mod replace;
#[cfg(test)]
mod safety;
mod slurp;
mod stat;
#[cfg(test)]
mod testing;
mod tree;
mod unarchive;
pub(super) mod write;

use super::Module;
use flags::Flagged;

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[
    &Flagged(&file::File),
    &Flagged(&copy::COPY_MODULE),
    &Flagged(&copy::TEMPLATE_MODULE),
    &Flagged(&lineinfile::LineInFile),
    &Flagged(&blockinfile::BlockInFile),
    &Flagged(&replace::Replace),
    &stat::Stat,
    &slurp::Slurp,
    &slurp::Fetch,
    &find::Find,
    &Flagged(&ini_file::IniFile),
    &Flagged(&get_url::GetUrl),
    &Flagged(&unarchive::Unarchive),
    &Flagged(&assemble::Assemble),
    &assemble::TempFile,
];
