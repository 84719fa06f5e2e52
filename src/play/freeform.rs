//! Ansible's older way to write parameters: `copy: src=a dest=b`, `shell: chdir=/tmp make`.
//!
//! Only splits text; what the parameters mean is not known here.

use crate::source::{Node, Yaml};

/// The parameters of `command`, `shell`, `script`, `raw` that may stand among their free text.
const AMONG_FREE_TEXT: [&str; 7] = [
    "creates",
    "removes",
    "chdir",
    "executable",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
];

/// What text held.
pub struct Split {
    /// `k=v` pairs.
    pub args: Vec<(String, Node)>,
    /// What is left, spacing and quotes as written; `None` when nothing is.
    pub rest: Option<Node>,
}

/// Splits text into `k=v` pairs and the rest. With `free_form` only the known few names are pairs.
pub fn split(text: &str, node: &Node, free_form: bool) -> Split {
    let mut args = Vec::new();
    let mut rest = String::new();
    let mut end = 0;
    for (from, to) in words(text) {
        let word = &text[from..to];
        match word.split_once('=') {
            Some((name, value))
                if is_name(name) && (!free_form || AMONG_FREE_TEXT.contains(&name)) =>
            {
                let yaml = Yaml::String(unquoted(value));
                args.push((
                    name.to_owned(),
                    Node {
                        yaml,
                        span: node.span.clone(),
                    },
                ));
            }
            _ => {
                if !rest.is_empty() {
                    rest.push_str(&text[end..from]);
                }
                rest.push_str(word);
            }
        }
        end = to;
    }
    let rest = (!rest.is_empty()).then(|| Node {
        yaml: Yaml::String(rest),
        span: node.span.clone(),
    });
    Split { args, rest }
}

/// Whether it can be the name of a parameter: some aliases have hyphens (`daemon-reload`).
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// The byte ranges of the words: parted by white space outside of quotes and templates.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let mut start: Option<usize> = None;
    let mut quote: Option<char> = None;
    let mut depth = 0_usize;
    let mut previous = ' ';
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if quote.is_none() {
            match (previous, c) {
                ('{', '{' | '%' | '#') => depth += 1,
                ('}' | '%' | '#', '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        // `{{{` must not count twice.
        previous = if depth > 0 && c == '{' && previous == '{' {
            ' '
        } else {
            c
        };
        if depth == 0 && !escaped {
            match quote {
                Some(open) if open == c => quote = None,
                None if c == '"' || c == '\'' => quote = Some(c),
                _ => {}
            }
        }
        escaped = c == '\\' && !escaped;
        if c.is_whitespace() && quote.is_none() && depth == 0 {
            if let Some(from) = start.take() {
                words.push((from, at));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(from) = start {
        words.push((from, text.len()));
    }
    words
}

fn unquoted(text: &str) -> String {
    for quote in ['"', '\''] {
        if text.len() >= 2
            && let Some(inner) = text
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner.to_owned();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{SourceFile, Span};
    use std::sync::Arc;

    /// Text, whether it is free text, the pairs in it, the rest.
    type Case = (
        &'static str,
        bool,
        &'static [(&'static str, &'static str)],
        Option<&'static str>,
    );

    #[test]
    fn text_is_split_as_ansible_splits_it() {
        let cases: [Case; 9] = [
            (
                "src=a dest=/b",
                false,
                &[("src", "a"), ("dest", "/b")],
                None,
            ),
            (
                "msg=\"two words\" x='1'",
                false,
                &[("msg", "two words"), ("x", "1")],
                None,
            ),
            (
                "dest={{ a | default('x y') }}/z mode=0644",
                false,
                &[("dest", "{{ a | default('x y') }}/z"), ("mode", "0644")],
                None,
            ),
            (
                "chdir=/tmp make  CC=gcc",
                true,
                &[("chdir", "/tmp")],
                Some("make  CC=gcc"),
            ),
            (
                "echo 'a b'  creates=/x",
                true,
                &[("creates", "/x")],
                Some("echo 'a b'"),
            ),
            ("a=b\nc", true, &[], Some("a=b\nc")),
            (
                "daemon-reload=true",
                false,
                &[("daemon-reload", "true")],
                None,
            ),
            ("flush_handlers", false, &[], Some("flush_handlers")),
            (
                "url=http://h/?a=b",
                false,
                &[("url", "http://h/?a=b")],
                None,
            ),
        ];
        let file = Arc::new(SourceFile {
            path: "t.yml".to_owned(),
            text: String::new(),
        });
        for (text, free_form, args, rest) in cases {
            let node = Node {
                yaml: Yaml::Null,
                span: Span {
                    file: file.clone(),
                    line: 1,
                    column: 1,
                },
            };
            let split = split(text, &node, free_form);
            let found: Vec<_> = split
                .args
                .iter()
                .map(|(name, node)| (name.as_str(), node.as_str().unwrap_or("")))
                .collect();
            assert_eq!(found, args, "{text}");
            assert_eq!(split.rest.as_ref().and_then(Node::as_str), rest, "{text}");
        }
    }
}
