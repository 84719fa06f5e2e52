//! YAML as Ansible's `to_yaml` writes it (libyaml's layout, byte for byte) and `from_yaml` reads it.

use super::{Call, Table};
use crate::base::{Diagnostic, Result};
use crate::source::{Node, SourceFile, Yaml};
use crate::template::print;
use crate::template::val::{Entries, Key, Val, touch};
use std::sync::Arc;

/// The filters of this file.
pub const FILTERS: Table = &[
    ("to_yaml", |call| dump(call, 2, None)),
    ("to_nice_yaml", |call| dump(call, 4, Some(false))),
    ("from_yaml", from_yaml),
    ("from_yaml_all", from_yaml_all),
];

fn source(call: &Call) -> Result<Arc<SourceFile>> {
    Ok(Arc::new(SourceFile {
        path: format!("({})", call.name),
        text: call.input_text()?,
    }))
}

fn from_yaml(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Str(_) => plain(&crate::source::parse(&source(call)?)?),
        other => Ok(other.clone()),
    }
}

fn from_yaml_all(call: &Call) -> Result<Val> {
    match &call.input {
        Val::Str(_) => {
            let documents = crate::source::parse_all(&source(call)?)?;
            documents
                .iter()
                .map(plain)
                .collect::<Result<Vec<_>>>()
                .map(Val::list)
        }
        Val::None => Ok(Val::list(Vec::new())),
        other => Ok(other.clone()),
    }
}

/// A node as data: its texts are no templates.
fn plain(node: &Node) -> Result<Val> {
    Ok(match &node.yaml {
        Yaml::Null => Val::None,
        Yaml::Bool(flag) => Val::Bool(*flag),
        Yaml::Int(number) => Val::Int(*number),
        Yaml::Float(number) => Val::Float(*number),
        Yaml::String(text) | Yaml::Unsafe(text) | Yaml::Vault(text) => Val::text(text),
        Yaml::Sequence(items) => Val::list(items.iter().map(plain).collect::<Result<_>>()?),
        Yaml::Mapping(pairs) => {
            let mut entries = Entries::with_capacity(pairs.len());
            for (key, value) in pairs {
                let key = plain(key)?;
                let key = Key::of(&key)
                    .ok_or_else(|| Diagnostic::new(format!("a key cannot be {}", key.kind())))?;
                entries.insert(key, plain(value)?);
            }
            Val::dict(entries)
        }
    })
}

fn dump(call: &Call, indent: usize, flow: Option<bool>) -> Result<Val> {
    let size = |name: &str, default: usize| -> Result<usize> {
        let place = if name == "indent" && call.name == "to_nice_yaml" {
            0
        } else {
            usize::MAX
        };
        Ok(call
            .int(place, name)?
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(default))
    };
    let indent = size("indent", indent)?;
    let flow = match call.arg(usize::MAX, "default_flow_style") {
        None => flow,
        Some(Val::None) => None,
        Some(value) => Some(value.truthy()?),
    };
    call.input.check()?;
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
        indent: None,
        best_indent: if (2..10).contains(&indent) { indent } else { 2 },
        width: size("width", 80)?,
        sort: call
            .arg(usize::MAX, "sort_keys")
            .map_or(Ok(true), |value| value.truthy())?,
        flow,
        level: 0,
    };
    if call.flag(usize::MAX, "explicit_start")? {
        emitter.put("---");
        emitter.whitespace = false;
        emitter.indention = false;
    }
    emitter.node(&call.input, Place::Root)?;
    emitter.line_break();
    Ok(Val::from(emitter.out))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
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

struct Emitter {
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

    fn node(&mut self, value: &Val, place: Place) -> Result<()> {
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
            Val::Dict(_) | Val::Object(crate::template::objects::Object::Scope(_)) => {
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
            Val::Lazy(lazy) => self.node(&lazy.force()?, place),
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
        entries.sort_by(|a, b| {
            crate::template::ops::order(&a.0, &b.0).unwrap_or(std::cmp::Ordering::Equal)
        });
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

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c => {
            return match u32::from(c) {
                code @ 0..=0xff => format!("\\x{code:02X}"),
                code @ 0x100..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

fn printable(c: char) -> bool {
    c == '\n'
        || ('\u{20}'..='\u{7e}').contains(&c)
        || ('\u{a0}'..='\u{fffd}').contains(&c) && c != '\u{feff}'
}

struct Analysis {
    flow_plain: bool,
    block_plain: bool,
    single: bool,
}

/// Which styles a text may be written in.
fn analyze(text: &str) -> Analysis {
    if text.is_empty() {
        return Analysis {
            flow_plain: false,
            block_plain: true,
            single: true,
        };
    }
    let chars: Vec<char> = text.chars().collect();
    let blank = |index: usize| {
        chars
            .get(index)
            .is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))
    };
    let document = text.starts_with("---") || text.starts_with("...");
    let (mut flow, mut block, mut special, mut broken) = (document, document, false, false);
    let (mut space_then_break, mut break_then_space) = (false, false);
    for (index, c) in chars.iter().enumerate() {
        let followed = blank(index + 1);
        if index == 0 {
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`' => {
                    (flow, block) = (true, true);
                }
                '?' | ':' => {
                    flow = true;
                    block |= followed;
                }
                '-' if followed => (flow, block) = (true, true),
                _ => {}
            }
        } else {
            match c {
                ',' | '?' | '[' | ']' | '{' | '}' => flow = true,
                ':' => {
                    flow = true;
                    block |= followed;
                }
                '#' if blank(index - 1) => (flow, block) = (true, true),
                _ => {}
            }
        }
        special |= !printable(*c);
        broken |= *c == '\n';
        if index > 0 {
            space_then_break |= chars[index - 1] == ' ' && *c == '\n';
            break_then_space |= chars[index - 1] == '\n' && *c == ' ';
        }
    }
    let edge = |c: Option<&char>| matches!(c, Some(' ' | '\n'));
    let edges = edge(chars.first()) || edge(chars.last());
    let hard = space_then_break || break_then_space || special;
    Analysis {
        flow_plain: !(edges || hard || broken || flow),
        block_plain: !(edges || hard || broken || block),
        single: !hard,
    }
}

/// Whether a plain scalar would be read as text (YAML 1.1, as PyYAML resolves it).
fn resolves_to_text(text: &str) -> bool {
    static OTHER: std::sync::LazyLock<Option<regex::Regex>> = std::sync::LazyLock::new(|| {
        regex::Regex::new(concat!(
            r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
            r"|~|null|Null|NULL|<<|=|",
            r"|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
            r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            r"|[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+",
            r"|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
            r"|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}",
            r":[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$",
        ))
        .ok()
    });
    OTHER.as_ref().is_some_and(|other| !other.is_match(text))
        && !matches!(text.chars().next(), Some('!' | '&' | '*'))
}
