//! Lists of plays, tasks and hosts for `--list-tasks` and `--list-hosts`.

use crate::play::{Item, Playbook, selected};
use std::fmt::Write as _;

/// Every task that the tags select, by play.
pub fn tasks(playbook: &Playbook, only: &[String], skip: &[String]) -> String {
    let mut text = String::new();
    for play in &playbook.plays {
        let _ = writeln!(text, "play: {}", play.name);
        walk(&play.items, only, skip, &mut text);
    }
    text
}

fn walk(items: &[Item], only: &[String], skip: &[String], text: &mut String) {
    for item in items {
        let (title, tags) = match item {
            Item::Task(task) => (task.title(), &task.keywords.tags),
            Item::Include(include) => (include.title(), &include.keywords.tags),
            Item::Block(block) => {
                for part in [&block.tasks, &block.rescue, &block.always] {
                    walk(part, only, skip, text);
                }
                continue;
            }
            Item::Flush | Item::RoleEnd(_) => continue,
        };
        if selected(tags, only, skip) {
            let tags = if tags.is_empty() {
                String::new()
            } else {
                format!("  [{}]", tags.join(", "))
            };
            let _ = writeln!(text, "  {title}{tags}");
        }
    }
}

/// The hosts of each play.
pub fn hosts(plays: &[(String, Vec<String>)]) -> String {
    plays.iter().fold(String::new(), |mut text, (play, hosts)| {
        let _ = writeln!(text, "play: {play}\n  {}", hosts.join(" "));
        text
    })
}
