//! Base64, digests, password hashes and UUIDs.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::template::val::Val;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use rand::RngExt;
use sha2::Digest;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("b64encode", b64encode),
    ("b64decode", b64decode),
    ("hash", |call| {
        digest(
            &call
                .text(0, "hashtype")?
                .unwrap_or_else(|| "sha1".to_owned()),
            &call.input_text()?,
        )
    }),
    ("md5", |call| digest("md5", &call.input_text()?)),
    ("sha1", |call| digest("sha1", &call.input_text()?)),
    ("checksum", |call| digest("sha1", &call.input_text()?)),
    ("password_hash", password_hash),
    ("to_uuid", to_uuid),
];

fn b64encode(call: &Call) -> Result<Val> {
    let engine = if call.flag(1, "urlsafe")? {
        &URL_SAFE
    } else {
        &STANDARD
    };
    Ok(Val::from(engine.encode(call.input_text()?)))
}

fn b64decode(call: &Call) -> Result<Val> {
    let engine = if call.flag(1, "urlsafe")? {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let text: String = call.input_text()?.split_whitespace().collect();
    let bytes = engine.decode(text).map_err(|error| {
        Diagnostic::new(format!("`b64decode`: the text is not base64: {error}"))
    })?;
    String::from_utf8(bytes)
        .map(Val::from)
        .map_err(|_| Diagnostic::new("`b64decode`: what was encoded is not UTF-8 text"))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn digest(kind: &str, text: &str) -> Result<Val> {
    Ok(Val::from(match kind {
        "md5" => hex(&md5::Md5::digest(text)),
        "sha1" => hex(&sha1::Sha1::digest(text)),
        "sha224" => hex(&sha2::Sha224::digest(text)),
        "sha256" => hex(&sha2::Sha256::digest(text)),
        "sha384" => hex(&sha2::Sha384::digest(text)),
        "sha512" => hex(&sha2::Sha512::digest(text)),
        other => {
            return Err(Diagnostic::new(format!(
                "the digest `{other}` is not supported"
            )));
        }
    }))
}

/// The alphabet of crypt(3).
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn password_hash(call: &Call) -> Result<Val> {
    let kind = call
        .text(0, "hashtype")?
        .unwrap_or_else(|| "sha512".to_owned());
    let rounds = call
        .int(3, "rounds")?
        .and_then(|rounds| u32::try_from(rounds).ok());
    let salt = match call.text(1, "salt")? {
        Some(salt) => salt,
        None => random_salt(),
    };
    if salt.len() > 16 || !salt.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err(Diagnostic::new(
            "`password_hash`: the salt must be at most 16 letters, digits, dots and slashes",
        ));
    }
    let (ident, default) = match kind.as_str() {
        "sha512" | "sha512_crypt" => ("6", 656_000),
        "sha256" | "sha256_crypt" => ("5", 535_000),
        other => {
            return Err(
                Diagnostic::new(format!("`password_hash` cannot make `{other}` hashes"))
                    .help("use sha512 or sha256"),
            );
        }
    };
    let rounds = rounds.unwrap_or(default);
    let params = sha_crypt::Params::new(rounds).map_err(|_| {
        Diagnostic::new("`password_hash`: rounds must lie between 1000 and 999999999")
    })?;
    let password = call.input_text()?;
    let encoded = if ident == "6" {
        let hash = sha_crypt::sha512_crypt(password.as_bytes(), salt.as_bytes(), params);
        // crypt(3) takes the bytes in threes, each time from the next third.
        let threes =
            std::iter::successors(Some([0, 21, 42]), |[a, b, c]| Some([b + 1, c + 1, a + 1]))
                .take(21);
        threes
            .map(|three| crypt64(&three.map(|at| hash[at])))
            .collect::<String>()
            + &crypt64(&hash[63..])
    } else {
        let hash = sha_crypt::sha256_crypt(password.as_bytes(), salt.as_bytes(), params);
        let threes =
            std::iter::successors(Some([0, 10, 20]), |[a, b, c]| Some([c + 1, a + 1, b + 1]))
                .take(10);
        threes
            .map(|three| crypt64(&three.map(|at| hash[at])))
            .collect::<String>()
            + &crypt64(&[hash[31], hash[30]])
    };
    let rounds = if rounds == 5000 {
        String::new()
    } else {
        format!("rounds={rounds}$")
    };
    Ok(Val::from(format!("${ident}${rounds}{salt}${encoded}")))
}

fn random_salt() -> String {
    let mut random = rand::rng();
    (0..16)
        .map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]))
        .collect()
}

/// One to three bytes, the highest first, in the alphabet of crypt(3), the lowest bits first.
fn crypt64(bytes: &[u8]) -> String {
    let mut bits = bytes
        .iter()
        .fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
    let mut out = String::new();
    for _ in 0..=bytes.len() {
        out.push(char::from(ALPHABET[bits & 0x3f]));
        bits >>= 6;
    }
    out
}

/// Ansible's namespace for `to_uuid`.
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn to_uuid(call: &Call) -> Result<Val> {
    let namespace = call
        .text(0, "namespace")?
        .unwrap_or_else(|| NAMESPACE.to_owned());
    let digits: String = namespace.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes: Vec<u8> = (0..digits.len() / 2)
        .filter_map(|at| u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect();
    if bytes.len() != 16 {
        return Err(Diagnostic::new(format!(
            "`to_uuid`: the namespace `{namespace}` is not a UUID"
        )));
    }
    let digest = sha1::Sha1::new()
        .chain_update(bytes)
        .chain_update(call.input_text()?)
        .finalize();
    let mut uuid = digest[..16].to_vec();
    uuid[6] = uuid[6] & 0x0f | 0x50;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let hex = hex(&uuid);
    Ok(Val::from(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )))
}
