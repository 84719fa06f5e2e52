//! The variables that only a template file sees: where it comes from, where it goes, whose it is, when it is rendered.
//!
//! Looks at the file's attributes on this machine, never at its content.

use super::settings::Settings;
use crate::base::value::Value;
use crate::template::{Context, Variable, Variables};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Variables over those of the task.
struct With {
    own: HashMap<&'static str, Value>,
    below: Arc<dyn Variables>,
}

impl Variables for With {
    fn lookup(&self, name: &str) -> Option<Variable> {
        match self.own.get(name) {
            Some(value) => Some(Variable::Data(value.clone())),
            None => self.below.lookup(name),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.below.names();
        names.extend(self.own.keys().map(|name| (*name).to_owned()));
        names.sort();
        names.dedup();
        names
    }
}

/// What a template file sees: `src` as the task names it, the path that was found for it, and where it goes.
pub fn context(
    outer: &Context,
    src: &str,
    path: &str,
    dest: Option<&str>,
    settings: &Settings,
) -> Context {
    let full = settings.project.join(path);
    let full = std::path::absolute(&full).unwrap_or(full);
    // A template inside of the binary belongs to whoever runs it.
    let data = fs_err::metadata(&full)
        .or_else(|_| fs_err::metadata(Path::new("/proc/self")))
        .ok();
    let uid = data.as_ref().map_or(0, MetadataExt::uid);
    let owner = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| Value::from(uid), |user| Value::from(user.name));
    let host = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let written = data.and_then(|data| data.modified().ok());
    let own = [
        ("template_host", Value::from(host)),
        ("template_path", Value::from(src)),
        ("template_fullpath", Value::from(full.to_string_lossy())),
        ("template_destpath", Value::from(dest)),
        ("template_uid", owner),
        (
            "template_mtime",
            Value::from(date(written.unwrap_or_else(std::time::SystemTime::now))),
        ),
        (
            "template_run_date",
            Value::from(date(std::time::SystemTime::now())),
        ),
    ];
    Context {
        variables: Arc::new(With {
            own: HashMap::from(own),
            below: Arc::clone(&outer.variables),
        }),
        ..outer.clone()
    }
}

/// As Python writes a date and time: with microseconds, in this machine's time zone.
fn date(time: std::time::SystemTime) -> String {
    jiff::Zoned::try_from(time).map_or_else(
        |_| String::new(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string(),
    )
}

/// The text in an encoding that Python knows by this name; `None` for characters that it does not have.
pub fn encode(text: &str, encoding: &str) -> Option<Vec<u8>> {
    let most = match encoding.to_lowercase().replace('_', "-").as_str() {
        "ascii" | "us-ascii" => 0x7f,
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => 0xff,
        _ => return Some(text.as_bytes().to_vec()),
    };
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok().filter(|byte| *byte <= most))
        .collect()
}
