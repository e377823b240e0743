//! An experiment on the effect of the rules: failing replicas and overload, with the rules of mesh/istio and with
//! common alternatives, and the responses that customers get. Each part fails unless the results are as in
//! docs/evidence/mesh.md.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::load::{Answers, Load, call};
use super::local::{Backing, Mesh};
use crate::process::{ensure_uninterrupted, eventually, root};
use crate::servers::{self, Kind, TemporaryServers};

/// The contexts that the calls need, each with its replicas.
const REPLICAS: [(&str, usize); 6] =
    [("fleet", 3), ("wallet", 2), ("payment", 1), ("rental", 1), ("mypage", 1), ("chronicle", 1)];

/// The calls per second: few enough for this machine.
const RATE: u32 = 50;

/// The number of calls, and the number after which the fault starts.
const TOTAL: u32 = 800;
const BREAKS_AFTER: u64 = 150;

/// The minimum duration of a fault.
const HARM: Duration = Duration::from_secs(6);

/// The name of a part, and its function.
type Part = (&'static str, fn(&mut Experiment) -> Result<()>);

const PARTS: [Part; 7] = [
    ("gateway", gateway),
    ("killed", killed),
    ("stopped", stopped),
    ("sick", sick),
    ("once", once),
    ("overload", overload),
    ("breaker", breaker),
];

struct Experiment {
    mesh: Mesh,
    token: String,
    /// A PostgreSQL for one replica alone, which will be stopped.
    spare: TemporaryServers,
    spare_store: String,
}

/// Runs the parts whose names contain one of `names`, or all.
pub fn run(names: &[String], product: PathBuf, backing: Backing) -> Result<()> {
    // Before the mesh chooses its ports, so that they don't conflict.
    let spare = TemporaryServers::new()?;
    let url = servers::up(spare.path(), &[Kind::Postgres])?.remove(Kind::Postgres.variable()).unwrap_or_default();
    let counts = REPLICAS.map(|(context, count)| (context.to_owned(), count));
    let mesh = Mesh::start(product, backing, None, &counts)?;
    let token = mesh.token("mina", &["customer", "admin"])?;
    let spare_store = format!("{url}nadeuri?schema={{context}}");
    let mut experiment = Experiment { mesh, token, spare, spare_store };
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    for (name, part) in PARTS.iter().filter(|(name, _)| wanted(name)) {
        ensure_uninterrupted()?;
        println!("\n## {name}");
        part(&mut experiment).with_context(|| format!("the part {name:?}"))?;
    }
    Ok(())
}

/// The name of the product's rules, beside those of mesh/experiment.
const OURS: &str = "mesh/istio";

const HEAD: &str =
    "| rules | good | half of them within | 99 % | the slowest | the others |\n|---|---|---|---|---|---|";

impl Experiment {
    /// Starts the gateway with the rules of mesh/istio, or with those that the overlay of this name replaces.
    fn apply(&mut self, name: &str) -> Result<()> {
        match name {
            OURS => self.mesh.apply(&[]),
            other => self.mesh.apply(&[root().join(format!("mesh/experiment/{other}.yaml"))]),
        }
    }

    fn reads(&self, rate: u32) -> Load<'_> {
        Load { config: "list_cars.json", token: &self.token, total: TOTAL, rate, data: None }
    }

    /// The results of reads during the fault `harm` of a replica of fleet, until its `cure`. With the rules of
    /// mesh/istio, the replica must be ejected between the two, and be used again afterwards.
    fn with_harm(
        &mut self,
        rules: &str,
        harm: impl Fn(&mut Mesh) -> Result<()>,
        cure: impl Fn(&mut Mesh) -> Result<()>,
    ) -> Result<Answers> {
        self.apply(rules)?;
        let is_ours = rules == OURS;
        let mut running = self.reads(RATE).start(&self.mesh)?;
        let mesh = &mut self.mesh;
        let replica = mesh.address("fleet", LAST);
        running.under_way(mesh, "fleet", BREAKS_AFTER)?;
        harm(mesh)?;
        if is_ours {
            eventually("the replica is ejected", || mesh.envoy()?.is_ejected("fleet", replica))?;
        }
        thread::sleep(HARM);
        cure(mesh)?;
        let answers = running.end()?;
        if is_ours {
            eventually("the replica is let in again", || Ok(!mesh.envoy()?.is_ejected("fleet", replica)?))?;
            ensure!(mesh.envoy()?.count("fleet", "upstream_rq_retry")? > 0, "nothing was tried again");
            ensure!(answers.count("OK") == answers.total(), "customers saw errors: {}", answers.row());
        }
        println!("| {rules} | {} |", answers.row());
        Ok(answers)
    }
}

/// The replica of fleet that gets the fault.
const LAST: usize = 2;

/// Authentication and unknown routes at the gateway.
fn gateway(experiment: &mut Experiment) -> Result<()> {
    experiment.apply(OURS)?;
    let (mesh, token) = (&experiment.mesh, experiment.token.clone());
    let collect = "nadeuri.payment.v1.PaymentService/CollectPayment";
    let list = "nadeuri.fleet.v1.FleetService/ListCars";
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let cases = [
        ("a token", list, token.as_str(), "{"),
        ("no token", list, "", "PermissionDenied"),
        ("a forged token", list, &forged, "Unauthenticated"),
        ("a call that is for contexts alone", collect, &token, "Unimplemented"),
        ("health, without a token", "grpc.health.v1.Health/Check", "", "SERVING"),
    ];
    for (what, rpc, token, expected) in cases {
        let said = call(mesh, token, rpc, "{}")?;
        ensure!(said.contains(expected), "{what}: {said}");
        println!("{what}: {}", said.lines().map(str::trim).find(|line| line.contains(expected)).unwrap_or_default());
    }
    Ok(())
}

/// A replica that is killed and restarted.
fn killed(experiment: &mut Experiment) -> Result<()> {
    println!("{HEAD}");
    let harm = |mesh: &mut Mesh| mesh.signal("fleet", LAST, Signal::KILL);
    let cure = |mesh: &mut Mesh| mesh.spawn("fleet", LAST).and_then(|()| mesh.wait("fleet", LAST));
    experiment.with_harm("nothing", harm, cure)?;
    experiment.with_harm(OURS, harm, cure)?;
    Ok(())
}

/// A replica that accepts calls but hangs, as on an overloaded node, and then continues.
fn stopped(experiment: &mut Experiment) -> Result<()> {
    println!("{HEAD}");
    let harm = |mesh: &mut Mesh| mesh.signal("fleet", LAST, Signal::STOP);
    let cure = |mesh: &mut Mesh| mesh.signal("fleet", LAST, Signal::CONT);
    let without = experiment.with_harm("nothing", harm, cure)?;
    let with = experiment.with_harm(OURS, harm, cure)?;
    ensure!(with.took("OK", 0.99) < without.took("OK", 0.99), "with the rules customers wait no less");
    Ok(())
}

/// A replica that responds with UNAVAILABLE, because it has lost its database.
fn sick(experiment: &mut Experiment) -> Result<()> {
    let (own, store) = (experiment.spare.path().to_owned(), experiment.spare_store.clone());
    let before = experiment.mesh.move_store("fleet", LAST, &store)?;
    println!("{HEAD}");
    let harm = |_: &mut Mesh| servers::kill(&own, Kind::Postgres);
    let cure = |_: &mut Mesh| servers::start(&own, Kind::Postgres);
    let without = experiment.with_harm("nothing", harm, cure);
    let copied = experiment.with_harm("retry-5xx", harm, cure);
    let with = experiment.with_harm(OURS, harm, cure);
    experiment.mesh.move_store("fleet", LAST, &before)?;
    let (without, copied) = (without?, copied?);
    ensure!(without.count("Unavailable") > 0, "without rules nobody noticed");
    ensure!(copied.count("Unavailable") > 0, "5xx took UNAVAILABLE for an error after all");
    with.map(|_| ())
}

/// Commands whose replica is killed, and that are repeated after an error: executed once.
fn once(experiment: &mut Experiment) -> Result<()> {
    experiment.apply(OURS)?;
    let token = experiment.mesh.token("bora", &["customer"])?;
    let data = r#"{"request_id": "{{printf `00000000-0000-4000-8000-%012d` .RequestNumber}}",
        "amount": {"currency_code": "KRW", "amount_minor": 1000}, "payment_method": "sandbox-approve"}"#;
    let load = Load { config: "top_up.json", token: &token, total: TOTAL / 2, rate: RATE, data: Some(data) };
    let mesh = &mut experiment.mesh;
    let mut running = load.start(mesh)?;
    running.under_way(mesh, "wallet", BREAKS_AFTER / 2)?;
    mesh.signal("wallet", 1, Signal::KILL)?;
    mesh.spawn("wallet", 1)?;
    mesh.wait("wallet", 1)?;
    let first = running.end()?;
    println!("{HEAD}\n| mesh/istio, a replica killed | {} |", first.row());
    let again = load.run(mesh)?;
    println!("| all of it repeated | {} |", again.row());
    ensure!(again.count("OK") == again.total(), "repeated, all of it must have an answer: {}", again.row());
    let wallet = call(mesh, &token, "nadeuri.wallet.v1.WalletService/GetWallet", "{}")?;
    let expected = format!("\"amountMinor\": \"{}\"", u64::from(TOTAL / 2) * 1_000);
    ensure!(wallet.contains(&expected), "{expected} was expected: {wallet}");
    println!("the deposit has each of the {} top-ups once: {expected}", TOTAL / 2);
    Ok(())
}

/// Overload: by rate, and by calls in flight.
fn overload(experiment: &mut Experiment) -> Result<()> {
    println!("{HEAD}");
    let mut notes = String::new();
    for (rules, status) in [("small-rate", "ResourceExhausted"), ("small-pool", "Unavailable")] {
        experiment.apply(rules)?;
        let answers = experiment.reads(0).run(&experiment.mesh)?;
        println!("| {rules} | {} |", answers.row());
        let told = answers.took(status, 0.5);
        notes += &format!("\n{status}: half within {told:?}, 99 % within {:?}", answers.took(status, 0.99));
        ensure!(
            answers.count(status) > 0 && answers.count("OK") > 0,
            "{status} was expected of some: {}",
            answers.row()
        );
        ensure!(answers.count(status) + answers.count("OK") == answers.total(), "and nothing else: {}", answers.row());
        // Most of it is ghz itself, which shares the CPU cores.
        ensure!(told.as_millis() < 100 && told < answers.took("OK", 0.5), "who is turned away is told late: {told:?}");
    }
    println!("{notes}");
    Ok(())
}

/// The effect on customers of a breaker with one connection and five errors, with all replicas healthy.
fn breaker(experiment: &mut Experiment) -> Result<()> {
    println!("{HEAD}");
    let (mut good, mut notes) = (Vec::new(), String::new());
    for rules in ["one-connection", OURS] {
        experiment.apply(rules)?;
        let answers = experiment.reads(RATE * 4).run(&experiment.mesh)?;
        println!("| {rules} | {} |", answers.row());
        let count = |counter| experiment.mesh.envoy()?.count("fleet", counter);
        let (overflow, connections) = (count("upstream_rq_pending_overflow")?, count("upstream_cx_overflow")?);
        let (ejected, nobody) =
            (count("outlier_detection.ejections_enforced_total")?, count("upstream_cx_none_healthy")?);
        notes += &format!(
            "\n{rules}: {overflow} calls and {connections} connections were too many; replicas were ejected {ejected} \
             times, and {nobody} calls found none left"
        );
        good.push(answers.count("OK"));
    }
    println!("{notes}");
    ensure!(good[0] < good[1], "the breaker should have turned customers away");
    ensure!(good[1] == TOTAL as usize, "nothing is wrong, and yet there are errors");
    Ok(())
}
