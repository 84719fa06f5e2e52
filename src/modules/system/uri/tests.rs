//! `uri` against a server in this process.

use super::super::support::testing::{args, same, whole};
use super::*;
use crate::modules::Module;
use std::io::{Read, Write};
use std::net::TcpListener;

/// Answers requests with what they asked, or with what their path asks for; gives its address.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connection");
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let count = stream.read(&mut buffer).expect("readable");
                text.extend_from_slice(&buffer[..count]);
                let seen = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = seen.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.lines().find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                });
                if count == 0
                    || body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
                {
                    break;
                }
            }
            let seen = String::from_utf8_lossy(&text).into_owned();
            let answer = match seen.split(' ').nth(1).unwrap_or_default() {
                "/moved" => "HTTP/1.1 302 Found\r\nLocation: /json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
                "/gone" => "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone".to_owned(),
                "/json" => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Two-Words: y\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{\"a\": 1}".to_owned(),
                _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{seen}", seen.len()),
            };
            stream.write_all(answer.as_bytes()).expect("written");
        }
    });
    address
}

#[test]
fn web_services_are_asked_and_judged() {
    let address = server();
    let ask = |raw: Value| {
        let args = args(&URI, raw);
        whole(&URI, &args).expect("asked").1
    };
    let outcome = ask(json!({"url": format!("{address}/moved")}));
    assert_eq!(
        (
            &outcome["status"],
            &outcome["json"]["a"],
            &outcome["redirected"]
        ),
        (&json!(200), &json!(1), &json!(true))
    );
    assert_eq!(
        (
            &outcome["x_two_words"],
            &outcome["changed"],
            outcome.get("content")
        ),
        (&json!("y"), &json!(false), None)
    );
    let outcome = ask(json!({"url": format!("{address}/gone")}));
    assert_eq!(
        (&outcome["failed"], &outcome["content"]),
        (&json!(true), &json!("gone"))
    );
    assert_eq!(
        outcome["msg"],
        json!("Status code was 404 and not [200]: HTTP Error 404: Not Found")
    );
    assert_eq!(
        ask(json!({"url": format!("{address}/gone"), "status_code": "200,404"})).get("failed"),
        None
    );
    let sent = ask(json!({
        "url": format!("{address}/x"), "method": "post", "body": {"k": "a \"b\"\n"}, "body_format": "json",
        "headers": {"X-A": "b"}, "user": "me", "password": "pässword", "force_basic_auth": true, "return_content": true,
    }));
    let text = sent["content"].as_str().expect("text");
    for part in [
        "POST /x ",
        "X-A: b",
        "Content-Type: application/json",
        "Authorization: Basic ",
        "{\"k\":\"a \\\"b\\\"\\n\"}",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let sent = ask(
        json!({"url": format!("{address}/x"), "method": "PUT", "body": {"a b": "c&d"}, "body_format": "form-urlencoded", "return_content": true}),
    );
    assert!(
        sent["content"]
            .as_str()
            .is_some_and(|text| text.ends_with("a+b=c%26d")),
        "{sent:?}"
    );
    let sent = ask(json!({
        "url": format!("{address}/x"), "method": "POST", "body_format": "form-multipart", "return_content": true,
        "body": {"quote": "q", "image": {"content": "PNG;x", "filename": "a.png", "mime_type": "image/png"}},
    }));
    let text = sent["content"].as_str().expect("text");
    for part in [
        "name=\"quote\"",
        "filename=\"a.png\"",
        "Content-Type: image/png",
        "PNG;x",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_file_is_saved_once() {
    let dir = tempfile::tempdir().expect("dir");
    let raw = json!({"url": format!("{}/json", server()), "dest": dir.path(), "mode": "0600"});
    for changed in [true, false] {
        let outcome = whole(&URI, &args(&URI, raw.clone())).expect("asked").1;
        assert_eq!(
            (&outcome["changed"], &outcome["path"]),
            (&json!(changed), &json!(dir.path().join("json")))
        );
    }
    assert_eq!(
        std::fs::read_to_string(dir.path().join("json")).expect("file"),
        "{\"a\": 1}"
    );
}

#[test]
fn nobody_there_is_a_failed_outcome() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("address");
    let outcome = whole(&URI, &args(&URI, json!({"url": format!("http://{free}/")})))
        .expect("asked")
        .1;
    assert_eq!(
        (&outcome["status"], &outcome["failed"]),
        (&json!(-1), &json!(true))
    );
}

#[test]
fn secrets_are_not_in_the_script_and_check_asks_nothing() {
    let mut args = args(
        &URI,
        json!({"url": "http://h/?token=geheim", "headers": {"A": "geheim"}, "url_username": "u", "url_password": "geheim", "body": "geheim"}),
    );
    let Decision::Change(change) = URI.diff(&args, &[]).expect("decides") else {
        panic!("no request")
    };
    assert!(!change.requests[0].script.contains("geheim"));
    args.check = true;
    assert_eq!(
        same(URI.diff(&args, &[]).expect("decides"))["skipped"],
        json!(true)
    );
}
