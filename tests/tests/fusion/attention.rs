//! Attention of one token, from the stream to the stream.

use hearth_engine::{
    kernel::{
        AddBias, Attention, KvWrite, Rope, Rotate,
        shader::{add_bias, attention, kv_write, rope, rotate},
    },
    plan::{Command, Plan},
    quant::rotation::block_of,
    tensor::{Format, KvFormat},
};
use hearth_tests::kernels::KernelCase;

use super::{Case, check, matvec, norm, step};

/// Shapes of an attention block.
#[derive(Clone, Copy, Debug)]
struct Heads {
    hidden: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    rotary: u32,
    interleaved: u32,
    biased: bool,
    /// 0: none, 1: by head, 2: by width.
    qk_norm: u32,
    window: u32,
    softcap: f32,
    formats: [Format; 3],
    cache: KvFormat,
}

const PLAIN: Heads = Heads {
    hidden: 96,
    heads: 4,
    kv_heads: 2,
    head_dim: 16,
    rotary: 16,
    interleaved: 0,
    biased: false,
    qk_norm: 0,
    window: 0,
    softcap: 0.0,
    formats: [Format::Q8_0; 3],
    cache: KvFormat::F32,
};

/// From the stream to the stream: norm, projections, heads, attention, output, and the addition.
fn attention_case(shape: Heads, context: u32, position: u32, dispatches: usize) -> Case {
    let Heads { hidden, heads, kv_heads, head_dim, rotary, interleaved, .. } = shape;
    let mut case = KernelCase::new(format!("{shape:?} at {position}"), step(position));
    let stream = case.numbers(1, hidden).0;
    let normed = case.scratch(hidden);
    let mut commands = vec![norm(stream, case.numbers(1, hidden).0, normed, 1, hidden)];
    let mut heads_of = |case: &mut KernelCase, nth: usize, heads: u32| {
        let width = heads * head_dim;
        let out = case.scratch(width);
        commands.push(matvec(normed, case.weight(shape.formats[nth], width, hidden).0, out, [width, hidden], false));
        if shape.biased {
            let bias = case.numbers(1, width).0;
            commands.push(Command::AddBias(AddBias {
                bias,
                x: out,
                params: add_bias::Params { columns: width, single: 0 },
            }));
        }
        out
    };
    let [mut q, mut k, v] =
        [(0, heads), (1, kv_heads), (2, kv_heads)].map(|(nth, heads)| heads_of(&mut case, nth, heads));
    for (x, heads) in [(&mut q, heads), (&mut k, kv_heads)].into_iter().filter(|_| shape.qk_norm > 0) {
        let (rows, columns) = if shape.qk_norm == 1 { (heads, head_dim) } else { (1, heads * head_dim) };
        let out = case.scratch(heads * head_dim);
        commands.push(norm(*x, case.numbers(1, columns).0, out, rows, columns));
        *x = out;
    }
    if rotary > 0 {
        let table = case.numbers(context, rotary).0;
        for (x, heads) in [(q, heads), (k, kv_heads)] {
            commands.push(Command::Rope(Rope {
                table,
                x,
                params: rope::Params { heads, head_dim, rotary, interleaved },
            }));
        }
    }
    let format = shape.cache;
    let signs = case.state(1, heads * head_dim, vec![1.0; (heads * head_dim) as usize]);
    let turned = |x, heads: u32| {
        let params = rotate::Params { columns: heads * head_dim, block: block_of(head_dim), undo: 0, single: 0 };
        Command::Rotate(Rotate { signs, x, params })
    };
    if format == KvFormat::Int4 {
        commands.extend([(q, heads), (k, kv_heads), (v, kv_heads)].map(|(x, heads)| turned(x, heads)));
    }
    let [keys, values] = [k, v].map(|x| {
        let cache = case.cache(format, kv_heads, head_dim, context).id;
        let params = kv_write::Params { kv_heads, head_dim, context };
        commands.push(Command::KvWrite(KvWrite { x, cache, format, params }));
        cache
    });
    let mixed = case.scratch(heads * head_dim);
    let params = attention::Params {
        heads,
        kv_heads,
        head_dim,
        context,
        // Queries and keys are sums of many products here: their scores would leave one key alone.
        scale: if shape.qk_norm > 0 { 0.1 } else { 0.002 },
        softcap: shape.softcap,
        window: shape.window,
        causal: 1,
    };
    commands.push(Command::Attention(Attention { queries: q, keys, values, format, out: mixed, params }));
    if format == KvFormat::Int4 {
        commands.push(turned(mixed, heads));
    }
    let width = heads * head_dim;
    commands.push(matvec(mixed, case.weight(Format::F32, hidden, width).0, stream, [hidden, width], true));
    case.program.plans.push(Plan { name: "attention".into(), tokens_max: 1, commands });
    (case, vec![stream, keys, values], dispatches)
}

#[test]
fn attention_blocks_of_every_kind_are_three_dispatches() {
    let shapes = [
        PLAIN,
        Heads { biased: true, interleaved: 1, ..PLAIN },
        Heads { qk_norm: 1, head_dim: 20, rotary: 20, ..PLAIN },
        Heads { qk_norm: 2, heads: 6, kv_heads: 3, head_dim: 12, rotary: 4, ..PLAIN },
        Heads { heads: 7, kv_heads: 1, head_dim: 64, rotary: 64, ..PLAIN },
        Heads { heads: 16, kv_heads: 1, head_dim: 4, rotary: 0, ..PLAIN },
        Heads { heads: 10, kv_heads: 2, head_dim: 256, rotary: 128, hidden: 32, ..PLAIN },
        Heads { window: 40, softcap: 5.0, biased: true, qk_norm: 1, ..PLAIN },
    ];
    let cases =
        shapes.into_iter().flat_map(|shape| [0, 1, 70, 260].map(|position| attention_case(shape, 300, position, 3)));
    check(&cases.collect::<Vec<_>>());
}

#[test]
fn packed_caches_are_written_and_read_in_the_same_dispatches() {
    let shapes = [
        PLAIN,
        Heads { qk_norm: 2, heads: 6, kv_heads: 3, head_dim: 12, rotary: 4, ..PLAIN },
        Heads { heads: 5, kv_heads: 1, head_dim: 80, rotary: 80, ..PLAIN },
        Heads { heads: 10, kv_heads: 2, head_dim: 256, rotary: 128, hidden: 32, ..PLAIN },
        Heads { heads: 8, kv_heads: 1, head_dim: 128, window: 40, softcap: 5.0, qk_norm: 1, ..PLAIN },
    ];
    let formats = [KvFormat::Int8, KvFormat::Int4];
    let shapes = formats.into_iter().flat_map(|cache| shapes.map(|shape| Heads { cache, ..shape }));
    let cases = shapes.flat_map(|shape| [0, 70, 260].map(|position| attention_case(shape, 301, position, 3)));
    check(&cases.collect::<Vec<_>>());
}

#[test]
fn projections_of_different_formats_are_dispatches_of_their_own() {
    let two = Heads { formats: [Format::Q4_0, Format::Q4_0, Format::Q8_0], ..PLAIN };
    let formats = [Format::Q4_K, Format::F16, Format::Q6_K];
    let three = Heads { formats, hidden: 256, biased: true, ..PLAIN };
    let strips = [2, 3, 6].map(|bits| Format::TRELLIS[bits - 2]);
    let one = Heads { formats: [Format::Trellis2; 3], biased: true, ..PLAIN };
    let four = Heads { formats: strips, hidden: 112, ..PLAIN };
    check(&[
        attention_case(two, 100, 64, 4),
        attention_case(three, 100, 64, 5),
        attention_case(one, 100, 64, 3),
        attention_case(four, 100, 64, 5),
    ]);
}
