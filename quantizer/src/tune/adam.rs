//! Adam (Kingma and Ba 2015), with a learning rate that rises for a while and then falls to nothing along a cosine.

/// How much of the mean gradient is kept from step to step.
const KEPT: f32 = 0.9;
/// The same of the mean square.
const KEPT_SQUARE: f32 = 0.95;
/// Added to the root of the mean square.
const EPSILON: f32 = 1e-8;
/// So many of the steps at most are for the learning rate to rise.
const RISING: f64 = 0.1;

/// Where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Steps that are done.
    pub steps: u32,
    /// What the values have moved by, in units of their own.
    pub moved: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Adam {
    /// Of so many numbers, which have not moved yet.
    pub fn new(count: usize) -> Self {
        Self { steps: 0, moved: vec![0.0; count], mean: vec![0.0; count], square: vec![0.0; count] }
    }

    /// Moves against a gradient; `rates` are the highest learning rates, `steps` how many there will be.
    pub fn step(&mut self, gradient: &[f32], rates: &[f32], steps: u32) {
        let share = share_of_rate(self.steps, steps) as f32;
        self.steps += 1;
        let at = self.steps as i32;
        let (mean_part, square_part) = (1.0 - KEPT.powi(at), 1.0 - KEPT_SQUARE.powi(at));
        let numbers = self.moved.iter_mut().zip(&mut self.mean).zip(&mut self.square).zip(gradient).zip(rates);
        for ((((moved, mean), square), gradient), rate) in numbers {
            *mean = KEPT * *mean + (1.0 - KEPT) * gradient;
            *square = KEPT_SQUARE * *square + (1.0 - KEPT_SQUARE) * gradient * gradient;
            *moved -= share * rate * (*mean / mean_part) / ((*square / square_part).sqrt() + EPSILON);
        }
    }

    /// As bytes: the three lists one behind the other.
    pub fn lists(&self) -> [&[f32]; 3] {
        [&self.moved, &self.mean, &self.square]
    }

    /// From [`Self::lists`].
    pub fn from_lists(steps: u32, [moved, mean, square]: [Vec<f32>; 3]) -> Self {
        Self { steps, moved, mean, square }
    }
}

/// What part of the highest learning rate a step has.
fn share_of_rate(step: u32, steps: u32) -> f64 {
    let done = (f64::from(step) + 0.5) / f64::from(steps.max(1));
    let risen = (done / RISING).min(1.0);
    risen * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bowl_is_descended() {
        let mut adam = Adam::new(2);
        let goal = [0.3, -0.2];
        for _ in 0..400 {
            let gradient: Vec<f32> = adam.moved.iter().zip(goal).map(|(at, goal)| 2.0 * (at - goal)).collect();
            adam.step(&gradient, &[0.02; 2], 400);
        }
        assert!(adam.moved.iter().zip(goal).all(|(at, goal)| (at - goal).abs() < 1e-3), "{:?}", adam.moved);
    }

    #[test]
    fn the_rate_rises_and_falls_to_nothing() {
        let shares: Vec<f64> = (0..100).map(|step| share_of_rate(step, 100)).collect();
        let highest = shares.iter().position(|share| *share > 0.95).unwrap();
        assert!(shares[..=highest].is_sorted() && highest < 20, "{shares:?}");
        assert!(shares[highest + 1..].is_sorted_by(|a, b| a >= b) && shares[99] < 1e-3, "{shares:?}");
    }
}
