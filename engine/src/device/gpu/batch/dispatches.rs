//! The dispatches of a plan's products and attention, for each of the kernels that a batch may be computed in.

use std::ops::RangeInclusive;

use bytemuck::bytes_of;

use super::{
    AttentionKind, BatchTuning, COOPERATIVE_HEAD_MAX, CoopTile, HALVES_COLUMNS, HALVES_COLUMNS_MIN, HALVES_TOKENS,
    MatmulKind, TILED_ATTENTION_MIN,
};
use crate::{
    device::gpu::{
        buffers::{self, Part},
        dispatch::{self, Bench, Size, Sketch},
    },
    kernel::{
        Access, Attention, Gated, Matmul, Reading, RmsNorm,
        shader::{Kernel, attention_coop, attention_tiled, matmul_coop, matmul_tiled, to_halves},
    },
    plan::{Command, Plan, TensorKind},
    tensor::{KvFormat, TensorId},
};

/// Matrices that one dispatch of `matmul_coop` multiplies.
const MATRICES_MAX: usize = 3;

/// Vectors as F16, those of one command after the other.
pub struct Halves {
    numbers: wgpu::Buffer,
    factors: wgpu::Buffer,
    /// Bound where a product has no second or third matrix.
    unused: [wgpu::Buffer; 2],
}

impl Halves {
    /// As much as the widest product of any plan needs; None if none is computed in halves.
    pub fn allocate(bench: &Bench<'_>, tuning: BatchTuning) -> Option<Self> {
        let product = |command: &Command| match command {
            Command::Matmul(matmul) if tuning.is_in_halves(bench.format(matmul.weights), matmul.columns) => {
                Some(matmul.columns)
            }
            _ => None,
        };
        let batches = bench.program.plans.iter().filter_map(|plan| {
            let columns = plan.commands.iter().filter_map(product).max()?;
            Some((u64::from(plan.tokens_max).next_multiple_of(HALVES_TOKENS), u64::from(columns)))
        });
        let batches: Vec<_> = batches.collect();
        let elements =
            batches.iter().map(|(tokens, columns)| tokens * columns.next_multiple_of(HALVES_COLUMNS)).max()?;
        let tokens = batches.iter().map(|(tokens, _)| *tokens).max()?;
        Some(Self {
            numbers: buffers::storage(bench.device, "halves", elements * 2),
            factors: buffers::storage(bench.device, "factors", tokens * 4),
            unused: [(); 2].map(|()| buffers::storage(bench.device, "unused", 0)),
        })
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> u64 {
        self.numbers.size() + self.factors.size() + self.unused.iter().map(wgpu::Buffer::size).sum::<u64>()
    }
}

/// Where `to_halves` has rows from.
struct Source {
    /// The shader's `SOURCE`.
    kind: u32,
    x: TensorId,
    other: TensorId,
    params: to_halves::Params,
}

fn plain_params(columns: u32) -> to_halves::Params {
    to_halves::Params { columns, epsilon: 0.0, activation: 0 }
}

/// What a command makes, if `to_halves` can make it too.
fn source_of(command: &Command) -> Option<(Source, TensorId)> {
    match command {
        Command::RmsNorm(RmsNorm { x, weight, out, single: false, params }) if params.rows == 1 => {
            let params = to_halves::Params { epsilon: params.epsilon, ..plain_params(params.columns) };
            Some((Source { kind: 1, x: *x, other: *weight, params }, *out))
        }
        Command::Gated(Gated { gate, up, out, params }) => {
            let params = to_halves::Params { activation: params.activation, ..plain_params(params.columns) };
            Some((Source { kind: 2, x: *gate, other: *up, params }, *out))
        }
        _ => None,
    }
}

/// Makes the dispatches of a plan's commands, one command after the other.
pub struct Batch<'a> {
    bench: &'a Bench<'a>,
    tuning: BatchTuning,
    halves: Option<&'a Halves>,
    plan: &'a Plan,
    /// Whose vectors the halves are.
    halved: Option<TensorId>,
    /// Commands that the dispatches so far do.
    done: usize,
}

impl<'a> Batch<'a> {
    /// Before a plan's first command.
    pub fn new(bench: &'a Bench<'a>, tuning: BatchTuning, halves: Option<&'a Halves>, plan: &'a Plan) -> Self {
        Self { bench, tuning, halves, plan, halved: None, done: 0 }
    }

    /// The dispatches of a command, the next one of the plan.
    pub fn of_command(&mut self, index: usize) -> Vec<Sketch> {
        let Some(command) = self.plan.commands.get(index).filter(|_| index >= self.done) else { return Vec::new() };
        self.done = index + 1;
        if let (Some(halves), Some((source, out))) = (self.halves, source_of(command))
            && self.feeds_products_alone(index, out)
        {
            self.halved = Some(out);
            return vec![self.to_halves(source, halves)];
        }
        let sketches = match command {
            Command::Matmul(matmul) => self.of_matmul(index, command, matmul),
            Command::Attention(attention) => self.of_attention(command, attention),
            _ => dispatch::of_command(self.bench, command),
        };
        let operands = command.operands();
        let mut written =
            operands.iter().zip(command.kernel().bindings()).filter(|(_, access)| **access == Access::Write);
        if written.any(|(id, _)| Some(*id) == self.halved) {
            self.halved = None;
        }
        sketches
    }

    /// Whether nobody reads a vector but products of halves, which come before any others.
    fn feeds_products_alone(&self, index: usize, out: TensorId) -> bool {
        let is_halved = |matmul: &Matmul| {
            let kinds = self.tuning.kinds(self.bench.format(matmul.weights), [matmul.rows, matmul.columns]);
            kinds.iter().all(|(_, kind)| matches!(kind, MatmulKind::Cooperative(_)))
        };
        let (mut is_last_seen, mut count) = (false, 0);
        for command in self.plan.commands.iter().skip(index + 1) {
            match command {
                Command::Matmul(matmul) if matmul.x == out && matmul.out != out => {
                    if is_last_seen || !is_halved(matmul) {
                        return false;
                    }
                    count += 1;
                }
                Command::Matmul(_) => is_last_seen = true,
                _ => {}
            }
            let is_product = matches!(command, Command::Matmul(matmul) if matmul.x == out);
            if !is_product && command.operands().contains(&out) {
                return false;
            }
        }
        count > 0 && self.bench.program.tensor(out).kind == TensorKind::Scratch
    }

    /// A product and those behind it that one dispatch can do with it: of the same vectors, with matrices in one buffer.
    fn together(&self, index: usize, first: &'a Matmul) -> Vec<&'a Matmul> {
        let mut all = vec![first];
        let [part] = self.bench.buffers.parts(first.weights) else { return all };
        let behind = self.plan.commands.iter().skip(index + 1).take(MATRICES_MAX - 1);
        all.extend(behind.map_while(|command| match command {
            Command::Matmul(matmul) if matmul.x == first.x && !matmul.accumulate && !first.accumulate => {
                let [other] = self.bench.buffers.parts(matmul.weights) else { return None };
                // Of one stack, and not in turn in one slot.
                let is_below = other.base_row > part.base_row;
                let is_new = is_below && matmul.weights != first.weights && matmul.out != first.out;
                (other.buffer == part.buffer && matmul.columns == first.columns && is_new).then_some(matmul)
            }
            _ => None,
        }));
        all
    }

    fn of_matmul(&mut self, index: usize, command: &Command, matmul: &'a Matmul) -> Vec<Sketch> {
        let format = self.bench.format(matmul.weights);
        let together = self.together(index, matmul);
        let all_rows = together.iter().map(|matmul| matmul.rows).sum();
        let kinds = self.tuning.kinds(format, [all_rows, matmul.columns]);
        if let Some(halves) = self.halves
            && kinds.iter().all(|(_, kind)| matches!(kind, MatmulKind::Cooperative(_)))
        {
            self.done = index + together.len();
            let mut sketches = Vec::new();
            if self.halved != Some(matmul.x) {
                self.halved = Some(matmul.x);
                let source = Source { kind: 0, x: matmul.x, other: matmul.x, params: plain_params(matmul.columns) };
                sketches.push(self.to_halves(source, halves));
            }
            for (batches, kind) in kinds {
                let MatmulKind::Cooperative(tile) = kind else { continue };
                sketches.extend(self.parts(matmul, |part| self.cooperative(&together, part, halves, &batches, tile)));
            }
            return sketches;
        }
        let mut sketches = Vec::new();
        for (batches, kind) in kinds {
            match kind {
                MatmulKind::Tiled { side } => {
                    sketches.extend(self.parts(matmul, |part| self.tiled(matmul, part, &batches, side)));
                }
                _ => sketches.extend(within(&batches, dispatch::of_command(self.bench, command))),
            }
        }
        sketches
    }

    fn parts(&self, matmul: &Matmul, sketch: impl Fn(&Part) -> Sketch) -> Vec<Sketch> {
        self.bench.buffers.parts(matmul.weights).iter().map(sketch).collect()
    }

    fn whole(&self, id: TensorId) -> Option<wgpu::Buffer> {
        self.bench.buffers.whole(id).ok().cloned()
    }

    fn to_halves(&self, source: Source, halves: &Halves) -> Sketch {
        let tensors = [source.x, source.other].map(|id| self.whole(id));
        let out = [Some(halves.numbers.clone()), Some(halves.factors.clone())];
        Sketch {
            kernel: Kernel::ToHalves,
            format: None,
            reading: Reading::Narrow,
            constants: vec![("SOURCE", source.kind)],
            params: bytes_of(&source.params).to_vec(),
            storage: tensors.into_iter().chain(out).flatten().collect(),
            size: Size::Batch { batches: 1..=u32::MAX, groups: 1, tile: 1 },
        }
    }

    fn cooperative(
        &self,
        together: &[&Matmul],
        part: &Part,
        halves: &Halves,
        batches: &RangeInclusive<u32>,
        tile: CoopTile,
    ) -> Sketch {
        let matmul = together[0];
        let other = |nth: usize| -> Option<(u32, u32, wgpu::Buffer)> {
            let matmul = together.get(nth)?;
            let base = self.bench.buffers.parts(matmul.weights).first()?.base_row as u32;
            Some((matmul.rows, base, self.whole(matmul.out)?))
        };
        let second_group = (part.rows as u32).div_ceil(tile.rows());
        let (second, third) = (other(1), other(2));
        let rows_and_base = |of: &Option<(u32, u32, wgpu::Buffer)>| of.as_ref().map_or((0, 0), |of| (of.0, of.1));
        let ((second_rows, second_base), (third_rows, third_base)) = (rows_and_base(&second), rows_and_base(&third));
        let third_group = second_group + second_rows.div_ceil(tile.rows());
        let params = matmul_coop::Params {
            columns: matmul.columns,
            rows: part.rows as u32,
            first_row: part.first_row as u32,
            scales_word: part.scales_word,
            accumulate: u32::from(matmul.accumulate),
            out_columns: matmul.rows,
            base_row: part.base_row as u32,
            second_group,
            second_rows,
            second_base,
            third_group,
            third_rows,
            third_base,
        };
        let [no_second, no_third] = halves.unused.clone();
        let storage = [
            Some(halves.numbers.clone()),
            Some(halves.factors.clone()),
            Some(part.buffer.clone()),
            self.whole(matmul.out),
            Some(second.map_or(no_second, |second| second.2)),
            Some(third.map_or(no_third, |third| third.2)),
            Some(part.buffer.clone()),
        ];
        let groups = third_group + third_rows.div_ceil(tile.rows());
        Sketch {
            kernel: Kernel::MatmulCoop,
            format: self.bench.format(matmul.weights),
            reading: Reading::Tile,
            constants: vec![
                ("TOKEN_GROUPS", tile.token_groups),
                ("ROW_GROUPS", tile.row_groups),
                ("TOKEN_TILES", tile.token_tiles),
                ("ROW_TILES", tile.row_tiles),
                ("WORDS", tile.words),
            ],
            params: bytes_of(&params).to_vec(),
            storage: storage.into_iter().flatten().collect(),
            size: Size::Batch { batches: batches.clone(), groups, tile: tile.tokens() },
        }
    }

    fn tiled(&self, matmul: &Matmul, part: &Part, batches: &RangeInclusive<u32>, side: u32) -> Sketch {
        let params = matmul_tiled::Params {
            columns: matmul.columns,
            rows: part.rows as u32,
            first_row: part.first_row as u32,
            scales_word: part.scales_word,
            accumulate: u32::from(matmul.accumulate),
            out_columns: matmul.rows,
            base_row: part.base_row as u32,
        };
        let storage = [self.whole(matmul.x), Some(part.buffer.clone()), self.whole(matmul.out)];
        let groups = params.rows.div_ceil(8 * side);
        Sketch {
            kernel: Kernel::MatmulTiled,
            format: self.bench.format(matmul.weights),
            reading: Reading::Narrow,
            constants: vec![("SIDE", side)],
            params: bytes_of(&params).to_vec(),
            storage: storage.into_iter().flatten().collect(),
            size: Size::Batch { batches: batches.clone(), groups, tile: 8 * side },
        }
    }

    fn of_attention(&self, command: &Command, attention: &Attention) -> Vec<Sketch> {
        let (head_dim, width) = (attention.params.head_dim, attention.params.heads * attention.params.head_dim);
        let can = head_dim.is_multiple_of(16) && head_dim <= COOPERATIVE_HEAD_MAX && self.tuning.cooperative;
        match self.tuning.attention {
            Some(AttentionKind::Plain) => dispatch::of_command(self.bench, command),
            Some(AttentionKind::Tiled) => vec![self.tiled_attention(command, attention, 1..=u32::MAX)],
            Some(AttentionKind::Cooperative) if can => {
                vec![self.cooperative_attention(command, attention, 1..=u32::MAX)]
            }
            _ => {
                let rest = TILED_ATTENTION_MIN..=u32::MAX;
                let mut sketches = vec![if can && width >= HALVES_COLUMNS_MIN {
                    self.cooperative_attention(command, attention, rest)
                } else {
                    self.tiled_attention(command, attention, rest)
                }];
                sketches.extend(within(&(1..=TILED_ATTENTION_MIN - 1), dispatch::of_command(self.bench, command)));
                sketches
            }
        }
    }

    fn tiled_attention(&self, command: &Command, attention: &Attention, batches: RangeInclusive<u32>) -> Sketch {
        let of = attention.params;
        let params = attention_tiled::Params {
            heads: of.heads,
            kv_heads: of.kv_heads,
            context: of.context,
            scale: of.scale,
            softcap: of.softcap,
            window: of.window,
            causal: of.causal,
        };
        let params = bytes_of(&params).to_vec();
        let shape = (of.head_dim, attention.format);
        self.attention(command, Kernel::AttentionTiled, shape, params, (batches, of.heads, 32))
    }

    fn cooperative_attention(&self, command: &Command, attention: &Attention, batches: RangeInclusive<u32>) -> Sketch {
        let of = attention.params;
        let params = attention_coop::Params {
            heads: of.heads,
            kv_heads: of.kv_heads,
            context: of.context,
            scale: of.scale,
            softcap: of.softcap,
            window: of.window,
            causal: of.causal,
        };
        let params = bytes_of(&params).to_vec();
        let shape = (of.head_dim, attention.format);
        self.attention(command, Kernel::AttentionCoop, shape, params, (batches, of.heads, 64))
    }

    fn attention(
        &self,
        command: &Command,
        kernel: Kernel,
        (head_dim, format): (u32, KvFormat),
        params: Vec<u8>,
        (batches, groups, tile): (RangeInclusive<u32>, u32, u32),
    ) -> Sketch {
        Sketch {
            kernel,
            format: None,
            reading: Reading::Narrow,
            constants: vec![("HEAD_WORDS", head_dim / 4), dispatch::kv_constant(format)],
            params,
            storage: command.operands().into_iter().filter_map(|id| self.whole(id)).collect(),
            size: Size::Batch { batches, groups, tile },
        }
    }
}

/// The same dispatches for batches of some sizes alone.
fn within(batches: &RangeInclusive<u32>, sketches: Vec<Sketch>) -> impl Iterator<Item = Sketch> {
    let batches = batches.clone();
    sketches
        .into_iter()
        .map(move |sketch| Sketch { size: Size::Within(batches.clone(), Box::new(sketch.size)), ..sketch })
}
