//! The values of INI inventories: a literal of Python where the text is one, text otherwise.
//!
//! Evaluates nothing: names, calls and arithmetic are text.

use crate::base::value::{Map, Value, to_text};
use regex::Regex;
use std::sync::OnceLock;

/// Nested deeper, it is text.
const DEEPEST: usize = 50;

/// The value of a text.
pub(super) fn value(text: &str) -> Value {
    literal(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn literal(text: &str) -> Option<Value> {
    let chars: Vec<char> = text.trim_start_matches([' ', '\t']).chars().collect();
    let mut reader = Reader {
        chars: &chars,
        at: 0,
        depth: 0,
    };
    let first = reader.value()?;
    let value = if reader.next_is(',') {
        let mut items = vec![first];
        reader.rest_of_items(&mut items, None)?;
        Value::Array(items)
    } else {
        first
    };
    reader.space();
    matches!(reader.peek(), None | Some('#')).then_some(value)
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn space(&mut self) {
        while self
            .peek()
            .is_some_and(|c| matches!(c, ' ' | '\t' | '\u{c}'))
        {
            self.at += 1;
        }
    }

    /// Takes that character, if it is the next one after blanks.
    fn next_is(&mut self, wanted: char) -> bool {
        self.space();
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Option<Value> {
        self.depth += 1;
        self.space();
        let value = match self.peek()? {
            _ if self.depth > DEEPEST => None,
            '[' => {
                self.at += 1;
                self.items(']').map(|(items, _)| Value::Array(items))
            }
            '(' => {
                self.at += 1;
                let (mut items, commas) = self.items(')')?;
                if items.len() == 1 && !commas {
                    items.pop()
                } else {
                    Some(Value::Array(items))
                }
            }
            '{' => {
                self.at += 1;
                self.braces()
            }
            '\'' | '"' => self.strings(),
            '+' | '-' => {
                let negative = self.take() == Some('-');
                self.space();
                self.number(negative)
            }
            c if c.is_ascii_digit() || c == '.' => self.number(false),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    /// Items up to a closing bracket, and whether there was a comma.
    fn items(&mut self, close: char) -> Option<(Vec<Value>, bool)> {
        if self.next_is(close) {
            return Some((Vec::new(), false));
        }
        let mut items = vec![self.value()?];
        if self.next_is(',') {
            self.rest_of_items(&mut items, Some(close))?;
            return Some((items, true));
        }
        self.next_is(close).then_some((items, false))
    }

    /// What follows the first comma; up to the end of the text when there is no bracket.
    fn rest_of_items(&mut self, items: &mut Vec<Value>, close: Option<char>) -> Option<()> {
        loop {
            self.space();
            match (close, self.peek()) {
                (Some(close), Some(c)) if c == close => {
                    self.at += 1;
                    return Some(());
                }
                (None, None | Some('#')) => return Some(()),
                _ => items.push(self.value()?),
            }
            if !self.next_is(',') {
                return match close {
                    Some(close) => self.next_is(close).then_some(()),
                    None => Some(()),
                };
            }
        }
    }

    /// A dictionary, or a set, which becomes a list.
    fn braces(&mut self) -> Option<Value> {
        if self.next_is('}') {
            return Some(Value::Object(Map::new()));
        }
        let first = self.value()?;
        if !self.next_is(':') {
            let mut items = vec![first];
            if items.iter().any(|item| item.is_array() || item.is_object()) {
                return None;
            }
            if self.next_is(',') {
                self.rest_of_items(&mut items, Some('}'))?;
            } else if !self.next_is('}') {
                return None;
            }
            let mut unique: Vec<Value> = Vec::new();
            for item in items {
                if !unique.contains(&item) {
                    unique.push(item);
                }
            }
            return Some(Value::Array(unique));
        }
        let mut map = Map::new();
        let mut key = first;
        loop {
            let value = self.value()?;
            map.insert(key_text(&key)?, value);
            if self.next_is('}') {
                return Some(Value::Object(map));
            }
            if !self.next_is(',') {
                return None;
            }
            if self.next_is('}') {
                return Some(Value::Object(map));
            }
            key = self.value()?;
            if !self.next_is(':') {
                return None;
            }
        }
    }

    /// `True`, `False`, `None`, or the prefix of a string.
    fn word(&mut self) -> Option<Value> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.at += 1;
        }
        let word: String = self.chars.get(start..self.at)?.iter().collect();
        match word.as_str() {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            _ => {
                self.at = start;
                self.strings()
            }
        }
    }

    /// One string or several side by side.
    fn strings(&mut self) -> Option<Value> {
        let mut text = self.string()?;
        loop {
            self.space();
            let before = self.at;
            match self.string() {
                Some(more) => text.push_str(&more),
                None => {
                    self.at = before;
                    return Some(Value::String(text));
                }
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            self.at += 1;
        }
        let prefix: String = self
            .chars
            .get(start..self.at)?
            .iter()
            .collect::<String>()
            .to_ascii_lowercase();
        let raw = match prefix.as_str() {
            "" | "u" | "b" => false,
            "r" | "br" | "rb" => true,
            _ => return None,
        };
        let quote = self.take().filter(|c| matches!(c, '\'' | '"'))?;
        let triple = self.peek() == Some(quote) && self.chars.get(self.at + 1) == Some(&quote);
        if triple {
            self.at += 2;
        }
        let mut text = String::new();
        loop {
            match self.take()? {
                c if c == quote && !triple => return Some(text),
                c if c == quote
                    && self.peek() == Some(quote)
                    && self.chars.get(self.at + 1) == Some(&quote) =>
                {
                    self.at += 2;
                    return Some(text);
                }
                '\\' if raw => {
                    text.push('\\');
                    text.push(self.take()?);
                }
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.take()?;
        let c = match c {
            '\\' | '\'' | '"' => c,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'x' => self.code(2, 16)?,
            'u' => self.code(4, 16)?,
            'U' => self.code(8, 16)?,
            '0'..='7' => {
                self.at -= 1;
                let digits = self
                    .chars
                    .iter()
                    .skip(self.at)
                    .take(3)
                    .take_while(|c| ('0'..='7').contains(*c))
                    .count();
                self.code(digits, 8)?
            }
            'N' => return None,
            other => {
                text.push('\\');
                other
            }
        };
        text.push(c);
        Some(())
    }

    fn code(&mut self, digits: usize, radix: u32) -> Option<char> {
        let end = self.at + digits;
        let text: String = self.chars.get(self.at..end)?.iter().collect();
        self.at = end;
        char::from_u32(u32::from_str_radix(&text, radix).ok()?)
    }

    fn number(&mut self, negative: bool) -> Option<Value> {
        static FORM: OnceLock<(Regex, Regex)> = OnceLock::new();
        let (int, float) = FORM.get_or_init(|| {
            let digits = r"[0-9](?:_?[0-9])*";
            (
                Regex::new(r"^(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|0(?:_?0)*|[1-9](?:_?[0-9])*)$")
                    .expect("the pattern is a constant"),
                Regex::new(&format!(
                    r"^(?:(?:{digits}\.(?:{digits})?|\.{digits})(?:[eE][-+]?{digits})?|{digits}[eE][-+]?{digits})$"
                ))
                .expect("the pattern is a constant"),
            )
        });
        let start = self.at;
        let mut before = ' ';
        while let Some(c) = self.peek() {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            if !(c.is_alphanumeric() || matches!(c, '_' | '.') || sign) {
                break;
            }
            before = c;
            self.at += 1;
        }
        let token: String = self.chars.get(start..self.at)?.iter().collect();
        let plain = token.replace('_', "").to_ascii_lowercase();
        if int.is_match(&token) {
            let magnitude = match plain.get(..2) {
                Some("0x") => i128::from_str_radix(plain.get(2..)?, 16),
                Some("0o") => i128::from_str_radix(plain.get(2..)?, 8),
                Some("0b") => i128::from_str_radix(plain.get(2..)?, 2),
                _ => plain.parse(),
            };
            let signed = magnitude
                .ok()
                .map(|number| if negative { -number } else { number })?;
            return i64::try_from(signed).ok().map(Value::from);
        }
        let number: f64 = float.is_match(&token).then(|| plain.parse().ok())??;
        serde_json::Number::from_f64(if negative { -number } else { number }).map(Value::Number)
    }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::Array(_) | Value::Object(_) => None,
        Value::Bool(_) | Value::Null => Some(key.to_string()),
        other => Some(to_text(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each was checked against Ansible's INI reader.
    #[test]
    fn texts_are_literals_of_python_or_text() {
        for (text, expected) in [
            ("1", json!(1)),
            ("-1", json!(-1)),
            ("+ 1", json!(1)),
            ("--1", json!("--1")),
            ("0644", json!("0644")),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("10.0.0.1", json!("10.0.0.1")),
            ("5s", json!("5s")),
            ("1j", json!("1j")),
            ("1+2", json!("1+2")),
            ("True", json!(true)),
            ("true", json!("true")),
            ("yes", json!("yes")),
            ("None", json!(null)),
            ("Nonesuch", json!("Nonesuch")),
            ("'x'", json!("x")),
            ("\"x\\ty\"", json!("x\ty")),
            ("'a' 'b'", json!("ab")),
            ("r'a\\n'", json!("a\\n")),
            ("'\\x41\\101\\q'", json!("AA\\q")),
            ("'''it's'''", json!("it's")),
            ("'x", json!("'x")),
            ("'x' y", json!("'x' y")),
            ("[1, 'a', [True]]", json!([1, "a", [true]])),
            ("[1, a]", json!("[1, a]")),
            ("{'a': 1, 'b': [2,],}", json!({"a": 1, "b": [2]})),
            ("{1: 'x'}", json!({"1": "x"})),
            ("{1, 1, 2}", json!([1, 2])),
            ("(1)", json!(1)),
            ("(1,)", json!([1])),
            ("()", json!([])),
            ("80,443", json!([80, 443])),
            ("1,", json!([1])),
            ("{{ x }}", json!("{{ x }}")),
            ("5 # note", json!(5)),
            ("foo # note", json!("foo # note")),
            ("", json!("")),
            ("a,b", json!("a,b")),
            ("99999999999999999999", json!("99999999999999999999")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
