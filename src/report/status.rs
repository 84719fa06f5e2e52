//! What `status` has seen: one screen, and the JSON document `hactl.status/1` (its schema is in `docs/schema/status.json`).
//!
//! Colours only underline: every word is there without them.

use crate::base::mask::mask;
use crate::base::quote::for_terminal;
use crate::ops::status::board::{
    Application, Balancer, Board, Database, Databases, Finding, Past, Severity, State, Unfinished,
    VirtualAddress,
};
use crate::ops::status::databases::size;
use crate::ops::status::past::{ago, moment, operator, progress};
use comfy_table::{ContentArrangement, Table, presets};
use console::{Style, Term};
use serde_json::{Value, json};
use std::time::Duration;

/// The widest screen that is filled.
const WIDTH: u16 = 100;

/// How wide the screen is: the terminal's width, 100 columns at most.
pub fn width() -> u16 {
    let term = Term::stdout();
    if term.is_term() {
        term.size().1.clamp(50, WIDTH)
    } else {
        WIDTH
    }
}

/// The document.
pub fn json(board: &Board, took: Duration) -> Value {
    let mut value = serde_json::to_value(board).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("seconds".to_owned(), json!(took.as_secs_f64()));
        map.insert("exit_code".to_owned(), json!(board.exit_code()));
    }
    value
}

/// The screen.
pub fn text(board: &Board, took: Duration, width: u16) -> String {
    let page = Page {
        width,
        text: String::new(),
    };
    let page = page.verdict(board, took).findings(&board.findings);
    let page = match &board.databases {
        Some(databases) => page.databases(databases),
        None => page,
    };
    let page = match &board.virtual_address {
        Some(address) => page.address(address),
        None => page,
    };
    page.balancers(&board.balancers, board.virtual_address.as_ref())
        .applications(&board.applications)
        .operations(board)
        .points(&board.single_points)
        .finish()
}

/// A screen that is being written.
struct Page {
    width: u16,
    text: String,
}

impl Page {
    fn finish(self) -> String {
        mask(&self.text)
    }

    fn title(&mut self, title: &str) {
        self.text.push('\n');
        self.text
            .push_str(&Style::new().bold().apply_to(title).to_string());
        self.text.push('\n');
    }

    /// Rows of cells, two blanks in; cells that are too wide are broken.
    fn rows(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.width - 2);
        if !head.is_empty() {
            table.add_row(head.to_vec());
        }
        for row in rows {
            table.add_row(
                row.iter()
                    .map(|cell| for_terminal(cell).replace('\n', " "))
                    .collect::<Vec<_>>(),
            );
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let dim = Style::new().dim();
        for (index, line) in table.lines().enumerate() {
            let line = format!("  {}", line.trim_end());
            if index == 0 && !head.is_empty() {
                self.text.push_str(&dim.apply_to(line).to_string());
            } else {
                self.text.push_str(&line);
            }
            self.text.push('\n');
        }
    }

    fn verdict(mut self, board: &Board, took: Duration) -> Self {
        let style = match board.state {
            State::Healthy => Style::new().green().bold(),
            State::Degraded | State::Unknown => Style::new().yellow().bold(),
            State::Down | State::SplitBrain => Style::new().red().bold(),
        };
        let verdict = for_terminal(&board.verdict).replace('\n', " ");
        // The first line is the verdict, whole: scripts read it.
        self.text.push_str(&style.apply_to(verdict).to_string());
        let reached = board.hosts.iter().filter(|host| host.reached).count();
        self.text.push_str(&format!(
            "\n{}, {reached} of {} hosts answered, {:.1} s\n",
            moment(board.now),
            board.hosts.len(),
            took.as_secs_f64()
        ));
        self
    }

    fn findings(mut self, findings: &[Finding]) -> Self {
        if findings.is_empty() {
            return self;
        }
        let worst = findings
            .first()
            .is_some_and(|finding| finding.severity != Severity::Note);
        self.title(if worst {
            "What is wrong"
        } else {
            "Worth knowing"
        });
        let mut rows = Vec::new();
        for finding in findings {
            let label = match finding.severity {
                Severity::SplitBrain => "SPLIT BRAIN",
                Severity::Down => "DOWN",
                Severity::Degraded => "degraded",
                Severity::Unknown => "unknown",
                Severity::Note => "note",
            };
            rows.push(vec![label.to_owned(), finding.what.clone()]);
            if !finding.remedy.is_empty() {
                rows.push(vec![String::new(), format!("→ {}", finding.remedy)]);
            }
        }
        self.rows(&[], rows);
        self
    }

    fn databases(mut self, databases: &Databases) -> Self {
        self.title("PostgreSQL");
        let rows = databases.members.iter().map(database).collect();
        self.rows(
            &[
                "host",
                "role",
                "inventory",
                "timeline",
                "log",
                "lag",
                "details",
            ],
            rows,
        );
        if !databases.slots.is_empty() {
            let slots = databases
                .slots
                .iter()
                .map(|slot| {
                    vec![
                        format!("slot {} on {}", slot.name, slot.host),
                        if slot.active { "active" } else { "not used" }.to_owned(),
                        slot.kept_bytes.map_or_else(
                            || "keeps ?".to_owned(),
                            |bytes| format!("keeps {}", size(bytes)),
                        ),
                        slot.wal_status.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            self.rows(&[], slots);
        }
        let when = databases.primary.as_ref().map_or_else(
            || "lost by a failover now".to_owned(),
            |primary| format!("lost if {primary} died now"),
        );
        let failover = &databases.failover;
        let who = failover.to.as_deref().unwrap_or("nobody");
        let possible = match (&failover.command, failover.possible) {
            (Some(command), true) => format!("to {who}, now: {command}"),
            _ if failover.to.is_some() => {
                format!("not now (to {who}): {}", failover.why_not.join("; "))
            }
            _ => format!("not possible: {}", failover.why_not.join("; ")),
        };
        let label = if databases.primary.is_some() {
            "takeover"
        } else {
            "failover"
        };
        self.rows(
            &[],
            vec![
                vec![when, databases.loss.sentence.clone()],
                vec![label.to_owned(), possible],
            ],
        );
        self
    }

    fn address(mut self, address: &VirtualAddress) -> Self {
        self.title(&format!(
            "Virtual address {}",
            for_terminal(&address.address)
        ));
        let mut rows = vec![vec![
            "by its own word".to_owned(),
            match address.holders.as_slice() {
                [] => "on no host that was asked".to_owned(),
                holders => format!("on {}", holders.join(" AND ")),
            } + &match address.not_asked.as_slice() {
                [] => String::new(),
                lost => format!(" ({} could not be asked)", lost.join(", ")),
            },
        ]];
        // Those that see the same are one line.
        let mut views: Vec<(Vec<&str>, String)> = Vec::new();
        for view in &address.views {
            let at = match (&view.at, &view.hardware_address) {
                (Some(host), _) => format!("at {host}"),
                (None, Some(mac)) => format!("at {mac}, of no host that was asked"),
                (None, None) => "no neighbour entry".to_owned(),
            };
            let answer = match (&view.status, &view.why) {
                (Some(200), _) => "answers".to_owned(),
                (Some(status), _) => format!("answers with status {status}"),
                (None, Some(why)) => format!("does not answer: {why}"),
                (None, None) => "not tried".to_owned(),
            };
            let seen = format!("{at}, {answer}");
            match views.iter_mut().find(|(_, other)| *other == seen) {
                Some((from, _)) => from.push(&view.from),
                None => views.push((vec![&view.from], seen)),
            }
        }
        rows.extend(
            views
                .into_iter()
                .map(|(from, seen)| vec![format!("seen by {}", from.join(", ")), seen]),
        );
        self.rows(&[], rows);
        self
    }

    fn balancers(mut self, balancers: &[Balancer], address: Option<&VirtualAddress>) -> Self {
        if balancers.is_empty() {
            return self;
        }
        self.title("Load balancers");
        let rows = balancers
            .iter()
            .map(|line| balancer(line, address))
            .collect();
        self.rows(
            &[
                "host",
                "haproxy",
                "keepalived",
                "address",
                "others get",
                "its servers",
            ],
            rows,
        );
        self
    }

    fn applications(mut self, applications: &[Application]) -> Self {
        if applications.is_empty() {
            return self;
        }
        self.title("Application servers");
        let rows = applications
            .iter()
            .map(|line| {
                vec![
                    line.host.clone(),
                    line.service.clone().unwrap_or_else(|| "unknown".to_owned()),
                    match line.status {
                        Some(200) => "healthy".to_owned(),
                        Some(status) => format!("not healthy ({status})"),
                        None => "unknown".to_owned(),
                    },
                    line.database
                        .as_ref()
                        .map_or_else(String::new, |host| format!("uses {host}")),
                    line.why.clone().unwrap_or_default(),
                ]
            })
            .collect();
        self.rows(&["host", "service", "health", "database", "details"], rows);
        self
    }

    fn operations(mut self, board: &Board) -> Self {
        self.title("Operations");
        let past = |past: &Option<Past>, none: &str| {
            past.as_ref()
                .map_or_else(|| none.to_owned(), |past| ended(past, board.now))
        };
        let mut rows = vec![
            vec![
                "unfinished".to_owned(),
                board
                    .unfinished
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |one| unfinished(one, board.now)),
            ],
            vec![
                "last change of primary".to_owned(),
                past(&board.last.change, "none"),
            ],
            vec![
                "last backup".to_owned(),
                past(&board.last.backup, "none configured"),
            ],
            vec!["last drill".to_owned(), past(&board.last.drill, "none")],
        ];
        for mark in &board.marks {
            let what = match (mark.kind, &mark.subject) {
                ("blocks", Some(subject)) => format!("{} blocks {subject}", mark.host),
                ("keepalived_flag", _) => format!("{}: keepalived's flag", mark.host),
                (kind, _) => format!("{}: {kind}", mark.host),
            };
            let text = if mark.text.is_empty() {
                "all traffic to it".to_owned()
            } else {
                mark.text.clone()
            };
            rows.push(vec![what, text]);
        }
        self.rows(&[], rows);
        self
    }

    fn points(mut self, points: &[String]) -> Self {
        self.title("Single points of failure");
        let rows = match points {
            [] => vec![vec!["none among these hosts".to_owned()]],
            points => points.iter().map(|point| vec![point.clone()]).collect(),
        };
        self.rows(&[], rows);
        self
    }
}

fn database(line: &Database) -> Vec<String> {
    let role = if line.seen_by.is_empty() {
        line.role.clone()
    } else {
        format!("{} (seen by {})", line.role, line.seen_by.join(", "))
    };
    let declared = match line.declared {
        "primary" => "first choice",
        other => other,
    };
    let lag = match (line.lag_bytes, line.lag_seconds) {
        (Some(0), _) => "0 B".to_owned(),
        (Some(bytes), Some(seconds)) => format!("{}, {seconds:.1} s", size(bytes)),
        (Some(bytes), None) => size(bytes),
        (None, _) if line.role == "replica" => "unknown".to_owned(),
        (None, _) => "-".to_owned(),
    };
    vec![
        line.host.clone(),
        role,
        declared.to_owned(),
        line.timeline
            .map_or_else(|| "-".to_owned(), |timeline| timeline.to_string()),
        line.position.clone().unwrap_or_else(|| "-".to_owned()),
        lag,
        line.note.clone(),
    ]
}

fn balancer(line: &Balancer, address: Option<&VirtualAddress>) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let reached = line.haproxy.is_some() || line.keepalived.is_some();
    let holds = match address {
        _ if !reached => unknown(),
        Some(address) if address.holders.contains(&line.host) => "holds it".to_owned(),
        _ if line.flag => "maintenance".to_owned(),
        Some(_) => "-".to_owned(),
        None => "-".to_owned(),
    };
    let servers: Vec<String> = line
        .servers
        .iter()
        .map(|server| format!("{} {}", server.name, server.status))
        .collect();
    vec![
        line.host.clone(),
        line.haproxy.clone().unwrap_or_else(unknown),
        line.keepalived.clone().unwrap_or_else(unknown),
        holds,
        match line.answers {
            Some(true) => "answers",
            Some(false) => "no answer",
            None => "unknown",
        }
        .to_owned(),
        if servers.is_empty() {
            line.why.clone().unwrap_or_else(|| "none".to_owned())
        } else {
            servers.join(", ")
        },
    ]
}

fn unfinished(one: &Unfinished, now: u64) -> String {
    if one.kind.is_empty() {
        return format!(
            "one whose journal cannot be read, on {}: {}",
            one.hosts.join(", "),
            one.command
        );
    }
    let reason = if one.reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", one.reason)
    };
    let running = one
        .running
        .as_ref()
        .map_or_else(String::new, |who| format!("; at work now: {who}"));
    format!(
        "{}, begun {} ago ({}) by {}{reason}; {}{running}: {}",
        one.kind,
        ago(now, one.started),
        moment(one.started),
        operator(&one.operator),
        progress(one),
        one.command
    )
}

fn ended(past: &Past, now: u64) -> String {
    let about = if past.about.is_empty() {
        String::new()
    } else {
        format!(" {}", past.about)
    };
    let message = if past.message.is_empty() {
        String::new()
    } else {
        format!(" ({})", past.message)
    };
    format!(
        "{}{about}, {}{message}, {} ago ({}), by {}",
        past.kind,
        past.result,
        ago(now, past.ended),
        moment(past.ended),
        operator(&past.operator)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::status::{Scene, scenes};

    fn screen(scene: &Scene<'_>) -> String {
        console::set_colors_enabled(false);
        let text = text(&scene.board(), Duration::from_millis(420), WIDTH);
        let wide: Vec<&str> = text
            .lines()
            .skip(1)
            .filter(|line| console::measure_text_width(line) > usize::from(WIDTH))
            .collect();
        assert!(wide.is_empty(), "{wide:?}");
        text
    }

    #[test]
    fn the_screen_of_each_scene() {
        let site = scenes::site();
        insta::assert_snapshot!("healthy", screen(&scenes::healthy(&site)));
        insta::assert_snapshot!("primary_dead", screen(&scenes::primary_dead(&site)));
        insta::assert_snapshot!("split_brain", screen(&scenes::split_brain(&site)));
        insta::assert_snapshot!("replica_paused", screen(&scenes::replica_paused(&site)));
        insta::assert_snapshot!(
            "unfinished_switchover",
            screen(&scenes::unfinished_switchover(&site))
        );
        insta::assert_snapshot!("fenced_old_primary", screen(&scenes::fenced(&site)));
        let mut site = scenes::site();
        insta::assert_snapshot!("no_replica_no_backup", screen(&scenes::lonely(&mut site)));
    }

    #[test]
    fn text_of_hosts_is_data() {
        let site = scenes::site();
        let mut scene = scenes::healthy(&site);
        scene.change("app1", |seen| {
            seen.health = Some(Err("\u{1b}[2Jgone\nhealthy: all".to_owned()))
        });
        scene.change("lb1", |seen| {
            seen.maintenance = Some("\u{7}since\u{202e}".to_owned())
        });
        let text = screen(&scene);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
        assert!(
            !text.lines().any(|line| line.starts_with("healthy")),
            "{text}"
        );
    }

    /// Every field of the document is in the schema, and every field that the schema demands is in the document.
    #[test]
    fn the_document_is_as_its_schema_says() {
        let schema: Value =
            serde_json::from_str(include_str!("../../docs/schema/status.json")).expect("a schema");
        let site = scenes::site();
        for scene in [
            scenes::healthy(&site),
            scenes::primary_dead(&site),
            scenes::split_brain(&site),
            scenes::unfinished_switchover(&site),
            scenes::fenced(&site),
        ] {
            let mut document = json(&scene.board(), Duration::from_secs(1));
            document["schema"] = json!("hactl.status/1");
            agree(&schema, &schema, &document, "$");
        }
    }

    fn agree(whole: &Value, schema: &Value, value: &Value, at: &str) {
        if let Some(name) = schema["$ref"]
            .as_str()
            .and_then(|name| name.strip_prefix("#/$defs/"))
        {
            return agree(whole, &whole["$defs"][name], value, at);
        }
        if let Some(options) = schema["anyOf"].as_array() {
            let null = options.iter().any(|option| option["type"] == "null");
            if !(null && value.is_null()) {
                agree(whole, &options[0], value, at);
            }
            return;
        }
        if let Some(allowed) = schema["enum"].as_array() {
            assert!(
                allowed.contains(value),
                "{at}: {value} is not among {allowed:?}"
            );
        }
        if let Some(only) = schema.get("const") {
            assert_eq!(value, only, "{at}");
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => vec![kind],
        };
        assert!(
            kinds.contains(&kind) || kind == "integer" && kinds.contains(&"number"),
            "{at}: {value} is no {kinds:?}"
        );
        if let Value::Array(items) = value {
            for item in items {
                agree(whole, &schema["items"], item, &format!("{at}[]"));
            }
        }
        if let Value::Object(map) = value {
            for name in schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                assert!(map.contains_key(name), "{at}.{name} is missing");
            }
            for (name, value) in map {
                let known = schema["properties"].get(name);
                assert!(known.is_some(), "{at}.{name} is not in the schema");
                agree(
                    whole,
                    known.unwrap_or(&Value::Null),
                    value,
                    &format!("{at}.{name}"),
                );
            }
        }
    }
}
