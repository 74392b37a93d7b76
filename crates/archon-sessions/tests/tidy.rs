//! Holds what STYLE.md says a machine can check.

#![allow(clippy::unwrap_used)] // A test that cannot read the tree has failed.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the library in the order of reading: each uses only those before it.
const ORDER: [&str; 7] = ["session", "protocol", "store", "events", "tracker", "layer", "rmcp"];
/// The server's modules, from the ground up.
const SERVER_ORDER: [&str; 15] = [
    "dashboard",
    "fd_passing",
    "supervise",
    "tls",
    "keeper",
    "config",
    "logging",
    "identity",
    "gateway",
    "cluster",
    "telemetry",
    "overview",
    "api",
    "server",
    "cli",
];
/// Files of the layer in the order of reading: each uses only those before it. `layer.rs` puts them together.
const LAYER: [&str; 23] = [
    "accept",
    "detach",
    "current",
    "exchange",
    "failure",
    "edge",
    "body",
    "refused",
    "reject",
    "flow",
    "elsewhere",
    "request",
    "answer",
    "ahead",
    "restore",
    "renew",
    "cancel",
    "early",
    "handshake",
    "legacy",
    "modern",
    "standing",
    "whole",
];
/// No file is longer; most are half of it.
const LINES_MAX: usize = 600;
/// What no error, log line or help text says: STYLE.md has better words.
const ODD_WORDS: [&str; 16] = [
    "so long",
    "so many",
    "so old",
    "somebody",
    "nobody",
    "wants a",
    "be had",
    "made out to",
    "whose it is",
    "as it may",
    "as they may",
    "is told",
    "are told",
    "of no use",
    "goes on",
    "taken back",
];
/// Names that do not say what is inside.
const EMPTY_NAMES: [&str; 6] = ["mod", "utils", "util", "common", "helpers", "misc"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "tests/fixture", "bench"] {
        rust_files(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "the tree was found");
    found
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut complaints = Vec::new();
    for path in all_files() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > LINES_MAX {
            complaints.push(format!("{}: {lines} lines", path.display()));
        }
        if !text.starts_with("//!") {
            complaints.push(format!("{}: does not open with a //! line", path.display()));
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            complaints.push(format!("{}: its name says nothing", path.display()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn modules_depend_downwards() {
    let mut complaints = upward("crates/archon-sessions/src", &ORDER);
    complaints.extend(upward("crates/archon-server/src", &SERVER_ORDER));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Returns the files that use a module which stands above their own.
fn upward(source: &str, order: &[&str]) -> Vec<String> {
    let source = root().join(source);
    let mut complaints = Vec::new();
    for (level, module) in order.iter().enumerate() {
        let file = source.join(format!("{module}.rs"));
        assert!(file.exists(), "{} is there", file.display());
        let mut files = vec![file];
        if source.join(module).exists() {
            rust_files(&source.join(module), &mut files);
        }
        for file in files {
            // The suite tests the stores with everything there is.
            if file.ends_with("store/suite.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for above in &order[level + 1..] {
                if text.contains(&format!("crate::{above}::"))
                    || text.contains(&format!("crate::{above};"))
                {
                    complaints.push(format!("{} uses {above}", file.display()));
                }
            }
        }
    }
    complaints
}

#[test]
fn the_layer_reads_downwards() {
    let layer = root().join("crates/archon-sessions/src/layer");
    let (mut listed, mut complaints) = (Vec::new(), Vec::new());
    for (level, module) in LAYER.iter().enumerate() {
        let first = layer.join(format!("{module}.rs"));
        let mut files = vec![first.clone()];
        if layer.join(module).is_dir() {
            rust_files(&layer.join(module), &mut files);
        }
        for file in &files {
            let text = fs::read_to_string(file).unwrap();
            // In a folder below, `super` is the module itself.
            let own = if *file == first { "use super::" } else { "use crate::layer::" };
            let imports = text.lines().filter_map(|line| line.trim().strip_prefix(own));
            let names = imports.flat_map(|names| names.split([',', '{', '}', ';', ' ']));
            for name in names.map(|name| name.split("::").next().unwrap_or_default()) {
                if LAYER[level + 1..].contains(&name) {
                    complaints.push(format!("{} uses {name}", file.display()));
                }
            }
        }
        listed.extend(files);
    }
    let mut all = Vec::new();
    rust_files(&layer, &mut all);
    let missing = all.iter().filter(|file| !listed.contains(file));
    complaints.extend(missing.map(|file| format!("{} is not in LAYER", file.display())));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn session_and_protocol_never_ask_the_clock() {
    let source = root().join("crates/archon-sessions/src");
    let mut files = Vec::new();
    rust_files(&source.join("session"), &mut files);
    rust_files(&source.join("protocol"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let asks = text.contains("Timestamp::now()") || text.contains("Instant::now()");
        assert!(!asks, "{} asks the clock", file.display());
    }
}

/// Returns the lines of what is built, without tests, each after where it stands.
fn code_lines() -> Vec<(String, String)> {
    let (mut files, mut lines) = (Vec::new(), Vec::new());
    rust_files(&root().join("crates"), &mut files);
    for file in &files {
        let path = file.to_string_lossy();
        if !path.contains("/src/") || path.contains("tests") || path.ends_with("suite.rs") {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines().map(str::trim);
        let code = (1u32..).zip(code).filter(|(_, line)| !line.starts_with("//"));
        lines.extend(code.map(|(number, line)| (format!("{path}:{number}"), line.to_owned())));
    }
    lines
}

#[test]
fn what_people_read_is_plain_english() {
    let mut complaints = Vec::new();
    for (place, line) in code_lines() {
        let Some((first, last)) = line.find('"').zip(line.rfind('"')) else { continue };
        // A string that goes on in the next line has one quote here.
        let shown = if first < last { &line[first..last] } else { &line };
        let odd = ODD_WORDS.iter().filter(|word| shown.to_lowercase().contains(**word));
        complaints.extend(odd.map(|word| format!("{place}: {word}")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn error_codes_have_names() {
    let is_code = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_literal = |line: &str| {
        let codes = ["-31", "-32"].into_iter().flat_map(|code| line.match_indices(code));
        let mut numbers = codes.filter_map(|(at, _)| line.get(at + 1..at + 6));
        numbers.any(is_code)
    };
    // The client is a crate without the library, and names its few codes itself.
    let is_elsewhere = |place: &str| {
        !place.contains("protocol/codes.rs") && !place.contains("archon-sessions-client")
    };
    let literal =
        code_lines().into_iter().filter(|(place, line)| is_elsewhere(place) && is_literal(line));
    let complaints: Vec<_> = literal.map(|(place, line)| format!("{place}: {line}")).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
