//! What was measured: how long each thing took, and what went wrong.

use std::time::Duration;

/// Times in microseconds, and errors.
#[derive(Debug, Default)]
pub struct Times {
    took: Vec<f64>,
    errors: u64,
    first_error: Option<String>,
    /// From the first to the last.
    pub elapsed: Duration,
}

impl Times {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        self.took.push(took.as_secs_f64() * 1e6);
    }

    /// One that failed; the first failure is told.
    pub fn fail(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Failures so far.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Count, rate and percentiles as JSON.
    pub fn summary(mut self) -> serde_json::Value {
        self.took.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (self.took.len() as f64 * share) as usize;
            self.took
                .get(place.min(self.took.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0)
        };
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        serde_json::json!({
            "count": self.took.len(),
            "errors": self.errors,
            "error": self.first_error,
            "per_second": self.took.len() as f64 / seconds,
            "p50_us": at(0.5),
            "p90_us": at(0.9),
            "p99_us": at(0.99),
        })
    }
}
