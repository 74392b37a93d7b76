//! Refuses JSON that nests deeper than any honest message.

use memchr::memchr2_iter;

/// Deeper than any schema in use, and far below what recursive parsers behind us survive.
pub const DEPTH_MAX: usize = 128;

/// Returns true if `json` nests deeper than [`DEPTH_MAX`]. Says nothing about validity.
pub fn is_too_deep(json: &[u8]) -> bool {
    // A text cannot be deeper than it has brackets; almost all messages stop here.
    if memchr2_iter(b'{', b'[', json).nth(DEPTH_MAX).is_none() {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(!is_too_deep(&nested(DEPTH_MAX)));
        assert!(is_too_deep(&nested(DEPTH_MAX + 1)));
        let text = format!(r#"{{"a":"{}"}}"#, "[".repeat(1000));
        assert!(!is_too_deep(text.as_bytes()));
        let siblings = format!("[{}[]]", "[],".repeat(1000));
        assert!(!is_too_deep(siblings.as_bytes()));
    }
}
