//! The trip of one quote with its image: written at the entrance, read everywhere, deleted again.
//!
//! Pure: it plans rounds and reads replies. Whatever happens on the way, it ends with the quote deleted or with a finding that
//! says it may still be there.

use super::super::check::{Findings, Verdict};
use super::super::component::{Replies, Round, Trial};
use super::super::postgresql::{self, MARKER};
use super::{IMAGES, REMOVED, UPLOAD};
use crate::modules::Reply;
use crate::ops::http::{self, Call, Form};

/// Where the trip goes.
pub struct TripPlan {
    /// The hosts that look; the second takes over when the first is lost.
    pub viewers: Vec<String>,
    /// Address and port of the service.
    pub entrance: (String, u16),
    /// The application servers: name, address, port.
    pub apps: Vec<(String, String, u16)>,
    /// The standbys on which the row must arrive.
    pub standbys: Vec<String>,
    /// The name of the database cluster.
    pub cluster: String,
    /// The application's database.
    pub database: String,
    /// Whether there should be standbys at all.
    pub replicated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TripStep {
    Start,
    Upload,
    Fetch,
    /// Looks whether an upload without a clear answer was made.
    Search,
    Remove,
    /// Deletes what a trip left that was ended by force.
    Sweep,
    Over,
}

/// The trip.
pub struct Trip {
    plan: TripPlan,
    marker: String,
    image: Vec<u8>,
    step: TripStep,
    stopped: bool,
    attempts: usize,
    created: Option<(i64, String)>,
    upload: Option<Verdict>,
    images: Vec<(String, Verdict)>,
    rows: Vec<(String, Verdict)>,
    removed: Option<Verdict>,
}

/// How often a deletion that failed is tried again.
const ATTEMPTS: usize = 3;
/// How the quote of a trip begins.
const MARK: &str = "hactl verify ";
/// After so many seconds a trip is not under way any more.
const LEFT_AFTER: i64 = 900;
const LIST: &str = "/api/content?limit=1000";

impl Trip {
    /// A trip with a marker of its own.
    pub fn new(plan: TripPlan) -> Self {
        let marker = format!("{MARK}{:032x}", rand::random::<u128>());
        Self {
            image: image(&marker),
            marker,
            plan,
            step: TripStep::Start,
            stopped: false,
            attempts: 0,
            created: None,
            upload: None,
            images: Vec::new(),
            rows: Vec::new(),
            removed: None,
        }
    }

    fn viewer(&self) -> Option<String> {
        self.plan.viewers.first().cloned()
    }

    /// What the host that looks replied; none when it was lost, and then the other one takes its place.
    fn replies<'a>(&mut self, replies: &'a Replies) -> Option<&'a [Reply]> {
        let found = replies.get(&self.viewer()?).map(Vec::as_slice);
        if found.is_none() {
            self.plan.viewers.remove(0);
        }
        found
    }

    fn ask(&self, calls: impl IntoIterator<Item = Call>) -> Option<Round> {
        let requests = calls.into_iter().map(|call| call.request()).collect();
        Some([(self.viewer()?, requests)].into())
    }

    fn go_upload(&mut self) -> Option<Round> {
        self.step = TripStep::Upload;
        let (address, port) = &self.plan.entrance;
        let form = Form {
            text: ("quote", &self.marker),
            field: "image",
            file: "hactl-verify.png",
            content: &self.image,
        };
        self.ask([Call::upload(address, *port, "/api/content", &form)])
    }

    fn after_upload(&mut self, replies: &Replies) -> Option<Round> {
        let Some(replies) = self.replies(replies) else {
            self.upload = Some(Verdict::Unknown(
                "the host that sent it was lost".to_owned(),
            ));
            return self.go_search();
        };
        let nobody = replies.first().is_some_and(http::reached_nobody);
        match replies.first().map(http::response) {
            Some(Ok(response)) if response.status == 201 => {
                let body = response.json().unwrap_or_default();
                if let (Some(id), Some(url)) = (body["id"].as_i64(), body["image_url"].as_str()) {
                    self.created = Some((id, url.to_owned()));
                    self.upload = Some(Verdict::Good(format!("{} bytes", self.image.len())));
                    return if self.stopped {
                        self.go_remove()
                    } else {
                        self.go_fetch()
                    };
                }
                self.upload = Some(Verdict::bad(
                    "201 with id and image_url",
                    response.summary(),
                ));
            }
            Some(Ok(response)) => {
                self.upload = Some(Verdict::bad("201", response.summary()));
                if (400..500).contains(&response.status) {
                    // Refused: nothing was made.
                    self.step = TripStep::Over;
                    return None;
                }
            }
            Some(Err(why)) => {
                self.upload = Some(Verdict::bad("201", why));
                if nobody {
                    self.step = TripStep::Over;
                    return None;
                }
            }
            None => {}
        }
        self.go_search()
    }

    fn go_search(&mut self) -> Option<Round> {
        self.step = TripStep::Search;
        let (address, port) = &self.plan.entrance;
        self.ask([Call::get(address, *port, LIST)])
    }

    fn after_search(&mut self, replies: &Replies) -> Option<Round> {
        let list = self
            .replies(replies)
            .and_then(<[Reply]>::first)
            .and_then(|reply| http::response(reply).ok())
            .filter(|response| response.status == 200)
            .and_then(|response| response.json());
        let Some(list) = list else {
            self.step = TripStep::Over;
            self.removed = Some(Verdict::Unknown(format!(
                "whether the quote `{}` was written is not known",
                self.marker
            )));
            return None;
        };
        let found = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|item| item["quote"] == self.marker.as_str());
        self.created = found
            .and_then(|item| Some((item["id"].as_i64()?, item["image_url"].as_str()?.to_owned())));
        if self.created.is_some() {
            return self.go_remove();
        }
        self.step = TripStep::Over;
        None
    }

    fn go_fetch(&mut self) -> Option<Round> {
        self.step = TripStep::Fetch;
        let (_, url) = self.created.clone()?;
        let mut round = self.ask(self.image_calls(&url))?;
        // In a loop on the standby itself: how long the row takes is seen without the way there and back.
        let sql = format!(
            "DO $$ BEGIN FOR turn IN 1..50 LOOP PERFORM 1 FROM content WHERE quote = '{}'; IF FOUND THEN RETURN; END IF; \
             PERFORM pg_sleep(0.1); END LOOP; RAISE EXCEPTION 'it did not arrive within 5 s'; END $$;\n",
            self.marker
        );
        for standby in &self.plan.standbys {
            round
                .entry(standby.clone())
                .or_default()
                .push(postgresql::psql(
                    &self.plan.cluster,
                    &self.plan.database,
                    &sql,
                ));
        }
        Some(round)
    }

    fn image_calls(&self, url: &str) -> Vec<Call> {
        let (address, port) = &self.plan.entrance;
        let direct = self
            .plan
            .apps
            .iter()
            .map(|(_, address, port)| Call::get(address, *port, url));
        std::iter::once(Call::get(address, *port, url))
            .chain(direct)
            .collect()
    }

    fn after_fetch(&mut self, replies: &Replies) -> Option<Round> {
        let places: Vec<String> = std::iter::once("the service endpoint".to_owned())
            .chain(self.plan.apps.iter().map(|(name, ..)| name.clone()))
            .collect();
        let shown = places.len();
        let viewer = self.viewer();
        if let Some(replies) = self.replies(replies) {
            let judged = places.into_iter().zip(replies);
            self.images = judged
                .map(|(place, reply)| (place, same(reply, &self.image)))
                .collect();
        } else {
            let lost = Verdict::Unknown("the host that looks was lost".to_owned());
            self.images = places
                .into_iter()
                .map(|place| (place, lost.clone()))
                .collect();
        }
        self.rows = self
            .plan
            .standbys
            .iter()
            .map(|standby| {
                // When the host that looks is itself a standby, its row comes after the images.
                let at = if viewer.as_ref() == Some(standby) {
                    shown
                } else {
                    0
                };
                let verdict = match replies.get(standby).and_then(|replies| replies.get(at)) {
                    Some(reply) if reply.code == 0 => {
                        Verdict::Good(format!("within {} ms", reply.milliseconds))
                    }
                    Some(reply) => Verdict::bad("within 5 s", super::last_words(reply)),
                    None => Verdict::Unreached(standby.clone()),
                };
                (standby.clone(), verdict)
            })
            .collect();
        self.go_remove()
    }

    fn go_remove(&mut self) -> Option<Round> {
        self.step = TripStep::Remove;
        self.attempts += 1;
        let (id, url) = self.created.clone()?;
        let (address, port) = &self.plan.entrance;
        let delete = Call::delete(address, *port, &format!("/api/content/{id}"));
        let list = Call::get(address, *port, LIST);
        let round = self.ask([delete, list].into_iter().chain(self.image_calls(&url)));
        if round.is_none() {
            self.step = TripStep::Over;
            self.removed = Some(Verdict::bad(
                "deleted",
                format!(
                    "the quote `{}` could not be deleted: no host is left that could",
                    self.marker
                ),
            ));
        }
        round
    }

    fn after_remove(&mut self, replies: &Replies) -> Option<Round> {
        let found: Vec<Result<http::Response, String>> = self
            .replies(replies)
            .into_iter()
            .flatten()
            .map(http::response)
            .collect();
        let again = self.attempts < ATTEMPTS;
        let (listed, mut found) = match found.as_slice() {
            [deleted, listed, images @ ..] => (
                listed.clone().ok(),
                [std::slice::from_ref(deleted), images].concat(),
            ),
            _ => (None, found),
        };
        found.truncate(2 + self.plan.apps.len());
        let (verdict, done) = match found.split_first() {
            // On a second attempt the first one may have done it.
            Some((Ok(deleted), images))
                if deleted.status == 200 || (deleted.status == 404 && self.attempts > 1) =>
            {
                let stays = images.iter().flatten().find(|image| image.status == 200);
                let gone = images
                    .iter()
                    .all(|image| image.as_ref().is_ok_and(|image| image.status == 404));
                let verdict = match (gone, stays) {
                    (true, _) => Verdict::Good("deleted".to_owned()),
                    (false, Some(_)) => Verdict::bad(
                        "404 for the image everywhere",
                        "the quote is gone, but its image is still served",
                    ),
                    (false, None) => Verdict::Good(
                        "deleted; not every server could be asked whether the image is gone"
                            .to_owned(),
                    ),
                };
                (verdict, true)
            }
            Some((Ok(other), _)) => (Verdict::bad("200 for the deletion", other.summary()), false),
            Some((Err(why), _)) => (Verdict::bad("200 for the deletion", why.as_str()), false),
            None => (
                Verdict::bad("200 for the deletion", "the host that looks was lost"),
                false,
            ),
        };
        self.removed = Some(verdict);
        if !done && again {
            return self.go_remove();
        }
        self.step = TripStep::Sweep;
        let (address, port) = &self.plan.entrance;
        let old: Vec<Call> = listed
            .and_then(|response| response.json())
            .map(|list| leftovers(&list, jiff::Timestamp::now()))
            .unwrap_or_default()
            .into_iter()
            .map(|id| Call::delete(address, *port, &format!("/api/content/{id}")))
            .collect();
        if old.is_empty() { None } else { self.ask(old) }
    }
}

/// The ids of quotes that trips left which were ended by force: too old for one that is still under way.
fn leftovers(list: &serde_json::Value, now: jiff::Timestamp) -> Vec<i64> {
    list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| {
            let marker = item["quote"]
                .as_str()
                .and_then(|quote| quote.strip_prefix(MARK));
            marker.is_some_and(|rest| {
                rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        })
        .filter(|item| {
            let made = item["created_at"]
                .as_str()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok());
            made.is_some_and(|made| now.as_second() - made.as_second() > LEFT_AFTER)
        })
        .filter_map(|item| item["id"].as_i64())
        .take(50)
        .collect()
}

impl Trial for Trip {
    fn next(&mut self, replies: &Replies) -> Option<Round> {
        match self.step {
            TripStep::Start if self.stopped => None,
            TripStep::Start => self.go_upload(),
            TripStep::Upload => self.after_upload(replies),
            TripStep::Search => self.after_search(replies),
            TripStep::Fetch => self.after_fetch(replies),
            TripStep::Remove => self.after_remove(replies),
            TripStep::Sweep | TripStep::Over => None,
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn judge(&self, findings: &mut Findings) {
        let nothing = || Verdict::Unknown("nothing was written".to_owned());
        findings.add(&UPLOAD, "", self.upload.clone().unwrap_or_else(nothing));
        for (app, verdict) in &self.images {
            findings.add(&IMAGES, app, verdict.clone());
        }
        if self.images.is_empty() {
            findings.add(&IMAGES, "", nothing());
        }
        for (standby, verdict) in &self.rows {
            findings.add(&MARKER, standby, verdict.clone());
        }
        if self.plan.replicated && self.rows.is_empty() {
            let why = if self.images.is_empty() {
                nothing()
            } else {
                Verdict::bad("a standby on which it arrives", "there is no standby")
            };
            findings.add(&MARKER, "", why);
        }
        if self.upload.is_some() {
            findings.add(
                &REMOVED,
                "",
                self.removed.clone().unwrap_or_else(|| {
                    Verdict::Good("nothing was written, so nothing stays".to_owned())
                }),
            );
        }
    }
}

fn same(reply: &Reply, image: &[u8]) -> Verdict {
    let expected = format!("the {} bytes that were sent", image.len());
    match http::response(reply) {
        Ok(response) if response.status == 200 && response.body == image => {
            Verdict::Good("byte for byte".to_owned())
        }
        Ok(response) if response.status == 200 => {
            Verdict::bad(expected, format!("{} other bytes", response.body.len()))
        }
        Ok(response) => Verdict::bad(expected, response.summary()),
        Err(why) => Verdict::bad(expected, why),
    }
}

/// A picture of one pixel, followed by every byte value and the marker: what is changed on the way is noticed.
fn image(marker: &str) -> Vec<u8> {
    const PIXEL: &[u8] = &[
        0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0,
        0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A',
        b'T', 0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I',
        b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
    ];
    PIXEL
        .iter()
        .copied()
        .chain((0..=255).cycle().take(4096))
        .chain(marker.bytes())
        .collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
