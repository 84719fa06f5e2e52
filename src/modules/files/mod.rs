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

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[
    &file::File,
    &copy::COPY_MODULE,
    &copy::TEMPLATE_MODULE,
    &lineinfile::LineInFile,
    &blockinfile::BlockInFile,
    &replace::Replace,
    &stat::Stat,
    &slurp::Slurp,
    &slurp::Fetch,
    &find::Find,
    &ini_file::IniFile,
    &get_url::GetUrl,
    &unarchive::Unarchive,
    &assemble::Assemble,
    &assemble::TempFile,
];
