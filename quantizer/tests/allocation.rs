//! Bits that are given to the matrices of a small model by what they are worth.

mod small_model;

use hearth_quantizer::{Rule, model::allocate_bits};
use small_model::{MemoryHost, device, opened, options, texts};

#[test]
fn bits_follow_what_matrices_are_worth_and_keep_the_budget() {
    let opened = opened(true);
    let mut options = options(2);
    options.recipe.rules.push(Rule { tensors: "*.0.*.v_proj.weight".into(), format: "TRELLIS6".into() });
    let host = MemoryHost::new(usize::MAX);
    let (mut device, texts) = (device(), texts());
    for target in [3.0, 4.5] {
        let allocate = allocate_bits(&mut device, &opened, &options, &texts, &host, target);
        let recipe = pollster::block_on(allocate).unwrap();
        assert_eq!(recipe.rules[0], options.recipe.rules[0], "what was said is kept");
        assert_eq!(recipe.rules.len(), 14);
        let (mut bits, mut weights) = (0.0, 0.0);
        for rule in &recipe.rules[1..] {
            let [rows, columns] = [0, 1].map(|side| opened.catalog.tensor(&rule.tensors).unwrap().shape[side] as f64);
            let format = rule.format.strip_prefix("TRELLIS").and_then(|bits| bits.parse::<f64>().ok()).unwrap();
            bits += rows * columns * format + 16.0 * rows;
            weights += rows * columns;
        }
        let used = bits / weights;
        assert!(used <= target && used > target - 0.3, "{used} of {target}");
    }
    let too_few = allocate_bits(&mut device, &opened, &options, &texts, &host, 1.5);
    assert!(pollster::block_on(too_few).is_err());
}
