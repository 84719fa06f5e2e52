//! Quoting for the shell and for the terminal; every other floor uses these.

use std::borrow::Cow;

/// Quotes one word for `sh`. A NUL byte cannot be in a word; it is dropped.
pub fn sh(word: &str) -> String {
    if word.contains('\0') {
        return sh(&word.replace('\0', ""));
    }
    shlex::try_quote(word).map_or_else(|_| "''".to_owned(), Cow::into_owned)
}

/// Quotes and joins words for `sh`.
pub fn sh_join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(sh).collect::<Vec<_>>().join(" ")
}

/// Makes text that came from a host safe to show: control characters (escape sequences, bells, carriage
/// returns) become visible, line feeds and tabs stay.
pub fn for_terminal(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '\n' | '\t' => vec![c],
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                c.escape_unicode().collect()
            }
            c => vec![c],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_sh() {
        for (word, quoted) in [
            ("plain", "plain"),
            ("", "''"),
            ("a b", "'a b'"),
            ("a\0b", "ab"),
        ] {
            assert_eq!(sh(word), quoted);
        }
        assert_eq!(
            shlex::split(&sh("it's $HOME\n`x`")).expect("quoted"),
            ["it's $HOME\n`x`"]
        );
    }

    #[test]
    fn escape_sequences_from_a_host_are_shown_not_obeyed() {
        assert_eq!(for_terminal("a\x1b[31mred\r\n"), "a\\u{1b}[31mred\\u{d}\n");
    }
}
