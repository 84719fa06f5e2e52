//! The picture of a drill: every request at the time when it was sent and as high as it took long, what the databases were, and
//! what happened when.
//!
//! One mark a request, of the class `m`. Outcomes differ in shape, not only in colour. All text is escaped.

use crate::ops::drill::metrics::Gap;
use crate::ops::drill::record::{Kind, Moment, Observation, Outcome, Sample};
use crate::ops::drill::run::Record;
use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
/// Height of a lane of requests.
const LANE: f64 = 130.0;
const BETWEEN: f64 = 22.0;
/// Height of the band of a database.
const BAND: f64 = 18.0;
/// The quickest answer that the scale shows, in seconds.
const QUICK: f64 = 0.001;

/// Text as it may stand in HTML and SVG.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not a character of XML; a browser would show nothing either.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

/// The drawing of one drill.
struct Picture<'a> {
    record: &'a Record,
    svg: String,
    end: f64,
    slowest: f64,
}

/// The picture as an `svg` element. `key` makes its ids unique on the page.
pub fn draw(record: &Record, key: usize) -> String {
    let end = record
        .samples
        .iter()
        .map(|sample| sample.ended)
        .chain(record.looks.iter().map(|look| look.answered))
        .max()
        .unwrap_or(Duration::from_secs(1))
        .as_secs_f64()
        .max(1.0);
    let slowest = record
        .samples
        .iter()
        .map(|sample| sample.ended.saturating_sub(sample.sent).as_secs_f64())
        .fold(1.0, f64::max);
    let mut picture = Picture {
        record,
        svg: String::new(),
        end,
        slowest,
    };
    let hosts: Vec<&String> = record.assignment.servers.keys().collect();
    let count = f64::from(u32::try_from(hosts.len()).unwrap_or(0));
    let bottom = TOP + 2.0 * (LANE + BETWEEN) + count * (BAND + 6.0);
    let _ = write!(
        picture.svg,
        "<svg class=\"timeline\" role=\"img\" viewBox=\"0 0 {WIDTH} {:.0}\" aria-labelledby=\"t{key} d{key}\"><title id=\"t{key}\">{}</title><desc id=\"d{key}\">{}</desc>",
        bottom + 34.0,
        escape(&format!(
            "{} {}: requests by outcome",
            record.drill.id, record.drill.name
        )),
        escape(&describe(record)),
    );
    picture.axis(bottom);
    picture.lane("writes", Kind::Write, TOP, record.figures.write_gap);
    picture.lane(
        "reads",
        Kind::Read,
        TOP + LANE + BETWEEN,
        record.figures.read_gap,
    );
    for (index, host) in hosts.into_iter().enumerate() {
        let row = f64::from(u32::try_from(index).unwrap_or(0));
        picture.band(host, TOP + 2.0 * (LANE + BETWEEN) + row * (BAND + 6.0));
    }
    picture.events(bottom);
    picture.svg.push_str("</svg>");
    picture.svg
}

fn describe(record: &Record) -> String {
    let (writes, reads) = (&record.figures.writes, &record.figures.reads);
    let gap = |gap: Option<Gap>| {
        gap.map_or_else(
            || "not known".to_owned(),
            |gap| format!("{:.2} s", gap.length.as_secs_f64()),
        )
    };
    format!(
        "{} of {} writes and {} of {} reads succeeded. Longest time without an acknowledged write {}, without a read {}.",
        writes.done,
        writes.sent,
        reads.done,
        reads.sent,
        gap(record.figures.write_gap),
        gap(record.figures.read_gap)
    )
}

impl Picture<'_> {
    fn x(&self, at: Moment) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at.as_secs_f64() / self.end).min(1.0)
    }

    /// How high an answer stands that took so long: logarithmic.
    fn y(&self, top: f64, took: f64) -> f64 {
        let part = (took.max(QUICK) / QUICK).ln() / (self.slowest / QUICK).ln();
        top + LANE * (1.0 - part.clamp(0.0, 1.0))
    }

    fn axis(&mut self, bottom: f64) {
        // Not more than 15 lines.
        let step = [1_u32, 2, 5, 10, 20, 30, 60]
            .into_iter()
            .find(|step| self.end / f64::from(*step) <= 15.0)
            .unwrap_or(120);
        let mut second = 0;
        while f64::from(second) <= self.end {
            let x = self.x(Duration::from_secs(second.into()));
            let _ = write!(
                self.svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom:.1}\"/><text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{second} s</text>",
                bottom + 16.0
            );
            second += step;
        }
    }

    fn lane(&mut self, name: &str, kind: Kind, top: f64, gap: Option<Gap>) {
        let _ = write!(
            self.svg,
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{LANE}\"/><text class=\"name\" x=\"8\" y=\"{:.1}\">{name}</text>",
            WIDTH - LEFT - RIGHT,
            top + 14.0
        );
        for (took, text) in [
            (0.001, "1 ms"),
            (0.01, "10 ms"),
            (0.1, "100 ms"),
            (1.0, "1 s"),
        ] {
            let y = self.y(top, took);
            let _ = write!(
                self.svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"scale\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 3.0
            );
        }
        if let Some(gap) = gap {
            let from = self.x(gap.from);
            let to = self.x(gap.to.unwrap_or(Duration::from_secs_f64(self.end)));
            let _ = write!(
                self.svg,
                "<rect class=\"gap\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{LANE}\"/>",
                (to - from).max(0.5)
            );
        }
        let samples: Vec<&Sample> = self
            .record
            .samples
            .iter()
            .filter(|sample| sample.kind == kind)
            .collect();
        for sample in samples {
            self.mark(sample, top);
        }
        // Above the marks, or they would hide it.
        if let Some(gap) = gap {
            let to = gap.to.unwrap_or(Duration::from_secs_f64(self.end));
            let _ = write!(
                self.svg,
                "<text class=\"gaptext\" x=\"{:.1}\" y=\"{:.1}\">{:.2} s</text>",
                f64::midpoint(self.x(gap.from), self.x(to)),
                top + 16.0,
                gap.length.as_secs_f64()
            );
        }
    }

    fn mark(&mut self, sample: &Sample, top: f64) {
        let x = self.x(sample.sent);
        let took = sample.ended.saturating_sub(sample.sent).as_secs_f64();
        let y = self.y(top, took);
        let word = sample.outcome.word();
        let shape = match sample.outcome {
            Outcome::Done => {
                let _ = write!(self.svg, "<path class=\"m done\" d=\"M{x:.1} {y:.1}h0\"/>");
                return;
            }
            Outcome::Refused => format!("M{:.1} {:.1}h5v5h-5z", x - 2.5, y - 2.5),
            Outcome::Broken => format!("M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5),
            Outcome::Timeout => format!("M{:.1} {:.1}l3-6l3 6z", x - 3.0, y + 3.0),
        };
        let status = if sample.status == 0 {
            String::new()
        } else {
            format!(" {}", sample.status)
        };
        let title = format!(
            "{} {} at {:.2} s: {word}{status} {}",
            sample.kind.word(),
            sample.seq,
            sample.sent.as_secs_f64(),
            sample.note
        );
        let _ = write!(
            self.svg,
            "<path class=\"m {word}\" d=\"{shape}\"><title>{}</title></path>",
            escape(title.trim())
        );
    }

    /// What a database was: each look holds until the next.
    fn band(&mut self, host: &str, top: f64) {
        let _ = write!(
            self.svg,
            "<text class=\"name\" x=\"8\" y=\"{:.1}\">{}</text>",
            top + 13.0,
            escape(host)
        );
        let looks: Vec<&Observation> = self
            .record
            .looks
            .iter()
            .filter(|look| look.host == host)
            .collect();
        let mut runs: Vec<(&Observation, Moment)> = Vec::new();
        for look in looks {
            match runs.last_mut() {
                Some((first, until)) if first.role == look.role => *until = look.answered,
                last => {
                    if let Some((_, until)) = last {
                        *until = look.asked;
                    }
                    runs.push((look, look.answered));
                }
            }
        }
        for (look, until) in runs {
            let (from, to) = (self.x(look.asked), self.x(until));
            let word = look.role.word();
            let _ = write!(
                self.svg,
                "<rect class=\"role {word}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAND}\"><title>{} is {word}</title></rect>",
                (to - from).max(1.0),
                escape(host)
            );
            if to - from > 56.0 {
                let _ = write!(
                    self.svg,
                    "<text class=\"rolename\" x=\"{:.1}\" y=\"{:.1}\">{word}</text>",
                    from + 5.0,
                    top + 13.0
                );
            }
        }
    }

    /// A line and a number for each event; the list below the picture says what it was.
    fn events(&mut self, bottom: f64) {
        let mut used: Vec<f64> = Vec::new();
        for (index, event) in self.record.events.iter().enumerate() {
            if event.at.as_secs_f64() > self.end {
                continue;
            }
            let x = self.x(event.at);
            // Numbers of events that are close together go side by side.
            let mut place = x;
            while used.iter().any(|other| (other - place).abs() < 15.0) {
                place += 15.0;
            }
            used.push(place);
            let _ = write!(
                self.svg,
                "<g class=\"event {}\"><title>{}</title><path d=\"M{x:.1} {:.1}V{bottom:.1}\"/><circle cx=\"{place:.1}\" cy=\"14\" r=\"9\"/><text x=\"{place:.1}\" y=\"18\">{}</text></g>",
                event.what.word(),
                escape(&event.text),
                24.0,
                index + 1
            );
        }
    }
}
