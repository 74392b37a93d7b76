//! Texts that others chose, as they can be shown: in a table, on a terminal, in a line of a log.

/// Returns the beginning of a text on one line, at most this many characters, without what would move a terminal's
/// cursor, turn the direction of the text around it, or take up no space. A text that was cut ends in `…`.
///
/// ```
/// use archon_sessions::session::printable;
/// assert_eq!(printable("a\u{202e}b\n\u{1b}[31mc", 80), "ab [31mc");
/// assert_eq!(printable("a long name", 7), "a long…");
/// ```
pub fn printable(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    // Whether white space stands before the next character.
    let mut has_gap = false;
    for letter in text.chars() {
        // First, for a line break is a control character as well.
        if letter.is_whitespace() {
            has_gap = !shown.is_empty();
            continue;
        }
        if !is_printable(letter) {
            continue;
        }
        if std::mem::take(&mut has_gap) {
            shown.push(' ');
            count += 1;
        }
        shown.push(letter);
        count += 1;
        if count > chars_max {
            return cut(&shown, chars_max);
        }
    }
    shown
}

/// Returns whether a character stands for itself where it is shown. Joiners are left alone, since emoji and some scripts
/// are written with them.
pub fn is_printable(letter: char) -> bool {
    !letter.is_control()
        && !matches!(u32::from(letter),
            // Marks and overrides of direction, separators of lines, and what is invisible.
            0x061c | 0x180e | 0x200b | 0x200e | 0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

fn cut(text: &str, chars_max: usize) -> String {
    let beginning: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    let ellipsis = if chars_max == 0 { "" } else { "…" };
    format!("{}{ellipsis}", beginning.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_is_one_short_harmless_line() {
        for (text, shown) in [
            ("claude-code", "claude-code"),
            ("  two\t\r\n words ", "two words"),
            ("\u{202e}evil\u{2066}\u{200f}", "evil"),
            ("a\u{1b}[2J\u{9b}31m\0b", "a[2J31mb"),
            ("\u{2028}\u{feff}\u{e0041}\u{ad}", "\u{ad}"),
            ("Ren\u{e9} \u{1f468}\u{200d}\u{1f469}", "Ren\u{e9} \u{1f468}\u{200d}\u{1f469}"),
            ("\u{202e}", ""),
        ] {
            assert_eq!(printable(text, 40), shown, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "x".repeat(131);
        assert_eq!(printable(&long, 131), long);
        let shown = printable(&long, 40);
        assert_eq!(shown.chars().count(), 40);
        assert!(shown.ends_with("x…"), "{shown}");
        assert_eq!(printable("a b", 2), "a…");
        assert_eq!(printable("ab", 0), "");
    }
}
