//! QEMU's monitor, as far as it is needed: one command, one answer.

use crate::base::Result;
use crate::lab::{failed, while_doing};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Gives a command to the machine behind a socket.
pub(super) fn command(socket: &Path, name: &str) -> Result<Value> {
    let mut stream = UnixStream::connect(socket)
        .map_err(while_doing("the machine's monitor does not answer"))?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(while_doing("monitor"))?;
    let mut lines = BufReader::new(
        stream
            .try_clone()
            .map_err(while_doing("the machine's monitor"))?,
    )
    .lines();
    // A greeting comes first, and events may come between.
    for name in ["qmp_capabilities", name] {
        let line = json!({"execute": name}).to_string() + "\n";
        stream
            .write_all(line.as_bytes())
            .map_err(while_doing("the machine's monitor"))?;
        loop {
            let line = lines
                .next()
                .ok_or_else(|| failed("the machine's monitor hung up"))?
                .map_err(while_doing("the machine's monitor"))?;
            let answer: Value =
                serde_json::from_str(&line).map_err(while_doing("the machine's monitor"))?;
            if let Some(error) = answer.get("error") {
                return Err(failed(format!("the machine refuses `{name}`: {error}")));
            }
            match answer.get("return") {
                Some(_) if name == "qmp_capabilities" => break,
                Some(value) => return Ok(value.clone()),
                None => {}
            }
        }
    }
    Ok(Value::Null)
}
