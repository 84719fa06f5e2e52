//! A position in PostgreSQL's write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: bytes since the beginning of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// How many bytes this is ahead of another position; 0 when it is behind.
    pub fn ahead_of(self, other: Self) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.trim().split_once('/').ok_or(())?;
        let part = |text: &str| u32::from_str_radix(text, 16).map(u64::from).map_err(drop);
        Ok(Self(part(high)? << 32 | part(low)?))
    }
}

impl<'de> serde::Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|()| serde::de::Error::custom(format!("`{text}` is no log position")))
    }
}

impl serde::Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_compared_and_written() {
        let lsn = |text: &str| text.parse::<Lsn>();
        assert_eq!(lsn("16/B374D848").expect("a position").0, 0x16_B374_D848);
        assert_eq!(
            lsn("0/3000060").expect("a position").to_string(),
            "0/3000060"
        );
        assert!(lsn("1/0") > lsn("0/FFFFFFFF"));
        assert_eq!(
            lsn("0/20").expect("p").ahead_of(lsn("0/10").expect("p")),
            16
        );
        for wrong in ["", "3000060", "0/x", "0/1FFFFFFFF"] {
            assert!(lsn(wrong).is_err(), "{wrong}");
        }
    }
}
