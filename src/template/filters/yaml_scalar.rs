//! How a text may be written in YAML, as libyaml and PyYAML decide it.

/// A character inside of double quotes.
pub fn escape(c: char) -> String {
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

/// Whether libyaml writes it as it is.
pub fn printable(c: char) -> bool {
    c == '\n'
        || ('\u{20}'..='\u{7e}').contains(&c)
        || ('\u{a0}'..='\u{fffd}').contains(&c) && c != '\u{feff}'
}

/// The styles that a text may be written in.
pub struct Analysis {
    /// Without quotes inside of `[]` and `{}`.
    pub flow_plain: bool,
    /// Without quotes elsewhere.
    pub block_plain: bool,
    /// In single quotes.
    pub single: bool,
}

/// Which styles a text may be written in.
pub fn analyze(text: &str) -> Analysis {
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
pub fn resolves_to_text(text: &str) -> bool {
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
