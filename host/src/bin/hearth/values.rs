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

/// A number of bytes: `500M`, `20G` or `1.5 GiB`, in powers of 1,024.
pub fn byte_count(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_uppercase();
    let shift = match unit.trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("its unit must be K, M, G or T".to_owned()),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => {
            Ok((number * f64::from(1_u32 << shift.min(30)) * if shift > 30 { 1024.0 } else { 1.0 }) as u64)
        }
        _ => Err("it must be a number of bytes, as 20G".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::byte_count;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("16K", 16 << 10), ("1.5 GiB", 3 << 29), ("20G", 20 << 30), ("2tb", 2 << 40)]
        {
            assert_eq!(byte_count(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1X", "NaN", "1e999", "one"] {
            assert!(byte_count(text).is_err(), "{text}");
        }
    }
}
