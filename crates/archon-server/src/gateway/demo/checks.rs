//! The bounds on what a client may send, and the checks that enforce them.

use super::refusal::{Refusal, shown};

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 10_000;
/// Longest assignee or feature, in characters.
pub const LABEL_CHARS_MAX: usize = 100;
/// Longest repository address, in characters.
pub const REPO_CHARS_MAX: usize = 300;
/// Longest search query, in characters.
pub const QUERY_CHARS_MAX: usize = 200;
/// Longest id that we look up. Ours have 36 characters.
pub const ID_CHARS_MAX: usize = 64;
/// Most urgent task.
pub const TASK_ORDER_MAX: i64 = 100;
/// Items on a page, unless the client says otherwise.
pub const PER_PAGE_DEFAULT: i64 = 10;
/// Most items on a page, which bounds the size of an answer.
pub const PER_PAGE_MAX: i64 = 100;
/// Last page: as many as there can be tasks, one on each.
pub const PAGE_MAX: i64 = 100_000;

/// Most words in a query. Each one is compared with every row.
const QUERY_WORDS_MAX: usize = 16;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Page {
    pub number: i64,
    pub size: i64,
}

impl Page {
    /// Returns the page that `page` and `per_page` ask for.
    pub fn parse(page: Option<i64>, per_page: Option<i64>) -> Result<Page, Refusal> {
        let number = page.unwrap_or(1);
        let size = per_page.unwrap_or(PER_PAGE_DEFAULT);
        check_range("page", number, 1, PAGE_MAX)?;
        check_range("per_page", size, 1, PER_PAGE_MAX)?;
        Ok(Page { number, size })
    }

    /// Returns how many items come before this page. Cannot overflow: both factors are bounded.
    pub fn offset(self) -> i64 {
        (self.number - 1) * self.size
    }
}

/// Refuses a number outside `min..=max`.
pub fn check_range(name: &str, value: i64, min: i64, max: i64) -> Result<(), Refusal> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let hint = format!("give {name} a whole number from {min} to {max}, or leave it out");
    Err(Refusal::invalid(format!("{name} is {value}"), hint))
}

/// Returns the text without surrounding blanks, or refuses one that is too long.
pub fn text(name: &str, value: Option<String>, max: usize) -> Result<Option<String>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    let chars = value.chars().count();
    if chars > max {
        let message = format!("{name} has {chars} characters, and {max} are allowed");
        return Err(Refusal::invalid(message, format!("shorten {name}")));
    }
    // SQLite's text functions stop at a NUL, so what is stored and what is found would differ.
    if value.contains('\0') {
        let message = format!("{name} contains a NUL character");
        return Err(Refusal::invalid(message, format!("remove it from {name}")));
    }
    Ok(Some(value.trim().to_owned()))
}

/// Returns the text, or `None` if it is absent or blank: both mean "not given" in a search.
pub fn given(name: &str, value: Option<String>, max: usize) -> Result<Option<String>, Refusal> {
    Ok(text(name, value, max)?.filter(|text| !text.is_empty()))
}

/// Returns the text, or refuses a call of `action` without it.
pub fn required(
    name: &str,
    value: Option<String>,
    max: usize,
    action: &str,
) -> Result<String, Refusal> {
    given(name, value, max)?.ok_or_else(|| {
        let hint = match name {
            "project_id" => "call find_projects to see the ids, then call again with project_id",
            "task_id" => "call find_tasks to see the ids, then call again with task_id",
            name => &format!("call again with {name}"),
        };
        Refusal::missing(format!("{action} needs {name}"), hint)
    })
}

/// Returns the title that an update gives, or refuses a blank one.
pub fn changed_title(value: Option<String>) -> Result<Option<String>, Refusal> {
    let title = text("title", value, TITLE_CHARS_MAX)?;
    if title.as_deref() == Some("") {
        let hint = "give title a text, or leave it out to keep the present one";
        return Err(Refusal::invalid("title is blank", hint));
    }
    Ok(title)
}

/// Returns the words of a query in lower case; all of them must occur in what is found.
pub fn words(query: Option<String>) -> Result<Vec<String>, Refusal> {
    let query = given("query", query, QUERY_CHARS_MAX)?.unwrap_or_default();
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    if words.len() > QUERY_WORDS_MAX {
        let message = format!(
            "query has {} words, and {QUERY_WORDS_MAX} are allowed: \"{}\"",
            words.len(),
            shown(&query)
        );
        return Err(Refusal::invalid(message, "search for fewer words"));
    }
    Ok(words)
}
