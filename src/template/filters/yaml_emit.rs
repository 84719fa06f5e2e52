//! Writes YAML as libyaml lays it out, byte for byte.

use super::yaml_scalar::{analyze, escape, printable, resolves_to_text};
use crate::base::Result;
use crate::template::objects::Object;
use crate::template::val::{Val, touch};
use crate::template::{ops, print};
use std::cmp::Ordering;

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Root,
    Item,
    Key,
    Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

/// Writes one document.
pub struct Emitter {
    out: String,
    column: usize,
    whitespace: bool,
    indention: bool,
    indent: Option<usize>,
    best_indent: usize,
    width: usize,
    sort: bool,
    flow: Option<bool>,
    level: usize,
}

impl Emitter {
    /// A writer; `flow`: whether lists and mappings are written in brackets (without an answer: those that hold
    /// scalars only).
    pub fn new(indent: usize, width: usize, sort: bool, flow: Option<bool>) -> Self {
        Self {
            out: String::new(),
            column: 0,
            whitespace: true,
            indention: true,
            indent: None,
            best_indent: if (2..10).contains(&indent) { indent } else { 2 },
            width,
            sort,
            flow,
            level: 0,
        }
    }

    /// What was written.
    pub fn finish(mut self) -> String {
        self.line_break();
        self.out
    }

    /// The mark that begins a document.
    pub fn start(&mut self) {
        self.put("---");
        self.whitespace = false;
        self.indention = false;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.whitespace = true;
        self.indention = true;
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.line_break();
        }
        while self.column < indent {
            self.put(" ");
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(
        &mut self,
        text: &str,
        need_whitespace: bool,
        is_whitespace: bool,
        is_indention: bool,
    ) {
        if need_whitespace && !self.whitespace {
            self.put(" ");
        }
        self.put(text);
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }

    fn increase(&mut self, flow: bool, indentless: bool) -> Option<usize> {
        let before = self.indent;
        self.indent = match self.indent {
            None => Some(if flow { self.best_indent } else { 0 }),
            Some(indent) if !indentless => Some(indent + self.best_indent),
            same => same,
        };
        before
    }

    /// Writes a value.
    pub fn node(&mut self, value: &Val, place: Place) -> Result<()> {
        match value {
            Val::List(_) | Val::Tuple(_) => {
                let items = value.items()?;
                let flow = self.level > 0
                    || items.is_empty()
                    || self.flow.unwrap_or_else(|| items.iter().all(is_scalar));
                if flow {
                    self.flow_items(&items)
                } else {
                    self.block_items(&items, place)
                }
            }
            Val::Dict(_) | Val::Object(Object::Scope(_)) => {
                let mut entries: Vec<(Val, Val)> = value
                    .entries()?
                    .into_iter()
                    .map(|(key, value)| (key.val(), value))
                    .collect();
                if self.sort {
                    sort(&mut entries);
                }
                let flow = self.level > 0
                    || entries.is_empty()
                    || self
                        .flow
                        .unwrap_or_else(|| entries.iter().all(|(_, value)| is_scalar(value)));
                if flow {
                    self.flow_entries(&entries)
                } else {
                    self.block_entries(&entries)
                }
            }
            Val::Lazy(lazy) => self.node(&lazy.settle(), place),
            Val::Undefined(missing) => Err(missing.error.clone()),
            Val::Str(text) => {
                self.text(text, place, resolves_to_text(text));
                Ok(())
            }
            Val::Unknown { .. } => {
                touch();
                Ok(())
            }
            other => {
                let text = match other {
                    Val::None => "null".to_owned(),
                    Val::Bool(flag) => flag.to_string(),
                    Val::Float(number) => float(*number),
                    other => print::text(other),
                };
                self.text(&text, place, true);
                Ok(())
            }
        }
    }

    fn block_items(&mut self, items: &[Val], place: Place) -> Result<()> {
        let indentless = place == Place::Value && !self.indention;
        let before = self.increase(false, indentless);
        for item in items {
            self.write_indent();
            self.indicator("-", true, false, true);
            self.node(item, Place::Item)?;
        }
        self.indent = before;
        Ok(())
    }

    fn block_entries(&mut self, entries: &[(Val, Val)]) -> Result<()> {
        let before = self.increase(false, false);
        for (key, value) in entries {
            self.write_indent();
            self.node(key, Place::Key)?;
            self.indicator(":", false, false, false);
            self.node(value, Place::Value)?;
        }
        self.indent = before;
        Ok(())
    }

    fn flow_items(&mut self, items: &[Val]) -> Result<()> {
        self.indicator("[", true, true, false);
        let before = self.increase(true, false);
        self.level += 1;
        for (index, item) in items.iter().enumerate() {
            self.separate(index);
            self.node(item, Place::Item)?;
        }
        self.level -= 1;
        self.indent = before;
        self.indicator("]", false, false, false);
        Ok(())
    }

    fn flow_entries(&mut self, entries: &[(Val, Val)]) -> Result<()> {
        self.indicator("{", true, true, false);
        let before = self.increase(true, false);
        self.level += 1;
        for (index, (key, value)) in entries.iter().enumerate() {
            self.separate(index);
            self.node(key, Place::Key)?;
            self.indicator(":", false, false, false);
            self.node(value, Place::Value)?;
        }
        self.level -= 1;
        self.indent = before;
        self.indicator("}", false, false, false);
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.indicator(",", false, false, false);
        }
        if self.column > self.width {
            self.write_indent();
        }
    }

    fn text(&mut self, text: &str, place: Place, implicit: bool) {
        let before = self.increase(true, false);
        let style = self.style(text, place, implicit);
        let split = place != Place::Key;
        match style {
            Style::Plain => self.plain(text, split),
            Style::Single => self.single(text, split),
            Style::Double => self.double(text, split),
        }
        self.indent = before;
    }

    fn style(&self, text: &str, place: Place, implicit: bool) -> Style {
        let found = analyze(text);
        let key = place == Place::Key;
        let plain = if self.level > 0 {
            found.flow_plain
        } else {
            found.block_plain
        };
        if key && text.contains('\n') {
            return Style::Double;
        }
        if plain && implicit && !(text.is_empty() && (self.level > 0 || key)) {
            return Style::Plain;
        }
        if found.single {
            Style::Single
        } else {
            Style::Double
        }
    }

    fn plain(&mut self, text: &str, split: bool) {
        if !self.whitespace && !text.is_empty() {
            self.put(" ");
        }
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (index, c) in chars.iter().enumerate() {
            if *c == ' ' {
                if split
                    && !spaces
                    && self.column > self.width
                    && chars.get(index + 1) != Some(&' ')
                {
                    self.write_indent();
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
                self.indention = false;
                spaces = false;
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single(&mut self, text: &str, split: bool) {
        self.indicator("'", true, false, false);
        let chars: Vec<char> = text.chars().collect();
        let (mut spaces, mut breaks) = (false, false);
        for (index, c) in chars.iter().enumerate() {
            match c {
                ' ' => {
                    let inside = index > 0 && index + 1 < chars.len();
                    if split
                        && !spaces
                        && self.column > self.width
                        && inside
                        && chars[index + 1] != ' '
                    {
                        self.write_indent();
                    } else {
                        self.put(" ");
                    }
                    spaces = true;
                }
                '\n' => {
                    if !breaks {
                        self.line_break();
                    }
                    self.line_break();
                    breaks = true;
                }
                c => {
                    if breaks {
                        self.write_indent();
                    }
                    if *c == '\'' {
                        self.put("'");
                    }
                    self.put(c.encode_utf8(&mut [0; 4]));
                    self.indention = false;
                    (spaces, breaks) = (false, false);
                }
            }
        }
        if breaks {
            self.write_indent();
        }
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn double(&mut self, text: &str, split: bool) {
        self.indicator("\"", true, false, false);
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (index, c) in chars.iter().enumerate() {
            if !printable(*c)
                || matches!(c, '\n' | '"' | '\\' | '\u{feff}' | '\u{2028}' | '\u{2029}')
            {
                let escaped = escape(*c);
                self.put(&escaped);
                spaces = false;
            } else if *c == ' ' {
                let inside = index > 0 && index + 1 < chars.len();
                if split && !spaces && self.column > self.width && inside {
                    self.write_indent();
                    if chars[index + 1] == ' ' {
                        self.put("\\");
                    }
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }
}

fn is_scalar(value: &Val) -> bool {
    !matches!(
        value,
        Val::List(_) | Val::Tuple(_) | Val::Dict(_) | Val::Object(_)
    )
}

fn sort(entries: &mut [(Val, Val)]) {
    // Keys of different kinds have no order; then the order is left alone.
    let texts = entries.iter().all(|(key, _)| matches!(key, Val::Str(_)));
    let numbers = entries.iter().all(|(key, _)| key.number().is_some());
    if texts || numbers {
        entries.sort_by(|a, b| ops::order(&a.0, &b.0).unwrap_or(Ordering::Equal));
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = print::float(number);
    if text.contains('e') && !text.contains('.') {
        text.replacen('e', ".0e", 1)
    } else {
        text
    }
}
