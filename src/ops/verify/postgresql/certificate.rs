//! When a certificate ends. Reads just so much of X.509 (RFC 5280, section 4.1) as leads there, and trusts nothing that it reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of the first certificate of a PEM file; nothing when that cannot be read.
pub fn end(pem: &str) -> Option<Timestamp> {
    let body = pem.split_once("-----BEGIN CERTIFICATE-----")?.1;
    let body: String = body
        .split_once("-----END CERTIFICATE-----")?
        .0
        .split_whitespace()
        .collect();
    let bytes = STANDARD.decode(body).ok()?;
    let (_, certificate, _) = item(&bytes)?;
    let (_, mut signed, _) = item(certificate)?;
    // A version may come first; then serial number, algorithm, issuer, and validity.
    if signed.first() == Some(&VERSION) {
        signed = item(signed)?.2;
    }
    for _ in 0..3 {
        signed = item(signed)?.2;
    }
    let (SEQUENCE, validity, _) = item(signed)? else {
        return None;
    };
    let (kind, end, _) = item(item(validity)?.2)?;
    let text = std::str::from_utf8(end).ok()?;
    let full = match kind {
        // Two digits: 1950 to 2049.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", full).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Kind, content and what follows of the first item of a DER encoding.
fn item(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut bytes = vec![kind];
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => bytes.push(short),
            Ok(long) => bytes.extend([0x81, long]),
            Err(_) => bytes.extend([
                0x82,
                (length >> 8).to_le_bytes()[0],
                length.to_le_bytes()[0],
            ]),
        }
        bytes.extend_from_slice(content);
        bytes
    }

    /// A certificate as far as its end, padded to a length that needs two bytes.
    fn pem(version: bool, kind: u8, end: &str) -> String {
        let validity = [der(UTC_TIME, b"200101000000Z"), der(kind, end.as_bytes())].concat();
        let signed = [
            if version {
                der(VERSION, &der(2, &[2]))
            } else {
                Vec::new()
            },
            der(2, &[1; 20]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &[0; 300]),
            der(SEQUENCE, &validity),
            der(SEQUENCE, &[0; 9]),
        ];
        let certificate = der(SEQUENCE, &der(SEQUENCE, &signed.concat()));
        let text = STANDARD.encode(certificate);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .collect();
        format!(
            "about\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }

    #[test]
    fn the_end_is_found() {
        for (pem, expected) in [
            (
                pem(true, UTC_TIME, "361118145115Z"),
                Some("2036-11-18T14:51:15Z"),
            ),
            (
                pem(false, UTC_TIME, "991231235959Z"),
                Some("1999-12-31T23:59:59Z"),
            ),
            (
                pem(true, GENERALIZED_TIME, "20500101000000Z"),
                Some("2050-01-01T00:00:00Z"),
            ),
            (pem(true, GENERALIZED_TIME, "2050"), None),
            (pem(true, 4, "361118145115Z"), None),
            (
                pem(true, UTC_TIME, "361118145115Z").replace("CERT", "CART"),
                None,
            ),
            (String::new(), None),
        ] {
            assert_eq!(
                end(&pem).map(|end| end.to_string()).as_deref(),
                expected,
                "{pem}"
            );
        }
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let whole = der(SEQUENCE, &[1, 2, 3]);
        for length in 0..whole.len() {
            assert_eq!(item(&whole[..length]), None);
        }
        assert_eq!(item(&[0x30, 0x85, 1, 1, 1, 1, 1, 0]), None);
    }
}
