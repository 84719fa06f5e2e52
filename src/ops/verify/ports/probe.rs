//! Knocks at ports from a host, all at once, with nothing there but bash; reads what opens.
//!
//! A PostgreSQL server is greeted as a client greets it, but no password is ever sent: whether pg_hba.conf lets in is said
//! before one is asked for. Each greeting that is refused is one line in that server's log.

use crate::modules::{Reply, Request};
use std::fmt::Write as _;

/// Seconds until a port that says nothing counts as closed by something in between.
const PATIENCE: u64 = 3;

/// Each line of the input: a number, address, port, and the greeting in octal or `-`. Each line of the output: the number, the
/// exit code, and what came. One read is enough: a server says its first message at once.
const SCRIPT: &str = r#"port_probe='if [ "$3" = - ]; then exec 3<>"/dev/tcp/$1/$2" && echo open; exit; fi
exec 3<>"/dev/tcp/$1/$2" && printf "$3" >&3 && dd bs=1024 count=1 <&3 2>/dev/null | od -An -v -tx1 -w1024'
end='
'
while read -r n a p g; do
( said=$(timeout "$1" bash -c "$port_probe" port_probe "$a" "$p" "$g" 2>&1); echo "$n $? ${said##*"$end"}" ) &
done
wait"#;

/// A client at the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// Whether anybody opens.
    Open,
    /// Whether this user may ask for this database.
    Postgresql {
        /// The role.
        user: String,
        /// The database.
        database: String,
    },
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortProbe {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// What is said.
    pub greeting: Greeting,
}

/// What a probe of the port found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It opens.
    Open,
    /// The server asks for a password in this way.
    Asked(&'static str),
    /// The server lets in without a password.
    LetIn,
    /// pg_hba.conf refuses; its words.
    Denied(String),
    /// The server says something else.
    Said(String),
    /// Nobody listens.
    Refused,
    /// No answer within so many seconds: something in between drops it, or the host is dead.
    Silent(u64),
    /// It cannot be told.
    Unclear(String),
}

impl Heard {
    /// In a few words.
    pub fn words(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Asked(how) => format!("asks for a password ({how})"),
            Self::LetIn => "accepts logins without a password".to_owned(),
            Self::Denied(why) => format!("refused by pg_hba.conf: {why}"),
            Self::Said(what) => format!("the server says: {what}"),
            Self::Refused => "nobody listens there".to_owned(),
            Self::Silent(limit) => {
                format!("no answer within {limit} s (a firewall, or a dead host)")
            }
            Self::Unclear(why) => why.clone(),
        }
    }
}

/// The command that knocks at all of them, and waits for each so many times longer than usual.
pub fn request(knocks: &[PortProbe], times: u32) -> Request {
    let mut input = String::new();
    for (number, port_probe) in knocks.iter().enumerate() {
        let greeting = match &port_probe.greeting {
            Greeting::Open => "-".to_owned(),
            Greeting::Postgresql { user, database } => {
                startup(user, database)
                    .iter()
                    .fold(String::new(), |mut text, byte| {
                        let _ = write!(text, "\\{byte:03o}");
                        text
                    })
            }
        };
        let _ = writeln!(
            input,
            "{number} {} {} {greeting}",
            port_probe.address, port_probe.port
        );
    }
    let limit = limit(times);
    let mut request = Request::sh(format!("set -- {limit}\n{SCRIPT}")).stdin(input);
    request.timeout_seconds = Some(limit + 7);
    request
}

fn limit(times: u32) -> u64 {
    PATIENCE * u64::from(times)
}

/// PostgreSQL's StartupMessage, protocol 3.0 (the manual's "Message Formats").
fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for word in [
        "user",
        user,
        "database",
        database,
        "application_name",
        "hactl verify",
    ] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().to_vec(), body].concat()
}

/// What each probe found, in order.
pub fn heard(reply: &Reply, knocks: &[PortProbe], times: u32) -> Vec<Heard> {
    let text = reply.out();
    (0..knocks.len())
        .map(|number| {
            let line = text.lines().find_map(|line| {
                let mut words = line.splitn(3, ' ');
                (words.next()?.parse() == Ok(number)).then_some(())?;
                Some((
                    words.next()?.parse::<i32>().ok()?,
                    words.next().unwrap_or_default(),
                ))
            });
            match line {
                Some((code, said)) => one(code, said.trim(), &knocks[number].greeting, times),
                None => Heard::Unclear("it was not said what came of it".to_owned()),
            }
        })
        .collect()
}

fn one(code: i32, said: &str, greeting: &Greeting, times: u32) -> Heard {
    match code {
        124 | 137 => return Heard::Silent(limit(times)),
        127 => return Heard::Unclear("bash is missing on the host".to_owned()),
        _ => {}
    }
    if said == "open" {
        return Heard::Open;
    }
    if matches!(greeting, Greeting::Postgresql { .. }) && code == 0 {
        let bytes: Option<Vec<u8>> = said
            .split_whitespace()
            .map(|word| u8::from_str_radix(word, 16).ok())
            .collect();
        return match bytes.as_deref() {
            Some([]) => Heard::Said("nothing, and closes".to_owned()),
            Some(bytes) => answer(bytes),
            None => Heard::Unclear(said.to_owned()),
        };
    }
    match said {
        _ if said.contains("refused") => Heard::Refused,
        _ if said.contains("timed out")
            || said.contains("unreachable")
            || said.contains("No route") =>
        {
            Heard::Silent(limit(times))
        }
        _ => Heard::Unclear(if said.is_empty() {
            format!("exit code {code}")
        } else {
            said.to_owned()
        }),
    }
}

/// The server's first message: a request for authentication, or an error.
fn answer(bytes: &[u8]) -> Heard {
    let rest = bytes.get(5..).unwrap_or_default();
    match bytes.first() {
        Some(b'R') => match rest.get(..4) {
            Some([0, 0, 0, 0]) => Heard::LetIn,
            Some([0, 0, 0, 3]) => Heard::Asked("in clear"),
            Some([0, 0, 0, 5]) => Heard::Asked("md5"),
            Some([0, 0, 0, 10]) => Heard::Asked("SCRAM"),
            _ => Heard::Asked("another way"),
        },
        Some(b'E') => {
            let field = |kind: u8| {
                rest.split(|byte| *byte == 0)
                    .find(|field| field.first() == Some(&kind))
                    .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
                    .unwrap_or_default()
            };
            // 28000: invalid_authorization_specification.
            if field(b'C') == "28000" {
                Heard::Denied(field(b'M'))
            } else {
                Heard::Said(field(b'M'))
            }
        }
        _ => Heard::Said("something that is not PostgreSQL's protocol".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port_probe(greeting: Greeting) -> PortProbe {
        PortProbe {
            address: "192.0.2.1".into(),
            port: 5432,
            greeting,
        }
    }

    #[test]
    fn what_is_heard_is_told_apart() {
        let postgresql = || Greeting::Postgresql {
            user: "u".into(),
            database: "d".into(),
        };
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |text, byte| format!("{text} {byte:02x}"))
        };
        let error = |code: &str, message: &str| {
            hex(format!("E\0\0\0\0SFATAL\0C{code}\0M{message}\0\0").as_bytes())
        };
        for (greeting, line, expected) in [
            (Greeting::Open, "0 0 open".to_owned(), Heard::Open),
            (
                Greeting::Open,
                "0 1 bash: line 1: /dev/tcp/192.0.2.1/80: Connection refused".to_owned(),
                Heard::Refused,
            ),
            (
                Greeting::Open,
                "0 1 bash: line 1: /dev/tcp/192.0.2.1/80: No route to host".to_owned(),
                Heard::Silent(3),
            ),
            (Greeting::Open, "0 124 ".to_owned(), Heard::Silent(3)),
            (
                Greeting::Open,
                "1 0 open".to_owned(),
                Heard::Unclear("it was not said what came of it".into()),
            ),
            (
                postgresql(),
                format!("0 0{}", hex(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0")),
                Heard::Asked("SCRAM"),
            ),
            (
                postgresql(),
                format!("0 0{}", hex(b"R\0\0\0\x08\0\0\0\x03")),
                Heard::Asked("in clear"),
            ),
            (
                postgresql(),
                format!("0 0{}", hex(b"R\0\0\0\x08\0\0\0\0")),
                Heard::LetIn,
            ),
            (
                postgresql(),
                format!("0 0{}", error("28000", "no pg_hba.conf entry")),
                Heard::Denied("no pg_hba.conf entry".into()),
            ),
            (
                postgresql(),
                format!("0 0{}", error("57P03", "starting up")),
                Heard::Said("starting up".into()),
            ),
            (
                postgresql(),
                "0 0 ".to_owned(),
                Heard::Said("nothing, and closes".into()),
            ),
            (
                postgresql(),
                "0 1 bash: connect: Connection refused".to_owned(),
                Heard::Refused,
            ),
        ] {
            let reply = Reply {
                stdout: line.clone().into(),
                ..Reply::default()
            };
            assert_eq!(
                heard(&reply, &[port_probe(greeting)], 1),
                [expected],
                "{line}"
            );
        }
    }

    #[test]
    fn a_greeting_is_a_startup_message() {
        let bytes = startup("u", "d");
        assert_eq!(usize::from(bytes[3]), bytes.len());
        assert_eq!(&bytes[4..16], b"\0\x03\0\0user\0u\0d");
    }
}
