//! What is made as small as possible: the divergence of the student's likelihoods from the teacher's.

use super::Number;

/// Sum over tokens of Kullback and Leibler's divergence, in nats; the student's logits, (tokens, vocabulary), become its
/// gradients: likelihoods less the teacher's.
pub fn divergence<N: Number>(teacher: &[f32], student: &mut [N], vocab: usize) -> f64 {
    let mut sum = 0.0;
    for (teacher, student) in teacher.chunks_exact(vocab).zip(student.chunks_exact_mut(vocab)) {
        let (expected, expected_sum) = normaliser(teacher.iter().map(|logit| N::of(*logit)));
        let (found, found_sum) = normaliser(student.iter().copied());
        let (of_teacher, of_student) = (expected_sum.ln() + expected, found_sum.ln() + found);
        let mut total = 0.0;
        for (teacher, student) in teacher.iter().zip(student) {
            let (log_expected, log_found) = (N::of(*teacher) - of_teacher, *student - of_student);
            let expected = log_expected.exp();
            // What cannot come adds nothing, though its logarithm is no number.
            if expected > N::zero() {
                total += (expected * (log_expected - log_found)).to_double();
            }
            *student = log_found.exp() - expected;
        }
        sum += total;
    }
    sum
}

/// The highest logit, and the sum of the exponentials of what the others are less.
fn normaliser<N: Number>(logits: impl Iterator<Item = N> + Clone) -> (N, N) {
    let highest = logits.clone().fold(N::neg_infinity(), N::max);
    (highest, logits.map(|logit| (logit - highest).exp()).sum())
}
