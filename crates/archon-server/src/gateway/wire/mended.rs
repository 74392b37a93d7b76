//! JSON as a server meant it. What a parser refuses is mended with the least change.
//!
//! | a server writes | where it comes from | becomes |
//! |---|---|---|
//! | `NaN`, `Infinity`, `-Infinity` | Python's `json` | `null`, as in JavaScript |
//! | a comma before `}` or `]` | templates, by hand | nothing |
//! | a control character in a string | text put together without a library | its escape |
//! | `\d`, `\x1b` and other escapes that JSON does not have | paths, regular expressions | `\\d`, `\\x1b` |
//! | a byte order mark, UTF-16 | Windows, PowerShell | UTF-8 without a mark |
//! | bytes that are not UTF-8 | old encodings, cut text | U+FFFD, as JavaScript decodes them |

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::IgnoredAny;

/// Words that other languages write where JSON has no word, the longest first.
const WORDS: [&str; 8] =
    ["-Infinity", "Infinity", "undefined", "-NaN", "NaN", "-inf", "nan", "inf"];

/// Returns the JSON that a server meant; `None` if that cannot be made out.
pub fn mended(text: &[u8]) -> Option<Bytes> {
    let text = decoded(text);
    let mended =
        Mending { rest: text.trim(), out: String::with_capacity(text.len() + 16) }.finish();
    serde_json::from_str::<IgnoredAny>(&mended).ok()?;
    Some(mended.into())
}

/// Returns text as UTF-8, without a byte order mark.
pub fn decoded(text: &[u8]) -> Cow<'_, str> {
    if let Some(text) = utf16(text) {
        return Cow::Owned(text);
    }
    String::from_utf8_lossy(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text))
}

/// Decodes a line of UTF-16; `None` if it is not that. Lines are cut at the byte of a newline, so that the other byte of it stands at the
/// beginning of the next line (little endian), or at the end of this one.
pub fn utf16(text: &[u8]) -> Option<String> {
    let nuls = memchr::memchr_iter(0, text).count();
    let (rest, is_big_endian) = if let Some(rest) = text.strip_prefix(b"\xFE\xFF") {
        (rest, true)
    } else if let Some(rest) = text.strip_prefix(b"\xFF\xFE") {
        (rest, false)
    } else if nuls * 3 >= text.len() && nuls > 0 {
        (text.strip_prefix(b"\0").unwrap_or(text), false)
    } else {
        return None;
    };
    let units = rest.chunks_exact(2).map(|unit| {
        let unit = [unit[0], unit[1]];
        if is_big_endian { u16::from_be_bytes(unit) } else { u16::from_le_bytes(unit) }
    });
    let text: String =
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(text.trim_start_matches('\u{feff}').to_owned())
}

struct Mending<'a> {
    rest: &'a str,
    out: String,
}

impl Mending<'_> {
    fn finish(mut self) -> String {
        while let Some(next) = self.rest.chars().next() {
            match next {
                '"' => self.string(),
                ',' => self.comma(),
                'N' | 'I' | 'n' | 'i' | 'u' | '-' => self.word(),
                _ => self.copy(next.len_utf8()),
            }
        }
        self.out
    }

    fn copy(&mut self, bytes: usize) {
        let (copied, rest) = self.rest.split_at(bytes);
        self.out.push_str(copied);
        self.rest = rest;
    }

    fn comma(&mut self) {
        let after = self.rest[1..].trim_start();
        if after.starts_with(['}', ']']) {
            self.rest = &self.rest[1..];
        } else {
            self.copy(1);
        }
    }

    fn word(&mut self) {
        let found = WORDS.iter().find(|word| {
            let after = self.rest.strip_prefix(**word);
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
        });
        match found {
            Some(word) => {
                self.out.push_str("null");
                self.rest = &self.rest[word.len()..];
            }
            None => self.copy(1),
        }
    }

    fn string(&mut self) {
        self.copy(1);
        while let Some(next) = self.rest.chars().next() {
            match next {
                '"' => return self.copy(1),
                '\\' if is_escape(&self.rest[1..]) => self.copy(2),
                '\\' => {
                    self.out.push('\\');
                    self.copy(1);
                }
                '\u{0}'..='\u{1f}' => {
                    let escaped = format!("\\u{:04x}", u32::from(next));
                    self.out.push_str(match next {
                        '\n' => "\\n",
                        '\r' => "\\r",
                        '\t' => "\\t",
                        _ => &escaped,
                    });
                    self.rest = &self.rest[1..];
                }
                _ => self.copy(next.len_utf8()),
            }
        }
    }
}

/// Returns whether what follows a backslash makes an escape of JSON's.
fn is_escape(after: &str) -> bool {
    match after.as_bytes() {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => true,
        [b'u', hex @ ..] => hex.len() >= 4 && hex[..4].iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend(text: &[u8]) -> Option<String> {
        mended(text).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn what_was_meant_is_made_out() {
        for (said, meant) in [
            (&b"{\"a\": 1.0 }"[..], "{\"a\": 1.0 }"),
            (
                br#"{"a":NaN,"b":[Infinity,-Infinity, -NaN],"c":nan}"#,
                r#"{"a":null,"b":[null,null, null],"c":null}"#,
            ),
            (br#"{"a":[1,2, ],"b":{"c":3,},}"#, r#"{"a":[1,2 ],"b":{"c":3}}"#),
            (b"{\"a\":\"x\x01y\tz\n\x1b[0m\"}", r#"{"a":"x\u0001y\tz\n\u001b[0m"}"#),
            (br#"{"a":"C:\dir \x1b \u12 \"q\\"}"#, r#"{"a":"C:\\dir \\x1b \\u12 \"q\\"}"#),
            (b"\xEF\xBB\xBF{\"a\":1}", r#"{"a":1}"#),
            (b"{\"a\":\"\xff\xc3\"}", "{\"a\":\"\u{fffd}\u{fffd}\"}"),
            (r#"{"é":"NaN, ] ,}","ü":-1}"#.as_bytes(), r#"{"é":"NaN, ] ,}","ü":-1}"#),
            (b"{\"a\":\"\0\"}", r#"{"a":"\u0000"}"#),
        ] {
            assert_eq!(mend(said).as_deref(), Some(meant));
        }
    }

    #[test]
    fn utf16_is_read_line_by_line() {
        let text = r#"{"a":"é"}"#;
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for line in [
            little.clone(),
            [b"\xFF\xFE", &little[..]].concat(),
            [b"\0", &little[..]].concat(),
            [b"\xFE\xFF", &big[..], b"\0"].concat(),
        ] {
            assert_eq!(mend(&line).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_cannot_be_made_out_is_none() {
        for said in
            ["", "{", "{\"a\":\"", "hello", "{'a': None}", "{\"a\":NaNo}", "{}{}", "\u{feff}"]
        {
            assert_eq!(mend(said.as_bytes()), None, "{said}");
        }
    }
}
