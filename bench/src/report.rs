//! The results, beside the raw counterparts.

use std::fmt::{self, Write as _};
use std::time::Duration;

use hdrhistogram::Histogram;

/// The latencies of many operations, and their total duration.
#[derive(Clone)]
pub struct Measured {
    /// The latencies, in microseconds.
    pub each: Histogram<u64>,
    /// The total duration.
    pub in_all: Duration,
}

impl Measured {
    /// The throughput, in operations per second.
    pub fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.in_all.as_secs_f64()
    }

    /// A quantile of the latency, in milliseconds.
    pub fn millis(&self, quantile: f64) -> f64 {
        self.each.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// What a ratio should be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Of throughputs.
    AtLeast(f64),
    /// Of times.
    AtMost(f64),
}

impl Goal {
    fn is_reached(self, ratio: f64) -> bool {
        match self {
            Goal::AtLeast(least) => ratio >= least,
            Goal::AtMost(most) => ratio <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtLeast(least) => write!(f, "≥ {least:.1}×"),
            Goal::AtMost(most) => write!(f, "≤ {most:.1}×"),
        }
    }
}

/// Rows of results.
#[derive(Default)]
pub struct Table {
    rows: String,
    /// The rows whose ratio is not what it should be.
    missed: Vec<String>,
}

impl Table {
    /// A throughput beside a raw one.
    pub fn row(&mut self, what: &str, rate: f64, raw: f64, goal: Option<Goal>, measured: &Measured) {
        let (p50, p99) = (measured.millis(0.5), measured.millis(0.99));
        self.ratio(what, &[format!("{rate:.0}/s"), format!("{raw:.0}/s")], rate / raw, goal);
        eprintln!("  {what}: p50 {p50:.2} ms, p99 {p99:.2} ms");
    }

    /// Ours beside another, with their ratio.
    pub fn ratio(&mut self, what: &str, [ours, raw]: &[String; 2], ratio: f64, goal: Option<Goal>) {
        eprintln!("  {what}: {ours} to {raw}, {ratio:.2}×");
        if goal.is_some_and(|goal| !goal.is_reached(ratio)) {
            self.missed.push(what.to_owned());
        }
        let goal = goal.map(|goal| goal.to_string()).unwrap_or_default();
        self.line([what, ours, raw, &format!("{ratio:.2}×"), &goal]);
    }

    /// The median and the 99th percentile of a flow's latency, beside the sum of the raw parts, in milliseconds. The goal
    /// is of the median.
    pub fn latency(&mut self, flow: &str, clients: usize, measured: &Measured, raw_ms: f64, goal: Option<Goal>) {
        for (name, quantile, goal) in [("p50", 0.5, goal), ("p99", 0.99, None)] {
            let ours_ms = measured.millis(quantile);
            let what = format!("{flow}: {name}, {clients} clients, to the sum of the raw parts");
            self.ratio(&what, &[format!("{ours_ms:.1} ms"), format!("{raw_ms:.1} ms")], ours_ms / raw_ms, goal);
        }
    }

    /// A result without a counterpart.
    pub fn alone(&mut self, what: &str, ours: &str) {
        eprintln!("  {what}: {ours}");
        self.line([what, ours, "", "", ""]);
    }

    fn line(&mut self, cells: [&str; 5]) {
        // Writing to a string can't fail.
        let _ = writeln!(self.rows, "| {} |", cells.join(" | "));
    }

    /// Prints the rows as Markdown, and which of them missed their aim.
    pub fn print(&self) {
        println!("| what | nadeuri | raw | ratio | aimed for |\n|---|---|---|---|---|\n{}", self.rows);
        if !self.missed.is_empty() {
            println!("missed:\n- {}", self.missed.join("\n- "));
        }
    }
}
