//! Resolves scalars as Ansible's YAML 1.1 reader does. Knows text only, never files or trees.

use super::Yaml;
use regex::Regex;
use std::sync::OnceLock;

/// The forms of numbers that YAML 1.1, as Ansible reads it, knows.
struct Forms {
    int: Regex,
    float: Regex,
}

fn forms() -> &'static Forms {
    static FORMS: OnceLock<Forms> = OnceLock::new();
    FORMS.get_or_init(|| Forms {
        int: Regex::new(
            r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
        )
        .expect("the pattern is a constant"),
        float: Regex::new(
            r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        )
        .expect("the pattern is a constant"),
    })
}

/// What a plain (unquoted, untagged) scalar stands for.
///
/// # Errors
/// A message, for integers beyond 64 bits. Dates stay text.
pub(super) fn resolve(text: &str) -> Result<Yaml, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Yaml::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Yaml::Bool(false)
        }
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) => {
            text_of(text)
        }
        _ if forms().float.is_match(text) => float(text).map_or_else(|| text_of(text), Yaml::Float),
        _ if forms().int.is_match(text) => int(text)?,
        _ => text_of(text),
    })
}

fn text_of(text: &str) -> Yaml {
    Yaml::String(text.to_owned())
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn int(text: &str) -> Result<Yaml, String> {
    let plain = text.replace('_', "");
    let (negative, digits) = split_sign(&plain);
    let magnitude = if digits == "0" {
        Some(0)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        if binary.is_empty() {
            return Ok(text_of(text));
        }
        i128::from_str_radix(binary, 2).ok()
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        if hexadecimal.is_empty() {
            return Ok(text_of(text));
        }
        i128::from_str_radix(hexadecimal, 16).ok()
    } else if digits.starts_with('0') {
        i128::from_str_radix(digits, 8).ok()
    } else {
        digits.split(':').try_fold(0_i128, |sum, part| {
            sum.checked_mul(60)?.checked_add(part.parse().ok()?)
        })
    };
    magnitude
        .map(|magnitude| if negative { -magnitude } else { magnitude })
        .and_then(|value| i64::try_from(value).ok())
        .map(Yaml::Int)
        .ok_or_else(|| format!("the integer `{text}` does not fit into 64 bits"))
}

fn float(text: &str) -> Option<f64> {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let (negative, digits) = split_sign(&plain);
    let magnitude = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if digits.contains(':') => digits.split(':').try_fold(0.0, |sum, part| {
            Some(sum * 60.0 + part.parse::<f64>().ok()?)
        })?,
        _ => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was checked against the reader of Ansible.
    #[test]
    fn plain_scalars_resolve_as_ansible_reads_them() {
        let truths = "yes Yes YES true True TRUE on On ON";
        for text in truths.split(' ') {
            assert_eq!(resolve(text), Ok(Yaml::Bool(true)), "{text}");
        }
        for text in "no No NO false False FALSE off Off OFF".split(' ') {
            assert_eq!(resolve(text), Ok(Yaml::Bool(false)), "{text}");
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Ok(Yaml::Null), "{text}");
        }
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("12", 12),
            ("+12", 12),
            ("-12", -12),
            ("1_000", 1000),
            ("0644", 0o644),
            ("-0644", -0o644),
            ("0_7", 7),
            ("0x1F", 31),
            ("-0x_1f", -31),
            ("0b101", 5),
            ("1:30", 90),
            ("-1:30", -90),
            ("190:20:30", 685_230),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(resolve(text), Ok(Yaml::Int(value)), "{text}");
        }
        for (text, value) in [
            ("1.0", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-1.5", -1.5),
            ("1_0.2_5", 10.25),
            ("1.0e+3", 1000.0),
            ("1.5e-1", 0.15),
            ("1:30.5", 90.5),
            (".inf", f64::INFINITY),
            ("-.Inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(resolve(text), Ok(Yaml::Float(value)), "{text}");
        }
        assert!(matches!(resolve(".nan"), Ok(Yaml::Float(value)) if value.is_nan()));
        let texts = "y n Y N yEs tRUE nULL nil 1e3 1e+3 1.0e3 1.5E3 0o17 08 0o644 1.2.3 1-2 2024-01-02 0xg 0b2 - + . .. \
                     +.5 -.5 .iNF .nAn 10.0.0.1 1:60 1:30:99 :30 0:30 12h 5s 0b_ = <<x";
        for text in texts.split_whitespace() {
            assert_eq!(resolve(text), Ok(Yaml::String(text.to_owned())), "{text}");
        }
        assert!(resolve("9223372036854775808").is_err());
    }
}
