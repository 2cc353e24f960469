//! Attention on every device, against its scalar twin and against a reference in float64.

use hearth_engine::{
    kernel::{Attention, Step, shader::attention::Params},
    plan::Command,
    tensor::KvFormat,
};
use hearth_tests::kernels::{Expected, KernelCase, check_everywhere};

/// Of an output, relative to the largest of the values that it mixes.
const MIX: f64 = 1e-5;

fn case(params: Params, position: u32, tokens: u32) -> (KernelCase, Expected) {
    case_in(KvFormat::F32, params, position, tokens)
}

fn case_in(format: KvFormat, params: Params, position: u32, tokens: u32) -> (KernelCase, Expected) {
    let Params { heads, kv_heads, head_dim, context, .. } = params;
    let step = Step { position, tokens };
    let mut case = KernelCase::new(format!("attention {format:?} {params:?}, {step:?}"), step);
    let (queries, query_numbers) = case.numbers(37, heads * head_dim);
    let keys = case.cache(format, kv_heads, head_dim, context);
    let values = case.cache(format, kv_heads, head_dim, context);
    let (out, before) = case.numbers(37, heads * head_dim);
    let command = Attention { queries, keys: keys.id, values: values.id, format, out, params };
    let mut twin = before.clone();
    command.twin(step, &query_numbers, &keys.stored, &values.stored, &mut twin);
    let (key_numbers, value_numbers) = (keys.numbers, values.numbers);

    let mut reference: Vec<f64> = before.iter().map(|number| f64::from(*number)).collect();
    let mut tolerance = vec![0.0; reference.len()];
    let width = head_dim as usize;
    let largest = value_numbers.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    for (index, out) in reference.chunks_exact_mut(width).enumerate().take((tokens * heads) as usize) {
        let (token, head) = (index as u32 / heads, index as u32 % heads);
        let first = (head / (heads / kv_heads) * context) as usize;
        let own = (position + token) as usize;
        let end = if params.causal == 1 { own + 1 } else { (position + tokens) as usize };
        let visible = (0..end).filter(|key| params.window == 0 || key + params.window as usize > own);
        let row = |numbers: &[f32], key: usize| -> Vec<f64> {
            numbers[(first + key) * width..][..width].iter().map(|number| f64::from(*number)).collect()
        };
        let query = &query_numbers[index * width..][..width];
        let scores: Vec<(usize, f64)> = visible
            .map(|key| {
                let sum: f64 = row(&key_numbers, key).iter().zip(query).map(|(key, x)| key * f64::from(*x)).sum();
                let (score, cap) = (sum * f64::from(params.scale), f64::from(params.softcap));
                (key, if cap > 0.0 { cap * (score / cap).tanh() } else { score })
            })
            .collect();
        let highest = scores.iter().fold(f64::NEG_INFINITY, |highest, (_, score)| highest.max(*score));
        let total: f64 = scores.iter().map(|(_, score)| (score - highest).exp()).sum();
        out.fill(0.0);
        for (key, score) in scores {
            let share = (score - highest).exp() / total;
            out.iter_mut().zip(row(&value_numbers, key)).for_each(|(out, value)| *out += share * value);
        }
        tolerance[index * width..][..width].fill(MIX * f64::from(largest));
    }
    case.command(37, Command::Attention(command));
    (case, Expected { out, reference, tolerance, twin })
}

fn params(heads: u32, kv_heads: u32, head_dim: u32, context: u32) -> Params {
    let scale = 1.0 / (head_dim as f32).sqrt();
    Params { heads, kv_heads, head_dim, context, scale, softcap: 0.0, window: 0, causal: 1 }
}

#[test]
fn attention_of_one_token_near_the_edges_of_its_tiles() {
    let positions = [0, 1, 62, 63, 64, 65, 127, 128, 199];
    let cases: Vec<_> = positions.into_iter().map(|position| case(params(4, 2, 16, 200), position, 1)).collect();
    check_everywhere(&cases);
}

#[test]
fn attention_of_a_batch_sees_no_later_token() {
    let batches = [(0, 2), (0, 37), (50, 37), (163, 37)];
    let cases = batches.into_iter().map(|(position, tokens)| case(params(6, 3, 12, 200), position, tokens));
    check_everywhere(&cases.collect::<Vec<_>>());
}

#[test]
fn attention_of_every_head_shape() {
    let shapes = [(1, 1, 4), (7, 1, 64), (4, 4, 128), (2, 1, 256), (3, 3, 20)];
    let cases: Vec<_> = shapes
        .into_iter()
        .map(|(heads, kv_heads, head_dim)| case(params(heads, kv_heads, head_dim, 100), 70, 5))
        .collect();
    check_everywhere(&cases);
}

#[test]
fn attention_of_packed_caches() {
    let shapes = [(1, 1, 4), (4, 2, 16), (3, 3, 20), (7, 1, 64), (2, 2, 96), (4, 4, 128), (2, 1, 256)];
    let mut cases = Vec::new();
    for format in [KvFormat::Int8, KvFormat::Int4] {
        for (heads, kv_heads, head_dim) in shapes {
            for (position, tokens) in [(0, 1), (70, 1), (64, 5), (20, 37)] {
                // So many positions that heads' scales end within a vec4.
                cases.push(case_in(format, params(heads, kv_heads, head_dim, 101), position, tokens));
            }
        }
        let windowed = Params { window: 33, softcap: 5.0, ..params(4, 2, 48, 200) };
        cases.extend([(100, 1), (100, 37)].map(|(position, tokens)| case_in(format, windowed, position, tokens)));
    }
    check_everywhere(&cases);
}

#[test]
fn attention_stays_finite_where_scores_are_far_apart() {
    let steep = Params { scale: 30.0, ..params(2, 1, 16, 100) };
    // With such a scale a rounding of a score by 1e-7 of its sum moves a share by more than MIX allows near a tie,
    // so only the last of many keys is compared: the softmax is as good as a choice.
    check_everywhere(&[case(steep, 0, 1), case(steep, 80, 1)]);
}

#[test]
fn attention_sees_no_further_back_than_its_window() {
    let mut cases = Vec::new();
    for window in [1, 16, 63, 64, 65, 150] {
        let windowed = Params { window, ..params(4, 2, 16, 200) };
        for (position, tokens) in [(0, 1), (15, 1), (16, 1), (130, 1), (60, 5), (0, 37), (100, 37)] {
            cases.push(case(windowed, position, tokens));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn attention_bends_its_scores_below_a_cap() {
    let mut cases = Vec::new();
    for (softcap, scale) in [(50.0, 0.25), (5.0, 2.0), (0.5, 0.25)] {
        for (position, tokens) in [(0, 1), (130, 1), (60, 5), (100, 37)] {
            cases.push(case(Params { softcap, scale, window: 70, ..params(4, 2, 16, 200) }, position, tokens));
        }
    }
    check_everywhere(&cases);
}

#[test]
fn attention_of_an_encoder_sees_the_whole_batch() {
    let whole = Params { causal: 0, ..params(6, 3, 12, 200) };
    let batches = [(0, 1), (0, 2), (0, 7), (0, 37), (63, 37)];
    let mut cases: Vec<_> = batches.into_iter().map(|(position, tokens)| case(whole, position, tokens)).collect();
    cases.push(case(Params { window: 10, ..whole }, 50, 37));
    check_everywhere(&cases);
}
