//! Shows that the simulation can fail: breaks the product in one place at a time, and demands that a seed sees it.
//!
//! Each [`Mutation`] is put into a copy of the workspace beneath `target/bite`, so nothing of anybody's work is touched.
//! A mutation whose text is no longer found exactly once is an error too: it has to follow the code.
//!
//! Not here is what the simulation can't see, because another rule covers for it or because it runs on SQLite alone:
//! - the version in `db::update`: SQLite has one writer, so nobody changes what another has read; that is for the tests on
//!   PostgreSQL.
//! - that a car counts the stars of a rental once: the inbox takes the event once, and `rental` tells it once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{answer, cargo, command, root, status, target};

/// Seeds that a mutation has to survive to be a finding.
const SEEDS: &str = "300";

/// The test that has to fail.
const TEST: &str = "no_seed_loses_or_doubles_anything";

/// Something broken.
struct Mutation {
    /// What is broken, in words.
    name: &'static str,
    /// The edits that break it.
    edits: &'static [Edit],
}

/// A text that is found once in a file, and what it becomes.
struct Edit {
    file: &'static str,
    text: &'static str,
    becomes: &'static str,
}

const fn edit(file: &'static str, text: &'static str, becomes: &'static str) -> Edit {
    Edit { file, text, becomes }
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "what time brings has no cause",
        edits: &[edit("services/chassis/src/waker.rs", "cause: Cause::time()", "cause: Cause::default()")],
    },
    Mutation {
        name: "periods may overlap",
        edits: &[edit(
            "services/rental/src/domain.rs",
            "if self.open().any(|other| other.period.overlaps(period)) {",
            "if false {",
        )],
    },
    Mutation {
        name: "stars can be given again",
        edits: &[edit(
            "services/rental/src/domain.rs",
            "Reservation { state: State::Returned, stars: None, .. }",
            "Reservation { state: State::Returned, .. }",
        )],
    },
    Mutation {
        name: "a cancelled reservation is rented all the same",
        edits: &[edit(
            "services/rental/src/domain.rs",
            "State::Cancelled(_) => vec![Event::RentRefused(id)],",
            "State::Cancelled(_) => vec![Event::Rented(id, payment, now)],",
        )],
    },
    // Its only effect is one that `ReservationCancelled` has too, so what is seen is that it is never told.
    Mutation {
        name: "a rent that is refused is not told",
        edits: &[edit(
            "services/rental/src/store.rs",
            "Event::RentRefused(_) => Some(Publication::of(&proto::RentRefused { reservation }, id, flow)),",
            "Event::RentRefused(_) => None,",
        )],
    },
    Mutation {
        name: "a purchase that was taken back is not refunded",
        edits: &[edit(
            "services/payment/src/domain.rs",
            "State::Approved | State::Cancelling => vec![Event::RefundStarted(now)],",
            "State::Approved => vec![],\n            State::Cancelling => vec![Event::RefundStarted(now)],",
        )],
    },
    Mutation {
        name: "a purchase taken back while it is charged is forgotten",
        edits: &[edit(
            "services/payment/src/domain.rs",
            "State::Charging { voided: false, .. } => vec![Event::VoidNoted],",
            "State::Charging { voided: false, .. } => vec![],",
        )],
    },
    Mutation {
        name: "the processor gets a new key for each attempt",
        edits: &[edit(
            "services/payment/src/service.rs",
            "self.processor.charge(&key(charge), method, *amount).await",
            "{\n                static ATTEMPT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
                let attempt = ATTEMPT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.processor.charge(&format!(\"{}-{attempt}\", key(charge)), method, *amount).await\n            }",
        )],
    },
    Mutation {
        name: "two drivers get one request",
        edits: &[edit(
            "services/driving/src/domain.rs",
            "State::Offered { .. } => Ok(vec![Event::Accepted(driver.to_owned(), now)]),",
            "State::Offered { .. } | State::Accepted => Ok(vec![Event::Accepted(driver.to_owned(), now)]),",
        )],
    },
    Mutation {
        name: "a drive that has started is called off",
        edits: &[edit(
            "services/driving/src/domain.rs",
            "State::Started | State::Finished => vec![Event::CancellationRefused],",
            "State::Started | State::Finished => vec![Event::Cancelled(now)],",
        )],
    },
    Mutation {
        name: "a fare that could not be charged is forgotten",
        edits: &[edit(
            "services/driving/src/lib.rs",
            "Box::pin(async move { collection.collect(id, None, Cause::time()).await.map(drop) })",
            "Box::pin(async move {\n                drop((collection, id, Cause::time));\n                Ok(())\n            })",
        )],
    },
    Mutation {
        name: "what was used can be cancelled before it is paid",
        edits: &[edit(
            "services/payment/src/domain.rs",
            "_ if self.is_used() => Err(Refusal::PaymentSettled),",
            "_ if false => Err(Refusal::PaymentSettled),",
        )],
    },
    Mutation {
        name: "a car believes older news",
        edits: &[edit(
            "services/fleet/src/domain.rs",
            "known.sequence >= told.sequence",
            "known.sequence == told.sequence",
        )],
    },
    Mutation {
        name: "a view believes older news",
        edits: &[
            edit("services/mypage/src/pages.rs", "if sequence > *shown.sequence {", "if true {"),
            edit("services/mypage/src/car_rentals.rs", "if sequence > self.rental_sequence {", "if true {"),
            edit("services/mypage/src/stays.rs", "if sequence > self.stay_sequence {", "if true {"),
            edit("services/mypage/src/orders.rs", "if sequence > self.order_sequence {", "if true {"),
        ],
    },
    Mutation {
        name: "nights may be kept twice",
        edits: &[edit(
            "services/resort/src/domain.rs",
            "*other != stay && takes(hold))",
            "*other == stay && takes(hold))",
        )],
    },
    Mutation {
        name: "a stay whose nights are lost takes place",
        edits: &[edit(
            "services/stay/src/domain.rs",
            "State::Reserved { .. } | State::Confirmed => Ok(vec![Event::Cancelled(Cause::Resort, now)]),",
            "State::Reserved { .. } | State::Confirmed => Ok(vec![]),",
        )],
    },
    Mutation {
        name: "the voucher of a cancelled stay stays good",
        edits: &[edit(
            "services/voucher/src/domain.rs",
            "(Command::Deactivate(_), State::Issued | State::Sent) => Ok(vec![Event::Deactivated(now)]),",
            "(Command::Deactivate(_), State::Issued) => Ok(vec![Event::Deactivated(now)]),",
        )],
    },
    Mutation {
        name: "what comes late for a freed stay takes its nights again",
        edits: &[edit(
            "services/resort/src/domain.rs",
            "None | Some(Hold { state: State::Lapsed, .. }) => vec![Event::Barred(stay, over)],",
            "None | Some(Hold { state: State::Lapsed, .. }) => vec![],",
        )],
    },
    Mutation {
        name: "a bike has two riders",
        edits: &[edit(
            "services/bike/src/domain.rs",
            "State::WithRide(_) => Err(Refusal::BikeInUse),\n            State::Removed => Err(Refusal::NoSuchBike),",
            "State::WithRide(_) => Ok(vec![Event::Taken(ride, customer.to_owned(), now)]),
            State::Removed => Err(Refusal::NoSuchBike),",
        )],
    },
    Mutation {
        name: "a ride that never starts keeps its bike",
        edits: &[edit(
            "services/ride/src/domain.rs",
            "matches!(ride.state, State::Expected { until } if until <= now);",
            "matches!(ride.state, State::Expected { until } if until <= now && false);",
        )],
    },
    Mutation {
        name: "a ride whose bike was written off is billed",
        edits: &[edit(
            "services/billing/src/domain.rs",
            "(Command::Void(rode), _) => opened(rode).into_iter().chain([Event::Voided(now)]).collect(),",
            "(Command::Void(rode), _) => opened(rode).into_iter().collect(),",
        )],
    },
    Mutation {
        name: "more is sold than is in stock",
        edits: &[
            edit(
                "services/product/src/domain.rs",
                "None if u64::from(*quantity) <= product.stock =>",
                "None if true =>",
            ),
            edit(
                "services/product/src/domain.rs",
                "product.stock - u64::from(*quantity)",
                "product.stock.wrapping_sub(u64::from(*quantity)) & (i64::MAX as u64)",
            ),
        ],
    },
    Mutation {
        name: "an order that is out of stock is not cancelled",
        edits: &[edit(
            "services/order/src/domain.rs",
            "(State::Placed, Command::Reject) => vec![Event::Cancelled(Cause::OutOfStock, now)],",
            "(State::Placed, Command::Reject) => vec![Event::Confirmed(now)],",
        )],
    },
    Mutation {
        name: "a cancelled order keeps its stock",
        edits: &[edit(
            "services/product/src/domain.rs",
            "Some(Taking { state: State::Taken, quantity }) => vec![Event::Restored(*order, *quantity, now)],",
            "Some(Taking { state: State::Taken, .. }) => vec![],",
        )],
    },
    Mutation {
        name: "an order that comes after its cancellation takes stock",
        edits: &[edit(
            "services/product/src/domain.rs",
            "None => vec![Event::Barred(*order, *quantity)],",
            "None => vec![],",
        )],
    },
    Mutation {
        name: "a delivery that has started is called off",
        edits: &[edit(
            "services/delivery/src/domain.rs",
            "State::Prepared => vec![Event::Cancelled(now)],",
            "State::Prepared | State::Started => vec![Event::Cancelled(now)],",
        )],
    },
    Mutation {
        name: "what was done is not remembered",
        edits: &[
            edit(
                "services/chassis/src/done.rs",
                "if wanted.is_empty() {",
                "if !wanted.is_empty() || keys.is_empty() {",
            ),
            edit(
                "services/chassis/src/done.rs",
                "if db::insert(tx, rows).await? == rows.len() { Ok(()) } else { Err(Error::Conflict) }",
                "let _ = (tx, rows, db::insert::<DoneRow>);\n    Ok(())",
            ),
        ],
    },
    Mutation {
        name: "a repeated request does not get its first answer",
        edits: &[edit(
            "services/chassis/src/writer.rs",
            "self.remember(intent.key, if intent.key.is_some() {",
            "self.remember(intent.key.filter(|key| key.is_event), if intent.key.is_some() {",
        )],
    },
    Mutation {
        name: "events are not written with their state",
        edits: &[edit(
            "services/chassis/src/writer.rs",
            "outbox::append(tx, self.envelopes)",
            "outbox::append(tx, Vec::new())",
        )],
    },
    Mutation {
        name: "the relay removes events before the bus has them",
        edits: &[edit(
            "services/chassis/src/relay.rs",
            "let published = self.bus.publish(",
            "self.remove(turn, seqs.clone()).await?;\n            let published = self.bus.publish(",
        )],
    },
    Mutation {
        name: "nobody is woken",
        edits: &[edit(
            "services/chassis/src/waker.rs",
            "while tasks.sleep(PERIOD).await {",
            "while tasks.sleep(PERIOD).await && false {",
        )],
    },
];

/// Tries every mutation, or those whose name contains one of `names`.
pub fn run(names: &[String]) -> Result<ExitCode> {
    let is_chosen = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let chosen: Vec<&Mutation> = MUTATIONS.iter().filter(|mutation| is_chosen(mutation.name)).collect();
    ensure!(!chosen.is_empty(), "no mutation is called so");
    let copy = Copy::new()?;
    if let Outcome::Fails(violation) = copy.simulate()? {
        bail!("the product fails as it is: {violation}");
    }
    println!("xtask: {SEEDS} seeds are right as it is");
    let mut survivors = 0;
    for mutation in &chosen {
        match copy.with(mutation)? {
            Outcome::Fails(violation) => println!("xtask: {}: seen: {violation}", mutation.name),
            Outcome::Passes => {
                survivors += 1;
                println!("xtask: {}: NOT SEEN in {SEEDS} seeds", mutation.name);
            }
        }
    }
    println!("xtask: {} of {} mutations are seen", chosen.len() - survivors, chosen.len());
    Ok(if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Outcome {
    Passes,
    /// What was violated, and under which seed.
    Fails(String),
}

/// A copy of the workspace, with a target folder of its own.
struct Copy {
    source: PathBuf,
    target: PathBuf,
    log: PathBuf,
}

impl Copy {
    fn new() -> Result<Copy> {
        let folder = target().join("bite");
        let copy = Copy { source: folder.join("source"), target: folder.join("target"), log: folder.join("log") };
        let listed = answer(command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]));
        let listed = listed.context("git cannot list the files")?;
        let files: BTreeSet<&Path> = listed.lines().map(Path::new).filter(|file| root().join(file).is_file()).collect();
        for file in &files {
            let text = fs::read(root().join(file))?;
            let path = copy.source.join(file);
            // What is the same keeps its time, so that cargo need not build it again.
            if fs::read(&path).ok().as_ref() != Some(&text) {
                fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
                fs::write(path, text)?;
            }
        }
        copy.remove_others(&copy.source, &files)?;
        Ok(copy)
    }

    /// Removes what was copied once and is no longer there.
    fn remove_others(&self, folder: &Path, files: &BTreeSet<&Path>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.remove_others(&path, files)?;
            } else if !files.contains(path.strip_prefix(&self.source)?) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Simulates with the mutation, and takes it out again.
    fn with(&self, mutation: &Mutation) -> Result<Outcome> {
        let mut before = Vec::new();
        let applied = mutation.edits.iter().try_for_each(|edit| {
            let path = self.source.join(edit.file);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", edit.file))?;
            let found = text.matches(edit.text).count();
            ensure!(found == 1, "{:?} is found {found} times in {}", edit.text, edit.file);
            fs::write(&path, text.replace(edit.text, edit.becomes))?;
            before.push((path, text));
            Ok(())
        });
        let outcome = applied.and_then(|()| self.simulate());
        for (path, text) in before.into_iter().rev() {
            fs::write(path, text)?;
        }
        outcome.with_context(|| format!("cannot try: {}", mutation.name))
    }

    fn simulate(&self) -> Result<Outcome> {
        let log = File::create(&self.log)?;
        let mut test = cargo();
        test.args(["test", "-p", "nadeuri", "--test", "simulation", TEST]);
        test.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target).env("NADEURI_SEEDS", SEEDS);
        let status = status(test.stdout(log.try_clone()?).stderr(log))?;
        if status.success() {
            return Ok(Outcome::Passes);
        }
        // Anything but the test's own panic, such as an error of the compiler, is a failure of the trial.
        let log = fs::read_to_string(&self.log)?;
        let mut lines = log.lines().skip_while(|line| !(line.contains(TEST) && line.contains("panicked at"))).skip(1);
        let violation = lines.next().with_context(|| format!("it ended with {status}: {}", self.log.display()))?;
        let seed = lines.next().filter(|line| line.starts_with("seed ")).unwrap_or("all seeds together");
        Ok(Outcome::Fails(format!("{:.120} ({})", violation, seed.split(';').next().unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_follows_the_code() {
        for edit in MUTATIONS.iter().flat_map(|mutation| mutation.edits) {
            let text = fs::read_to_string(root().join(edit.file)).expect("the file is there");
            let found = text.matches(edit.text).count();
            assert_eq!(found, 1, "{:?} in {}", edit.text, edit.file);
        }
    }
}
