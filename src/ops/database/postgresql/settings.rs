//! Declared against in force: settings that hactl's file declares and that something else decides.

use serde::Deserialize;

/// A setting that is not as declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Overridden {
    /// Its name.
    pub name: String,
    /// What 50-cluster.conf says.
    pub declared: String,
    /// What is in force.
    pub value: String,
    /// Who decides instead: a file and line, or a source such as `command line`.
    pub place: String,
    /// What is in force after the next start, where that is another value.
    #[serde(default)]
    pub next: Option<String>,
}

/// The setting that a failover overrides until there is a standby again.
pub const NAMES: &str = "synchronous_standby_names";

/// SQL for a superuser: a JSON list of [`Overridden`]. The last line of all files wins, `postgresql.auto.conf` comes last, and
/// what was given on the command line beats them all.
pub const SQL: &str = r"(SELECT coalesce(json_agg(o), '[]') FROM (
 WITH f AS (SELECT name, setting, seqno, sourcefile || ':' || sourceline AS place,
   sourcefile LIKE '%/conf.d/50-cluster.conf' AS ours FROM pg_file_settings),
 m AS (SELECT DISTINCT ON (name) name, setting FROM f WHERE ours ORDER BY name, seqno DESC),
 w AS (SELECT DISTINCT ON (name) * FROM f ORDER BY name, seqno DESC)
 SELECT name, m.setting AS declared, current_setting(name, true) AS value,
   CASE WHEN NOT w.ours THEN w.place ELSE coalesce(s.sourcefile || ':' || s.sourceline, s.source) END AS place,
   CASE WHEN w.setting IS DISTINCT FROM current_setting(name, true) AND NOT w.ours THEN w.setting END AS next
 FROM m JOIN w USING (name) JOIN pg_settings s USING (name)
 WHERE (NOT w.ours AND w.setting IS DISTINCT FROM m.setting)
   OR (w.ours AND s.source NOT IN ('configuration file', 'session', 'client', 'default')
     AND current_setting(name, true) IS DISTINCT FROM m.setting)) o)";

impl Overridden {
    /// What is wrong, in words.
    pub fn words(&self) -> String {
        let next = self.next.as_ref().map_or_else(String::new, |next| {
            format!(", and '{next}' after the next start")
        });
        format!(
            "{} is '{}'{next} by {}, declared is '{}'",
            self.name, self.value, self.place, self.declared
        )
    }

    /// What takes it back.
    pub fn remedy(&self) -> String {
        if self.place.contains("postgresql.auto.conf:") {
            format!(
                "ALTER SYSTEM RESET {}; SELECT pg_reload_conf(); (a restart where verify then says that it waits for one)",
                self.name
            )
        } else if self.place.starts_with('/') {
            format!(
                "remove the line {}, then SELECT pg_reload_conf()",
                self.place
            )
        } else {
            format!("it comes from: {}; start the server without it", self.place)
        }
    }
}
