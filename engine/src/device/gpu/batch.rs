//! Products and attention of a batch, each in the kernel that suits the adapter and the batch's size. Which one it is
//! follows from the step: a plan has the dispatches of all of them, and a step takes those that are meant for it.

use std::ops::RangeInclusive;

use bytemuck::bytes_of;

use super::{
    GpuOptions, adapter,
    buffers::{self, Part},
    dispatch::{self, Bench, Size, Sketch},
};
use crate::{
    kernel::{
        Access, Attention, Matmul, Reading,
        shader::{Kernel, attention_coop, attention_tiled, matmul_coop, matmul_tiled, to_halves},
    },
    plan::Command,
    tensor::{Format, TensorId},
};

/// How products of a batch are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatmulKind {
    /// `matmul`: in small tiles.
    Plain,
    /// `matmul_tiled`: in tiles of 8 times `side` tokens and rows; 8 or 16.
    Tiled {
        /// Threads along each side of a workgroup.
        side: u32,
    },
    /// `matmul_coop`: in cooperative matrices of F16.
    Cooperative(CoopTile),
}

/// What a workgroup of `matmul_coop` computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoopTile {
    /// Subgroups beside each other.
    pub token_groups: u32,
    /// Subgroups below each other.
    pub row_groups: u32,
    /// Tokens of a subgroup, in sixteens; at most 4.
    pub token_tiles: u32,
    /// Rows of a subgroup, in sixteens; at most 4.
    pub row_tiles: u32,
    /// Columns at a time, in fours: 8 or 16.
    pub words: u32,
}

impl CoopTile {
    /// 128 rows by 128 tokens.
    pub const LARGE: Self = Self { token_groups: 4, row_groups: 2, token_tiles: 2, row_tiles: 4, words: 16 };
    /// 64 rows by 64 tokens.
    pub const MEDIUM: Self = Self { token_groups: 2, row_groups: 2, token_tiles: 2, row_tiles: 2, words: 16 };
    /// 64 rows by 32 tokens.
    pub const SMALL: Self = Self { token_groups: 2, row_groups: 2, token_tiles: 1, row_tiles: 2, words: 16 };

    /// Tokens of a workgroup.
    pub const fn tokens(self) -> u32 {
        self.token_groups * self.token_tiles * 16
    }

    /// Rows of a workgroup.
    pub const fn rows(self) -> u32 {
        self.row_groups * self.row_tiles * 16
    }

    /// Whether it keeps to what the shader has registers, shared memory and threads for.
    fn is_possible(self) -> bool {
        let threads = self.token_groups * self.row_groups * 32;
        let line = self.words + 2;
        (1..=256).contains(&threads)
            && [8, 16].contains(&self.words)
            && (1..=4).contains(&self.token_tiles)
            && (1..=4).contains(&self.row_tiles)
            && self.tokens() * self.words <= 16 * threads
            && self.rows() * self.words <= 16 * threads
            && (self.tokens() + self.rows()) * line * 8 + threads * 32 <= adapter::COOPERATIVE_BYTES
            && HALVES_TOKENS.is_multiple_of(self.tokens().into())
    }
}

/// How attention of a batch is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionKind {
    /// `attention`: each token by itself.
    Plain,
    /// `attention_tiled`: 32 tokens at a time.
    Tiled,
    /// `attention_coop`: in cooperative matrices of F16, for heads that they divide.
    Cooperative,
}

/// What batches are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchTuning {
    /// One kernel whatever the batch, for tests.
    forced: Option<MatmulKind>,
    /// Whether there are cooperative matrices, and they are wanted.
    cooperative: bool,
    /// Whether threads are those of a CPU, for which large tiles are too large.
    is_software: bool,
    /// One kernel of attention whatever the batch, for tests.
    attention: Option<AttentionKind>,
}

impl BatchTuning {
    /// Without cooperative matrices.
    pub const DEFAULT: Self = Self { forced: None, cooperative: false, is_software: false, attention: None };

    /// What the options want of what the adapter can.
    pub fn of(options: &GpuOptions, adapter: &wgpu::Adapter) -> Self {
        let cooperative = adapter::is_cooperative(adapter);
        let can = |kind: &MatmulKind| match kind {
            MatmulKind::Plain => true,
            MatmulKind::Tiled { side } => [8, 16].contains(side),
            MatmulKind::Cooperative(tile) => cooperative && tile.is_possible(),
        };
        Self {
            forced: options.matmul.filter(can),
            cooperative: cooperative && options.subgroups.unwrap_or(true),
            is_software: adapter.get_info().device_type == wgpu::DeviceType::Cpu,
            attention: options.attention,
        }
    }

    /// Whether there are cooperative matrices, and they are wanted.
    pub fn is_cooperative(self) -> bool {
        self.cooperative
    }

    /// Which kernels compute a product with a matrix of so many rows and columns, and for which batches.
    fn kinds(self, format: Option<Format>, [rows, columns]: [u32; 2]) -> Vec<(RangeInclusive<u32>, MatmulKind)> {
        const ALL: RangeInclusive<u32> = 1..=u32::MAX;
        let fits = fits_halves(format, columns);
        match self.forced {
            Some(MatmulKind::Cooperative(_)) if !fits => return vec![(ALL, MatmulKind::Plain)],
            Some(kind) => return vec![(ALL, kind)],
            None if self.is_software => return vec![(ALL, MatmulKind::Plain)],
            None => {}
        }
        let is_large = rows >= LARGE_ROWS_MIN;
        if self.cooperative && fits {
            let large = MatmulKind::Cooperative(if is_large { CoopTile::LARGE } else { CoopTile::MEDIUM });
            let medium = MatmulKind::Cooperative(CoopTile::MEDIUM);
            return vec![(1..=32, MatmulKind::Cooperative(CoopTile::SMALL)), (33..=64, medium), (65..=u32::MAX, large)];
        }
        let side = if is_large { 16 } else { 8 };
        vec![(1..=32, MatmulKind::Plain), (33..=u32::MAX, MatmulKind::Tiled { side })]
    }

    /// Whether any product may need its vectors as F16.
    fn has_halves(self) -> bool {
        self.forced.map_or(self.cooperative && !self.is_software, |kind| matches!(kind, MatmulKind::Cooperative(_)))
    }
}

/// Whether a product can be computed in halves: weights in F32 are taken to be meant that way, and pieces of 16 columns
/// must be whole.
fn fits_halves(format: Option<Format>, columns: u32) -> bool {
    format != Some(Format::F32) && columns.is_multiple_of(16)
}

/// Matrices of so many rows fill a large GPU with large tiles.
const LARGE_ROWS_MIN: u32 = 3072;

/// The widest head that `attention_coop`'s shared memory holds.
const COOPERATIVE_HEAD_MAX: u32 = 128;

/// Batches of so many tokens go through attention in tiles.
const TILED_ATTENTION_MIN: u32 = 9;

/// What `to_halves` and `matmul_coop` fill a row up to, in columns, and a batch, in tokens.
const HALVES_COLUMNS: u64 = 64;
const HALVES_TOKENS: u64 = 256;

/// Vectors as F16, those of one command after the other.
pub struct Halves {
    numbers: wgpu::Buffer,
    factors: wgpu::Buffer,
}

impl Halves {
    /// As much as the widest product of any plan needs; None if none is computed in halves.
    pub fn allocate(bench: &Bench<'_>, tuning: BatchTuning) -> Option<Self> {
        if !tuning.has_halves() {
            return None;
        }
        let product = |command: &Command| match command {
            Command::Matmul(matmul) if fits_halves(bench.format(matmul.weights), matmul.columns) => {
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
        })
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> u64 {
        self.numbers.size() + self.factors.size()
    }
}

/// Makes the dispatches of a plan's commands, one command after the other.
pub struct Batch<'a> {
    bench: &'a Bench<'a>,
    tuning: BatchTuning,
    halves: Option<&'a Halves>,
    /// Whose vectors the halves are.
    halved: Option<TensorId>,
}

impl<'a> Batch<'a> {
    /// Before a plan's first command.
    pub fn new(bench: &'a Bench<'a>, tuning: BatchTuning, halves: Option<&'a Halves>) -> Self {
        Self { bench, tuning, halves, halved: None }
    }

    /// The dispatches of the next command.
    pub fn of_command(&mut self, command: &Command) -> Vec<Sketch> {
        let sketches = match command {
            Command::Matmul(matmul) => self.of_matmul(command, matmul),
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

    fn of_matmul(&mut self, command: &Command, matmul: &Matmul) -> Vec<Sketch> {
        let format = self.bench.format(matmul.weights);
        let mut sketches = Vec::new();
        for (batches, kind) in self.tuning.kinds(format, [matmul.rows, matmul.columns]) {
            match (kind, self.halves) {
                (MatmulKind::Cooperative(tile), Some(halves)) => {
                    if self.halved != Some(matmul.x) {
                        self.halved = Some(matmul.x);
                        sketches.push(self.to_halves(matmul, halves));
                    }
                    sketches.extend(self.parts(matmul, |part| self.cooperative(matmul, part, halves, &batches, tile)));
                }
                (MatmulKind::Tiled { side }, _) => {
                    sketches.extend(self.parts(matmul, |part| self.tiled(matmul, part, &batches, side)));
                }
                (MatmulKind::Plain | MatmulKind::Cooperative(_), _) => {
                    sketches.extend(within(&batches, dispatch::of_command(self.bench, command)));
                }
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

    fn to_halves(&self, matmul: &Matmul, halves: &Halves) -> Sketch {
        let params = to_halves::Params { columns: matmul.columns };
        let storage = [self.whole(matmul.x), Some(halves.numbers.clone()), Some(halves.factors.clone())];
        Sketch {
            kernel: Kernel::ToHalves,
            format: None,
            reading: Reading::Narrow,
            constants: Vec::new(),
            params: bytes_of(&params).to_vec(),
            storage: storage.into_iter().flatten().collect(),
            size: Size::Batch { batches: 1..=u32::MAX, groups: 1, tile: 1 },
        }
    }

    fn cooperative(
        &self,
        matmul: &Matmul,
        part: &Part,
        halves: &Halves,
        batches: &RangeInclusive<u32>,
        tile: CoopTile,
    ) -> Sketch {
        let params = matmul_coop::Params {
            columns: matmul.columns,
            rows: part.rows as u32,
            first_row: part.first_row as u32,
            scales_word: part.scales_word,
            accumulate: u32::from(matmul.accumulate),
            out_columns: matmul.rows,
            base_row: part.base_row as u32,
        };
        let storage = [
            Some(halves.numbers.clone()),
            Some(halves.factors.clone()),
            Some(part.buffer.clone()),
            self.whole(matmul.out),
            Some(part.buffer.clone()),
        ];
        let groups = params.rows.div_ceil(tile.rows());
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
        let head_dim = attention.params.head_dim;
        let can = head_dim.is_multiple_of(16) && head_dim <= COOPERATIVE_HEAD_MAX && self.tuning.cooperative;
        match self.tuning.attention {
            Some(AttentionKind::Plain) => dispatch::of_command(self.bench, command),
            Some(AttentionKind::Tiled) => vec![self.tiled_attention(command, attention, 1..=u32::MAX)],
            Some(AttentionKind::Cooperative) if can => {
                vec![self.cooperative_attention(command, attention, 1..=u32::MAX)]
            }
            _ => {
                let rest = TILED_ATTENTION_MIN..=u32::MAX;
                let mut sketches = vec![if can {
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
        self.attention(command, Kernel::AttentionTiled, of.head_dim, params, (batches, of.heads, 32))
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
        self.attention(command, Kernel::AttentionCoop, of.head_dim, params, (batches, of.heads, 64))
    }

    fn attention(
        &self,
        command: &Command,
        kernel: Kernel,
        head_dim: u32,
        params: Vec<u8>,
        (batches, groups, tile): (RangeInclusive<u32>, u32, u32),
    ) -> Sketch {
        Sketch {
            kernel,
            format: None,
            reading: Reading::Narrow,
            constants: vec![("HEAD_WORDS", head_dim / 4)],
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
