//! A committed model of every number of bits, rotated, on every device, against the logits that transformers gives for
//! weights which a slow decoder in Python took from the same file (`tests/golden/quantised.py`).

use hearth_tests::{
    devices::Candidate,
    files::golden,
    numbers::relative_difference,
    sessions::{load, open},
};

const MODEL: &str = "tests/fixtures/tiny-llama-trellis";
/// Of the largest logit. F32 sums in other orders, and a rotation that transformers has folded back in float64.
const RELATIVE: f64 = 2e-4;

#[test]
fn a_committed_quantised_model_says_what_its_file_says() {
    let opened = open(MODEL);
    let formats: std::collections::BTreeSet<&str> =
        opened.catalog.tensors.values().map(|tensor| tensor.format.name()).collect();
    for wanted in ["TRELLIS2", "TRELLIS3", "TRELLIS4", "TRELLIS5", "TRELLIS6", "Q4_0"] {
        assert!(formats.contains(wanted), "{wanted} is not in {formats:?}");
    }
    for candidate in Candidate::all() {
        let mut session = load(&candidate, &opened, 64).unwrap();
        for golden in golden("tiny-llama-trellis") {
            let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
            let relative = relative_difference(&found, &golden.logits);
            assert!(relative < RELATIVE, "{candidate}, {}: {relative:e}", golden.name);
        }
    }
}
