//! The committed quantised models on every device, against the logits that transformers gives for weights which a slow
//! decoder in Python took from the same files (`tests/golden/quantised.py`).

use std::collections::BTreeSet;

use hearth_tests::{
    devices::Candidate,
    files::golden,
    numbers::relative_difference,
    sessions::{load, open},
};

/// Of the largest logit. F32 sums in other orders, and a rotation that transformers has folded back in float64.
const RELATIVE: f64 = 2e-4;

fn check(model: &str, file: &str, formats: &[&str]) {
    let opened = open(model);
    let found: BTreeSet<&str> = opened.catalog.tensors.values().map(|tensor| tensor.format.name()).collect();
    for wanted in formats {
        assert!(found.contains(wanted), "{wanted} is not in {found:?}");
    }
    for candidate in Candidate::all() {
        let mut session = load(&candidate, &opened, 64).unwrap();
        for golden in golden(file) {
            let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
            let vocab = found.len() / golden.ids.len();
            for (position, reference) in golden.rows() {
                let relative = relative_difference(&found[position * vocab..][..vocab], reference);
                assert!(relative < RELATIVE, "{candidate}, {} at {position}: {relative:e}", golden.name);
            }
        }
    }
}

/// Every number of bits, rotated.
#[test]
fn a_tiny_model_in_strips_says_what_its_file_says() {
    let formats = ["TRELLIS2", "TRELLIS3", "TRELLIS4", "TRELLIS5", "TRELLIS6", "Q4_0"];
    check("tests/fixtures/tiny-llama-trellis", "tiny-llama-trellis", &formats);
}

#[test]
fn the_bundled_model_in_two_bits_says_what_its_file_says() {
    check("models/hearth-tiny-2bit", "hearth-tiny-2bit", &["LEVELS2", "TQ1_0", "Q4_0"]);
}
