//! What a standby last observed in force on its primary (the role's hactl-observer keeps it), and whether commits waited there.
//!
//! Pure. What was not observed is never assumed; a standby's own settings say nothing about its primary.

use super::lsn::Lsn;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The last observation, as it was at the moment of the look. Ages are in seconds before that moment, by the standby's clock
/// since its boot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// The primary's address, as the standby is told to reach it.
    pub address: String,
    /// What the primary said.
    pub said: Said,
    /// How far it had written when the way commits wait was as it is here for the first time, and without a pause since.
    pub since: Option<Lsn>,
    /// Age of the observation.
    pub age: f64,
    /// Its time of day, in seconds since 1970.
    pub wall: i64,
    /// Age of the last attempt to observe.
    pub tried: Option<f64>,
    /// Age of the last word of the primary to the standby's receiver, as far as the observer knows.
    pub heard: Option<f64>,
}

/// What was in force on the primary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The cluster's identity.
    pub system: String,
    /// The timeline that it wrote.
    pub timeline: u32,
    /// `synchronous_standby_names`.
    pub names: String,
    /// `synchronous_commit`.
    pub commit: String,
    /// Roles and databases whose commits wait for less.
    pub exempt: i64,
    /// `fsync`.
    pub fsync: String,
    /// `full_page_writes`.
    pub full_page_writes: String,
}

/// How much older than the primary's last word an observation may be, in seconds: it is made once a second, and what was
/// changed after it is not known.
pub const SLACK: f64 = 5.0;

/// How long the observer may be silent, in seconds, before it is not known what it would have seen.
pub const SILENCE: f64 = 15.0;

/// Shell that prints the observation in one line, for [`Observation::read`]; nothing when there is none.
pub const ASK: &str = r#"f=/run/hactl-observer/primary
if [ -r "$f" ]; then read -r u r </proc/uptime; read -r b </proc/sys/kernel/random/boot_id; { echo "now=$u"; echo "booted=$b"; cat "$f"; } | tr '\n' '\t'; echo; fi"#;

impl Observation {
    /// Reads what [`ASK`] printed; none when there is nothing, when it is of an earlier boot, or when nothing was observed yet.
    pub fn read(line: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = line
            .split('\t')
            .filter_map(|field| field.split_once('='))
            .collect();
        let number = |key: &str| fields.get(key)?.parse::<f64>().ok();
        if fields.get("boot")? != fields.get("booted")? {
            return None;
        }
        let now = number("now")?;
        let age = |key: &str| number(key).map(|at| (now - at).max(0.0));
        Some(Self {
            address: (*fields.get("address")?).to_owned(),
            said: serde_json::from_str(fields.get("said")?).ok()?,
            since: fields.get("since").and_then(|text| text.parse().ok()),
            age: age("at")?,
            wall: fields.get("wall")?.parse().ok()?,
            tried: age("tried"),
            heard: age("heard"),
        })
    }

    /// What was observed, in words: the settings and when.
    pub fn words(&self) -> String {
        let time = jiff::Timestamp::from_second(self.wall).map_or_else(
            |_| "at an unknown time".to_owned(),
            |time| format!("at {}", time.strftime("%Y-%m-%d %H:%M:%S UTC")),
        );
        format!(
            "last observed {time}, {:.0} s ago: synchronous_standby_names = '{}', synchronous_commit = {}",
            self.age, self.said.names, self.said.commit
        )
    }
}

/// What has to hold for "whatever was acknowledged is on this standby".
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Where the old primary is reached.
    pub address: &'a str,
    /// The cluster's identity and timeline, as the standby knows them.
    pub system: &'a str,
    /// The standby's timeline.
    pub timeline: u32,
    /// How far the standby has the log.
    pub has: Lsn,
    /// Age of the primary's last word to the standby's receiver, in seconds; none when no receiver runs.
    pub silent: Option<f64>,
    /// The standbys whose logs are compared: the one that is to be promoted has the most of them.
    pub compared: &'a [&'a str],
}

/// Whether every acknowledged commit is on the standby, by what was observed.
///
/// # Errors
/// Why that is not known.
pub fn proves_no_loss(
    observed: Option<&Observation>,
    question: &Question<'_>,
) -> Result<(), String> {
    let Some(seen) = observed else {
        return Err("what was in force on it was never observed since this host was started (hactl-observer.service)".to_owned());
    };
    let said = &seen.said;
    if seen.address != question.address {
        return Err(format!("the last observation is of {}", seen.address));
    }
    if said.system != question.system || said.timeline != question.timeline {
        return Err(format!(
            "the last observation is of timeline {}, the replica is on {}",
            said.timeline, question.timeline
        ));
    }
    if !waits_for(&said.names, question.compared) {
        return Err(format!(
            "commits did not wait for {}",
            question.compared.join(" or ")
        ));
    }
    if !matches!(said.commit.as_str(), "on" | "remote_apply") {
        return Err("commits did not wait until a replica had them on its disk".to_owned());
    }
    if said.exempt > 0 {
        return Err(format!(
            "{} roles or databases have a synchronous_commit of their own, whose commits wait for less",
            said.exempt
        ));
    }
    match seen.since {
        Some(since) if since <= question.has => {}
        _ => {
            return Err(
                "commits wait only since a position that the replica has not got".to_owned(),
            );
        }
    }
    // The primary's last word: to the receiver, or the observation itself. Without a receiver, only an observer that goes on
    // asking shows that there was none after it.
    let asks = seen.tried.is_some_and(|tried| tried <= SILENCE);
    if question.silent.is_none() && !asks {
        return Err("nobody observed it since then: hactl-observer does not run".to_owned());
    }
    let last_word = [question.silent, seen.heard]
        .into_iter()
        .flatten()
        .fold(seen.age, f64::min);
    let gap = seen.age - last_word;
    if gap > SLACK {
        return Err(format!(
            "it was heard of for {gap:.0} s more, and what was changed in that time is not known"
        ));
    }
    Ok(())
}

/// Whether no commit was acknowledged that none of these standbys has: with `ANY k` or `FIRST k` of a list, fewer than k of
/// its members may be others.
fn waits_for(names: &str, standbys: &[&str]) -> bool {
    let Some((count, members)) = parse(names) else {
        return false;
    };
    let others = members
        .iter()
        .filter(|member| {
            !standbys
                .iter()
                .any(|name| name.eq_ignore_ascii_case(member))
        })
        .count();
    // `*` is whoever connects, a backup's stream as well.
    count > 0 && others < count && !members.iter().any(|member| member == "*")
}

/// Reads `synchronous_standby_names`: how many must confirm, and of whom.
fn parse(names: &str) -> Option<(usize, Vec<String>)> {
    let names = names.trim();
    if names.is_empty() {
        return None;
    }
    let (count, list) = match names.split_once('(') {
        Some((head, rest)) => {
            let head = head.trim();
            let word = |word: &str| {
                let (start, rest) = (head.get(..word.len())?, head.get(word.len()..)?);
                start.eq_ignore_ascii_case(word).then_some(rest)
            };
            let number = word("ANY").or_else(|| word("FIRST")).unwrap_or(head);
            let count = number.trim().parse().ok()?;
            (count, rest.trim_end().strip_suffix(')')?)
        }
        None => (1, names),
    };
    let members = list
        .split(',')
        .map(|name| name.trim().trim_matches('"').replace("\"\"", "\""))
        .collect();
    Some((count, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(text: &str) -> Lsn {
        text.parse().expect("a position")
    }

    #[test]
    fn who_must_have_a_commit_follows_from_the_names() {
        for (names, standbys, waits) in [
            ("", &["db2"][..], false),
            ("ANY 1 (\"db2\")", &["db2"], true),
            ("ANY 1 (db2)", &["DB2"], true),
            ("first 1 (db2)", &["db2"], true),
            ("1 (db2)", &["db2"], true),
            ("db2", &["db2"], true),
            ("db2, db3", &["db2"], false),
            ("ANY 1 (db2, db3)", &["db2"], false),
            ("ANY 1 (db2, db3)", &["db2", "db3"], true),
            ("ANY 2 (db2, db3)", &["db2"], true),
            ("FIRST 1 (db3, db2)", &["db2"], false),
            ("*", &["db2"], false),
            ("ANY 1 (*)", &["db2"], false),
            ("ANY 1 (db3)", &["db2"], false),
            ("ANY x (db2)", &["db2"], false),
            ("ANY 0 (db2)", &["db2"], false),
        ] {
            assert_eq!(waits_for(names, standbys), waits, "{names} {standbys:?}");
        }
    }

    #[test]
    fn an_observation_is_read_as_it_is_kept() {
        let line = "now=1010.50\tbooted=b1\taddress=192.0.2.31\tat=1009.30\tboot=b1\theard=1009.00\tsaid={\"system\" : \"7\", \"timeline\" : 3, \"names\" : \"ANY 1 (\\\"db2\\\")\", \"commit\" : \"on\", \"exempt\" : 0, \"fsync\" : \"on\", \"full_page_writes\" : \"on\"}\tsince=0/3E8\ttried=1010.30\twall=1714557600\twritten=0/3F0\t";
        let seen = Observation::read(line).expect("read");
        assert_eq!((seen.said.timeline, seen.since), (3, Some(lsn("0/3E8"))));
        assert_eq!(seen.said.names, "ANY 1 (\"db2\")");
        assert!((seen.age - 1.2).abs() < 0.01, "{}", seen.age);
        assert!(
            seen.words().contains("at 2024-05-01 10:00:00 UTC, 1 s ago"),
            "{}",
            seen.words()
        );
        // Of another boot its clock says nothing; and one that only tried has seen nothing.
        assert_eq!(Observation::read(&line.replace("boot=b1", "boot=b0")), None);
        assert_eq!(
            Observation::read("now=1.0\tbooted=b\tboot=b\ttried=1.0\t"),
            None
        );
        assert_eq!(Observation::read(""), None);
    }

    #[test]
    fn only_what_was_observed_until_the_end_proves_that_nothing_is_lost() {
        type Change = fn(&mut Observation, &mut Question<'_>);
        let cases: &[(&str, Change, Result<(), &str>)] = &[
            ("observed until the last word", |_, _| {}, Ok(())),
            (
                "hours ago, and it has been silent since",
                |o, q| {
                    o.age += 7200.0;
                    o.heard = Some(7212.4);
                    q.silent = Some(7211.5);
                },
                Ok(()),
            ),
            (
                "no receiver any more, and the observer goes on asking",
                |_, q| q.silent = None,
                Ok(()),
            ),
            (
                "no receiver, and no observer",
                |o, q| {
                    q.silent = None;
                    o.tried = Some(600.0);
                },
                Err("does not run"),
            ),
            (
                "the observer stopped before the primary",
                |o, q| {
                    o.age = 900.0;
                    o.tried = Some(900.0);
                    q.silent = Some(3.0);
                },
                Err("heard of for 897 s more"),
            ),
            (
                "the primary answered the receiver, and not the observer",
                |o, q| {
                    o.age = 60.0;
                    o.heard = Some(20.0);
                    q.silent = None;
                },
                Err("heard of for 40 s more"),
            ),
            (
                "synchronous_standby_names was emptied",
                |o, _| o.said.names.clear(),
                Err("did not wait for db2"),
            ),
            (
                "synchronous_commit = local",
                |o, _| o.said.commit = "local".to_owned(),
                Err("on its disk"),
            ),
            (
                "synchronous_commit = remote_write",
                |o, _| o.said.commit = "remote_write".to_owned(),
                Err("on its disk"),
            ),
            (
                "a role of its own mind",
                |o, _| o.said.exempt = 1,
                Err("of their own"),
            ),
            (
                "of the timeline before",
                |o, _| o.said.timeline = 2,
                Err("timeline 2"),
            ),
            (
                "of another cluster",
                |o, _| o.said.system = "8".to_owned(),
                Err("timeline"),
            ),
            (
                "of another primary",
                |o, _| o.address = "192.0.2.33".to_owned(),
                Err("192.0.2.33"),
            ),
            (
                "made synchronous a moment before its end",
                |o, _| o.since = Some(Lsn(1001)),
                Err("has not got"),
            ),
            (
                "nothing is known of the beginning",
                |o, _| o.since = None,
                Err("has not got"),
            ),
        ];
        for (what, change, expected) in cases {
            let mut seen = Observation {
                address: "192.0.2.31".to_owned(),
                said: Said {
                    system: "7".to_owned(),
                    timeline: 3,
                    names: "ANY 1 (\"db2\")".to_owned(),
                    commit: "on".to_owned(),
                    ..Said::default()
                },
                since: Some(Lsn(900)),
                age: 12.0,
                wall: 1_714_557_600,
                tried: Some(1.0),
                heard: Some(12.4),
            };
            let mut question = Question {
                address: "192.0.2.31",
                system: "7",
                timeline: 3,
                has: Lsn(1000),
                silent: Some(11.5),
                compared: &["db2"],
            };
            change(&mut seen, &mut question);
            match (proves_no_loss(Some(&seen), &question), expected) {
                (Ok(()), Ok(())) => {}
                (Err(why), Err(words)) => assert!(why.contains(words), "{what}: {why}"),
                (got, _) => panic!("{what}: {got:?}"),
            }
        }
        let question = Question {
            address: "192.0.2.31",
            system: "7",
            timeline: 3,
            has: Lsn(1000),
            silent: Some(1.0),
            compared: &["db2"],
        };
        assert!(proves_no_loss(None, &question).is_err(), "never observed");
    }
}
