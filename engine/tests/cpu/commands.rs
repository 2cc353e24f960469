//! Everything but the products with weights.

use hearth_engine::{
    kernel::{
        Attention, Embed, Gated, KvLayout, KvWrite, LastRow, RmsNorm, Rope, rope_table,
        shader::{attention, gated, kv_write, last_row, rms_norm, rope},
    },
    quant,
    tensor::KvFormat,
};

use super::*;

/// Attention in float64: the answers, and for each the sum of its terms' magnitudes.
fn attend(params: attention::Params, step: Step, [queries, keys, values]: [&[f32]; 3]) -> (Vec<f64>, Vec<f64>) {
    let head_dim = params.head_dim as usize;
    let group = params.heads / params.kv_heads;
    let mut all = (Vec::new(), Vec::new());
    for (index, query) in queries.chunks_exact(head_dim).enumerate() {
        let (token, head) = (index as u32 / params.heads, index as u32 % params.heads);
        let start = ((head / group) * params.context) as usize * head_dim;
        let end = start + (step.position + token + 1) as usize * head_dim;
        let scores: Vec<f64> = keys[start..end]
            .chunks_exact(head_dim)
            .map(|key| key.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>())
            .map(|score| score * f64::from(params.scale))
            .collect();
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
        let (mut out, mut magnitude) = (vec![0.0; head_dim], vec![0.0; head_dim]);
        for (score, value) in scores.iter().zip(values[start..end].chunks_exact(head_dim)) {
            for (index, value) in value.iter().enumerate() {
                let term = (score - highest).exp() / total * f64::from(*value);
                out[index] += term;
                magnitude[index] += term.abs();
            }
        }
        all.0.extend(out);
        all.1.extend(magnitude);
    }
    all
}

/// A cache of these numbers, and the numbers as they are rounded there.
fn packed(layout: KvLayout, numbers: &[f32]) -> [Vec<f32>; 2] {
    let (mut stored, mut rounded) = (Vec::new(), Vec::new());
    for numbers in numbers.chunks(layout.context * layout.head_dim) {
        let mut head = vec![0; layout.head_words() as usize];
        for (position, row) in numbers.chunks(layout.head_dim).enumerate() {
            layout.write_row(row, position, &mut head);
            let mut back = vec![0.0; layout.head_dim];
            layout.read_row(&head, position, &mut back);
            rounded.extend(back);
        }
        stored.extend(head.into_iter().map(f32::from_bits));
    }
    [stored, rounded]
}

fn check_attention(format: KvFormat, seed: u64, [kv_heads, group, head_dim]: [u32; 3], position: u32, tokens: u32) {
    let heads = kv_heads * group;
    let context = position + tokens + 3;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let params = attention::Params { heads, kv_heads, head_dim, context, scale, softcap: 0.0, window: 0, causal: 1 };
    let queries = numbers(seed, (tokens * heads * head_dim) as usize, 0);
    let keys = numbers(seed + 1, (kv_heads * context * head_dim) as usize, 0);
    let values = numbers(seed + 2, keys.len(), 0);
    let layout = KvLayout::new(format, head_dim, context);
    let ([key_cache, keys], [value_cache, values]) = (packed(layout, &keys), packed(layout, &values));
    let mut bench = Bench::default();
    let [q, k, v] = [&queries, &key_cache, &value_cache].map(|numbers| bench.state(numbers));
    // What an earlier command left there must not show.
    let out = bench.state(&vec![f32::NAN; queries.len()]);
    let step = Step { position, tokens };
    let command = Attention { queries: q, keys: k, values: v, format, out, params };
    let (expected, magnitudes) = attend(params, step, [&queries, &keys, &values]);
    let mut twin = vec![0.0; queries.len()];
    command.twin(step, &queries, &key_cache, &value_cache, &mut twin);
    assert_close("twin", &twin, &expected, &magnitudes);
    for (level, got) in bench.run_everywhere(step, &Command::Attention(command.clone()), out) {
        assert_close(level.name(), &got, &expected, &magnitudes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn attention_is_right_for_any_shape(
        seed in any::<u32>(),
        kv_heads in 1_u32..4,
        group in 1_u32..5,
        quarter in 1_u32..34,
        position in 0_u32..200,
        tokens in 1_u32..38,
        format in prop::sample::select(vec![KvFormat::F32, KvFormat::Int8, KvFormat::Int4]),
    ) {
        check_attention(format, seed.into(), [kv_heads, group, quarter * 4], position, tokens);
    }

    #[test]
    fn rms_norm_is_right_for_any_shape(
        seed in any::<u32>(),
        quarter in 1_u32..70,
        tokens in 1_u32..38,
        exponent in -9_i32..9,
        single in any::<bool>(),
    ) {
        check_rms_norm(seed.into(), 4 * quarter, tokens, exponent, single);
    }

    #[test]
    fn gated_is_right_for_any_shape(
        seed in any::<u32>(),
        quarter in 1_u32..70,
        tokens in 1_u32..38,
        exponent in -9_i32..2,
    ) {
        let columns = 4 * quarter;
        let gate = numbers(seed.into(), (tokens * columns) as usize, exponent);
        check_gated(columns, tokens, &gate, &numbers(u64::from(seed) + 1, gate.len(), 0));
    }

    #[test]
    fn rope_is_right_for_any_shape(
        seed in any::<u32>(),
        heads in 1_u32..5,
        half in 1_u32..20,
        still in 0_u32..3,
        interleaved in 0_u32..2,
        position in 0_u32..40,
        tokens in 1_u32..38,
    ) {
        check_rope(seed.into(), heads, (half, still), interleaved, Step { position, tokens });
    }
}

fn check_rms_norm(seed: u64, columns: u32, tokens: u32, exponent: i32, single: bool) {
    let epsilon = 1e-5;
    let x = numbers(seed, (tokens * columns) as usize, exponent);
    let weight = numbers(seed + 1, columns as usize, 0);
    let mut bench = Bench::default();
    let (x_id, weight_id, out) = (bench.state(&x), bench.state(&weight), bench.state(&vec![0.5; x.len()]));
    let params = rms_norm::Params { columns, epsilon, rows: 1 };
    let command = Command::RmsNorm(RmsNorm { x: x_id, weight: weight_id, out, single, params });
    let mut expected = vec![0.5; x.len()];
    let rows = if single { 1 } else { tokens as usize };
    let chunks = expected.chunks_exact_mut(columns as usize).zip(x.chunks_exact(columns as usize));
    for (expected, x) in chunks.take(rows) {
        let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        let factor = 1.0 / (squares / f64::from(columns) + f64::from(epsilon)).sqrt();
        for ((expected, x), weight) in expected.iter_mut().zip(x).zip(&weight) {
            *expected = f64::from(*x) * factor * f64::from(*weight);
        }
    }
    let magnitudes: Vec<f64> = expected.iter().map(|value| value.abs()).collect();
    for (level, got) in bench.run_everywhere(Step { position: 0, tokens }, &command, out) {
        assert_close(level.name(), &got, &expected, &magnitudes);
    }
}

fn check_rope(seed: u64, heads: u32, (half, still): (u32, u32), interleaved: u32, step: Step) {
    let (rotary, head_dim) = (2 * half, 2 * half + 2 * still);
    let frequencies: Vec<f64> = (0..half).map(|pair| 10_000_f64.powf(-f64::from(pair) / f64::from(half))).collect();
    let table = rope_table(step.position + step.tokens, &frequencies, 1.0);
    let x = numbers(seed, (step.tokens * heads * head_dim) as usize, 0);
    let mut bench = Bench::default();
    let (table_id, x_id) = (bench.state(&table), bench.state(&x));
    let command = Rope { table: table_id, x: x_id, params: rope::Params { heads, head_dim, rotary, interleaved } };
    let mut twin = x.clone();
    command.twin(step, &table, &mut twin);
    let twin: Vec<f64> = twin.into_iter().map(f64::from).collect();
    for (level, got) in bench.run_everywhere(step, &Command::Rope(command.clone()), x_id) {
        assert_close(level.name(), &got, &twin, &vec![2.0; twin.len()]);
    }
}

fn check_gated(columns: u32, tokens: u32, gate: &[f32], up: &[f32]) {
    let mut bench = Bench::default();
    let (gate_id, up_id, out) = (bench.state(gate), bench.state(up), bench.state(&vec![0.0; gate.len()]));
    let command = Gated { gate: gate_id, up: up_id, out, params: gated::Params { columns, activation: 0 } };
    let expected: Vec<f64> = gate
        .iter()
        .zip(up)
        .map(|(gate, up)| (f64::from(*gate), f64::from(*up)))
        .map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up)
        .collect();
    // Where the exponential stops at its limit, 1e-38 of the gate's value still comes through.
    let magnitudes: Vec<f64> =
        expected.iter().zip(gate).map(|(value, gate)| value.abs() + 1e-32 * f64::from(gate.abs())).collect();
    let step = Step { position: 0, tokens };
    for (level, got) in bench.run_everywhere(step, &Command::Gated(command.clone()), out) {
        assert_close(level.name(), &got, &expected, &magnitudes);
    }
}

#[test]
fn large_batches_are_split_among_workers_without_a_trace() {
    let (columns, tokens) = (1_028, 130);
    check_rms_norm(1, columns, tokens, 0, false);
    check_gated(columns, tokens, &numbers(2, 130 * 1_028, 1), &numbers(3, 130 * 1_028, 0));
    check_rope(4, 16, (32, 1), 0, Step { position: 7, tokens });
}

#[test]
fn gates_stay_right_at_the_ends_of_the_exponential() {
    let gate =
        [-1e30, -200.0, -100.0, -88.5, -87.5, -87.0, -1e-30, -0.0, 0.0, 1e-40, 87.0, 88.5, 100.0, 200.0, 1e30, 1.0];
    check_gated(16, 1, &gate, &[1.0; 16]);
}

#[test]
fn a_number_that_is_none_shows_instead_of_being_hidden() {
    for level in levels() {
        let mut bench = Bench::default();
        let (gate, up) = (bench.state(&[f32::NAN; 4]), bench.state(&[1.0; 4]));
        let out = bench.state(&[0.0; 4]);
        let command = Command::Gated(Gated { gate, up, out, params: gated::Params { columns: 4, activation: 0 } });
        let got = bench.run(level, Arc::new(Serial), Step { position: 0, tokens: 1 }, &command, out);
        assert!(got.iter().all(|number| number.is_nan()), "{}: {got:?}", level.name());
    }
}

#[test]
fn attention_is_right_over_a_long_context_with_the_widest_head() {
    check_attention(KvFormat::F32, 5, [2, 3, 256], 1_500, 1);
    check_attention(KvFormat::Int8, 6, [1, 2, 256], 70, 130);
}

#[test]
fn a_query_answers_alike_whichever_queries_go_with_it() {
    // Two queries at once see the keys in fours as far as the second sees: the first must not notice.
    for tokens in 2..9 {
        check_attention(KvFormat::Int4, tokens.into(), [3, 1, 96], 190, tokens);
    }
}

#[test]
fn attention_holds_when_one_score_towers_over_all_others() {
    // A key in the second tile that fits its query a thousand times better: what was seen before must vanish.
    let (head_dim, position) = (32_u32, 99_u32);
    for tokens in [1, 12] {
        let context = position + tokens;
        let params = attention::Params {
            heads: 1,
            kv_heads: 1,
            head_dim,
            context,
            scale: 1.0,
            softcap: 0.0,
            window: 0,
            causal: 1,
        };
        let queries = vec![1.0; (tokens * head_dim) as usize];
        let mut keys = numbers(1, (context * head_dim) as usize, 0);
        keys[80 * 32..81 * 32].fill(30.0);
        let values = numbers(2, keys.len(), 0);
        let mut bench = Bench::default();
        let [q, k, v] = [&queries, &keys, &values].map(|numbers| bench.state(numbers));
        let out = bench.state(&queries);
        let command =
            Command::Attention(Attention { queries: q, keys: k, values: v, format: KvFormat::F32, out, params });
        for (level, got) in bench.run_everywhere(Step { position, tokens }, &command, out) {
            for got in got.chunks_exact(32) {
                assert_eq!(got, &values[80 * 32..81 * 32], "{}", level.name());
            }
        }
    }
}

#[test]
fn copies_are_exact() {
    let x = numbers(1, 3 * 24, 0);
    let mut bench = Bench::default();
    let (x_id, cache) = (bench.state(&x), bench.state(&[0.0; 2 * 10 * 12]));
    let params = kv_write::Params { kv_heads: 2, head_dim: 12, context: 10 };
    let command = Command::KvWrite(KvWrite { x: x_id, cache, format: KvFormat::F32, params });
    let mut expected = vec![0.0; 2 * 10 * 12];
    for (index, number) in x.iter().enumerate() {
        let (token, head, at) = (index / 24, index / 12 % 2, index % 12);
        expected[(head * 10 + 5 + token) * 12 + at] = *number;
    }
    for (_, got) in bench.run_everywhere(Step { position: 5, tokens: 3 }, &command, cache) {
        assert_eq!(got, expected);
    }

    let last = bench.state(&[0.0; 24]);
    let command = Command::LastRow(LastRow { x: x_id, out: last, params: last_row::Params { columns: 24 } });
    for (_, got) in bench.run_everywhere(Step { position: 0, tokens: 2 }, &command, last) {
        assert_eq!(got, x[24..48]);
    }
}

#[test]
fn embeddings_are_decoded_and_unknown_tokens_are_zeros() {
    for format in Format::ALL {
        let columns = format.block_elements().max(64);
        let table = rows(format, 4, 5 * columns, 0);
        let mut decoded = vec![0.0; 5 * columns];
        quant::decode_row(format, &table, &mut decoded);
        let mut bench = Bench::default();
        let (table_id, ids) = (bench.weight(format, columns as u32, &table), bench.tokens(3));
        let out = bench.state(&vec![1.0; 3 * columns]);
        let command = Command::Embed(Embed { table: table_id, ids, out, columns: columns as u32 });
        for level in levels() {
            let step = Step { position: 0, tokens: 3 };
            let got = bench.run_with(level, Arc::new(Serial), step, &command, out, &[4, 5, 0]);
            assert_eq!(got[..columns], decoded[4 * columns..]);
            assert!(got[columns..2 * columns].iter().all(|number| *number == 0.0));
            assert_eq!(got[2 * columns..], decoded[..columns]);
        }
    }
}
