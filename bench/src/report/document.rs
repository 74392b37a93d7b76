//! The Markdown file that carries the results of the last run.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// A file with the two markers, or one that will be created with them.
pub struct Document {
    path: PathBuf,
    before: String,
    after: String,
}

impl Document {
    /// Reads the file before anything is measured, so that a missing marker costs no run.
    pub fn open(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                format!("# Performance\n\n{BEGIN}\n{END}\n")
            }
            Err(error) => {
                return Err(error).with_context(|| format!("could not read {}", path.display()));
            }
        };
        let (before, after) =
            split(&text).with_context(|| format!("{} lacks the bench markers", path.display()))?;
        Ok(Self { path: path.to_owned(), before: before.to_owned(), after: after.to_owned() })
    }

    /// Writes the file with this text between the markers.
    pub fn replace(&self, text: &str) -> Result<()> {
        let whole = format!("{}{BEGIN}\n{}\n{END}{}", self.before, text.trim_end(), self.after);
        fs::write(&self.path, whole)
            .with_context(|| format!("could not write {}", self.path.display()))
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_markers_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("performance.md");
        fs::write(&path, format!("above\n{BEGIN}\nold\n{END}\nbelow\n")).unwrap();
        Document::open(&path).unwrap().replace("new\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("above\n{BEGIN}\nnew\n{END}\nbelow\n"));
    }

    #[test]
    fn a_file_without_markers_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("performance.md");
        fs::write(&path, "nothing\n").unwrap();
        assert!(Document::open(&path).is_err());
        assert!(Document::open(&folder.path().join("new.md")).is_ok());
    }
}
