//! Makes plain spaces of the other blanks that Unicode knows, where only code stands: Jinja takes them all between
//! words, the parser that is used here takes ASCII's. What is text is left as it is.

use super::parse::Syntax;
use std::borrow::Cow;

/// The text with only such blanks inside `{{ }}` and `{% %}` that the parser knows. Lines and columns stay.
pub fn plain<'a>(source: &'a str, syntax: &Syntax) -> Cow<'a, str> {
    if !source.chars().any(foreign) {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let tags = [&syntax.variable, &syntax.block, &syntax.comment];
    let next = |text: &str| {
        tags.iter()
            .enumerate()
            .filter_map(|(kind, (open, close))| Some((text.find(open)?, kind, open.len(), close)))
            .min()
    };
    while let Some((at, kind, open, close)) = next(rest) {
        let (before, inside) = rest.split_at(at + open);
        out.push_str(before);
        let end = end(inside, close, kind == 2);
        let (code, after) = inside.split_at(end);
        if kind == 2 {
            out.push_str(code);
        } else {
            out.push_str(&expression(code));
        }
        rest = after;
        if kind == 1
            && code.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') == "raw"
        {
            let until = rest.find("endraw").unwrap_or(rest.len());
            out.push_str(&rest[..until]);
            rest = &rest[until..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The same for text that is an expression as a whole.
pub fn expression(code: &str) -> Cow<'_, str> {
    if !code.chars().any(foreign) {
        return Cow::Borrowed(code);
    }
    let mut quote = None;
    let mut escaped = false;
    let mut one = |c: char| {
        match quote {
            None if foreign(c) => return ' ',
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if c == open && !escaped => quote = None,
            _ => {}
        }
        escaped = quote.is_some() && c == '\\' && !escaped;
        c
    };
    Cow::Owned(code.chars().map(&mut one).collect())
}

fn foreign(c: char) -> bool {
    !c.is_ascii() && c.is_whitespace()
}

/// Where a tag ends: at its closing mark outside of quotes.
fn end(inside: &str, close: &str, comment: bool) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match quote {
            None if inside[at..].starts_with(close) => return at,
            None if !comment && matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if c == open && !escaped => quote = None,
            _ => {}
        }
        escaped = quote.is_some() && c == '\\' && !escaped;
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_touched() {
        for (source, wanted) in [
            ("a\u{a0}b", "a\u{a0}b"),
            ("\u{a0}{{ x\u{a0}}}\u{2003}", "\u{a0}{{ x }}\u{2003}"),
            (
                "{{ '\u{a0}' ~\u{3000}\"\\\"\u{a0}\" }}",
                "{{ '\u{a0}' ~ \"\\\"\u{a0}\" }}",
            ),
            (
                "{#\u{a0}' #}{%\u{a0}if x %}\u{a0}",
                "{#\u{a0}' #}{% if x %}\u{a0}",
            ),
            (
                "{% raw %}{{\u{a0}x }}{% endraw %}{{\u{a0}x }}",
                "{% raw %}{{\u{a0}x }}{% endraw %}{{ x }}",
            ),
            ("{{ '}}\u{a0}'\u{a0}}}", "{{ '}}\u{a0}' }}"),
        ] {
            assert_eq!(plain(source, &Syntax::default()), wanted, "{source:?}");
        }
        assert_eq!(expression("a\u{a0}== '\u{a0}'"), "a == '\u{a0}'");
    }
}
