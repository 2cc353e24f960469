//! Checks a program before memory is spent on it, so that running it needs no checks: every operand exists, is of the
//! kind that its kernel wants, is large enough, and is not written while it is read.

use super::storage::fault;
use crate::{
    Result,
    kernel::{
        Access, EXPERTS_MAX, HEAD_DIM_MAX, PEAKS, Rotate, Route, SLOTS_MAX,
        shader::{attention, route::Params},
    },
    plan::{Command, Plan, Program, TensorKind},
    quant::rotation::BLOCK_MAX,
    tensor::{KvFormat, TensorId},
};

/// What a step must keep to for one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In a batch.
    pub tokens_max: u32,
    /// Positions that its caches and tables hold.
    pub positions_max: u64,
}

/// The limits of each plan, if the whole program is sound.
pub fn check(program: &Program) -> Result<Vec<Limits>> {
    for decl in &program.tensors {
        let bytes = match decl.kind {
            TensorKind::Weight(format) => format.rows_bytes(decl.rows, decl.columns),
            TensorKind::State | TensorKind::Scratch | TensorKind::Tokens => {
                decl.columns.checked_mul(4).and_then(|bytes| bytes.checked_mul(decl.rows))
            }
        };
        if bytes.is_none() || decl.columns == 0 {
            let (label, rows, columns) = (&decl.label, decl.rows, decl.columns);
            return Err(fault(format!("{label}: ({rows}, {columns}) is no shape for {:?}", decl.kind)));
        }
    }
    program.plans.iter().map(|plan| check_plan(program, plan)).collect()
}

fn check_plan(program: &Program, plan: &Plan) -> Result<Limits> {
    let mut limits = Limits { tokens_max: plan.tokens_max, positions_max: u64::MAX };
    for (index, command) in plan.commands.iter().enumerate() {
        let checker = Checker { program, tokens: plan.tokens_max.into() };
        let checked = checker.aliases(command).and_then(|()| checker.shapes(command));
        match checked {
            Ok(positions) => limits.positions_max = limits.positions_max.min(positions),
            Err(reason) => {
                let (plan, kernel) = (&plan.name, command.kernel().name());
                return Err(fault(format!("{plan}: command {index}, {kernel}: {reason}")));
            }
        }
    }
    Ok(limits)
}

type Checked<T = ()> = std::result::Result<T, String>;

struct Checker<'a> {
    program: &'a Program,
    tokens: u64,
}

impl Checker<'_> {
    fn aliases(&self, command: &Command) -> Checked {
        let operands = command.operands();
        for (index, (id, access)) in operands.iter().zip(command.kernel().bindings()).enumerate() {
            let again = operands.iter().enumerate().any(|(other, other_id)| other != index && other_id == id);
            ensure(!(again && *access == Access::Write), || format!("%{} is written and used twice", id.0))?;
        }
        Ok(())
    }

    /// How many positions the command's tables and caches hold.
    fn shapes(&self, command: &Command) -> Checked<u64> {
        let tokens = self.tokens;
        match command {
            Command::Embed(embed) => {
                self.weight(embed.table, embed.columns, None)?;
                self.tokens(embed.ids)?;
                self.floats(embed.out, [tokens, embed.columns.into(), 1])?;
            }
            Command::RmsNorm(norm) => {
                let (rows, columns) = (if norm.single { 1 } else { tokens }, norm.params.columns);
                ensure(columns > 0 && norm.params.rows > 0, || "no columns or rows".to_owned())?;
                self.floats(norm.weight, [1, columns.into(), 1])?;
                self.floats(norm.x, [rows, norm.params.rows.into(), columns.into()])?;
                self.floats(norm.out, [rows, norm.params.rows.into(), columns.into()])?;
            }
            Command::Matvec(matvec) => {
                self.weight(matvec.weights, matvec.columns, Some(matvec.rows))?;
                self.floats(matvec.x, [1, matvec.columns.into(), 1])?;
                self.floats(matvec.out, [1, matvec.rows.into(), 1])?;
            }
            Command::Matmul(matmul) => {
                self.weight(matmul.weights, matmul.columns, Some(matmul.rows))?;
                self.floats(matmul.x, [tokens, matmul.columns.into(), 1])?;
                self.floats(matmul.out, [tokens, matmul.rows.into(), 1])?;
            }
            Command::Rope(_) | Command::KvWrite(_) | Command::Attention(_) | Command::AddRows(_) => {
                return self.positions(command);
            }
            Command::Gated(gated) => {
                for id in [gated.gate, gated.up, gated.out] {
                    self.floats(id, [tokens, gated.params.columns.into(), 1])?;
                }
            }
            Command::AddBias(add) => {
                ensure(add.params.columns > 0, || "no columns".to_owned())?;
                self.floats(add.bias, [1, add.params.columns.into(), 1])?;
                let rows = if add.params.single == 1 { 1 } else { tokens };
                self.floats(add.x, [rows, add.params.columns.into(), 1])?;
            }
            Command::AddScaled(add) => {
                for id in [add.x, add.out] {
                    self.floats(id, [tokens, add.params.columns.into(), 1])?;
                }
            }
            Command::Route(_) | Command::ExpertMatvec(_) | Command::Mix(_) => self.experts(command)?,
            Command::Scale(scale) => {
                let rows = if scale.params.single == 1 { 1 } else { tokens };
                self.floats(scale.x, [rows, scale.params.columns.into(), 1])?;
            }
            Command::Rotate(rotate) => self.rotation(rotate)?,
            Command::LayerNorm(norm) => {
                let columns = norm.params.columns;
                ensure(columns > 0, || "no columns".to_owned())?;
                for (id, rows) in [(norm.weight, 1), (norm.bias, 1), (norm.x, tokens), (norm.out, tokens)] {
                    self.floats(id, [rows, columns.into(), 1])?;
                }
            }
            Command::Gelu(gelu) => {
                for id in [gelu.x, gelu.out] {
                    self.floats(id, [tokens, gelu.params.columns.into(), 1])?;
                }
            }
            Command::Peaks(_) | Command::Choose(_) | Command::Shortlist(_) => self.choices(command)?,
            Command::LastRow(last) => {
                self.floats(last.x, [tokens, last.params.columns.into(), 1])?;
                self.floats(last.out, [1, last.params.columns.into(), 1])?;
            }
        }
        Ok(u64::MAX)
    }

    fn rotation(&self, rotate: &Rotate) -> Checked {
        let (columns, block) = (rotate.params.columns, rotate.params.block);
        let fits = block.is_power_of_two() && block <= BLOCK_MAX && columns.is_multiple_of(block);
        ensure(fits && columns > 0, || format!("{columns} numbers are no blocks of {block}"))?;
        let rows = if rotate.params.single == 1 { 1 } else { self.tokens };
        self.floats(rotate.signs, [1, columns.into(), 1])?;
        self.floats(rotate.x, [rows, columns.into(), 1])?;
        Ok(())
    }

    /// The same, for those that have any.
    fn positions(&self, command: &Command) -> Checked<u64> {
        let tokens = self.tokens;
        match command {
            Command::Rope(rope) => {
                let params = rope.params;
                ensure(params.rotary.is_multiple_of(2) && (1..=params.head_dim).contains(&params.rotary), || {
                    format!("{} of {} numbers cannot turn", params.rotary, params.head_dim)
                })?;
                self.floats(rope.x, [tokens, params.heads.into(), params.head_dim.into()])?;
                return Ok(self.floats(rope.table, [1; 3])? / u64::from(params.rotary));
            }
            Command::KvWrite(write) => {
                let params = write.params;
                ensure(params.kv_heads > 0 && params.head_dim > 0, || "no heads".to_owned())?;
                self.floats(write.x, [tokens, params.kv_heads.into(), params.head_dim.into()])?;
                packable(write.format, params.head_dim)?;
                self.floats(write.cache, [params.kv_heads.into(), write.layout().head_words(), 1])?;
                return Ok(params.context.into());
            }
            Command::Attention(attention) => {
                let params = attention.params;
                let whole_groups = params.kv_heads > 0 && params.heads.is_multiple_of(params.kv_heads);
                ensure(whole_groups && params.heads > 0 && (1..=HEAD_DIM_MAX).contains(&params.head_dim), || {
                    let attention::Params { heads, kv_heads, head_dim, .. } = params;
                    format!("{heads} heads of {head_dim} numbers cannot share {kv_heads}")
                })?;
                for id in [attention.queries, attention.out] {
                    self.floats(id, [tokens, params.heads.into(), params.head_dim.into()])?;
                }
                for id in [attention.keys, attention.values] {
                    self.floats(id, [params.kv_heads.into(), attention.layout().head_words(), 1])?;
                }
                packable(attention.format, params.head_dim)?;
                return Ok(params.context.into());
            }
            Command::AddRows(add) => {
                let columns = u64::from(add.params.columns);
                ensure(columns > 0, || "no columns".to_owned())?;
                self.floats(add.x, [tokens, columns, 1])?;
                return Ok(self.floats(add.table, [1; 3])? / columns);
            }
            _ => {}
        }
        Ok(u64::MAX)
    }

    /// The commands of a mixture of experts.
    fn experts(&self, command: &Command) -> Checked {
        let tokens = self.tokens;
        match command {
            Command::Route(Route { scores, out, params }) => {
                let Params { experts, slots, .. } = *params;
                ensure((1..=EXPERTS_MAX).contains(&experts) && (1..=experts.min(SLOTS_MAX)).contains(&slots), || {
                    format!("{slots} of {experts} experts cannot be chosen")
                })?;
                self.floats(*scores, [tokens, experts.into(), 1])?;
                self.floats(*out, [tokens, slots.into(), 2])?;
            }
            Command::ExpertMatvec(matvec) => {
                let rows = matvec.experts.checked_mul(matvec.rows).ok_or("too many rows")?;
                ensure(rows > 0 && matvec.slots > 0, || "no rows or slots".to_owned())?;
                self.weight(matvec.weights, matvec.columns, Some(rows))?;
                self.floats(matvec.x, [tokens, matvec.x_slots().into(), matvec.columns.into()])?;
                self.floats(matvec.routing, [tokens, matvec.slots.into(), 2])?;
                self.floats(matvec.out, [tokens, matvec.slots.into(), matvec.rows.into()])?;
            }
            Command::Mix(mix) => {
                ensure(mix.params.columns > 0, || "no columns".to_owned())?;
                self.floats(mix.x, [tokens, mix.params.slots.into(), mix.params.columns.into()])?;
                self.floats(mix.routing, [tokens, mix.params.slots.into(), 2])?;
                self.floats(mix.out, [tokens, mix.params.columns.into(), 1])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The commands that choose among the numbers of a row.
    fn choices(&self, command: &Command) -> Checked {
        match command {
            Command::Peaks(peaks) => {
                self.floats(peaks.x, [1, peaks.params.columns.into(), 1])?;
                self.floats(peaks.peaks, [PEAKS.into(), 2, 1])?;
                self.floats(peaks.list, [1, 2, 1])?;
            }
            Command::Choose(choose) => {
                self.floats(choose.peaks, [choose.params.peaks.into(), 2, 1])?;
                self.floats(choose.choice, [1, 2, 1])?;
                self.tokens(choose.ids)?;
            }
            Command::Shortlist(list) => {
                self.floats(list.x, [1, list.params.columns.into(), 1])?;
                self.floats(list.peaks, [PEAKS.into(), 2, 1])?;
                self.floats(list.list, [1 + u64::from(list.params.entries_max), 2, 1])?;
            }
            _ => {}
        }
        Ok(())
    }

    fn weight(&self, id: TensorId, columns: u32, rows: Option<u32>) -> Checked {
        let decl = self.program.tensors.get(id.0 as usize).ok_or_else(|| unknown(id))?;
        ensure(matches!(decl.kind, TensorKind::Weight(_)), || format!("{} is not a weight", decl.label))?;
        let fits = decl.columns == u64::from(columns) && rows.is_none_or(|rows| decl.rows == u64::from(rows));
        ensure(fits, || format!("{} is ({}, {}), not ({rows:?}, {columns})", decl.label, decl.rows, decl.columns))
    }

    fn tokens(&self, id: TensorId) -> Checked {
        let decl = self.program.tensors.get(id.0 as usize).ok_or_else(|| unknown(id))?;
        let fits = decl.kind == TensorKind::Tokens && decl.elements() >= self.tokens;
        ensure(fits, || format!("{} does not hold {} token numbers", decl.label, self.tokens))
    }

    /// The tensor's elements, of which there must be as many as the shape says.
    fn floats(&self, id: TensorId, shape: [u64; 3]) -> Checked<u64> {
        let decl = self.program.tensors.get(id.0 as usize).ok_or_else(|| unknown(id))?;
        let right_kind = matches!(decl.kind, TensorKind::State | TensorKind::Scratch);
        ensure(right_kind, || format!("{} is {:?}, not activations", decl.label, decl.kind))?;
        let needed = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
        ensure(needed.is_some_and(|needed| needed <= decl.elements()), || {
            format!("{} has {} elements, but {shape:?} are needed", decl.label, decl.elements())
        })?;
        Ok(decl.elements())
    }
}

/// Whether heads of so many numbers can be cached so.
fn packable(format: KvFormat, head_dim: u32) -> Checked {
    ensure(format == KvFormat::F32 || head_dim.is_multiple_of(4), || format!("{head_dim} numbers cannot be packed"))
}

fn unknown(id: TensorId) -> String {
    format!("there is no tensor {}", id.0)
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(reason()) }
}
