//! The table of requirements in `docs/requirements.md`. Its ids and sentences are written by hand. Its column of tests
//! is generated from the names of the tests: the name of a test starts with the ids of its requirements, as in `c3_…`
//! or
//! `r6_r7_…`.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository;

/// The page.
pub const PATH: &str = "docs/requirements.md";

/// The folders with tests.
const FOLDERS: [&str; 2] = ["services", "xtask"];

/// The first letters of ids: one for each line of business, and `X` for all of them.
const LETTERS: &str = "CTRBOX";

/// The tests of each requirement by its id: pairs of a file and the name of a test in it.
type Tests = BTreeMap<String, BTreeSet<(String, String)>>;

/// The page with its generated column of tests.
pub fn page() -> String {
    let (page, tests) = (read(), tests());
    let line = |line: &str| match row(line) {
        Some((id, sentence)) => format!("| {id} | {sentence} | {} |\n", tests.get(id).map(cell).unwrap_or_default()),
        None => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}

/// The errors of the table: an id of a test without a row, a row without a test, a second row of an id.
pub fn differences() -> Vec<String> {
    let (page, tests) = (read(), tests());
    let rows: Vec<&str> = page.lines().filter_map(row).map(|(id, _)| id).collect();
    let ids: BTreeSet<&str> = rows.iter().copied().collect();
    let mut wrong: Vec<String> = Vec::new();
    for id in &ids {
        if rows.iter().filter(|row| row == &id).count() > 1 {
            wrong.push(format!("{id} has two rows"));
        }
        if !tests.contains_key(*id) {
            wrong.push(format!("{id} has no test"));
        }
    }
    for (id, those) in tests.iter().filter(|(id, _)| !ids.contains(id.as_str())) {
        wrong.push(format!("{id} has no row, but tests: {those:?}"));
    }
    wrong
}

fn read() -> String {
    repository::read(PATH).expect("the page of requirements is there")
}

/// The id and the sentence of a row.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| ")?.splitn(3, " | ");
    let (id, sentence) = (cells.next()?, cells.next()?);
    cells.next().and(is_id(id).then_some((id, sentence)))
}

fn is_id(text: &str) -> bool {
    let number = text.strip_prefix(|letter| LETTERS.contains(letter));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The tests of a row: a link to each file, and the tests in it.
fn cell(tests: &BTreeSet<(String, String)>) -> String {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (file, test) in tests {
        files.entry(file).or_default().push(format!("`{test}`"));
    }
    let short = |file: &str| file.trim_start_matches("services/").trim_end_matches(".rs").to_owned();
    let file = |(file, tests): (&str, Vec<String>)| format!("[{}](../{file}): {}", short(file), tests.join(", "));
    files.into_iter().map(file).collect::<Vec<_>>().join("<br>")
}

fn tests() -> Tests {
    let mut tests = Tests::new();
    for (file, text) in FOLDERS.into_iter().flat_map(|folder| repository::files_that_end(folder, ".rs")) {
        for (name, ids) in named(&text) {
            for id in ids {
                tests.entry(id).or_default().insert((file.clone(), name.to_owned()));
            }
        }
    }
    tests
}

/// The tests in a Rust file whose names start with ids, and those ids. A test is a function, or a string literal where
/// a journey has another name than its function.
fn named(text: &str) -> Vec<(&str, Vec<String>)> {
    let is_of_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let places = text.match_indices("fn ").chain(text.match_indices('"'));
    let names = places.filter_map(|(at, before)| {
        let rest = text.get(at + before.len()..)?;
        let name = rest.split(|letter| !is_of_name(letter)).next()?;
        let is_whole = before == "fn " || rest.get(name.len()..).is_some_and(|after| after.starts_with('"'));
        let ids: Vec<String> = name.split('_').map(str::to_uppercase).take_while(|word| is_id(word)).collect();
        let is_sentence = name.split('_').count() > ids.len();
        (is_whole && is_sentence && !ids.is_empty()).then_some((name, ids))
    });
    names.collect()
}

#[test]
fn a_test_is_found_by_the_ids_at_the_start_of_its_name() {
    let (name, quoted) = (format!("{}_r7_a_test", "r6"), format!("{}_another", "x12"));
    let text = format!(
        "fn {name}() {{}} fn r_2() {{}} fn d1_no() {{}} fn b64() {{}} own(\"{quoted}\") \"{quoted} in a sentence\""
    );
    let found = vec![(name.as_str(), vec!["R6".to_owned(), "R7".to_owned()]), (&quoted, vec!["X12".to_owned()])];
    assert_eq!(named(&text), found);
}
