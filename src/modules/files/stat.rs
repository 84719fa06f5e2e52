//! `stat`: what a path is. It never changes anything.

use super::attributes;
use super::file::{look, seen_file};
use crate::base::Result;
use crate::base::quote::sh;
use crate::base::value::{Map, Value};
use crate::modules::{
    Args, Content, Decision, FileKind, Kind, Module, Outcome, Param, Probe, Seen, Spec,
};
use std::fmt::Write as _;

/// The algorithms of checksums that Ansible names.
pub const ALGORITHMS: &[&str] = &["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/// Ansible's names of the permission bits.
pub const BITS: &[(&str, u32)] = &[
    ("rusr", 0o400),
    ("wusr", 0o200),
    ("xusr", 0o100),
    ("rgrp", 0o040),
    ("wgrp", 0o020),
    ("xgrp", 0o010),
    ("roth", 0o004),
    ("woth", 0o002),
    ("xoth", 0o001),
    ("isuid", 0o4000),
    ("isgid", 0o2000),
];

static STAT: Spec = Spec {
    names: &["stat", "ansible.builtin.stat"],
    params: &[
        Param::new("path", Kind::Path)
            .required()
            .aliases(&["dest", "name"]),
        Param::new("follow", Kind::Bool),
        Param::new("get_checksum", Kind::Bool),
        Param::new("checksum_algorithm", Kind::Str)
            .choices(ALGORITHMS)
            .aliases(&["checksum", "checksum_algo"]),
        Param::new("get_mime", Kind::Bool)
            .aliases(&["mime", "mime_type", "mime-type"])
            .only(
                false,
                "leave it out; `command: file --brief --mime PATH` tells the kind",
            ),
        Param::new("get_attributes", Kind::Bool)
            .aliases(&["attr", "attributes"])
            .only(
                false,
                "leave it out; `command: lsattr -d PATH` tells the attributes",
            ),
    ],
    read_only: true,
    summary: "what a path is: kind, owner, mode, size, times, checksum",
    ..Spec::EMPTY
};

/// The module.
pub struct Stat;

impl Module for Stat {
    fn spec(&self) -> &'static Spec {
        &STAT
    }

    fn probe(&self, args: &Args) -> Result<Vec<Probe>> {
        let path = attributes::path(args, "path")?;
        let follow = args.bool_or("follow", false);
        let quoted = sh(&path);
        let (option, through) = if follow {
            ("-L", "")
        } else {
            ("", "[ ! -L \"$t\" ] && ")
        };
        let mut script = format!(
            "t={quoted}\nstat {option} -c '%.9X %.9Y %.9Z %b %o %d %r %F' -- \"$t\" 2>/dev/null || exit 0\n\
             for k in r w x; do [ -$k \"$t\" ] && printf %s $k; done; echo\nreadlink -f -- \"$t\" || echo\n"
        );
        if args.bool_or("get_checksum", true) {
            let algorithm = args.str_or("checksum_algorithm", "sha1");
            let _ = writeln!(
                script,
                "{through}[ -f \"$t\" ] && [ -r \"$t\" ] && {algorithm}sum <\"$t\""
            );
        }
        script.push_str("exit 0\n");
        Ok(vec![
            look(path, follow, Content::None),
            Probe::Run(args.request(script)),
        ])
    }

    fn diff(&self, args: &Args, seen: &[Seen]) -> Result<Decision> {
        let mut stat = Map::new();
        if let Some(file) = seen_file(seen, 0)
            .filter(|file| !(args.bool_or("follow", false) && file.kind == FileKind::Link))
        {
            let out = match seen.get(1) {
                Some(Seen::Reply(reply)) => reply.out(),
                _ => "".into(),
            };
            let mut lines = out.lines();
            let facts: Vec<&str> = lines.next().unwrap_or_default().splitn(8, ' ').collect();
            let fact = |at: usize| facts.get(at).copied().unwrap_or_default();
            let kind = fact(7);
            let mut put = |key: &str, value: Value| stat.insert(key.to_owned(), value);
            let number = |at: usize, other: u64| fact(at).parse::<u64>().unwrap_or(other).into();
            let time = |at: usize, other: i64| {
                fact(at)
                    .parse::<f64>()
                    .ok()
                    .and_then(serde_json::Number::from_f64)
                    .map_or_else(|| other.into(), Value::Number)
            };
            put("exists", true.into());
            put("path", attributes::path(args, "path")?.into());
            put("mode", format!("{:04o}", file.mode).into());
            for (key, is) in [
                ("isdir", file.kind == FileKind::Directory),
                ("isreg", file.kind == FileKind::File),
                ("islnk", file.kind == FileKind::Link),
                ("ischr", kind == "character special file"),
                ("isblk", kind == "block special file"),
                ("isfifo", kind == "fifo"),
                ("issock", kind == "socket"),
            ] {
                put(key, is.into());
            }
            for (key, bit) in BITS {
                put(key, (file.mode & bit != 0).into());
            }
            put("uid", file.uid.into());
            put("gid", file.gid.into());
            put("size", file.size.into());
            put("inode", file.inode.into());
            put("dev", number(5, file.device));
            put("nlink", file.links.into());
            put("atime", time(0, file.atime));
            put("mtime", time(1, file.mtime));
            put("ctime", time(2, file.ctime));
            put("blocks", number(3, 0));
            put("block_size", number(4, 0));
            put("device_type", number(6, 0));
            let access = lines.next().unwrap_or_default();
            put("readable", access.contains('r').into());
            put("writeable", access.contains('w').into());
            put("executable", access.contains('x').into());
            let real = lines.next().unwrap_or_default();
            if file.kind == FileKind::Link {
                put("lnk_source", real.into());
                put("lnk_target", file.target.clone().into());
            }
            if file.owner.parse::<u32>().is_err() {
                put("pw_name", file.owner.clone().into());
            }
            if file.group.parse::<u32>().is_err() {
                put("gr_name", file.group.clone().into());
            }
            if let Some(sum) = lines.next().and_then(|line| line.split(' ').next()) {
                put("checksum", sum.into());
            }
        } else {
            stat.insert("exists".into(), false.into());
        }
        Ok(Decision::Same(Outcome::from_iter([(
            "stat".to_owned(),
            Value::Object(stat),
        )])))
    }
}
