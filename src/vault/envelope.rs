//! The text form of ansible-vault (1.1, and 1.2 with a vault id) and its cipher.
//!
//! A header line, then hex in lines of 80: the hex of salt, HMAC and cipher text, joined by line feeds. Keys come from
//! PBKDF2-HMAC-SHA256, the text is AES-256-CTR over PKCS#7 padding, and the HMAC-SHA256 is over the cipher text.
//! The HMAC is checked before anything is decrypted.

use super::Secret;
use crate::base::{Diagnostic, Result};
use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use sha2::Sha256;
use std::fmt::Write as _;
use zeroize::Zeroizing;

const MARK: &str = "$ANSIBLE_VAULT";
const ROUNDS: u32 = 10_000;
const KEY: usize = 32;
const IV: usize = 16;
const BLOCK: usize = 16;
const LINE: usize = 80;

/// Whether a text is a vault envelope. Spaces before it, as in an inline value, do not matter.
pub fn is_vault(text: &str) -> bool {
    text.trim_start()
        .strip_prefix(MARK)
        .is_some_and(|rest| rest.starts_with(';'))
}

/// The vault id in the header, if it has one.
pub fn id_of(text: &str) -> Option<&str> {
    text.trim_start()
        .lines()
        .next()?
        .split(';')
        .nth(3)
        .map(str::trim)
        .filter(|id| !id.is_empty())
}

/// An envelope taken apart.
pub(super) struct Envelope {
    /// The vault id of format 1.2.
    pub(super) id: Option<String>,
    salt: Vec<u8>,
    mac: Vec<u8>,
    cipher: Vec<u8>,
}

impl Envelope {
    /// Reads the armoured text.
    pub(super) fn parse(armoured: &str) -> Result<Self> {
        if !is_vault(armoured) {
            return Err(Diagnostic::new("this is not vault text")
                .help(format!("a vault begins with `{MARK};1.1;AES256`")));
        }
        let mut lines = armoured.trim_start().lines().map(str::trim);
        let header = lines.next().unwrap_or_default();
        let fields: Vec<&str> = header.split(';').map(str::trim).collect();
        let (version, cipher) = (
            fields.get(1).copied().unwrap_or(""),
            fields.get(2).copied().unwrap_or(""),
        );
        if !matches!(version, "1.1" | "1.2") || cipher != "AES256" {
            return Err(Diagnostic::new(format!("unknown vault header `{header}`")).help("hactl reads formats 1.1 and 1.2 with AES256; `ansible-vault rekey` brings older files up to date"));
        }
        let body: String = lines.collect();
        let inner = unhex(body.as_bytes()).ok_or_else(damaged)?;
        let mut parts = inner.split(|byte| *byte == b'\n');
        let mut part = || parts.next().and_then(unhex).ok_or_else(damaged);
        let (salt, mac, cipher) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(damaged());
        }
        Ok(Self {
            id: id_of(armoured).map(str::to_owned),
            salt,
            mac,
            cipher,
        })
    }

    /// The plain bytes, or nothing when the password does not fit.
    pub(super) fn open(&self, password: &Secret) -> Option<Result<Vec<u8>>> {
        let keys = Keys::derive(password, &self.salt);
        keys.mac(&self.cipher).verify_slice(&self.mac).ok()?;
        let mut plain = self.cipher.clone();
        keys.apply(&mut plain);
        let pad = plain.last().map_or(0, |byte| usize::from(*byte));
        let sound = (1..=BLOCK).contains(&pad)
            && plain.len() >= pad
            && plain[plain.len() - pad..]
                .iter()
                .all(|byte| usize::from(*byte) == pad);
        if !sound {
            return Some(Err(damaged()));
        }
        plain.truncate(plain.len() - pad);
        Some(Ok(plain))
    }
}

/// Encrypts bytes into armoured text that ends with a line feed. An id other than `default` makes it format 1.2, as
/// ansible-vault does.
pub(super) fn seal(plain: &[u8], password: &Secret, id: Option<&str>) -> String {
    let mut salt = [0; KEY];
    rand::rng().fill(&mut salt);
    let keys = Keys::derive(password, &salt);
    let pad = BLOCK - plain.len() % BLOCK;
    let mut cipher = Vec::with_capacity(plain.len() + pad);
    cipher.extend_from_slice(plain);
    cipher.resize(plain.len() + pad, u8::try_from(pad).unwrap_or_default());
    keys.apply(&mut cipher);
    let mac = keys.mac(&cipher).finalize().into_bytes();
    let body = hex(format!("{}\n{}\n{}", hex(&salt), hex(&mac), hex(&cipher)).as_bytes());

    let mut text = match id.filter(|id| *id != "default") {
        Some(id) => format!("{MARK};1.2;AES256;{id}\n"),
        None => format!("{MARK};1.1;AES256\n"),
    };
    // Hex is one byte a character, so no line is cut inside one.
    for line in body.as_bytes().chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text
}

/// What the password gives: cipher key, HMAC key, counter.
struct Keys(Zeroizing<[u8; KEY + KEY + IV]>);

impl Keys {
    fn derive(password: &Secret, salt: &[u8]) -> Self {
        let mut keys = Zeroizing::new([0; KEY + KEY + IV]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, ROUNDS, keys.as_mut());
        Self(keys)
    }

    fn mac(&self, cipher: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[KEY..KEY + KEY])
            .expect("HMAC takes a key of any length");
        mac.update(cipher);
        mac
    }

    /// Counter mode: the same for both directions.
    fn apply(&self, data: &mut [u8]) {
        Ctr128BE::<Aes256>::new_from_slices(&self.0[..KEY], &self.0[KEY + KEY..])
            .expect("key and counter have the lengths of AES-256")
            .apply_keystream(data);
    }
}

fn damaged() -> Diagnostic {
    Diagnostic::new("the vault text is damaged")
        .help("take the file from the last commit in which it was whole")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password of the fixtures, which ansible-vault wrote. It protects nothing.
    const FIXTURE_PASSWORD: &str = "fixture-password";

    fn open(text: &str, password: &str) -> Option<Vec<u8>> {
        Envelope::parse(text)
            .expect("an envelope")
            .open(&Secret::new(password))
            .map(|plain| plain.expect("sound"))
    }

    #[test]
    fn what_ansible_vault_wrote_is_read() {
        for (text, id, plain) in [
            (
                include_str!("fixtures/whole-1.1.vault"),
                None,
                "vault_x: fixture value\n",
            ),
            (
                include_str!("fixtures/whole-1.2-prod.vault"),
                Some("prod"),
                "vault_x: fixture value\n",
            ),
            (
                include_str!("fixtures/sixteen-bytes.vault"),
                None,
                "sixteen bytes ok",
            ),
            (include_str!("fixtures/empty.vault"), None, ""),
            (
                include_str!("fixtures/inline.vault"),
                None,
                "inline-fixture",
            ),
        ] {
            assert!(is_vault(text));
            assert_eq!(id_of(text), id);
            assert_eq!(
                open(text, FIXTURE_PASSWORD).as_deref(),
                Some(plain.as_bytes())
            );
            assert_eq!(open(text, "another"), None);
        }
    }

    #[test]
    fn what_is_sealed_opens_again() {
        for length in [0, 1, 15, 16, 17, 4096] {
            let plain: Vec<u8> = (0..length)
                .map(|i| u8::try_from(i % 251).expect("small"))
                .collect();
            let text = seal(&plain, &Secret::new("p"), Some("site-a"));
            assert_eq!(id_of(&text), Some("site-a"));
            assert!(text.lines().all(|line| line.len() <= LINE) && text.ends_with('\n'));
            assert_eq!(open(&text, "p"), Some(plain));
        }
        let again = |id| seal(b"x", &Secret::new("p"), id);
        assert_ne!(again(None), again(None), "every sealing has its own salt");
        assert!(again(Some("default")).starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
    }

    #[test]
    fn text_that_is_no_sound_vault_is_refused() {
        let whole = include_str!("fixtures/whole-1.1.vault");
        let flipped = whole.replace("34653665", "34653664");
        assert_eq!(open(&flipped, FIXTURE_PASSWORD), None);
        for (text, message) in [
            ("plain", "this is not vault text"),
            (
                "$ANSIBLE_VAULT;1.0;AES\n00",
                "unknown vault header `$ANSIBLE_VAULT;1.0;AES`",
            ),
            ("$ANSIBLE_VAULT;1.1;AES256\n", "the vault text is damaged"),
            ("$ANSIBLE_VAULT;1.1;AES256\n3", "the vault text is damaged"),
            ("$ANSIBLE_VAULT;1.1;AES256\nzz", "the vault text is damaged"),
            (&whole[..200], "the vault text is damaged"),
        ] {
            assert_eq!(
                Envelope::parse(text)
                    .err()
                    .map(|error| error.message)
                    .as_deref(),
                Some(message),
                "{text}"
            );
        }
    }
}
