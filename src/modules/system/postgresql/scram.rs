//! PostgreSQL's stored form of a password, so that the password itself never goes to the server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

const ITERATIONS: u32 = 4096;

/// The verifier of a password under that salt.
fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    let mut salted = [0_u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let stored = Sha256::digest(keyed(&salted, b"Client Key"));
    let server = keyed(&salted, b"Server Key");
    let (salt, stored, server) = (
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server),
    );
    format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
}

fn keyed(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(text);
            mac.finalize().into_bytes().into()
        }
        // A key of any length is taken; there is no other outcome.
        Err(_) => [0; 32],
    }
}

/// Whether the text is a stored form already.
pub(super) fn is_stored(text: &str) -> bool {
    text.starts_with("SCRAM-SHA-256$")
        || text.len() == 35
            && text.starts_with("md5")
            && text[3..].bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether the server's stored form is that of the password.
pub(super) fn matches(stored: &str, password: &str) -> bool {
    if is_stored(password) {
        return stored == password;
    }
    let parts = || {
        let (head, _) = stored.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        Some((iterations.parse().ok()?, STANDARD.decode(salt).ok()?))
    };
    parts().is_some_and(|(iterations, salt)| {
        iterations <= 1_000_000 && verifier(password, &salt, iterations) == stored
    })
}

/// What is sent for a password. The salt comes from the role and the password, so that the same wish is the same text; it needs to
/// differ between roles, not to be secret.
pub(super) fn stored(role: &str, password: &str) -> String {
    if is_stored(password) {
        return password.to_owned();
    }
    let mut digest = Sha256::new();
    for part in ["hactl salt", role, password] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    verifier(password, &digest.finalize()[..16], ITERATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_are_those_of_the_server() {
        // Made with PostgreSQL's own `\password` for the password `pencil` and the salt of RFC 7677.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let wanted = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(verifier("pencil", &salt, 4096), wanted);
        assert!(matches(wanted, "pencil") && !matches(wanted, "pen") && matches(wanted, wanted));
    }

    #[test]
    fn what_is_sent_matches_and_hides_the_password() {
        let sent = stored("app", "geheim");
        assert!(matches(&sent, "geheim") && !sent.contains("geheim"));
        assert_eq!(sent, stored("app", "geheim"));
        assert_ne!(sent, stored("other", "geheim"));
        assert!(!matches("md5d0b5b0b1c0a1b2c3d4e5f60718293a4b", "geheim"));
    }
}
