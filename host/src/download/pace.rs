//! How long is waited for what, how fast it may come, and how fast it does. Nothing here looks at a clock by itself.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How patient a download is. All spans are in seconds, and a test may say how long a second is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How long a second lasts.
    pub second: Duration,
    /// How many times in a row one thing may fail.
    pub attempts: u32,
    /// The longest first wait after a failure; each further one may be twice as long.
    pub backoff_first_s: f64,
    /// The longest wait of all.
    pub backoff_max_s: f64,
    /// The longest wait that a server may ask for.
    pub retry_after_max_s: u64,
    /// How long nothing may arrive.
    pub stall_s: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            second: Duration::from_secs(1),
            attempts: 8,
            backoff_first_s: 1.0,
            backoff_max_s: 60.0,
            retry_after_max_s: 300,
            stall_s: 30.0,
        }
    }
}

impl Pace {
    /// How long to wait after so many failures in a row, with chance from 0 to 1: anything up to the longest wait, so
    /// that those who failed together do not come back together.
    pub(super) fn backoff_s(&self, failures: u32, chance: f64) -> f64 {
        let doubled = self.backoff_first_s * f64::powi(2.0, i32::try_from(failures.saturating_sub(1)).unwrap_or(64));
        doubled.min(self.backoff_max_s) * chance
    }

    /// So many seconds.
    pub(super) fn span(&self, seconds: f64) -> Duration {
        self.second.mul_f64(seconds.clamp(0.0, 1e6))
    }
}

/// Chance from 0 to 1.
pub(super) fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// What `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after_s(value: &str, now_s: i64) -> Option<u64> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(seconds);
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    Some(u64::try_from(date.timestamp().as_second() - now_s).unwrap_or(0))
}

/// Spreads what arrives over time.
pub(super) struct Limiter {
    bytes_per_s: Option<u64>,
    free_at: Cell<Option<Instant>>,
}

impl Limiter {
    pub(super) fn new(bytes_per_s: Option<u64>) -> Self {
        Self { bytes_per_s, free_at: Cell::new(None) }
    }

    /// How long to wait before more is read, after so many bytes came.
    pub(super) fn take(&self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.bytes_per_s else { return Duration::ZERO };
        let span = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        let begins = self.free_at.get().map_or(now, |free| free.max(now));
        let free = begins.checked_add(span).unwrap_or(begins);
        self.free_at.set(Some(free));
        free.saturating_duration_since(now)
    }
}

/// The rate of the last seconds.
pub(super) struct Meter {
    begun: Instant,
    bytes_per_s: f64,
    pending_bytes: u64,
}

/// How often the rate is taken, and how much the latest counts against what was before.
const SAMPLE: Duration = Duration::from_millis(250);
const WEIGHT: f64 = 0.2;

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, bytes_per_s: 0.0, pending_bytes: 0 }
    }

    /// Whether it is time to say how fast it is.
    pub(super) fn add(&mut self, bytes: usize, now: Instant) -> bool {
        self.pending_bytes += bytes as u64;
        let span = now.saturating_duration_since(self.begun);
        if span < SAMPLE {
            return false;
        }
        let rate = self.pending_bytes as f64 / span.as_secs_f64();
        let is_first = self.bytes_per_s == 0.0;
        self.bytes_per_s = if is_first { rate } else { self.bytes_per_s * (1.0 - WEIGHT) + rate * WEIGHT };
        (self.begun, self.pending_bytes) = (now, 0);
        true
    }

    pub(super) fn bytes_per_s(&self) -> f64 {
        self.bytes_per_s
    }

    /// How long so many bytes take.
    pub(super) fn left_s(&self, bytes: u64) -> Option<f64> {
        (self.bytes_per_s > 0.0).then(|| bytes as f64 / self.bytes_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let pace = Pace::default();
        let waits: Vec<f64> = [1, 2, 3, 4, 7, 8, u32::MAX].map(|failures| pace.backoff_s(failures, 1.0)).to_vec();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 60.0, 60.0, 60.0]);
        assert_eq!(pace.backoff_s(3, 0.25), 1.0);
        assert!((0..100).map(|_| chance()).all(|chance| (0.0..=1.0).contains(&chance)));
    }

    #[test]
    fn a_server_says_when_in_seconds_or_as_a_date() {
        assert_eq!(retry_after_s(" 120 ", 0), Some(120));
        // The example of RFC 9110, section 5.6.7, is 784111777 seconds after 1970 began.
        assert_eq!(retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777 - 30), Some(30));
        assert_eq!(retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777 + 30), Some(0));
        assert_eq!(retry_after_s("soon", 0), None);
    }

    #[test]
    fn a_limit_spreads_what_arrives() {
        let begun = Instant::now();
        let limiter = Limiter::new(Some(1000));
        assert_eq!(limiter.take(500, begun), Duration::from_millis(500));
        assert_eq!(limiter.take(500, begun), Duration::from_secs(1));
        let later = begun + Duration::from_secs(5);
        assert_eq!(limiter.take(100, later), Duration::from_millis(100), "idle time is not saved up");
        assert_eq!(Limiter::new(None).take(usize::MAX, begun), Duration::ZERO);
    }

    #[test]
    fn the_rate_follows_what_arrives() {
        let begun = Instant::now();
        let mut meter = Meter::new(begun);
        assert!(!meter.add(100, begun));
        assert_eq!(meter.left_s(1), None);
        assert!(meter.add(400, begun + Duration::from_millis(500)));
        assert_eq!((meter.bytes_per_s(), meter.left_s(2000)), (1000.0, Some(2.0)));
        assert!(meter.add(0, begun + Duration::from_secs(1)));
        assert_eq!(meter.bytes_per_s(), 800.0);
    }
}
