//! `ini_file`: options in the sections of an INI file, edited without touching its other lines.

use super::attributes::{
    self, ATTRIBUTES, BACKUP, GROUP, MODE, OWNER, SELEVEL, SEROLE, SETYPE, SEUSER, UNSAFE_WRITES,
};
use super::edit::{self, Coding, Edited};
use crate::base::{Diagnostic, Result};
use crate::modules::{
    Args, Change, Decision, Kind, Module, Outcome, Param, Probe, Reply, Seen, Spec,
};

static SPEC: Spec = Spec {
    names: &["ini_file", "community.general.ini_file"],
    params: &[
        Param::new("path", Kind::Path).required().aliases(&["dest"]),
        Param::new("section", Kind::Str),
        Param::new("option", Kind::Str),
        Param::new("value", Kind::Str),
        Param::new("values", Kind::List),
        Param::new("state", Kind::Str).choices(&["absent", "present"]),
        Param::new("exclusive", Kind::Bool),
        Param::new("no_extra_spaces", Kind::Bool),
        Param::new("ignore_spaces", Kind::Bool),
        Param::new("allow_no_value", Kind::Bool),
        Param::new("modify_inactive_option", Kind::Bool),
        Param::new("create", Kind::Bool),
        Param::new("follow", Kind::Bool).only(
            true,
            "a link stays one: the file that it leads to is edited",
        ),
        BACKUP,
        MODE,
        OWNER,
        GROUP,
        SETYPE,
        SEUSER,
        SEROLE,
        SELEVEL,
        ATTRIBUTES,
        UNSAFE_WRITES,
    ],
    one_of: &[(&["value", "values"], false)],
    summary: "options in the sections of an INI file",
    ..Spec::EMPTY
};

/// The module.
pub struct IniFile;

impl Module for IniFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        let valued = args.has("value")
            || !args.list("values").is_empty()
            || args.bool_or("allow_no_value", false);
        if args.str_or("state", "present") == "present" && !valued {
            return Err(Diagnostic::new(
                "`state: present` needs `value`, `values` or `allow_no_value: true`",
            ));
        }
        edit::probe(args)
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let path = attributes::path(args, "path")?;
        let file = edit::present(&path, seen)?;
        if file.is_none() && !args.bool_or("create", true) {
            return Err(edit::missing(&path, true));
        }
        let outcome = Outcome::from_iter([("path".to_owned(), path.into())]);
        let before = file.and_then(|file| file.content.as_deref());
        let Some(edited) = Edit::of(args).run(before.unwrap_or_default()) else {
            let message = Edited {
                content: before.unwrap_or_default().to_vec(),
                message: "OK".to_owned(),
            };
            return if file.is_none() {
                Ok(Decision::Same(outcome))
            } else {
                edit::decide(args, file, message, outcome)
            };
        };
        edit::decide(args, file, edited, outcome)
    }

    fn finish(&self, _args: &Args, change: &Change, replies: &[Reply]) -> Result<Outcome> {
        attributes::finish(change, replies)
    }
}

/// A line `option = value`, taken apart.
struct Setting<'a> {
    commented: bool,
    value: &'a str,
}

#[expect(clippy::struct_excessive_bools, reason = "one for each parameter")]
struct Edit<'a> {
    section: &'a str,
    option: Option<&'a str>,
    values: Vec<String>,
    present: bool,
    exclusive: bool,
    tight: bool,
    ignore_spaces: bool,
    no_value: bool,
    inactive: bool,
}

impl<'a> Edit<'a> {
    fn of(args: &'a Args) -> Self {
        let mut values: Vec<String> = Vec::new();
        for value in args
            .str("value")
            .map_or_else(|| args.list("values"), |value| vec![value.to_owned()])
        {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Self {
            section: args.str_or("section", "").trim(),
            option: args.str("option").filter(|option| !option.is_empty()),
            values,
            present: args.str_or("state", "present") == "present",
            exclusive: args.bool_or("exclusive", true),
            tight: args.bool_or("no_extra_spaces", false),
            ignore_spaces: args.bool_or("ignore_spaces", false),
            no_value: args.bool_or("allow_no_value", false),
            inactive: args.bool_or("modify_inactive_option", true),
        }
    }

    fn line(&self, value: Option<&str>) -> String {
        let option = self.option.unwrap_or_default();
        match value {
            None => format!("{option}\n"),
            Some(value) if self.tight => format!("{option}={value}\n"),
            Some(value) => format!("{option} = {value}\n"),
        }
    }

    /// The line as a setting of the option; commented ones only when they count.
    fn setting<'l>(&self, line: &'l str, commented_too: bool) -> Option<Setting<'l>> {
        let blank = [' ', '\t'];
        let mut rest = line.trim_end_matches('\n').trim_start_matches(blank);
        let mut commented = false;
        if let Some(after) = rest.strip_prefix(['#', ';']).filter(|_| commented_too) {
            commented = true;
            rest = after.trim_start_matches(blank);
        }
        rest = rest.strip_prefix(self.option?)?.trim_start_matches(blank);
        if rest.is_empty() {
            return Some(Setting {
                commented,
                value: "",
            });
        }
        Some(Setting {
            commented,
            value: rest.strip_prefix('=')?.trim_start_matches(blank),
        })
    }

    /// The edited file; `None` when nothing changes.
    fn run(mut self, before: &[u8]) -> Option<Edited> {
        let coding = Coding::of(before);
        let text = coding.decode(before.strip_prefix(b"\xef\xbb\xbf").unwrap_or(before));
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if lines.is_empty() {
            lines.push("\n".to_owned());
        }
        let mut changed = false;
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
            changed = true;
        }
        let found = self.find_section(&lines);
        let mut message = "OK";
        if let Some((start, end)) = found {
            let mut section: Vec<String> = lines.drain(start..end).collect();
            let edited = if self.present {
                self.set(&mut section)
            } else {
                self.unset(&mut section)
            };
            if let Some(done) = edited {
                message = done;
                changed = true;
            }
            lines.splice(start..start, section);
        } else if self.present {
            message = self.append(&mut lines);
            changed = true;
        }
        changed.then(|| Edited {
            content: coding.encode(&lines.concat()),
            message: message.to_owned(),
        })
    }

    /// The lines of the section, with its heading; without a section, those before the first heading.
    fn find_section(&self, lines: &[String]) -> Option<(usize, usize)> {
        let end_from = |start: usize| {
            lines[start..]
                .iter()
                .position(|line| line.starts_with('['))
                .map_or(lines.len(), |at| start + at)
        };
        if self.section.is_empty() {
            return Some((0, end_from(0)));
        }
        let is_heading = |line: &String| {
            let inside = line
                .strip_prefix('[')
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix(self.section));
            inside.is_some_and(|rest| rest.trim_start().starts_with(']'))
        };
        lines
            .iter()
            .position(is_heading)
            .map(|start| (start, end_from(start + 1)))
    }

    fn set(&mut self, section: &mut Vec<String>) -> Option<&'static str> {
        let mut done = vec![false; section.len()];
        let (mut message, mut bare_present) = (None, false);
        self.option?;
        // Lines that have a wished value stay, in the wished form.
        for at in 0..section.len() {
            let Some(value) = self
                .setting(&section[at], self.inactive)
                .map(|setting| setting.value.to_owned())
            else {
                continue;
            };
            if let Some(wished) = self.values.iter().position(|wished| *wished == value) {
                let bare = value.is_empty() && self.no_value;
                bare_present |= bare;
                let line = self.line(if bare { None } else { Some(&value) });
                self.update(section, at, line, &mut done, &mut message);
                self.values.remove(wished);
            } else if self.values.is_empty() && self.no_value {
                self.update(section, at, self.line(None), &mut done, &mut message);
                bare_present = true;
                break;
            }
        }
        if self.exclusive && !self.no_value {
            // Other lines of the option take the values that are left; what remains of them goes.
            for at in 0..section.len() {
                if self.values.is_empty() {
                    break;
                }
                if !done[at] && self.setting(&section[at], self.inactive).is_some() {
                    let value = self.values.remove(0);
                    self.update(
                        section,
                        at,
                        self.line(Some(&value)),
                        &mut done,
                        &mut message,
                    );
                }
            }
            let first = usize::from(!self.section.is_empty());
            for at in (first..section.len()).rev() {
                if !done[at] && self.setting(&section[at], self.inactive).is_some() {
                    section.remove(at);
                    done.remove(at);
                    message = Some("option changed");
                }
            }
        }
        let content = |line: &String| {
            let line = line.trim_matches([' ', '\t', '\n', '\r']);
            !(line.is_empty() || line.starts_with(['#', ';']))
        };
        let at = section.iter().rposition(content).map_or(0, |at| at + 1);
        let missing: Vec<String> = if self.values.is_empty() {
            (self.no_value && !bare_present)
                .then(|| self.line(None))
                .into_iter()
                .collect()
        } else {
            self.values
                .iter()
                .map(|value| self.line(Some(value)))
                .collect()
        };
        if !missing.is_empty() {
            section.splice(at..at, missing);
            message = Some("option added");
        }
        message
    }

    fn update(
        &self,
        section: &mut [String],
        at: usize,
        new: String,
        done: &mut [bool],
        message: &mut Option<&'static str>,
    ) {
        done[at] = true;
        let same = match self.setting(&section[at], true) {
            Some(old) if self.ignore_spaces && !old.commented => {
                Some(old.value) == self.setting(&new, true).map(|new| new.value)
            }
            _ => section[at] == new,
        };
        if !same {
            section[at] = new;
            *message = Some("option changed");
        }
    }

    fn unset(&self, section: &mut Vec<String>) -> Option<&'static str> {
        if self.option.is_none() {
            let there = !section.is_empty();
            section.clear();
            return there.then_some("section removed");
        }
        let count = section.len();
        section.retain(|line| match self.setting(line, false) {
            Some(setting) => {
                !self.exclusive && !self.values.iter().any(|value| value == setting.value)
            }
            None => true,
        });
        (section.len() != count).then_some("option changed")
    }

    fn append(&self, lines: &mut Vec<String>) -> &'static str {
        lines.push(format!("[{}]\n", self.section));
        if self.option.is_none() || (self.values.is_empty() && !self.no_value) {
            return "only section added";
        }
        if self.values.is_empty() {
            lines.push(self.line(None));
        } else {
            lines.extend(self.values.iter().map(|value| self.line(Some(value))));
        }
        "section and option added"
    }
}
