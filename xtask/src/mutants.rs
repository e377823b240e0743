//! Shows that the tests can fail: breaks the product in one place at a time, and demands that a test sees it.
//!
//! A mutant is a file `services/nadeuri/tests/simulation/mutants/NAME.patch`: first some text that says what is broken and
//! what must see it, then a diff. The test is the simulation, or what a line `Test: -p PACKAGE --test TARGET -- NAME` of the
//! text gives `cargo test`; such a test gets a PostgreSQL and a RabbitMQ. To make a mutant, change the code and write
//! `git diff -U1` below a text; to remake one whose code has changed, do so again.
//!
//! Each is applied to a copy of the workspace in `target/mutants`, so nobody's work is touched.
//!
//! The simulation can't see these, because another rule covers for them or because it runs on SQLite alone:
//! - the version in `db::update`: SQLite has one writer, so nobody changes what another has read. The tests on PostgreSQL see it.
//! - that a car counts the stars of a rental once: the inbox takes the event once, and `rental` publishes it once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{cargo, command, output, root, status, target};
use crate::servers::{self, Kind, ThrowAway, Variables};

/// Where the patches are.
const FOLDER: &str = "services/nadeuri/tests/simulation/mutants";

/// The test of mutants that name no other.
const SIMULATION: &str = "-p nadeuri --test simulation -- no_seed_loses_or_doubles_anything";

/// How many seeds of the simulation a mutant has to survive to be a finding.
const SEEDS: &str = "300";

/// Something broken.
struct Mutant {
    name: String,
    patch: PathBuf,
    /// The arguments of `cargo test`.
    test: String,
}

impl Mutant {
    fn read(patch: PathBuf) -> Result<Mutant> {
        let text = fs::read_to_string(&patch).with_context(|| format!("cannot read {}", patch.display()))?;
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let says: Vec<&str> =
            text.lines().take_while(|line| !line.starts_with("diff ") && !line.starts_with("--- ")).collect();
        ensure!(says.first().is_some_and(|line| !line.is_empty()), "{name} does not begin with what is broken");
        let test = says.iter().find_map(|line| line.strip_prefix("Test: ")).unwrap_or(SIMULATION).to_owned();
        Ok(Mutant { name, patch, test })
    }

    /// All of them, by name.
    fn all() -> Result<Vec<Mutant>> {
        let files = fs::read_dir(fs::canonicalize(root().join(FOLDER))?)?;
        let mut mutants = files.map(|file| Mutant::read(file?.path())).collect::<Result<Vec<_>>>()?;
        mutants.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(mutants)
    }

    /// Fails unless the patch can be applied to the workspace as it is.
    fn check(&self) -> Result<()> {
        let applied = output(command("git").args(["apply", "--check"]).arg(&self.patch)).map(drop);
        applied.with_context(|| format!("{} does not apply: make it anew for the code as it is", self.name))
    }
}

/// Tries every mutant, or those whose name contains one of `words`.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let mut mutants = Mutant::all()?;
    mutants.retain(|mutant| words.is_empty() || words.iter().any(|word| mutant.name.contains(word.as_str())));
    ensure!(!mutants.is_empty(), "no mutant has such a name; they are in {FOLDER}");
    mutants.iter().try_for_each(Mutant::check)?;
    let tests: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.test.as_str()).collect();
    let throw_away = ThrowAway::new()?;
    let needs_servers = tests.iter().any(|test| *test != SIMULATION);
    let variables = if needs_servers { servers::up(throw_away.path(), &Kind::ALL)? } else { Variables::new() };
    let copy = Copy::new(variables)?;
    for test in tests {
        if let Outcome::Fails(violation) = copy.test(test)? {
            bail!("the product fails as it is: {violation}");
        }
        println!("xtask: without a mutant this passes: {test}");
    }
    let mut survivors = 0;
    for mutant in &mutants {
        match copy.with(mutant)? {
            Outcome::Fails(violation) => println!("xtask: {}: seen: {violation}", mutant.name),
            Outcome::Passes => {
                survivors += 1;
                println!("xtask: {}: NOT SEEN by {}", mutant.name, mutant.test);
            }
        }
    }
    println!("xtask: {} of {} mutants are seen", mutants.len() - survivors, mutants.len());
    Ok(if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Outcome {
    Passes,
    /// What the test says.
    Fails(String),
}

/// A copy of the workspace, with a target folder of its own.
struct Copy {
    folder: PathBuf,
    /// What git calls the workspace as it was when it was copied.
    tree: String,
    variables: Variables,
}

impl Copy {
    /// Copies also changes that are not committed.
    fn new(variables: Variables) -> Result<Copy> {
        let folder = target().join("mutants");
        fs::create_dir_all(folder.join("source"))?;
        let mut copy = Copy { folder: fs::canonicalize(folder)?, tree: String::new(), variables };
        let root = fs::canonicalize(root())?;
        output(copy.git("workspace.index", &root).args(["add", "--all"]))?;
        copy.tree = output(copy.git("workspace.index", &root).arg("write-tree"))?.trim().to_owned();
        copy.reset()?;
        Ok(copy)
    }

    fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// git, with an index of ours: that of the workspace belongs to people.
    fn git(&self, index: &str, work_tree: &Path) -> Command {
        let mut git = command("git");
        git.current_dir(work_tree).env("GIT_DIR", root().join(".git")).env("GIT_WORK_TREE", work_tree);
        git.env("GIT_INDEX_FILE", self.folder.join(index));
        git
    }

    /// Makes the copy what the workspace was. Files that are right already are left alone, so that cargo does not build
    /// them again.
    fn reset(&self) -> Result<()> {
        output(self.git("copy.index", &self.source()).args(["read-tree", "--reset", "-u", &self.tree])).map(drop)
    }

    /// Tests with the mutant in the copy, and takes it out again.
    fn with(&self, mutant: &Mutant) -> Result<Outcome> {
        output(self.git("copy.index", &self.source()).args(["apply", "--index"]).arg(&mutant.patch))?;
        let outcome = self.test(&mutant.test);
        self.reset()?;
        outcome.with_context(|| format!("cannot try {}", mutant.name))
    }

    fn test(&self, arguments: &str) -> Result<Outcome> {
        let path = self.folder.join("log");
        let log = File::create(&path)?;
        let mut test = cargo();
        test.arg("test").args(arguments.split_whitespace()).current_dir(self.source());
        test.env("CARGO_TARGET_DIR", self.folder.join("target")).env("NADEURI_SEEDS", SEEDS);
        test.envs(&self.variables);
        let status = status(test.stdout(log.try_clone()?).stderr(log))?;
        let text = fs::read_to_string(&path)?;
        if status.success() {
            ensure!(!text.contains("running 0 tests"), "there is no such test: {arguments}");
            return Ok(Outcome::Passes);
        }
        // Anything but the panic of a test, such as an error of the compiler, is a failure of the trial.
        let violation = violation(&text).with_context(|| format!("cargo ended with {status}: {}", path.display()))?;
        Ok(Outcome::Fails(violation))
    }
}

/// What the first test that failed says in its panic.
fn violation(log: &str) -> Option<String> {
    let failed = log.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))?;
    let of_test = |line: &&str| line.contains(&format!("thread '{failed}'")) && line.contains("panicked at");
    let mut lines = log.lines().skip_while(|line| !of_test(line)).skip(1);
    let message = lines.next()?;
    let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.split(';').next());
    Some(format!("{message:.120}{}", seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_applies() {
        let mutants = Mutant::all().expect("every mutant says what is broken");
        let stale: Vec<String> =
            mutants.iter().filter_map(|mutant| mutant.check().err()).map(|error| format!("{error:#}")).collect();
        assert!(stale.is_empty(), "{}", stale.join("\n"));
        assert!(!mutants.is_empty());
    }

    #[test]
    fn a_mutant_may_name_its_test() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(&file, "No breaker.\nTest: -p nadeuri --test journeys -- c11_\n\ndiff --git a/x b/x\n")?;
        assert_eq!(Mutant::read(file.path().to_owned())?.test, "-p nadeuri --test journeys -- c11_");
        fs::write(&file, "No breaker.\n\ndiff --git a/x b/x\n")?;
        assert_eq!(Mutant::read(file.path().to_owned())?.test, SIMULATION);
        fs::write(&file, "diff --git a/x b/x\n")?;
        assert!(Mutant::read(file.path().to_owned()).is_err());
        Ok(())
    }

    #[test]
    fn only_the_panic_of_a_test_is_a_violation() {
        let failed = "test c11_ends ... FAILED\n\nthread '<unnamed>' panicked at a.rs:1:\nelse\n\
                      thread 'c11_ends' (7) panicked at b.rs:2:3:\na car is lost\nseed 4; see it\n";
        assert_eq!(violation(failed).as_deref(), Some("a car is lost (seed 4)"));
        assert_eq!(violation("error: could not compile `nadeuri`\n"), None);
    }
}
