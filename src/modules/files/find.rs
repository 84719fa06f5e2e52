//! `find`: the paths below directories that fit. One walk on the host, filtered there as far as `find` can, the rest here.

use super::stat::ALGORITHMS;
use crate::base::python_regex;
use crate::base::quote::sh;
use crate::base::value::{Map, Value};
use crate::base::{Diagnostic, Result};
use crate::modules::{Args, Decision, Kind, Module, Outcome, Param, Probe, Seen, Spec};
use base64::Engine as _;
use fancy_regex::Regex;
use std::fmt::Write as _;

static SPEC: Spec = Spec {
    names: &["find", "ansible.builtin.find"],
    params: &[
        Param::new("paths", Kind::List)
            .required()
            .aliases(&["name", "path"]),
        Param::new("patterns", Kind::List).aliases(&["pattern"]),
        Param::new("excludes", Kind::List).aliases(&["exclude"]),
        Param::new("use_regex", Kind::Bool),
        Param::new("contains", Kind::Str),
        Param::new("read_whole_file", Kind::Bool),
        Param::new("file_type", Kind::Str).choices(&["any", "directory", "file", "link"]),
        Param::new("age", Kind::Str),
        Param::new("age_stamp", Kind::Str).choices(&["atime", "ctime", "mtime"]),
        Param::new("size", Kind::Str),
        Param::new("recurse", Kind::Bool),
        Param::new("hidden", Kind::Bool),
        Param::new("follow", Kind::Bool),
        Param::new("depth", Kind::Int),
        Param::new("get_checksum", Kind::Bool),
        Param::new("checksum_algorithm", Kind::Str)
            .choices(ALGORITHMS)
            .aliases(&["checksum", "checksum_algo"]),
    ],
    read_only: true,
    summary: "the paths below directories that fit patterns, age, size or content",
    ..Spec::EMPTY
};

/// The module.
pub struct Find;

/// One record for a path that may fit.
const RECORD: &str = "-printf '%y %m %U %G %s %i %D %n %A@ %T@ %C@ %u %g %p\\0'";

impl Module for Find {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        Filter::of(args)?;
        let paths = args.list("paths");
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
            return Err(Diagnostic::new(format!(
                "`paths` must be absolute, not `{path}`"
            )));
        }
        let test = tests(args);
        let mut record = RECORD.to_owned();
        if args.has("contains") {
            record.push_str(" -type f -exec base64 -w 0 -- {} \\; -printf '\\0'");
        }
        if args.bool_or("get_checksum", false) {
            let algorithm = args.str_or("checksum_algorithm", "sha1");
            record = format!(
                "-type f -exec sh -c '{algorithm}sum <\"$1\" | cut -d\" \" -f1 | tr -d \"\\n\"' - {{}} \\; {record}"
            );
        }
        let depth = match args.int("depth") {
            _ if !args.bool_or("recurse", false) => "-maxdepth 1".to_owned(),
            Some(depth) if depth > 0 => format!("-maxdepth {depth}"),
            _ => String::new(),
        };
        let show = format!("\\( {test} {record} -o -printf '.\\0' \\)");
        let mut script = "date +%s.%N\n".to_owned();
        for path in &paths {
            let quoted = sh(path.trim_end_matches('/'));
            let root = if quoted == "''" { "/" } else { &quoted };
            let _ = write!(
                script,
                "[ -d {root} ] || printf '!%s\\0' {root}\n[ ! -d {root} ] || "
            );
            let _ = if args.bool_or("follow", false) {
                // Links are walked through, but told of as links.
                let inner = sh(&format!("find -P \"$@\" -maxdepth 0 {show}"));
                writeln!(
                    script,
                    "find -L {root} -mindepth 1 {depth} -print0 | xargs -0 -r sh -c {inner} find"
                )
            } else {
                writeln!(script, "find -H {root} -mindepth 1 {depth} {show}")
            };
        }
        script.push_str("exit 0\n");
        Ok(vec![Probe::Run(args.request(script))])
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let Some(Seen::Reply(reply)) = seen.first() else {
            return Err(Diagnostic::new("the host gave no listing"));
        };
        let end = reply
            .stdout
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(0);
        let now: f64 = String::from_utf8_lossy(&reply.stdout[..end])
            .parse()
            .unwrap_or_default();
        let filter = Filter::of(args)?;
        let (mut files, mut examined, mut skipped) = (Vec::new(), 0_u64, Map::new());
        let mut records = reply
            .stdout
            .get(end + 1..)
            .unwrap_or_default()
            .split(|byte| *byte == 0);
        while let Some(record) = records.next().filter(|record| !record.is_empty()) {
            if let Some(path) = record.strip_prefix(b"!") {
                let path = String::from_utf8_lossy(path).into_owned();
                skipped.insert(path.clone(), format!("'{path}' is not a directory").into());
                continue;
            }
            examined += 1;
            if record == b"." {
                continue;
            }
            let text = String::from_utf8_lossy(record);
            let Some(entry) = Entry::parse(&text, args.bool_or("get_checksum", false)) else {
                return Err(Diagnostic::new("the listing of the host cannot be read").note(text));
            };
            let content = if args.has("contains") && entry.kind() == "f" {
                records.next()
            } else {
                None
            };
            if filter.fits(&entry, now, content)? {
                files.push((entry.path().to_owned(), entry.facts()));
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let message = if skipped.is_empty() {
            "All paths examined"
        } else {
            "Not all paths examined, check warnings for details"
        };
        Ok(Decision::Same(Outcome::from_iter([
            ("matched".to_owned(), files.len().into()),
            (
                "files".to_owned(),
                files.into_iter().map(|(_, facts)| facts).collect(),
            ),
            ("examined".to_owned(), examined.into()),
            ("msg".to_owned(), message.into()),
            ("skipped_paths".to_owned(), skipped.into()),
        ])))
    }
}

/// The tests that the host's `find` makes: kind, hidden names, glob patterns.
fn tests(args: &Args) -> String {
    let mut tests = match args.str_or("file_type", "file") {
        "file" => "-type f".to_owned(),
        "directory" => "-type d".to_owned(),
        "link" => "-type l".to_owned(),
        _ => String::new(),
    };
    if !args.bool_or("hidden", false) {
        tests.push_str(" ! -name '.*'");
    }
    if !args.bool_or("use_regex", false) {
        for (list, sign) in [("patterns", ""), ("excludes", "! ")] {
            // A backslash is an ordinary character in Python's patterns.
            let names: Vec<String> = args
                .list(list)
                .iter()
                .map(|name| format!("-name {}", sh(&name.replace('\\', "\\\\"))))
                .collect();
            if !names.is_empty() {
                let _ = write!(tests, " {sign}\\( {} \\)", names.join(" -o "));
            }
        }
    }
    tests
}

/// What is tested here.
struct Filter {
    patterns: Vec<Regex>,
    excludes: Vec<Regex>,
    contains: Option<Regex>,
    whole: bool,
    age: Option<i64>,
    stamp: usize,
    size: Option<i64>,
}

impl Filter {
    fn of(args: &Args) -> Result<Self> {
        let regexes = |name: &str| -> Result<Vec<Regex>> {
            let given = if args.bool_or("use_regex", false) {
                args.list(name)
            } else {
                Vec::new()
            };
            given
                .iter()
                .map(|pattern| python_regex::compile_anchored(pattern))
                .collect()
        };
        let whole = args.bool_or("read_whole_file", false);
        let contains = args.str("contains").map(|pattern| {
            if whole {
                python_regex::compile(pattern, python_regex::Flags::default())
            } else {
                python_regex::compile_anchored(pattern)
            }
        });
        Ok(Self {
            patterns: regexes("patterns")?,
            excludes: regexes("excludes")?,
            contains: contains.transpose()?,
            whole,
            age: amount(
                args,
                "age",
                &[
                    ('s', 1),
                    ('m', 60),
                    ('h', 3600),
                    ('d', 86_400),
                    ('w', 604_800),
                ],
            )?,
            stamp: match args.str_or("age_stamp", "mtime") {
                "atime" => 8,
                "ctime" => 10,
                _ => 9,
            },
            size: amount(
                args,
                "size",
                &[
                    ('b', 1),
                    ('k', 1 << 10),
                    ('m', 1 << 20),
                    ('g', 1 << 30),
                    ('t', 1 << 40),
                ],
            )?,
        })
    }

    fn fits(&self, entry: &Entry<'_>, now: f64, content: Option<&[u8]>) -> Result<bool> {
        let hit = |regex: &Regex, text: &str| {
            regex.is_match(text).map_err(|error| {
                Diagnostic::new("regular expression: backtracking limit exceeded")
                    .note(error.to_string())
            })
        };
        let any = |regexes: &[Regex]| -> Result<bool> {
            for regex in regexes {
                if hit(regex, entry.name())? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if (!self.patterns.is_empty() && !any(&self.patterns)?) || any(&self.excludes)? {
            return Ok(false);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "ages and sizes are far below 2^53"
        )]
        let beyond = |value: f64, limit: Option<i64>| match limit {
            None => true,
            Some(limit) if limit >= 0 => value >= limit as f64,
            Some(limit) => value <= limit.unsigned_abs() as f64,
        };
        if !beyond(now - entry.number(self.stamp), self.age)
            || (entry.kind() == "f" && !beyond(entry.number(4), self.size))
        {
            return Ok(false);
        }
        let Some(contains) = self.contains.as_ref().filter(|_| entry.kind() == "f") else {
            return Ok(true);
        };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(content.unwrap_or_default())
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        if self.whole {
            return hit(contains, &text);
        }
        for line in text.split_inclusive('\n') {
            if hit(contains, line)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `10m`, `-3d`: a number and its unit.
fn amount(args: &Args, name: &str, units: &[(char, i64)]) -> Result<Option<i64>> {
    let Some(text) = args.str(name) else {
        return Ok(None);
    };
    let lower = text.trim().to_ascii_lowercase();
    let unit = units.iter().find(|(unit, _)| lower.ends_with(*unit));
    let number = lower.trim_end_matches(|c: char| unit.is_some_and(|(unit, _)| c == *unit));
    let factor = unit.map_or(1, |(_, factor)| *factor);
    if let Some(amount) = number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
    {
        Ok(Some(amount))
    } else {
        let all: String = units.iter().map(|(unit, _)| *unit).collect();
        Err(Diagnostic::new(format!(
            "`{name}` takes a number with a unit of `{all}`, not `{text}`"
        )))
    }
}

/// One record of the listing.
struct Entry<'a> {
    checksum: Option<&'a str>,
    fields: Vec<&'a str>,
}

impl<'a> Entry<'a> {
    fn parse(record: &'a str, with_checksum: bool) -> Option<Self> {
        let mut fields: Vec<&str> = record.splitn(14, ' ').collect();
        // The checksum stands before the kind, without a blank between.
        let mut checksum = None;
        if with_checksum {
            let (sum, kind) = fields
                .first()?
                .split_at_checked(fields.first()?.len().checked_sub(1)?)?;
            checksum = Some(sum).filter(|sum| !sum.is_empty());
            fields[0] = kind;
        }
        (fields.len() == 14).then_some(Self { checksum, fields })
    }

    fn kind(&self) -> &str {
        self.fields[0]
    }

    fn path(&self) -> &str {
        self.fields[13]
    }

    fn name(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    fn number(&self, at: usize) -> f64 {
        self.fields[at].parse().unwrap_or_default()
    }

    fn facts(&self) -> Value {
        let mode = u32::from_str_radix(self.fields[1], 8).unwrap_or_default();
        let whole = |at: usize| Value::from(self.fields[at].parse::<u64>().unwrap_or_default());
        let name = |at: usize| {
            if self.fields[at].chars().all(|c| c.is_ascii_digit()) {
                ""
            } else {
                self.fields[at]
            }
        };
        let mut facts = Map::new();
        facts.insert("path".into(), self.path().into());
        facts.insert("mode".into(), format!("{mode:04o}").into());
        for (key, kind) in [
            ("isdir", "d"),
            ("ischr", "c"),
            ("isblk", "b"),
            ("isreg", "f"),
            ("isfifo", "p"),
            ("islnk", "l"),
            ("issock", "s"),
        ] {
            facts.insert(key.into(), (self.kind() == kind).into());
        }
        for (key, at) in [
            ("uid", 2),
            ("gid", 3),
            ("size", 4),
            ("inode", 5),
            ("dev", 6),
            ("nlink", 7),
        ] {
            facts.insert(key.into(), whole(at));
        }
        for (key, at) in [("atime", 8), ("mtime", 9), ("ctime", 10)] {
            facts.insert(key.into(), self.number(at).into());
        }
        facts.insert("pw_name".into(), name(11).into());
        facts.insert("gr_name".into(), name(12).into());
        for (key, bit) in super::stat::BITS {
            facts.insert((*key).into(), (mode & bit != 0).into());
        }
        if let Some(checksum) = self.checksum {
            facts.insert("checksum".into(), checksum.into());
        }
        Value::Object(facts)
    }
}
