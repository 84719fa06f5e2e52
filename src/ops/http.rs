//! HTTP as seen from a host, with nothing there but bash: the request is built here and goes through `/dev/tcp`, and what
//! comes back is read here.
//!
//! Binary-safe both ways. Credentials travel on standard input, never in an argument list.

use crate::base::quote::sh_join;
use crate::modules::{Reply, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// The whole exchange; a server that never ends its answer is cut off by the request's time limit.
const SCRIPT: &str = r#"exec 3<>"/dev/tcp/$1/$2" || exit 7; cat >&3; exec cat <&3"#;
/// The same several times, each answer followed by a line of its own; ends at the first that finds nobody.
const REPEATED: &str = r#"request=$(cat; echo x); for turn in $(seq "$3"); do exec 3<>"/dev/tcp/$1/$2" || exit 7
printf '%s' "${request%x}" >&3; cat <&3; exec 3>&-; printf '%s' "$4"; done"#;
/// What stands between the answers of [`Call::repeated`].
const BETWEEN: &str = "\n--hactl-next-answer-5f1c--\n";
/// The exit code of the script when nobody listened: then nothing was sent either.
const NOBODY: i32 = 7;
/// Seconds that one exchange may take.
const LIMIT: u64 = 12;

/// One request to a web server.
#[derive(Debug, Clone)]
pub struct Call {
    address: String,
    port: u16,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Call {
    /// A GET of a path.
    pub fn get(address: &str, port: u16, path: &str) -> Self {
        Self {
            address: address.to_owned(),
            port,
            method: "GET",
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A DELETE of a path.
    pub fn delete(address: &str, port: u16, path: &str) -> Self {
        Self {
            method: "DELETE",
            ..Self::get(address, port, path)
        }
    }

    /// A form with one text field and one file, as a browser sends it.
    pub fn upload(address: &str, port: u16, path: &str, form: &Form<'_>) -> Self {
        let (content_type, body) = form.encode();
        Self {
            method: "POST",
            headers: vec![("Content-Type", content_type)],
            body,
            ..Self::get(address, port, path)
        }
    }

    /// With a user and a password.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        let word = STANDARD.encode(format!("{user}:{password}"));
        self.headers
            .push(("Authorization", format!("Basic {word}")));
        self
    }

    /// The command for a host that makes this request from there.
    pub fn request(&self) -> Request {
        let port = self.port.to_string();
        let mut request = Request::sh(format!(
            "exec {}",
            sh_join(["bash", "-c", SCRIPT, "http", &self.address, &port])
        ))
        .stdin(self.bytes());
        request.timeout_seconds = Some(LIMIT);
        request
    }

    /// The command that makes this request several times, one after the other; for [`responses`].
    pub fn repeated(&self, times: usize) -> Request {
        let (port, times) = (self.port.to_string(), times.to_string());
        let words = [
            "bash",
            "-c",
            REPEATED,
            "http",
            &self.address,
            &port,
            &times,
            BETWEEN,
        ];
        let mut request = Request::sh(format!("exec {}", sh_join(words))).stdin(self.bytes());
        request.timeout_seconds = Some(LIMIT);
        request
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let host = if self.address.contains(':') {
            format!("[{}]", self.address)
        } else {
            self.address.clone()
        };
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: hactl-verify\r\nAccept: */*\r\nConnection: close\r\n",
            self.method, self.path, self.port
        );
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A form with one text field and one file.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The text field: name and value.
    pub text: (&'a str, &'a str),
    /// The name of the file's field.
    pub field: &'a str,
    /// The file's own name.
    pub file: &'a str,
    /// What it holds.
    pub content: &'a [u8],
}

impl Form<'_> {
    fn encode(&self) -> (String, Vec<u8>) {
        let mut boundary = String::from("hactl-form");
        // A boundary must not occur in what it bounds.
        while self
            .content
            .windows(boundary.len())
            .any(|window| window == boundary.as_bytes())
        {
            let _ = write!(boundary, "-{:08x}", rand::random::<u32>());
        }
        let (name, value) = self.text;
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            self.field, self.file
        )
        .into_bytes();
        body.extend_from_slice(self.content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }
}

/// What a web server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, complete.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Status and the beginning of the body, for messages.
    pub fn summary(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(160)
            .collect();
        format!("{} {text}", self.status).trim_end().to_owned()
    }
}

/// Whether a call reached nobody, so that certainly nothing came of it.
pub fn reached_nobody(reply: &Reply) -> bool {
    reply.code == NOBODY && reply.stdout.is_empty()
}

/// Reads the replies to [`Call::repeated`]; the error says why the first of them is missing.
pub fn responses(reply: &Reply, times: usize) -> Result<Vec<Response>, String> {
    let mut found = Vec::new();
    let mut rest = reply.stdout.as_slice();
    while let Some(end) = find(rest, BETWEEN.as_bytes()) {
        let (one, more) = rest.split_at(end);
        let one = Reply {
            code: 0,
            stdout: one.to_vec(),
            ..Reply::default()
        };
        found.push(response(&one)?);
        rest = more.get(BETWEEN.len()..).unwrap_or_default();
    }
    if found.len() == times {
        return Ok(found);
    }
    let last = Reply {
        stdout: rest.to_vec(),
        ..reply.clone()
    };
    Err(response(&last)
        .err()
        .unwrap_or_else(|| format!("{} of {times} answers", found.len())))
}

/// Reads the reply to a [`Call`]; the error says in a few words what went wrong.
pub fn response(reply: &Reply) -> Result<Response, String> {
    if let Some(response) = parse(&reply.stdout) {
        return response;
    }
    Err(match reply.code {
        124 | 137 => format!("no answer within {LIMIT} s"),
        127 => "bash is missing on the host".to_owned(),
        _ => {
            let talk = reply.err();
            let word = [
                "Connection refused",
                "No route to host",
                "Network is unreachable",
                "Connection timed out",
            ]
            .into_iter()
            .find(|word| talk.contains(word));
            match word {
                Some(word) => word.to_lowercase(),
                None if reply.stdout.is_empty() => {
                    "the connection was closed without an answer".to_owned()
                }
                None => "the answer is not HTTP".to_owned(),
            }
        }
    })
}

/// An answer from the wire: nothing when the bytes do not begin as one; an error when it is cut off.
pub fn parse(bytes: &[u8]) -> Option<Result<Response, String>> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    if !first.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status: u16 = first.next()?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = bytes.get(end + 4..)?;
    // An interim answer comes before the real one.
    if (100..200).contains(&status) {
        return parse(rest);
    }
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    let chunked = response
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    let length = response
        .header("content-length")
        .and_then(|value| value.parse::<usize>().ok());
    let body = match (chunked, length) {
        (true, _) => unchunk(rest),
        (false, Some(length)) => rest.get(..length).map(<[u8]>::to_vec),
        (false, None) => Some(rest.to_vec()),
    };
    Some(match body {
        Some(body) => {
            response.body = body;
            Ok(response)
        }
        None => Err(format!("the answer ({status}) was cut off")),
    })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: i32, stdout: &[u8], stderr: &str) -> Reply {
        Reply {
            code,
            stdout: stdout.to_vec(),
            stderr: stderr.as_bytes().to_vec(),
            milliseconds: 0,
        }
    }

    #[test]
    fn answers_are_read_to_their_end_and_not_beyond() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], Ok((200, &b"ok"[..]))),
            (b"HTTP/1.0 404 Not Found\r\n\r\ngone\r\n", Ok((404, b"gone\r\n"))),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\r\n\r\n2;x=y\r\nbc\r\n0\r\n\r\n", Ok((200, b"a\r\nbc"))),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", Ok((201, b""))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Err("the answer (200) was cut off")),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", Err("the answer (200) was cut off")),
            (b"SSH-2.0-OpenSSH\r\n\r\n", Err("the answer is not HTTP")),
            (b"", Err("the connection was closed without an answer")),
        ] {
            let read = response(&reply(0, bytes, ""));
            let read = read.as_ref().map(|r| (r.status, r.body.as_slice())).map_err(String::as_str);
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn no_answer_has_a_reason() {
        for (reply, reason) in [
            (
                reply(
                    7,
                    b"",
                    "bash: connect: Connection refused\nbash: line 1: /dev/tcp/1/2: Connection refused",
                ),
                "connection refused",
            ),
            (reply(124, b"", ""), "no answer within 12 s"),
            (
                reply(127, b"", "sh: exec: bash: not found"),
                "bash is missing on the host",
            ),
        ] {
            assert_eq!(response(&reply).expect_err("no answer"), reason);
        }
    }

    #[test]
    fn several_answers_are_told_apart() {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        let two = "HTTP/1.0 503 No\r\n\r\nb\n";
        let both = format!("{one}{BETWEEN}{two}{BETWEEN}");
        let statuses = |reply: &Reply, times| {
            responses(reply, times).map(|all| {
                all.iter()
                    .map(|r| (r.status, r.body.clone()))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            statuses(&reply(0, both.as_bytes(), ""), 2),
            Ok(vec![(200, b"a".to_vec()), (503, b"b\n".to_vec())])
        );
        let cut = reply(
            NOBODY,
            format!("{one}{BETWEEN}").as_bytes(),
            "connect: No route to host",
        );
        assert_eq!(statuses(&cut, 2), Err("no route to host".to_owned()));
        assert!(!reached_nobody(&cut) && reached_nobody(&reply(NOBODY, b"", "")));
        assert_eq!(
            statuses(&reply(124, one.as_bytes(), ""), 2),
            Err("0 of 2 answers".to_owned())
        );
    }

    /// A real server and a real bash: all byte values there and back.
    #[tokio::test]
    async fn a_form_arrives_byte_for_byte() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let content: Vec<u8> = (0..=255)
            .cycle()
            .take(70_000)
            .chain(*b"hactl-form")
            .collect();
        let call = Call::upload(
            "127.0.0.1",
            port,
            "/up",
            &Form {
                text: ("quote", "a b"),
                field: "image",
                file: "x.png",
                content: &content,
            },
        )
        .login("admin", "pass");
        let expected = call.bytes();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).await.expect("read");
            assert_eq!(got, expected);
            let tail = got[got.len() - 70_100..].to_vec();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", tail.len());
            stream.write_all(head.as_bytes()).await.expect("written");
            stream.write_all(&tail).await.expect("written");
            tail
        });
        let here = crate::connection::Target {
            host: "here".into(),
            local: true,
            ..Default::default()
        };
        let mut pool = super::super::connection_pool::ConnectionPool::open(vec![here], 1).await;
        let answers = pool
            .round([("here".to_owned(), vec![call.request()])].into())
            .await;
        let answer = answers["here"].as_ref().expect("answered");
        assert_eq!(
            response(&answer.replies[0]).expect("a response").body,
            server.await.expect("served")
        );
    }
}
