//! What numbers and addresses on the command line may be.

use std::net::IpAddr;

/// The only interface, unless the person says otherwise, is this machine's own.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn number(text: &str, is_allowed: impl Fn(f32) -> bool, words: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && is_allowed(value) => Ok(value),
        _ => Err(format!("it must be a number {words}")),
    }
}

pub fn non_negative(text: &str) -> Result<f32, String> {
    number(text, |value| value >= 0.0, "of 0 or more")
}

pub fn positive(text: &str) -> Result<f32, String> {
    number(text, |value| value > 0.0, "above 0")
}

pub fn fraction(text: &str) -> Result<f32, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "from 0 to 1")
}

/// GiB in bytes.
pub fn gibibytes(text: &str) -> Result<u64, String> {
    positive(text).map(|gib| (f64::from(gib) * f64::from(1 << 30)) as u64)
}
