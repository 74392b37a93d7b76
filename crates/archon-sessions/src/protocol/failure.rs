//! What an answer says went wrong.

use serde::Deserialize;

/// What was found of it.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// An error's JSON-RPC code.
    pub code: Option<i64>,
    /// An error's message, or the first text of a failed tool's result.
    pub message: Option<Box<str>>,
}

impl Found {
    /// Finds the code and message in an answer; nothing where it is cut off or says neither.
    pub fn in_answer(answer: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            error: Option<Error>,
            result: Option<Failed>,
        }
        #[derive(Deserialize)]
        struct Error {
            #[serde(default)]
            code: Option<i64>,
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
        let Ok(answer) = serde_json::from_slice::<Answer>(answer) else { return Self::default() };
        match (answer.error, answer.result) {
            (Some(error), _) => Self { code: error.code, message: Some(error.message) },
            (None, Some(failed)) => {
                let message = failed.content.into_iter().find_map(|content| content.text);
                Self { code: None, message }
            }
            (None, None) => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_in_the_answer() {
        for (answer, code, message) in [
            (
                r#"{"id":1,"error":{"code":-1,"message":"no \"such\""}}"#,
                Some(-1),
                Some("no \"such\""),
            ),
            (
                r#"{"result":{"isError":true,"content":[{"type":"image"},{"text":"bad"}]}}"#,
                None,
                Some("bad"),
            ),
            (r#"{"result":{"isError":true}}"#, None, None),
            (r#"{"result":{"conte"#, None, None),
        ] {
            let expected = Found { code, message: message.map(Into::into) };
            assert_eq!(Found::in_answer(answer.as_bytes()), expected, "{answer}");
        }
    }
}
