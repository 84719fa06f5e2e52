//! A way into a host's network, for clients that must not send from this machine's own.
//!
//! It dies with its host and is never opened anew in secret: whoever holds it asks whether it lives, and decides.

use super::ssh::{chain, master, unreachable_host};
use super::target::Target;
use crate::base::{Diagnostic, Result};
use openssh::{ChildStdin, ChildStdout, Session, Stdio};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A way into a host's network: every connection to the socket becomes one that the host makes.
pub struct Tunnel {
    /// The socket on this machine; nobody else may enter it.
    pub socket: PathBuf,
    input: ChildStdin,
    output: ChildStdout,
    // Ends in this order: the held session, the master, its folder.
    _held: Box<dyn std::any::Any + Send + Sync>,
    _session: Arc<Session>,
    _directory: tempfile::TempDir,
}

impl Tunnel {
    /// Opens a way through the host to an address and port that the host reaches.
    ///
    /// # Errors
    /// As [`super::Connection::open`]; and when the host's sshd forwards nothing (`AllowTcpForwarding`).
    pub async fn open(target: &Target, address: &str, port: u16) -> Result<Self> {
        if target.local {
            return Err(
                Diagnostic::new("there is no tunnel through this machine itself").on(&target.host),
            );
        }
        let (session, directory) = master(target).await?;
        let failed = |error: openssh::Error| unreachable_host(target, &chain(&error));
        let socket = directory.path().join("way");
        session
            .request_port_forward(
                openssh::ForwardType::Local,
                openssh::Socket::from(socket.clone()),
                openssh::Socket::new(address.to_owned(), port),
            )
            .await
            .map_err(failed)?;
        // A master without any session ends by itself after a while; and this one answers `beat`.
        let mut held = session
            .clone()
            .arc_raw_command("exec cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .await
            .map_err(failed)?;
        let (Some(input), Some(output)) = (held.stdin().take(), held.stdout().take()) else {
            return Err(unreachable_host(target, "the session has no pipes"));
        };
        Ok(Self {
            socket,
            input,
            output,
            _held: Box::new(held),
            _session: session,
            _directory: directory,
        })
    }

    /// Sends a byte to the host and waits until it is back: as long as that works, the host is there. Has no limit of its own;
    /// a tunnel whose answer was not awaited to its end is good for nothing more.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn beat(&mut self) -> std::io::Result<()> {
        self.input.write_all(b"\n").await?;
        self.input.flush().await?;
        self.output.read_u8().await.map(drop)
    }
}
