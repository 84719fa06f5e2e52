//! File modes as Ansible writes them: octal and symbolic, applied to what a path has now.

use crate::base::{Diagnostic, Result};

/// A wished mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Exact bits.
    Octal(u32),
    /// `u=rwX,g=rX,o=`, relative to the present mode.
    Symbolic(Vec<Clause>),
}

/// One operation of a symbolic mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    users: String,
    /// No user was written: the umask limits what is set.
    masked: bool,
    operator: char,
    permissions: String,
}

/// Permissions of a new file or directory when nothing else is wished.
pub const fn fresh(directory: bool) -> u32 {
    if directory { 0o755 } else { 0o644 }
}

const UMASK: u32 = 0o022;

impl Mode {
    /// Reads a mode.
    ///
    /// # Errors
    /// When it is neither octal nor symbolic.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Diagnostic::new(format!("`{text}` is not a file mode"))
                .help("write octal digits in quotes, \"0644\", or symbols, \"u=rw,g=r,o=r\"")
        };
        let trimmed = text.trim();
        let digits = trimmed.strip_prefix("0o").unwrap_or(trimmed);
        if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(digits, 8).map_err(|_| wrong())?;
            return if mode <= 0o7777 {
                Ok(Self::Octal(mode))
            } else {
                Err(wrong())
            };
        }
        let mut clauses = Vec::new();
        for part in trimmed.split(',') {
            let first = part.find(['+', '-', '=']).ok_or_else(wrong)?;
            let users = &part[..first];
            if !users.chars().all(|c| "ugoa".contains(c)) {
                return Err(wrong());
            }
            let masked = users.is_empty();
            let users = if masked || users.contains('a') {
                "ugo"
            } else {
                users
            };
            let mut rest = &part[first..];
            while let Some(operator) = rest.chars().next() {
                let end = rest[1..]
                    .find(['+', '-', '='])
                    .map_or(rest.len(), |at| at + 1);
                let permissions = &rest[1..end];
                let copies =
                    permissions.chars().all(|c| "ugo".contains(c)) && permissions.len() <= 1;
                if !copies && !permissions.chars().all(|c| "rwxXst".contains(c)) {
                    return Err(wrong());
                }
                clauses.push(Clause {
                    users: users.to_owned(),
                    masked,
                    operator,
                    permissions: permissions.to_owned(),
                });
                rest = &rest[end..];
            }
        }
        Ok(Self::Symbolic(clauses))
    }

    /// The bits that a path with `now` gets.
    pub fn apply(&self, now: u32, directory: bool) -> u32 {
        let clauses = match self {
            Self::Octal(mode) => return *mode,
            Self::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(now, |mut mode, clause| {
            for user in clause.users.chars() {
                let mut bits = clause.bits(user, mode, directory);
                if clause.masked {
                    bits &= !UMASK;
                }
                mode = match clause.operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => (mode & !all_of(user)) | bits,
                };
            }
            mode
        })
    }
}

impl Clause {
    fn bits(&self, user: char, now: u32, directory: bool) -> u32 {
        let shift = shift_of(user);
        self.permissions.chars().fold(0, |bits, permission| {
            bits | match permission {
                'r' => 0o4 << shift,
                'w' => 0o2 << shift,
                'x' => 0o1 << shift,
                'X' if directory || now & 0o111 != 0 => 0o1 << shift,
                's' if user == 'u' => 0o4000,
                's' if user == 'g' => 0o2000,
                't' if user == 'o' => 0o1000,
                'u' | 'g' | 'o' => ((now >> shift_of(permission)) & 0o7) << shift,
                _ => 0,
            }
        })
    }
}

const fn shift_of(user: char) -> u32 {
    match user {
        'u' => 6,
        'g' => 3,
        _ => 0,
    }
}

const fn all_of(user: char) -> u32 {
    match user {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_applied_to_what_is_there() {
        for (wish, now, directory, result) in [
            ("0644", 0o777, false, 0o644),
            ("644", 0o777, false, 0o644),
            ("0o1777", 0, true, 0o1777),
            ("u=rwX,g=rX,o=", 0o600, false, 0o640),
            ("u=rwX,g=rX,o=", 0o600, true, 0o750),
            ("u=rwX,g=rX,o=", 0o711, false, 0o750),
            ("a+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, false, 0o700),
            ("g=u", 0o640, false, 0o660),
            ("u+s,g+s,o+t", 0o755, true, 0o7755),
            ("=rw", 0o777, false, 0o644),
            ("+x", 0o600, false, 0o711),
            ("u=rw-x+X", 0o644, false, 0o644),
        ] {
            let mode = Mode::parse(wish).expect(wish);
            assert_eq!(mode.apply(now, directory), result, "{wish} on {now:o}");
        }
        for bad in ["", "rw", "z+x", "u+q", "77777", "0888"] {
            assert!(Mode::parse(bad).is_err(), "{bad}");
        }
    }
}
