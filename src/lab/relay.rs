//! The way into a lab: a connection made inside its network, relayed or handed over. Nothing here ever opens a socket
//! in the machine's own network, lab up or down.

use super::keeper::Keeper;
use super::state::Lab;
use super::{failed, while_doing};
use crate::base::{Diagnostic, Result, exit};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// More connections at once than any test needs; fewer than would hurt the machine.
const MOST_FORWARDED: usize = 256;
/// Time for two retries of a lost packet; the network stack of a host answers at once, even a frozen one's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Finds the address of a host's name, short or as one logs in to it, or takes an address as it is.
pub fn resolve(lab: &Lab, host: &str) -> Result<Ipv4Addr> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let known = lab
        .hosts
        .iter()
        .find(|known| lab.name.login_name(&known.name) == host);
    known
        .map_or_else(|| lab.host(host), Ok)
        .map(|found| found.address)
}

/// Connects from inside the lab. The calling thread is in the lab's network afterwards.
pub fn connect(keeper: &Keeper, address: Ipv4Addr, port: u16) -> Result<TcpStream> {
    enter_network(keeper)?;
    let stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), CONNECT_TIMEOUT)
        .map_err(|error| {
            Diagnostic::with_code(
                exit::USAGE,
                format!("cannot connect to {address}:{port} in the lab: {error}"),
            )
        })?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn enter_network(keeper: &Keeper) -> Result<()> {
    let namespace = File::open(keeper.namespace("net"))
        .map_err(while_doing("cannot enter the lab's network"))?;
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(while_doing("cannot enter the lab's network"))
}

/// Relays stdin and stdout. Ends when the far side closes; an end of stdin is passed on.
pub fn relay_stdio(stream: TcpStream) -> Result<()> {
    let mut from = stream.try_clone().map_err(while_doing("relay"))?;
    let mut to = stream;
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    // Through the file and not through std's line-buffered stdout: each packet goes on at once.
    let mut out = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .map_err(while_doing("relay"))?;
    let _ = io::copy(&mut from, &mut out);
    Ok(())
}

/// Hands the connection itself to ssh (`ProxyUseFdpass`): no process and no copying stays between.
pub fn hand_over(stream: &TcpStream) -> Result<()> {
    let fds = [stream.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(
        io::stdout().as_raw_fd(),
        &[IoSlice::new(&[0])],
        &message,
        MsgFlags::empty(),
        None,
    )
    .map_err(while_doing("stdout takes no connection"))?;
    Ok(())
}

/// Waits until an ssh server greets, in the lab, on every address; gives those that did not in time.
pub fn await_ssh(keeper: &Keeper, addresses: &[Ipv4Addr], patience: Duration) -> Vec<Ipv4Addr> {
    let end = Instant::now() + patience;
    let wait = |address: Ipv4Addr| {
        if enter_network(keeper).is_err() {
            return false;
        }
        while Instant::now() < end {
            if greets(address) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    };
    thread::scope(|scope| {
        let threads: Vec<_> = addresses
            .iter()
            .map(|&address| (address, scope.spawn(move || wait(address))))
            .collect();
        threads
            .into_iter()
            .filter_map(|(address, thread)| (!thread.join().unwrap_or(false)).then_some(address))
            .collect()
    })
}

fn greets(address: Ipv4Addr) -> bool {
    let Ok(mut stream) =
        TcpStream::connect_timeout(&SocketAddr::from((address, 22)), Duration::from_millis(500))
    else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
}

/// Listens on a loopback address of the machine.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(
            Diagnostic::new(format!("{address} is not a loopback address"))
                .help("a lab is reached from this machine only"),
        );
    }
    TcpListener::bind(address).map_err(while_doing(format!("cannot listen on {address}")))
}

/// Relays every connection to the listener into the lab, until the lab is down.
pub fn forward(
    listener: &TcpListener,
    keeper: &Keeper,
    address: Ipv4Addr,
    port: u16,
) -> Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        let client = client.map_err(while_doing("accept"))?;
        if !keeper.is_alive() {
            return Err(failed("the lab is down"));
        }
        if open.load(Ordering::Relaxed) >= MOST_FORWARDED {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (keeper, open) = (keeper.clone(), Arc::clone(&open));
        // A thread of its own for each: entering a network is a thread's affair.
        thread::spawn(move || {
            if let Ok(server) = connect(&keeper, address, port) {
                join(&client, &server);
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

fn join(client: &TcpStream, server: &TcpStream) {
    let _ = client.set_nodelay(true);
    let pump = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(client, server));
        pump(server, client);
        // The server has said all: a client that keeps its half open must not hold the thread.
        let _ = client.shutdown(Shutdown::Both);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(listen("0.0.0.0:0".parse().unwrap()).is_err());
        assert!(listen("127.0.0.1:0".parse().unwrap()).is_ok());
    }

    #[test]
    fn what_one_side_says_the_other_hears_to_the_end() {
        let pair = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (near, listener.accept().unwrap().0)
        };
        let ((mut user, client), (server, mut service)) = (pair(), pair());
        let relay = thread::spawn(move || join(&client, &server));
        let echo = thread::spawn(move || {
            let mut heard = Vec::new();
            service.read_to_end(&mut heard).unwrap();
            io::Write::write_all(&mut service, &heard).unwrap();
        });
        let said: Vec<u8> = (0..200_000u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        io::Write::write_all(&mut user, &said).unwrap();
        user.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        user.read_to_end(&mut heard).unwrap();
        assert!(heard == said);
        echo.join().unwrap();
        relay.join().unwrap();
    }
}
