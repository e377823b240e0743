//! A closed loop of clients, as the benchmark's own: each starts its next flow after the end of the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::common::CARS;

/// The warm-up, which is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// What a client of a peer does.
pub trait Flow: Send + Sync + 'static {
    /// Reserves a car for an hour; returns the reservation.
    fn reserve(&self, car: u64, hour: u64) -> impl Future<Output = anyhow::Result<String>> + Send;
    /// Pays for it.
    fn pay(&self, car: u64, reservation: &str) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// Whether the customer's page shows it as rented.
    fn is_shown(&self, reservation: &str) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// A measurement.
pub struct Run {
    pub clients: u64,
    pub each: Duration,
    pub first_hour: u64,
}

impl Run {
    /// Measures, and prints the results.
    pub async fn measure(&self, flow: impl Flow) -> anyhow::Result<()> {
        let (flow, next, first_hour) = (Arc::new(flow), Arc::new(AtomicU64::new(0)), self.first_hour);
        // All clients together poll at most 1,000 times per second.
        let look_again = Duration::from_millis(self.clients);
        let begin = Instant::now() + WARM_UP;
        let end = begin + self.each;
        let client = |_| {
            let (flow, next) = (flow.clone(), next.clone());
            tokio::spawn(async move {
                let mut times = Histogram::<u64>::new(3)?;
                loop {
                    let started = Instant::now();
                    if started >= end {
                        return anyhow::Ok(times);
                    }
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (car, hour) = (number % CARS, first_hour + number / CARS);
                    let reservation = flow.reserve(car, hour).await?;
                    flow.pay(car, &reservation).await?;
                    while !flow.is_shown(&reservation).await? {
                        tokio::time::sleep(look_again).await;
                    }
                    if started >= begin {
                        times.record(started.elapsed().as_micros() as u64)?;
                    }
                }
            })
        };
        let clients: Vec<_> = (0..self.clients).map(client).collect();
        let mut all = Histogram::<u64>::new(3)?;
        for client in clients {
            all.add(client.await??)?;
        }
        let rate = all.len() as f64 / begin.elapsed().as_secs_f64();
        let millis = |quantile| all.value_at_quantile(quantile) as f64 / 1_000.0;
        println!("{rate:.1} {:.2} {:.2} {}", millis(0.5), millis(0.99), next.load(Ordering::Relaxed));
        Ok(())
    }
}
