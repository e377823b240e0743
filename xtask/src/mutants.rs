//! Mutation tests: breaks the product in one place at a time, and checks that a test fails.
//!
//! A mutant is a file `services/nadeuri/tests/simulation/mutants/NAME.patch`: a text that describes the fault and the
//! expected violation, and a diff. The test is the simulation, unless the text has a line `Test: -p PACKAGE --test
//! TARGET -- NAME` with other arguments for `cargo test`; such a test gets a PostgreSQL and a RabbitMQ. To create or
//! update a mutant, change the code and write the output of `git diff -U1` below the text.
//!
//! Each mutant is applied to a copy of the workspace in `target/mutants`, so the workspace is not changed.
//!
//! The simulation can't detect these faults, because another rule covers them or because it runs only on SQLite:
//! - the version in `db::update`: SQLite has one writer, so no change is concurrent. The tests on PostgreSQL find it.
//! - that a car counts the stars of a rental once: the inbox handles the event once, and `rental` publishes it once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{cargo, command, output, root, status, target};
use crate::servers::{self, Kind, TemporaryServers, Variables};

/// Where the patches are.
const FOLDER: &str = "services/nadeuri/tests/simulation/mutants";

/// The default test of a mutant.
const SIMULATION: &str = "-p nadeuri --test simulation -- no_seed_loses_or_doubles_anything";

/// The number of seeds after which a mutant has survived.
const SEEDS: &str = "300";

/// A mutant.
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
        ensure!(says.first().is_some_and(|line| !line.is_empty()), "{name} does not begin with a description");
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

    /// Fails unless the patch applies to the current workspace.
    fn check(&self) -> Result<()> {
        let applied = output(command("git").args(["apply", "--check"]).arg(&self.patch)).map(drop);
        applied.with_context(|| format!("{} does not apply: update it for the current code", self.name))
    }
}

/// Tests every mutant, or those whose name contains one of `words`.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let mut mutants = Mutant::all()?;
    mutants.retain(|mutant| words.is_empty() || words.iter().any(|word| mutant.name.contains(word.as_str())));
    ensure!(!mutants.is_empty(), "no mutant has such a name; they are in {FOLDER}");
    mutants.iter().try_for_each(Mutant::check)?;
    let tests: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.test.as_str()).collect();
    let temporary = TemporaryServers::new()?;
    let needs_servers = tests.iter().any(|test| *test != SIMULATION);
    let variables = if needs_servers { servers::up(temporary.path(), &Kind::ALL)? } else { Variables::new() };
    let copy = Copy::new(variables)?;
    for test in tests {
        if let Outcome::Fails(violation) = copy.test(test)? {
            bail!("the product fails without a mutant: {violation}");
        }
        println!("xtask: passes without a mutant: {test}");
    }
    let mut survivors = 0;
    for mutant in &mutants {
        match copy.with(mutant)? {
            Outcome::Fails(violation) => println!("xtask: {}: killed: {violation}", mutant.name),
            Outcome::Passes => {
                survivors += 1;
                println!("xtask: {}: SURVIVED {}", mutant.name, mutant.test);
            }
        }
    }
    println!("xtask: {} of {} mutants were killed", mutants.len() - survivors, mutants.len());
    Ok(if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Outcome {
    Passes,
    /// With this violation.
    Fails(String),
}

/// A copy of the workspace, with a target folder of its own.
struct Copy {
    folder: PathBuf,
    /// The git tree of the workspace when it was copied.
    tree: String,
    variables: Variables,
}

impl Copy {
    /// Copies the workspace with uncommitted changes.
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

    /// git with a separate index, so that the index of the workspace is not changed.
    fn git(&self, index: &str, work_tree: &Path) -> Command {
        let mut git = command("git");
        git.current_dir(work_tree).env("GIT_DIR", root().join(".git")).env("GIT_WORK_TREE", work_tree);
        git.env("GIT_INDEX_FILE", self.folder.join(index));
        git
    }

    /// Resets the copy. Unchanged files are not written, so that cargo does not rebuild them.
    fn reset(&self) -> Result<()> {
        output(self.git("copy.index", &self.source()).args(["read-tree", "--reset", "-u", &self.tree])).map(drop)
    }

    /// Applies the mutant to the copy, runs the test, and resets the copy.
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
        // Any other failure, such as an error of the compiler, is an error and not a killed mutant.
        let violation = violation(&text).with_context(|| format!("cargo ended with {status}: {}", path.display()))?;
        Ok(Outcome::Fails(violation))
    }
}

/// The panic message of the first failed test.
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
