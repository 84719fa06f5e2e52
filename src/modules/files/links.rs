//! `file` with `state: link` and `state: hard`.

use super::attributes::{Attributes, REPORT, Wish, describe, foresee};
use super::file::{Task, decide, kind_name, source_path};
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result};
use crate::modules::{Change, Decision, FileKind, SeenFile};

impl Task<'_> {
    /// A symbolic link.
    pub(super) fn link(
        &self,
        here: Option<&SeenFile>,
        target: Option<&SeenFile>,
    ) -> Result<Decision> {
        let force = self.args.bool_or("force", false);
        let current = here.and_then(|here| here.target.as_deref());
        let Some(src) = self
            .args
            .str("src")
            .filter(|src| !src.is_empty())
            .or(current)
        else {
            return Err(Diagnostic::new("`state: link` needs `src` for a new link"));
        };
        if !force && self.args.has("src") && target.is_none() && !self.args.check {
            return Err(Diagnostic::new(format!(
                "`src` does not exist: `{}`",
                source_path(self.path, src)
            ))
            .help("create it first, or write `force: true` to make a dangling link"));
        }
        match here.map(|here| here.kind) {
            Some(FileKind::Link) | None => {}
            Some(_) if force => {}
            Some(_) => {
                let kind = here.map_or("file", kind_name);
                return Err(self
                    .wrong(&format!("is a {kind} and would become a link"))
                    .help("write `force: true` to replace it"));
            }
        }
        let mut outcome = self.outcome("dest");
        outcome.insert("src".into(), src.into());
        let mut change = Change {
            outcome,
            ..Change::default()
        };
        let mut body = String::new();
        if current != Some(src) {
            let before = current.map_or_else(
                || here.map_or("absent".to_owned(), |here| kind_name(here).to_owned()),
                |to| format!("link to {to}"),
            );
            change
                .diffs
                .push(self.state_diff(&before, &format!("link to {src}")));
            if here.is_some_and(|here| here.kind == FileKind::Directory) {
                body.push_str("rmdir -- \"$t\" || fail \"$t: the directory is not empty and cannot become a link\" 'remove its content first'\n");
            }
            body.push_str(&replace_with(&format!("ln -s -- {} \"$n\"", sh(src))));
        }
        // With `follow`, attributes are those of the target; a dangling link has none.
        let owner_only = Wish {
            mode: None,
            ..self.wish.clone()
        };
        let attributes = match (
            self.follow,
            target,
            here.filter(|here| here.kind == FileKind::Link),
        ) {
            (true, Some(target), _) => self.wish.difference(target),
            (true, None, _) => Attributes::default(),
            (false, _, Some(link)) => owner_only.difference(link),
            (false, _, None) => owner_only.for_new(false),
        };
        body.push_str(&attributes.commands("t", !self.follow));
        change.diffs.extend(attributes.diff(self.path));
        if let Some(here) = here {
            describe(&mut change.outcome, here);
        }
        change.outcome.insert("state".into(), "link".into());
        if body.is_empty() {
            return Ok(Decision::Same(change.outcome));
        }
        change
            .requests
            .push(self.request(&format!("{body}{REPORT}")));
        Ok(Decision::Change(change))
    }

    /// A hard link.
    pub(super) fn hard(
        &self,
        here: Option<&SeenFile>,
        source: Option<&SeenFile>,
    ) -> Result<Decision> {
        let src = self.args.str("src").filter(|src| !src.is_empty());
        let mut outcome = self.outcome("dest");
        outcome.insert("src".into(), src.into());
        let force = self.args.bool_or("force", false);
        let (Some(src), Some(source)) = (src, source) else {
            return match (src, here) {
                (Some(src), _) => Err(Diagnostic::new(format!("`src` does not exist: `{src}`"))),
                (None, Some(here)) if here.links > 1 => {
                    Ok(decide(self.attributes(here, None, outcome)?, here))
                }
                (None, _) => Err(Diagnostic::new("`state: hard` needs `src` for a new link")),
            };
        };
        if let Some(here) = here {
            if here.inode == source.inode && here.device == source.device {
                return Ok(decide(self.attributes(here, None, outcome)?, here));
            }
            if !force && here.kind != FileKind::Link {
                return Err(self
                    .wrong(&format!("is another {}", kind_name(here)))
                    .help("write `force: true` to replace it"));
            }
        }
        foresee(&mut outcome, self.wish, Some(source), false);
        let mut body = replace_with(&format!("ln -- {} \"$n\"", sh(src)));
        body.push_str(&self.wish.difference(source).commands("t", false));
        body.push_str(REPORT);
        let diffs = vec![self.state_diff(
            here.map_or("absent", kind_name),
            &format!("hard link to {src}"),
        )];
        Ok(Decision::Change(Change {
            diffs,
            requests: vec![self.request(&body)],
            outcome,
        }))
    }
}

/// Makes the new thing beside `$t` and renames it over.
fn replace_with(make: &str) -> String {
    format!(
        "d=${{t%/*}}; n=$(mktemp -u -- \"$d/.hactl.XXXXXXXX\")\ntrap 'rm -f -- \"$n\"' EXIT\n{make}\nmv -fT -- \"$n\" \"$t\"\ntrap - EXIT\n"
    )
}
