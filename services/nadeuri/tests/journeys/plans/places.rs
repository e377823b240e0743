//! The places of statements in the source: the calls of the macros that run one.

use std::ops::RangeInclusive;
use std::path::Path;

/// The macros that run statements. A statement that such a macro runs has the place of the outermost call.
const MACROS: [&str; 10] = [
    "sql!(",
    "read!(",
    "flat!(",
    "due!(",
    "newest!(",
    "newest_rows!(",
    "nearest!(",
    "prune!(",
    "summary! {",
    "sql_query(",
];

/// A place.
pub struct Place {
    /// The file, from the root of the repository.
    pub file: String,
    /// The lines in it, from 1.
    pub lines: RangeInclusive<u64>,
    /// The line's text.
    pub code: String,
}

/// All places in the sources of the contexts and of the chassis.
pub fn of_statements() -> Vec<Place> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut places = Vec::new();
    for entry in std::fs::read_dir(root.join("services")).unwrap() {
        walk(&root, &entry.unwrap().path().join("src"), &mut places);
    }
    assert!(!places.is_empty(), "there are statements");
    places
}

fn walk(root: &Path, folder: &Path, places: &mut Vec<Place>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, places);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            let file = path.strip_prefix(root).unwrap().display().to_string();
            places.extend(in_text(&file, &std::fs::read_to_string(path).unwrap()));
        }
    }
}

fn in_text(file: &str, text: &str) -> Vec<Place> {
    let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
    let mut in_macro = false;
    let mut places = Vec::new();
    let lines: Vec<&str> = code.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        // The body of a macro runs nothing by itself.
        in_macro = if in_macro { *line != "}" } else { line.starts_with("macro_rules!") };
        let is_code = !line.trim_start().starts_with("//") && !line.trim_start().starts_with("use ");
        if is_code && !in_macro && MACROS.iter().any(|name| calls(line, name)) {
            let first = number as u64 + 1;
            let lines = first..=first + lines_of_call(&lines[number..]);
            places.push(Place { file: file.to_owned(), lines, code: line.trim().to_owned() });
        }
    }
    places
}

/// Whether a line calls a macro, and not one whose name ends the same.
fn calls(line: &str, name: &str) -> bool {
    let is_end_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| !line[..at].ends_with(is_end_of_name))
}

/// How many lines after the first one the call that begins there has: until its brackets are closed.
fn lines_of_call(lines: &[&str]) -> u64 {
    let mut open = 0;
    let is_closed = |line: &&str| {
        open += line
            .chars()
            .map(|c| {
                if "([{".contains(c) {
                    1
                } else if ")]}".contains(c) {
                    -1
                } else {
                    0
                }
            })
            .sum::<i32>();
        open <= 0
    };
    lines.iter().position(is_closed).unwrap_or_default() as u64
}
