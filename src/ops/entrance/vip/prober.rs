//! A client of the service on a host that looks on: one request every 50 ms through the virtual address, each by itself, so
//! that one that hangs does not hold up the next.
//!
//! It runs beside everything else, ends when its file is taken away, and at the latest after [`LIFE`] seconds: a hactl that
//! is killed leaves nothing behind.

use super::probe::Place;
use crate::base::quote::sh_join;
use crate::modules::Request;

/// Seconds after which it ends by itself.
const LIFE: &str = "90";
/// A line for every request: when it began, when it ended, its status or `-`.
const SCRIPT: &str = r#"LC_ALL=C; exec >>"$4" 2>/dev/null </dev/null
while [ "$SECONDS" -lt "$5" ] && [ -e "$4" ]; do
  ( b=$EPOCHREALTIME s=
    exec 3<>"/dev/tcp/$1/$2" && printf 'GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: hactl-vip\r\n\r\n' "$3" "$1" >&3 &&
      IFS=' ' read -r -t 3 _ s _ <&3
    echo "$b $EPOCHREALTIME ${s:--}" ) &
  sleep 0.05
done
kill $(jobs -p); rm -f "$4""#;

/// How long clients saw nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The host that looked.
    pub viewer: String,
    /// The longest time between two answers, in milliseconds.
    pub milliseconds: u64,
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that got no answer, or an error of the balancer.
    pub failed: usize,
}

/// Where a prober writes.
pub fn file(id: &str) -> String {
    format!("/run/hactl-{id}.probe")
}

/// Starts one.
pub fn start(place: &Place, id: &str) -> Request {
    let (port, file) = (place.port.to_string(), file(id));
    let words = sh_join([
        "bash",
        "-c",
        SCRIPT,
        "hactl-vip",
        &place.address,
        &port,
        &place.path,
        &file,
        LIFE,
    ]);
    let quoted = crate::base::quote::sh(&file);
    Request::sh(format!(
        "umask 077; : >{quoted} && {{ setsid {words} >/dev/null 2>&1 </dev/null & }}"
    ))
}

/// What it has seen so far.
pub fn read(id: &str) -> Request {
    Request::sh(format!("cat {}", crate::base::quote::sh(&file(id))))
}

/// Ends it, and what it has seen.
pub fn stop(id: &str) -> Request {
    let file = crate::base::quote::sh(&file(id));
    Request::sh(format!("cat {file} 2>/dev/null; rm -f {file}"))
}

/// Reads what it saw. Lines that are not whole are left out.
pub fn gap(viewer: &str, text: &str) -> Gap {
    let mut ends = Vec::new();
    let mut failed = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, end, status] = words.as_slice() else {
            continue;
        };
        match (micros(end), status.parse::<u16>()) {
            (Some(end), Ok(status)) if status < 500 => ends.push(end),
            (Some(_), _) => failed += 1,
            (None, _) => {}
        }
    }
    ends.sort_unstable();
    let longest = ends
        .windows(2)
        .filter_map(|pair| pair.get(1)?.checked_sub(*pair.first()?))
        .max()
        .unwrap_or(0);
    Gap {
        viewer: viewer.to_owned(),
        milliseconds: longest / 1000,
        answered: ends.len(),
        failed,
    }
}

/// `1763736000.123456` in microseconds.
fn micros(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    if rest.len() != 6 {
        return None;
    }
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(rest.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_the_longest_time_between_two_answers() {
        // The order of lines is that of their ends only roughly; the last line is cut off.
        let text = "100.000000 100.010000 200\n100.050000 100.060000 200\n100.100000 101.200000 200\n\
                    100.900000 100.910000 200\n100.150000 103.100000 -\n100.950000 101.300000 503\n101.0 10";
        assert_eq!(
            gap("app1", text),
            Gap {
                viewer: "app1".to_owned(),
                milliseconds: 850,
                answered: 4,
                failed: 2
            }
        );
        assert_eq!(gap("app1", "").milliseconds, 0);
    }

    #[test]
    fn moments_are_read_to_the_microsecond() {
        for (text, read) in [
            ("1.000001", Some(1_000_001)),
            ("12.5", None),
            ("x.000000", None),
            ("", None),
        ] {
            assert_eq!(micros(text), read, "{text}");
        }
    }
}
