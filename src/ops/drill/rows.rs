//! The rows and images that a drill writes: what is in them, what is there of them afterwards, and their end.
//!
//! Never touches a row that has not this drill's mark, nor a file that no such row names.

use super::drill_target::{DrillTarget, Instance, done};
use super::metrics::Stored;
use crate::base::quote::sh;
use crate::base::{Diagnostic, Result, exit};
use crate::modules::Request;
use crate::ops::hosts::Host;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The smallest image: one transparent pixel.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xdac\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";
/// How large an image is, at least: more than one page of memory and one block of a disk, so that half of it can be missing.
const LARGE: usize = 5000;
/// Seconds in which all images of a drill are read.
const READING: u64 = 60;

/// The quote of a write. What the drill deletes afterwards is found by it.
pub fn quote(mark: &str, seq: u64) -> String {
    format!("drill {mark} seq {seq}")
}

/// The image of a write: no other write has the same. Whoever draws it does not look behind the end of the picture.
pub fn image(mark: &str, seq: u64) -> Vec<u8> {
    let mut image = PIXEL.to_vec();
    let line = quote(mark, seq) + "\n";
    while image.len() < LARGE {
        image.extend_from_slice(line.as_bytes());
    }
    image
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A row of a drill as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    seq: u64,
    /// The name of its image.
    file: String,
    /// The digest of its image, where that is in the database too.
    digest: Option<String>,
}

/// What the service has of a drill.
pub fn stored(rows: &[Row], damaged: Option<BTreeSet<u64>>) -> Stored {
    let mut found = Stored {
        damaged,
        ..Stored::default()
    };
    for row in rows {
        *found.rows.entry(row.seq).or_default() += 1;
    }
    found
}

impl DrillTarget {
    /// The rows of a drill, in one request.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn rows(&self, host: &str, server: &Instance, mark: &str) -> Result<Vec<Row>> {
        let sql = format!(
            "SELECT substring(quote from '[0-9]+$'), image_filename, encode(sha256(data), 'hex')
 FROM content LEFT JOIN image ON filename = image_filename WHERE quote LIKE 'drill {mark} seq %';"
        );
        let reply = self.sql(host, server, &sql).await?;
        parse(&reply.out()).ok_or_else(|| {
            Diagnostic::with_code(exit::FAILED, "the rows of the drill cannot be read").on(host)
        })
    }

    /// Those rows whose image is away or not what was sent: compared by digest, all in one request.
    ///
    /// # Errors
    /// The images cannot be seen.
    pub async fn damaged(&self, rows: &[Row], mark: &str) -> Result<BTreeSet<u64>> {
        let Some((app, folder)) = self.folder() else {
            return Ok(compare(rows, mark, |row| row.digest.as_deref()));
        };
        let script = format!("cd {} && exec xargs -r sha256sum --", sh(&folder));
        let mut request = Request::sh(script)
            .stdin(names(rows.iter().map(|row| row.file.as_str())))
            .user(owner(app));
        request.timeout_seconds = Some(READING);
        let mut reply = self.ask(&app.name, request).await?;
        // Some of them were not found: that is what is asked here.
        if reply.code == MISSING {
            reply.code = 0;
        }
        done(&app.name, &reply, "the images cannot be read")?;
        let text = reply.out();
        let found: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(digest, name)| (name, digest))
            .collect();
        Ok(compare(rows, mark, |row| {
            found.get(row.file.as_str()).copied()
        }))
    }

    /// Deletes the rows of a drill, with their images.
    ///
    /// # Errors
    /// The database does not do it.
    pub async fn sweep(&self, host: &str, server: &Instance, mark: &str) -> Result<()> {
        let sql = format!(
            "WITH gone AS (DELETE FROM content WHERE quote LIKE 'drill {mark} seq %' RETURNING image_filename),
 images AS (DELETE FROM image USING gone WHERE filename = image_filename)
SELECT image_filename FROM gone;"
        );
        let reply = self.sql(host, server, &sql).await?;
        let Some((app, folder)) = self.folder() else {
            return Ok(());
        };
        let script = format!("cd {} && exec xargs -r rm -f --", sh(&folder));
        let request = Request::sh(script)
            .stdin(names(reply.out().lines()))
            .user(owner(app));
        let removed = self.ask(&app.name, request).await?;
        done(
            &app.name,
            &removed,
            "the images of the drill were not deleted",
        )
        .map(drop)
    }

    /// An application server and the directory of images that it shares with the others; none where they are in the database.
    fn folder(&self) -> Option<(&Host, String)> {
        let name = self.site().members("welcome_app").first()?;
        let app = self.site().host(name)?;
        let shared = app.text("welcome_app_images", "directory") == "directory";
        shared.then(|| (app, app.text("welcome_app_directory", "/mnt/shared/images")))
    }
}

/// What `xargs` ends with when what it ran failed for some.
const MISSING: i32 = 123;

/// Who may read and delete the images: on the share, root of an application server is nobody.
fn owner(app: &Host) -> String {
    app.text("welcome_app_user", "welcome_app")
}

/// Names of images, one a line, as the application makes them; anything else is no name of an image.
fn names<'a>(files: impl Iterator<Item = &'a str>) -> String {
    let plain = |name: &&str| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.starts_with('-')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    files
        .filter(plain)
        .map(|name| name.to_owned() + "\n")
        .collect()
}

fn parse(text: &str) -> Option<Vec<Row>> {
    text.lines()
        .map(|line| {
            let mut words = line.split('|');
            Some(Row {
                seq: words.next()?.parse().ok()?,
                file: words.next()?.to_owned(),
                digest: words
                    .next()
                    .filter(|digest| !digest.is_empty())
                    .map(str::to_owned),
            })
        })
        .collect()
}

fn compare<'a>(
    rows: &'a [Row],
    mark: &str,
    found: impl Fn(&'a Row) -> Option<&'a str>,
) -> BTreeSet<u64> {
    rows.iter()
        .filter(|row| found(row) != Some(&digest(&image(mark, row.seq))))
        .map(|row| row.seq)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::value::{Map, Value};
    use crate::connection::Target;
    use crate::ops::hosts::Site;

    #[test]
    fn every_image_is_one_of_its_own() {
        let image = image("0123abcd", 7);
        assert!(image.len() > 4096 && image.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert_ne!(image, super::image("0123abcd", 8));
        assert_ne!(image, super::image("0123abce", 7));
    }

    #[test]
    fn damage_is_found() {
        let good = digest(&image("m", 1));
        let text = format!("1|a.png|{good}\n2|b.png|{good}\n3|c.png|\n1|d.png|{good}\n");
        let rows = parse(&text).expect("rows");
        let damaged = compare(&rows, "m", |row| row.digest.as_deref());
        assert_eq!(damaged, [2, 3].into());
        // One of two rows of the same number is enough.
        let one = compare(&rows, "m", |row| (row.file == "a.png").then_some(&*good));
        assert_eq!(one, [1, 2, 3].into());
        let stored = stored(&rows, Some(damaged));
        assert_eq!(stored.rows, [(1, 2), (2, 1), (3, 1)].into());
        assert!(parse("x|a.png|\n").is_none() && parse("1\n").is_none());
    }

    #[test]
    fn only_names_of_images_reach_a_shell() {
        let bad = ["", ".hidden", "-rf", "a/b", "a b", "a'b", "../x"];
        let all = bad.into_iter().chain(["0-1.png", "x.webp"]);
        assert_eq!(names(all), "0-1.png\nx.webp\n");
    }

    /// A service whose only application server is this machine, and which keeps its images here.
    fn here(folder: &std::path::Path) -> DrillTarget {
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid());
        let me = me.expect("users").expect("a user").name;
        let mut variables = Map::default();
        for (name, value) in [
            ("welcome_app_images", "directory"),
            ("welcome_app_directory", &folder.to_string_lossy()),
            ("welcome_app_user", &me),
        ] {
            variables.insert(name.to_owned(), Value::from(value));
        }
        let host = |name: &str| Host {
            name: name.to_owned(),
            groups: Vec::new(),
            target: Target {
                host: name.to_owned(),
                address: "192.0.2.1".to_owned(),
                local: true,
                ..Target::default()
            },
            variables: variables.clone(),
        };
        let group = |name: &str, hosts: &[&str]| {
            (
                name.to_owned(),
                hosts.iter().map(|host| (*host).to_owned()).collect(),
            )
        };
        let site = Site {
            hosts: ["app", "lb", "db1", "db2"].map(host).to_vec(),
            groups: [
                group("welcome_app", &["app"]),
                group("haproxy", &["lb"]),
                group("postgresql", &["db1", "db2"]),
            ]
            .into(),
        };
        DrillTarget::new(site).unwrap_or_else(|error| panic!("{}", error.message))
    }

    #[tokio::test]
    async fn images_in_a_directory_are_compared_byte_for_byte() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = |seq| image("m", seq);
        let half = good(2)[..4096].to_vec();
        let mut zeros = good(3);
        zeros[4096..].fill(0);
        for (name, content) in [("1.png", good(1)), ("2.png", half), ("3.png", zeros)] {
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        // The fourth has no file.
        let rows = parse("1|1.png|\n2|2.png|\n3|3.png|\n4|4.png|\n").expect("rows");
        let drill_target = here(folder.path());
        let damaged = drill_target.damaged(&rows, "m").await.expect("compared");
        assert_eq!(damaged, [2, 3, 4].into());
        let none = drill_target.damaged(&[], "m").await.expect("compared");
        assert!(none.is_empty());
        // A share that is away is not known to be empty.
        let away = here(&folder.path().join("away"));
        assert!(away.damaged(&rows, "m").await.is_err());
    }
}
