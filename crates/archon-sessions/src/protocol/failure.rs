//! What an answer says went wrong.

use serde::Deserialize;

/// Returns the message of an error, or the first text of a failed tool's result; `None` where the answer is
/// cut off or says neither.
pub fn error_text(answer: &[u8]) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Error>,
        result: Option<Failed>,
    }
    #[derive(Deserialize)]
    struct Error {
        message: Box<str>,
    }
    #[derive(Deserialize)]
    struct Failed {
        content: Vec<Content>,
    }
    #[derive(Deserialize)]
    struct Content {
        text: Option<Box<str>>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    match (answer.error, answer.result) {
        (Some(error), _) => Some(error.message),
        (None, Some(failed)) => failed.content.into_iter().find_map(|content| content.text),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_in_the_answer() {
        for (answer, expected) in [
            (r#"{"id":1,"error":{"code":-1,"message":"no \"such\""}}"#, Some("no \"such\"")),
            (
                r#"{"result":{"isError":true,"content":[{"type":"image"},{"text":"bad"}]}}"#,
                Some("bad"),
            ),
            (r#"{"result":{"isError":true}}"#, None),
            (r#"{"result":{"conte"#, None),
        ] {
            assert_eq!(error_text(answer.as_bytes()).as_deref(), expected, "{answer}");
        }
    }
}
