//! Which tasks are chosen by tags, and what a playbook would run: for `--tags`, `--skip-tags` and the listings.

use super::types::{Item, Play};
use crate::source::Span;

/// Whether a task with these tags runs, under `--tags only` and `--skip-tags skip` (`always`, `never`, `tagged`,
/// `untagged` and `all` as in Ansible).
pub fn selected(tags: &[String], only: &[String], skip: &[String]) -> bool {
    let has = |list: &[String], tag: &str| list.iter().any(|other| other == tag);
    let shares = |list: &[String]| tags.iter().any(|tag| has(list, tag));
    let always = has(tags, "always");
    let never = has(tags, "never");
    let runs = if only.is_empty() || has(only, "all") {
        !never || shares(only)
    } else {
        (always && !never)
            || shares(only)
            || (has(only, "tagged") && !tags.is_empty() && !never)
            || (has(only, "untagged") && tags.is_empty())
    };
    let skipped = (has(skip, "all") && !(always && !has(skip, "always")))
        || shares(skip)
        || (has(skip, "tagged") && !tags.is_empty())
        || (has(skip, "untagged") && tags.is_empty());
    runs && !skipped
}

/// A line of `--list-tasks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `role : name`.
    pub title: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it stands.
    pub span: Span,
    /// How deep in blocks.
    pub depth: usize,
}

/// The tasks of a play, as far as they are known before the run; handlers are not among them.
pub fn tasks(play: &Play) -> Vec<Listed> {
    let mut listed = Vec::new();
    collect(&play.items, 0, &mut listed);
    listed
}

/// All tags of a play, sorted.
pub fn tags(play: &Play) -> Vec<String> {
    let mut tags: Vec<String> = tasks(play)
        .into_iter()
        .flat_map(|task| task.tags)
        .chain(play.keywords.tags.clone())
        .collect();
    tags.sort();
    tags.dedup();
    tags
}

fn collect(items: &[Item], depth: usize, listed: &mut Vec<Listed>) {
    for item in items {
        match item {
            Item::Task(task) => listed.push(Listed {
                title: task.title(),
                tags: task.keywords.tags.clone(),
                span: task.span.clone(),
                depth,
            }),
            Item::Include(include) => listed.push(Listed {
                title: include.title(),
                tags: include.keywords.tags.clone(),
                span: include.span.clone(),
                depth,
            }),
            Item::Block(block) => {
                for section in [&block.tasks, &block.rescue, &block.always] {
                    collect(section, depth + 1, listed);
                }
            }
            Item::Flush | Item::RoleEnd(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_choose_as_in_ansible() {
        // tags of the task, --tags, --skip-tags, runs
        for (tags, only, skip, runs) in [
            ("", "", "", true),
            ("a", "", "", true),
            ("a", "a", "", true),
            ("a", "b", "", false),
            ("", "b", "", false),
            ("always", "b", "", true),
            ("always", "b", "always", false),
            ("never", "", "", false),
            ("never", "all", "", false),
            ("never,a", "a", "", true),
            ("never,a", "never", "", true),
            ("never,a", "tagged", "", false),
            ("a", "tagged", "", true),
            ("", "tagged", "", false),
            ("", "untagged", "", true),
            ("a", "untagged", "", false),
            ("a,b", "a", "b", false),
            ("a", "", "tagged", false),
            ("", "", "untagged", false),
            ("always", "", "all", true),
            ("a", "", "all", false),
        ] {
            let list = |text: &str| {
                text.split(',')
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                selected(&list(tags), &list(only), &list(skip)),
                runs,
                "{tags:?} {only:?} {skip:?}"
            );
        }
    }
}
