//! The SDKs of sdk/: generates their code from proto/, and sees that they work: their tests, and the example of each
//! against a real server.
//!
//! Each language is a module with the same three functions, `generate`, `test` and `example`; what they take comes from
//! the registry of the language at versions that its manifest pins.

mod go;
mod java;
mod python;
mod rust;
mod typescript;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::process::{answer, command, ensure_uninterrupted, eventually, root, run, target};
use crate::product::{self, Server};
use crate::{npm, proto};

/// The last line of every example.
const DONE: &str = "done: the car is back with 5 stars, and the taxi is paid";

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// grpcio.
    Python,
    /// Connect.
    Typescript,
    /// grpc-go.
    Go,
    /// grpc-java.
    Java,
    /// tonic.
    Rust,
}

/// What is asked for.
#[derive(clap::Args)]
pub struct Options {
    /// The languages; all of them, if none is named.
    languages: Vec<Language>,
    /// Only generate the code.
    #[arg(long, conflicts_with = "check")]
    generate: bool,
    /// Only see that the generated code that is kept in git is what proto/ makes.
    #[arg(long)]
    check: bool,
    /// A `nadeuri` that is built already, to run the examples against.
    #[arg(long)]
    program: Option<PathBuf>,
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Typescript => "TypeScript",
            Self::Go => "Go",
            Self::Java => "Java",
            Self::Rust => "Rust",
        }
    }

    /// Writes what is made of proto/ to where the SDK has it.
    fn generate(self) -> Result<()> {
        match self {
            Self::Python => python::generate(),
            Self::Typescript => typescript::generate(),
            Self::Go => go::generate(),
            Self::Java => java::generate(),
            // Its build script does.
            Self::Rust => Ok(()),
        }
        .with_context(|| format!("cannot generate the code for {}", self.name()))
    }

    /// Packages it, and runs the tests of what is written by hand.
    fn test(self) -> Result<()> {
        match self {
            Self::Python => python::test(),
            Self::Typescript => typescript::test(),
            Self::Go => go::test(),
            Self::Java => java::test(),
            Self::Rust => rust::test(),
        }
    }

    /// What runs the example.
    fn example(self) -> Result<Command> {
        Ok(match self {
            Self::Python => python::example(),
            Self::Typescript => typescript::example(),
            Self::Go => go::example(),
            Self::Java => java::example()?,
            Self::Rust => rust::example(),
        })
    }
}

/// Does what was asked for.
pub fn run_all(options: &Options) -> Result<()> {
    if options.check {
        go::check()?;
        println!("xtask: the generated code of sdk/go is what proto/ makes");
        return Ok(());
    }
    let languages = if options.languages.is_empty() { Language::value_variants() } else { &options.languages };
    let program = (!options.generate).then(|| product::program(options.program.as_deref())).transpose()?;
    for language in languages {
        language.generate()?;
        let mut done = "generated";
        if let Some(program) = &program {
            language.test().with_context(|| format!("the SDK for {} fails", language.name()))?;
            play(*language, program).with_context(|| format!("the example for {} fails", language.name()))?;
            done = "generated, packaged, tested; its example ran against a server";
        }
        println!("xtask: {}: {done}", language.name());
    }
    Ok(())
}

/// Runs the example against a server of its own; it must end well, in time, and with the line that all of them end with.
fn play(language: Language, program: &Path) -> Result<()> {
    let server = Server::start(program, &[])?;
    let log = tempfile::NamedTempFile::new()?;
    let mut example = language.example()?;
    example.env("NADEURI_SERVER", format!("http://{}", server.address)).stdin(Stdio::null());
    let child = example.stdout(log.reopen()?).spawn();
    let mut child = child.with_context(|| format!("cannot run {}", example.get_program().display()))?;
    let ended = eventually("the example ends", || {
        ensure_uninterrupted()?;
        Ok(child.try_wait()?.is_some())
    });
    if ended.is_err() {
        child.kill()?;
    }
    let (status, said) = (child.wait()?, fs::read_to_string(log.path())?);
    ended.with_context(|| format!("it said:\n{said}"))?;
    ensure!(status.success(), "it ended with {status}:\n{said}");
    ensure!(said.lines().last() == Some(DONE), "its last line is not {DONE:?}:\n{said}");
    Ok(())
}

/// The folder of a language.
fn folder(language: &str) -> PathBuf {
    root().join("sdk").join(language)
}

/// Where a language's tools are.
fn tools(language: &str) -> PathBuf {
    target().join("tools").join(format!("sdk-{language}"))
}

/// The contracts, by their paths from proto/, in order.
fn protos() -> Result<Vec<String>> {
    fn walk(base: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(base.join(folder))? {
            let path = folder.join(entry?.file_name());
            if base.join(&path).is_dir() {
                walk(base, &path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                found.push(path.display().to_string());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(&root().join("proto"), Path::new(""), &mut found)?;
    found.sort();
    Ok(found)
}

/// Fails with what to do if a program is not installed, which xtask can't install itself.
fn ensure_installed(program: &str, version: &str, remedy: &str) -> Result<()> {
    ensure!(answer(command(program).arg(version)).is_some(), "missing: {program}; {remedy}");
    Ok(())
}

/// Has buf generate one language by the template sdk/LANGUAGE/buf.gen.yaml, with the plugins that lie in `plugins`.
fn buf_generate(language: &str, plugins: &Path, inputs: &[&str]) -> Result<()> {
    let buf = npm::program(&proto::BUF)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::join_paths(std::iter::once(plugins.to_owned()).chain(std::env::split_paths(&path)))?;
    for input in inputs {
        let mut generate = command(&buf);
        generate.args(["generate", input, "--template"]).arg(folder(language).join("buf.gen.yaml"));
        run(generate.arg("--output").arg(folder(language)).env("PATH", &paths))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sdk_has_the_version_of_the_workspace() {
        let version = env!("CARGO_PKG_VERSION");
        for (manifest, line) in [
            ("python/pyproject.toml", format!("\nversion = \"{version}\"\n")),
            ("typescript/package.json", format!("\n  \"version\": \"{version}\",\n")),
            ("java/pom.xml", format!("\n  <version>{version}</version>\n")),
        ] {
            let text = fs::read_to_string(folder(manifest)).expect("the manifest can be read");
            assert!(text.contains(&line), "sdk/{manifest} is not for {version}");
        }
    }

    #[test]
    fn the_generated_code_in_git_is_of_these_contracts() {
        let remedy = "run `cargo xtask sdks --generate go` and commit sdk/go";
        let kept = fs::read_to_string(folder("go").join("nadeuri/contracts.txt"));
        let current = go::fingerprint().expect("proto/ can be read");
        assert_eq!(kept.unwrap_or_default(), current, "proto/ changed: {remedy}");
    }
}
