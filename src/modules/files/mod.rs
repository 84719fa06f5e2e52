//! Modules about files: file copy template lineinfile blockinfile replace stat find slurp get_url unarchive…

use super::Module;

/// The table of this family.
pub static TABLE: &[&'static dyn Module] = &[];
