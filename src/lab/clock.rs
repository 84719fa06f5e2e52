//! The time source of a lab: whoever asks the lab's router for the time (NTP, RFC 5905) is told the machine's. Hosts then follow
//! one clock, as they would outside, although they reach nothing beyond the lab.
//!
//! It answers and never asks, and runs in the lab's network alone.

use super::while_doing;
use crate::base::Result;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PORT: u16 = 123;
/// A request without extensions; what follows in a longer one is not answered.
const LENGTH: usize = 48;
/// What a clock says that follows no other one, and that others shall leave for a better one.
const STRATUM: u8 = 10;
/// From 1900, where NTP begins to count, to 1970.
const SECONDS_BEFORE: u64 = 2_208_988_800;

/// Answers in a thread of its own, on all addresses of this network namespace, as long as the process lives.
pub(super) fn serve() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))
        .map_err(while_doing("cannot be the lab's time source"))?;
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut packet) else {
                continue;
            };
            let received = SystemTime::now();
            if let Some(answer) = answer(&packet[..length], received, SystemTime::now()) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(())
}

/// What a client is told; none for what is no client's question.
fn answer(request: &[u8], received: SystemTime, now: SystemTime) -> Option<[u8; LENGTH]> {
    let (first, asked) = (*request.first()?, request.get(40..LENGTH)?);
    let (version, mode) = (first >> 3 & 7, first & 7);
    if mode != 3 || version == 0 {
        return None;
    }
    let mut answer = [0; LENGTH];
    answer[0] = version << 3 | 4;
    answer[1] = STRATUM;
    answer[2] = request[2];
    // Of about a microsecond, as a power of two.
    answer[3] = (-20_i8).cast_unsigned();
    answer[12..16].copy_from_slice(b"LOCL");
    answer[16..24].copy_from_slice(&stamp(received));
    answer[24..32].copy_from_slice(asked);
    answer[32..40].copy_from_slice(&stamp(received));
    answer[40..48].copy_from_slice(&stamp(now));
    Some(answer)
}

/// Seconds since 1900, modulo 2³², and their fraction.
fn stamp(time: SystemTime) -> [u8; 8] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs() + SECONDS_BEFORE;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_with_the_time_and_anything_else_with_nothing() {
        let mut request = [0; LENGTH];
        request[0] = 4 << 3 | 3;
        request[40..].copy_from_slice(b"its time");
        let half = UNIX_EPOCH + Duration::from_millis(1500);
        let said = answer(&request, UNIX_EPOCH, half).unwrap();
        assert_eq!((said[0], said[1]), (4 << 3 | 4, STRATUM));
        assert_eq!(&said[24..32], b"its time");
        assert_eq!(said[32..40], [0x83, 0xaa, 0x7e, 0x80, 0, 0, 0, 0]);
        assert_eq!(said[40..48], [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]);
        request[0] = 4 << 3 | 4;
        assert!(answer(&request, half, half).is_none(), "an answer");
        assert!(answer(&request[..40], half, half).is_none(), "too short");
        assert!(answer(&[], half, half).is_none());
    }
}
