//! Reads YAML into [`Node`]s. The only file that names the parser.
//!
//! Never renders a template and never opens a vault: it only says what was written, and where.

use super::loose::{Complaint, Loose};
use super::{Node, SourceFile, Span, Yaml, fault, scalar};
use crate::base::{Diagnostic, Result};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Deeper nesting is an attack or an accident; the trees are walked recursively.
const DEEPEST: usize = 100;
/// How much aliases may add to a file, in nodes and bytes of text.
const ALIASES_ADD: usize = 4_000_000;

/// Reads one document; an empty file is `Null`.
///
/// # Errors
/// Syntax errors, duplicate keys, undefined aliases: with file, line and column.
pub fn parse(file: &Arc<SourceFile>) -> Result<Node> {
    let mut documents = parse_all(file)?.into_iter();
    match (documents.next(), documents.next()) {
        (None, _) => Ok(Node {
            yaml: Yaml::Null,
            span: Span {
                file: Arc::clone(file),
                line: 1,
                column: 1,
            },
        }),
        (Some(document), None) => Ok(document),
        (Some(_), Some(second)) => Err(Diagnostic::new(
            "a second YAML document begins here; this file may hold one only",
        )
        .at(&second.span)),
    }
}

/// Reads all documents of a file.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(file: &Arc<SourceFile>) -> Result<Vec<Node>> {
    fault::unprintable(file)?;
    let mut loose = Loose::new(file.text.strip_prefix('\u{feff}').unwrap_or(&file.text));
    loop {
        let mut complaint = None;
        match documents(file, &loose, &mut complaint) {
            Err(_) if complaint.is_some_and(|complaint| loose.mend(&complaint)) => {}
            read => return read,
        }
    }
}

fn documents(
    file: &Arc<SourceFile>,
    loose: &Loose<'_>,
    complaint: &mut Option<Complaint>,
) -> Result<Vec<Node>> {
    let mut reader = Reader {
        file,
        loose,
        complaint,
        parser: Parser::new_from_str(loose.text()),
        anchors: HashMap::new(),
        open: Vec::new(),
        added: 0,
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::DocumentStart(_), _) => {
                reader.anchors.clear();
                let event = reader.next()?;
                documents.push(reader.node(event, 0)?.node);
            }
            (Event::StreamEnd, _) => return Ok(documents),
            _ => {}
        }
    }
}

/// A node with what it weighs, so that aliases can be counted without walking the tree again.
#[derive(Clone)]
struct Built {
    node: Node,
    weight: usize,
    height: usize,
    /// A plain `<<`, which is not text but a command.
    merge: bool,
}

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    loose: &'a Loose<'a>,
    complaint: &'a mut Option<Complaint>,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Built>,
    /// Anchors of collections that are still being read.
    open: Vec<usize>,
    added: usize,
}

type Found<'a> = (Event<'a>, Span);

impl<'a> Reader<'a> {
    fn span(&self, mark: &Marker) -> Span {
        Span {
            file: Arc::clone(self.file),
            line: mark.line().max(1),
            column: self.loose.column(mark.line(), mark.col()) + 1,
        }
    }

    fn next(&mut self) -> Result<Found<'a>> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.span(&span.start))),
            Some(Err(error)) => {
                *self.complaint = Some(Complaint {
                    line: error.marker().line(),
                    column: error.marker().col(),
                    info: error.info().to_owned(),
                });
                Err(fault::syntax(self.span(error.marker()), error.info()))
            }
            None => Ok((Event::StreamEnd, self.span(&Marker::new(0, 1, 0)))),
        }
    }

    fn node(&mut self, (event, span): Found<'a>, depth: usize) -> Result<Built> {
        if depth > DEEPEST {
            return Err(Diagnostic::new(format!("nested deeper than {DEEPEST} levels")).at(&span));
        }
        let (built, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, &span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                (Self::scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let kind = collection_tag(tag, "seq", &span)?;
                self.open.push(anchor);
                (self.sequence(span, kind, depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let kind = collection_tag(tag, "map", &span)?;
                self.open.push(anchor);
                (self.mapping(span, kind, depth)?, anchor)
            }
            _ => (
                Built {
                    node: Node {
                        yaml: Yaml::Null,
                        span,
                    },
                    weight: 1,
                    height: 1,
                    merge: false,
                },
                0,
            ),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        Ok(built)
    }

    fn alias(&mut self, anchor: usize, span: &Span, depth: usize) -> Result<Built> {
        let Some(built) = self.anchors.get(&anchor) else {
            let message = if self.open.contains(&anchor) {
                "this alias stands inside what it names"
            } else {
                "unknown alias"
            };
            return Err(Diagnostic::new(message).at(span));
        };
        self.added = self.added.saturating_add(built.weight);
        if self.added > ALIASES_ADD || depth + built.height > DEEPEST {
            return Err(
                Diagnostic::new("the aliases of this file expand to too much")
                    .at(span)
                    .help("write the values out, or keep them in a variable that is used by name"),
            );
        }
        Ok(built.clone())
    }

    fn sequence(&mut self, span: Span, kind: Kind, depth: usize) -> Result<Built> {
        let (mut items, mut weight, mut height) = (Vec::new(), 1, 0);
        loop {
            let event = self.next()?;
            if matches!(event.0, Event::SequenceEnd | Event::StreamEnd) {
                break;
            }
            let item = self.node(event, depth + 1)?;
            weight += item.weight;
            height = height.max(item.height);
            items.push(item.node);
        }
        self.open.pop();
        let node = kind.finish(Node {
            yaml: Yaml::Sequence(items),
            span,
        });
        Ok(Built {
            node,
            weight,
            height: height + 1,
            merge: false,
        })
    }

    fn mapping(&mut self, span: Span, kind: Kind, depth: usize) -> Result<Built> {
        let (mut own, mut merged) = (Entries::default(), Entries::default());
        let mut merge_at: Option<Span> = None;
        let (mut weight, mut height) = (1, 0);
        loop {
            let event = self.next()?;
            if matches!(event.0, Event::MappingEnd | Event::StreamEnd) {
                break;
            }
            let key = self.node(event, depth + 1)?;
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            weight += key.weight + value.weight;
            height = height.max(value.height);
            if key.merge {
                if let Some(first) = &merge_at {
                    return Err(duplicate("<<", &key.node.span, first)
                        .help("merge several mappings with a list: `<<: [*first, *second]`"));
                }
                merge_at = Some(key.node.span.clone());
                merge(&mut merged, value.node)?;
                continue;
            }
            let name = key_name(&key.node)?;
            if let Some(first) = own.key(&name) {
                return Err(duplicate(&name, &key.node.span, &first.span));
            }
            own.set(name, key.node, value.node);
        }
        self.open.pop();
        for (name, (key, value)) in own.names.into_iter().zip(own.list) {
            merged.set(name, key, value);
        }
        let node = kind.finish(Node {
            yaml: Yaml::Mapping(merged.list),
            span,
        });
        Ok(Built {
            node,
            weight,
            height: height + 1,
            merge: false,
        })
    }

    fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Built> {
        let plain = style == ScalarStyle::Plain;
        let resolve = || {
            if plain {
                scalar::resolve(text)
            } else {
                Ok(Yaml::String(text.to_owned()))
            }
        };
        let name = tag.map(tag_name);
        let yaml = match name.as_deref() {
            None => resolve(),
            Some("!" | "!!str") => Ok(Yaml::String(text.to_owned())),
            Some("!vault" | "!vault-encrypted") => vault(text),
            Some("!unsafe") => resolve().map(|yaml| match yaml {
                Yaml::String(text) => Yaml::Unsafe(text),
                other => other,
            }),
            Some(name @ ("!!int" | "!!float" | "!!bool" | "!!null")) => forced(name, text),
            Some(name) => Err(format!("the tag `{name}` is not known for text")),
        };
        let yaml = yaml.map_err(|message| {
            let help = if name.is_none() {
                "put it in quotes to have it as text"
            } else {
                KNOWN_TAGS
            };
            Diagnostic::new(message).at(&span).help(help)
        })?;
        let merge = plain && tag.is_none() && text == "<<";
        Ok(Built {
            node: Node { yaml, span },
            weight: 1 + text.len(),
            height: 1,
            merge,
        })
    }
}

const KNOWN_TAGS: &str =
    "known tags: !vault, !unsafe, !!str, !!int, !!float, !!bool, !!null, !!seq, !!map";

/// Entries with the names of their keys, so that equal keys are found without comparing trees.
#[derive(Default)]
struct Entries {
    names: Vec<String>,
    list: Vec<(Node, Node)>,
    places: HashMap<String, usize>,
}

impl Entries {
    fn key(&self, name: &str) -> Option<&Node> {
        self.places
            .get(name)
            .and_then(|&place| self.list.get(place))
            .map(|(key, _)| key)
    }

    /// Sets a key; one that is there keeps its place in the order and takes the new value.
    fn set(&mut self, name: String, key: Node, value: Node) {
        if let Some(entry) = self
            .places
            .get(&name)
            .and_then(|&place| self.list.get_mut(place))
        {
            *entry = (key, value);
            return;
        }
        self.places.insert(name.clone(), self.list.len());
        self.names.push(name);
        self.list.push((key, value));
    }
}

/// Takes the mappings under `<<`; of a list, the earlier win.
fn merge(into: &mut Entries, value: Node) -> Result<()> {
    let mappings = match value.yaml {
        Yaml::Mapping(_) => vec![value],
        Yaml::Sequence(items) => items,
        _ => {
            return Err(Diagnostic::new(format!(
                "`<<` takes a mapping or a list of mappings, not {}",
                value.kind()
            ))
            .at(&value.span));
        }
    };
    for mapping in mappings.into_iter().rev() {
        let Yaml::Mapping(entries) = mapping.yaml else {
            return Err(
                Diagnostic::new(format!("`<<` takes mappings, not {}", mapping.kind()))
                    .at(&mapping.span),
            );
        };
        for (key, value) in entries {
            into.set(key_name(&key)?, key, value);
        }
    }
    Ok(())
}

/// Names a key so that keys that Python would call equal have one name (`1`, `1.0`, `true`).
fn key_name(key: &Node) -> Result<String> {
    Ok(match &key.yaml {
        Yaml::String(text) | Yaml::Unsafe(text) => text.clone(),
        Yaml::Null => "\0null".to_owned(),
        Yaml::Bool(flag) => format!("\0{}", u8::from(*flag)),
        Yaml::Int(number) => format!("\0{number}"),
        Yaml::Float(number) => format!("\0{number}"),
        Yaml::Mapping(_) => return Err(fault::mapping_as_key(&key.span)),
        Yaml::Vault(_) | Yaml::Sequence(_) => {
            return Err(
                Diagnostic::new(format!("a key must be text, not {}", key.kind())).at(&key.span),
            );
        }
    })
}

fn duplicate(name: &str, second: &Span, first: &Span) -> Diagnostic {
    Diagnostic::new(format!(
        "the key `{}` is set twice in one mapping",
        name.trim_start_matches('\0')
    ))
    .at(second)
    .note(format!("first set at {first}"))
    .help("remove one of them; the later would silently win")
}

/// The tag in its short form.
fn tag_name(tag: &Tag) -> String {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("tag:yaml.org,2002:", suffix) => format!("!!{suffix}"),
        ("", suffix) => suffix
            .strip_prefix("tag:yaml.org,2002:")
            .map_or_else(|| suffix.to_owned(), |s| format!("!!{s}")),
        (handle, suffix) => format!("{handle}{suffix}"),
    }
}

/// What a tag makes of a list or mapping.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    AsIs,
    Unsafe,
}

impl Kind {
    fn finish(self, node: Node) -> Node {
        if self == Self::AsIs {
            node
        } else {
            mark_unsafe(node)
        }
    }
}

fn mark_unsafe(mut node: Node) -> Node {
    node.yaml = match node.yaml {
        Yaml::String(text) => Yaml::Unsafe(text),
        Yaml::Sequence(items) => Yaml::Sequence(items.into_iter().map(mark_unsafe).collect()),
        Yaml::Mapping(entries) => Yaml::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| (key, mark_unsafe(value)))
                .collect(),
        ),
        other => other,
    };
    node
}

fn collection_tag(tag: Option<Cow<'_, Tag>>, own: &str, span: &Span) -> Result<Kind> {
    match tag.map(|tag| tag_name(&tag)).as_deref() {
        None | Some("!") => Ok(Kind::AsIs),
        Some("!unsafe") => Ok(Kind::Unsafe),
        Some(name) if name.strip_prefix("!!") == Some(own) => Ok(Kind::AsIs),
        Some(name) => {
            let what = if own == "map" { "a mapping" } else { "a list" };
            Err(
                Diagnostic::new(format!("the tag `{name}` is not known for {what}"))
                    .at(span)
                    .help(KNOWN_TAGS),
            )
        }
    }
}

fn vault(text: &str) -> Result<Yaml, String> {
    if text.trim_start().starts_with("$ANSIBLE_VAULT;") {
        Ok(Yaml::Vault(text.to_owned()))
    } else {
        Err("the text under `!vault` does not begin with `$ANSIBLE_VAULT;`".to_owned())
    }
}

/// `!!int "12"` and the like.
fn forced(tag: &str, text: &str) -> Result<Yaml, String> {
    let yaml = match (tag, scalar::resolve(text)?) {
        ("!!int", yaml @ Yaml::Int(_))
        | ("!!bool", yaml @ Yaml::Bool(_))
        | ("!!float", yaml @ Yaml::Float(_)) => yaml,
        ("!!null", _) => Yaml::Null,
        ("!!float", Yaml::Int(_) | Yaml::String(_)) if text.parse::<f64>().is_ok() => Yaml::Float(
            text.parse()
                .map_err(|_| format!("`{text}` is not a number"))?,
        ),
        _ => return Err(format!("`{text}` is not what `{tag}` says")),
    };
    Ok(yaml)
}
