//! The middle of some measurements.

use crate::protocol::Spread;

/// Of measurements in the order in which they were made; zeros if there are none.
pub fn spread(samples: Vec<f64>) -> Spread {
    let median = median(&samples);
    let deviations: Vec<f64> = samples.iter().map(|sample| (sample - median).abs()).collect();
    Spread {
        median,
        min: samples.iter().copied().reduce(f64::min).unwrap_or(0.0),
        max: samples.iter().copied().reduce(f64::max).unwrap_or(0.0),
        deviation: self::median(&deviations),
        samples,
    }
}

/// The middle one, or the mean of the middle two; 0 of none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_deviation_from_it() {
        let of = |samples: &[f64]| {
            let Spread { median, min, max, deviation, samples: kept } = spread(samples.to_vec());
            assert_eq!(kept, samples);
            [median, min, max, deviation]
        };
        assert_eq!(of(&[3.0, 1.0, 2.0]), [2.0, 1.0, 3.0, 1.0]);
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), [2.5, 1.0, 4.0, 1.0]);
        assert_eq!(of(&[5.0]), [5.0, 5.0, 5.0, 0.0]);
        assert_eq!(of(&[1.0, 1.0, 1.0, 9.0, 2.0]), [1.0, 1.0, 9.0, 0.0]);
        assert_eq!(of(&[]), [0.0; 4]);
    }
}
