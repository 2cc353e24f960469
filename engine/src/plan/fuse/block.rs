//! What can be fused, from a command on.

use super::{Block, Fused, Stackable};
use crate::{
    kernel::{
        AddBias, AddScaled, Attend, Attention, Epilogue, FusedMatrix, FusedMatvec, FusedNorm, FusedOut, Gated,
        HeadNorm, HeadTurn, KvWrite, Matvec, NormAdd, RmsNorm, Rope, Rotate, Scale, shader::norm_add,
    },
    plan::{Command, Plan, Program, TensorKind},
    quant::rotation::block_of,
    tensor::{KvFormat, TensorId},
};

/// Looks for blocks in a plan.
pub struct Matcher<'a> {
    program: &'a Program,
    commands: &'a [Command],
    stackable: &'a Stackable<'a>,
    /// For each tensor, the first and the last command that touches it.
    spans: Vec<Option<(usize, usize)>>,
}

/// The products of one vector, from a command on.
struct Products {
    x: TensorId,
    norm: Option<FusedNorm>,
    columns: u32,
    matrices: Vec<FusedMatrix>,
    outs: Vec<TensorId>,
    /// What a fused command leaves unwritten.
    inner: Vec<TensorId>,
    end: usize,
}

impl<'a> Matcher<'a> {
    /// For a plan of one token.
    pub fn new(program: &'a Program, plan: &'a Plan, stackable: &'a Stackable<'a>) -> Self {
        let mut spans: Vec<Option<(usize, usize)>> = vec![None; program.tensors.len()];
        for (index, command) in plan.commands.iter().enumerate() {
            for id in command.operands() {
                let span = &mut spans[id.0 as usize];
                *span = Some(span.map_or((index, index), |(first, _)| (first, index)));
            }
        }
        Self { program, commands: &plan.commands, stackable, spans }
    }

    /// The largest block from a command on.
    pub fn match_at(&self, at: usize) -> Option<Block> {
        self.attention(at).or_else(|| self.gate(at)).or_else(|| self.single(at)).or_else(|| self.norm_add(at))
    }

    /// Whether a tensor is scratch that nothing else than these commands touches.
    fn is_inner(&self, id: TensorId, from: usize, end: usize) -> bool {
        let within = self.spans[id.0 as usize].is_some_and(|(first, last)| from <= first && last < end);
        within && self.program.tensor(id).kind == TensorKind::Scratch
    }

    fn are_inner(&self, ids: &[TensorId], from: usize, end: usize) -> bool {
        ids.iter().all(|id| self.is_inner(*id, from, end))
    }

    /// A norm of one row in front of products.
    fn norm(&self, at: usize) -> Option<&'a RmsNorm> {
        match self.commands.get(at) {
            Some(Command::RmsNorm(norm)) if norm.params.rows == 1 => Some(norm),
            _ => None,
        }
    }

    /// So many products of the same vector, each with its bias, behind a norm if there is one.
    fn products(&self, from: usize, count: usize) -> Option<Products> {
        let norm = self.norm(from);
        let mut at = from + usize::from(norm.is_some());
        let Some(Command::Matvec(first)) = self.commands.get(at) else { return None };
        let is_normed = norm.is_some_and(|norm| norm.out == first.x && norm.params.columns == first.columns);
        if is_normed != norm.is_some() {
            return None;
        }
        let norm = norm
            .map(|norm| (norm.x, FusedNorm { weight: norm.weight, epsilon: norm.params.epsilon, is_handed: false }));
        let mut products = Products {
            x: norm.map_or(first.x, |(x, _)| x),
            norm: norm.map(|(_, norm)| norm),
            columns: first.columns,
            matrices: Vec::new(),
            outs: Vec::new(),
            inner: if is_normed { vec![first.x] } else { Vec::new() },
            end: at,
        };
        for _ in 0..count {
            match self.commands.get(at) {
                Some(Command::Matvec(Matvec { x, weights, out, columns, rows, accumulate })) => {
                    let is_same = *x == first.x && *columns == first.columns && *out != products.x;
                    if !is_same || *accumulate && count > 1 {
                        return None;
                    }
                    at += 1;
                    let bias = self.bias(at, *out, *rows);
                    at += usize::from(bias.is_some());
                    products.matrices.push(FusedMatrix { weights: *weights, rows: *rows, bias });
                    products.outs.push(*out);
                }
                _ => return None,
            }
        }
        products.end = at;
        Some(products)
    }

    fn bias(&self, at: usize, out: TensorId, rows: u32) -> Option<TensorId> {
        match self.commands.get(at) {
            Some(Command::AddBias(AddBias { bias, x, params })) if *x == out && params.columns == rows => Some(*bias),
            _ => None,
        }
    }

    /// One product, and what its numbers go through.
    fn single(&self, from: usize) -> Option<Block> {
        let products = self.products(from, 1)?;
        let product = products.outs[0];
        let accumulates = self.commands[from..products.end]
            .iter()
            .any(|command| matches!(command, Command::Matvec(matvec) if matvec.accumulate));
        let mut inner = products.inner.clone();
        let (mut out, mut end) = (product, products.end);
        let epilogue = match self.commands.get(end) {
            _ if accumulates => Epilogue::Add { factor: 1.0 },
            Some(Command::Scale(Scale { x, params }))
                if *x == product && params.columns == products.matrices[0].rows =>
            {
                end += 1;
                Epilogue::Scale { factor: params.factor, softcap: params.softcap }
            }
            Some(Command::AddScaled(AddScaled { x, out: sum, params }))
                if *x == product
                    && *sum != products.x
                    && params.columns == products.matrices[0].rows
                    && self.is_inner(product, from, end + 1) =>
            {
                inner.push(product);
                out = *sum;
                end += 1;
                Epilogue::Add { factor: params.factor }
            }
            _ => Epilogue::Store,
        };
        if !self.are_inner(&inner, from, end) {
            return None;
        }
        let fused = vec![Fused::Matvec(products.command(0..1, FusedOut::Tensor(out), epilogue))];
        Some(Block { commands: from..end, fused })
    }

    /// A norm whose result is only added to something.
    fn norm_add(&self, from: usize) -> Option<Block> {
        let norm = self.norm(from)?;
        let Some(Command::AddScaled(AddScaled { x, out, params })) = self.commands.get(from + 1) else { return None };
        let columns = params.columns;
        let fits = *x == norm.out && *out != norm.x && columns == norm.params.columns && *out != norm.weight;
        if !fits || !self.is_inner(norm.out, from, from + 2) {
            return None;
        }
        let params = norm_add::Params { columns, epsilon: norm.params.epsilon, factor: params.factor };
        let fused = Fused::NormAdd(NormAdd { x: norm.x, weight: norm.weight, out: *out, params });
        Some(Block { commands: from..from + 2, fused: vec![fused] })
    }

    /// Gate, up, and the one times the other.
    fn gate(&self, from: usize) -> Option<Block> {
        let products = self.products(from, 2)?;
        let Some(Command::Gated(Gated { gate, up, out, params })) = self.commands.get(products.end) else {
            return None;
        };
        let end = products.end + 1;
        let [first, second] = products.matrices[..] else { return None };
        let is_even = first.rows == second.rows;
        let inner = [products.inner.as_slice(), &products.outs].concat();
        let fits = params.columns == first.rows && *out != products.x && self.are_inner(&inner, from, end);
        if !is_even
            || products.outs != [*gate, *up]
            || !fits
            || !self.stackable.allows(&[first.weights, second.weights])
        {
            return None;
        }
        let epilogue = Epilogue::Gated { activation: params.activation };
        let fused = vec![Fused::Matvec(products.command(0..2, FusedOut::Tensor(*out), epilogue))];
        Some(Block { commands: from..end, fused })
    }

    /// From the norm in front of queries, keys and values to the mixed values.
    fn attention(&self, from: usize) -> Option<Block> {
        let products = self.products(from, 3)?;
        let [q, k, v] = products.outs[..] else { return None };
        let mut heads = Heads { matcher: self, at: products.end, inner: products.inner.clone() };
        let norm = heads.norms(q, k);
        let (q, k) = norm.map_or((q, k), |(_, q, k)| (q, k));
        let turn = heads.turns(q, k);
        let block = heads.rotation(&[q, k, v]);
        let (keys, values) = (heads.write(k)?, heads.write(v)?);
        let Command::Attention(Attention { queries, keys: read_keys, values: read_values, format, out, params }) =
            self.commands.get(heads.at)?
        else {
            return None;
        };
        heads.at += 1;
        // In four bits, and only then, heads are rotated in front of the cache and back behind it.
        let back = if block.is_some() { heads.rotation(&[*out]) } else { None };
        let wanted = (*format == KvFormat::Int4).then(|| block_of(params.head_dim));
        if block != wanted || back != wanted {
            return None;
        }
        let (format, end) = (*format, heads.at);
        let widths = [params.heads, params.kv_heads, params.kv_heads].map(|heads| heads * params.head_dim);
        let is_whole = products.matrices.iter().zip(widths).all(|(matrix, width)| matrix.rows == width);
        let is_same = (*queries, *read_keys, *read_values) == (q, keys, values);
        let norm = norm.map(|(norm, ..)| norm);
        let is_right = norm.is_none_or(|norm| heads.norm_fits(norm, params.heads, params.head_dim));
        let inner = [heads.inner.as_slice(), &products.outs].concat();
        if !is_whole || !is_same || !is_right || params.causal != 1 || !self.are_inner(&inner, from, end) {
            return None;
        }
        let projected_at = [0, widths[0], widths[0] + widths[1]];
        let mut fused: Vec<Fused> = self
            .runs(&products)
            .map(|run| {
                let out = FusedOut::Between(projected_at[run.start]);
                Fused::Matvec(products.command(run, out, Epilogue::Store))
            })
            .collect();
        let params = *params;
        fused.push(Fused::Attend(Attend { projected_at, norm, turn, keys, values, format, out: *out, params }));
        Some(Block { commands: from..end, fused })
    }

    /// Neighbours among the products that can lie in one buffer.
    fn runs(&self, products: &Products) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        let ids: Vec<TensorId> = products.matrices.iter().map(|matrix| matrix.weights).collect();
        for nth in 0..ids.len() {
            match runs.last_mut() {
                Some(run) if self.stackable.allows(&ids[run.start..=nth]) => run.end = nth + 1,
                _ => runs.push(nth..nth + 1),
            }
        }
        runs.into_iter()
    }
}

impl Products {
    fn command(&self, which: std::ops::Range<usize>, out: FusedOut, epilogue: Epilogue) -> FusedMatvec {
        let matrices = self.matrices[which].to_vec();
        FusedMatvec { x: self.x, norm: self.norm, matrices, columns: self.columns, out, epilogue, hands_on: None }
    }
}

/// Reads what happens to heads between projection and attention.
struct Heads<'a, 'b> {
    matcher: &'b Matcher<'a>,
    at: usize,
    inner: Vec<TensorId>,
}

impl<'a> Heads<'a, '_> {
    fn command(&self, behind: usize) -> Option<&'a Command> {
        self.matcher.commands.get(self.at + behind)
    }

    /// Norms of queries and keys: what they are, and where their results lie.
    fn norms(&mut self, q: TensorId, k: TensorId) -> Option<(HeadNorm, TensorId, TensorId)> {
        let (Some(Command::RmsNorm(query)), Some(Command::RmsNorm(key))) = (self.command(0), self.command(1)) else {
            return None;
        };
        let by_width = query.params.rows == 1 && key.params.rows == 1;
        let is_same = by_width || query.params.columns == key.params.columns;
        if query.x != q || key.x != k || !is_same || query.params.epsilon != key.params.epsilon {
            return None;
        }
        self.at += 2;
        self.inner.extend([query.out, key.out]);
        let norm = HeadNorm { query: query.weight, key: key.weight, by_width, epsilon: query.params.epsilon };
        Some((norm, query.out, key.out))
    }

    /// Whether the norm's weights are as long as its means are wide.
    fn norm_fits(&self, norm: HeadNorm, heads: u32, head_dim: u32) -> bool {
        let columns = u64::from(if norm.by_width { heads * head_dim } else { head_dim });
        self.matcher.program.tensor(norm.query).columns == columns
    }

    fn turns(&mut self, q: TensorId, k: TensorId) -> Option<HeadTurn> {
        let (Some(Command::Rope(query)), Some(Command::Rope(key))) = (self.command(0), self.command(1)) else {
            return None;
        };
        let Rope { table, params, .. } = query;
        let is_same = (params.rotary, params.interleaved) == (key.params.rotary, key.params.interleaved);
        if query.x != q || key.x != k || *table != key.table || !is_same {
            return None;
        }
        self.at += 2;
        Some(HeadTurn { table: *table, rotary: params.rotary, interleaved: params.interleaved })
    }

    /// Blocks in which all of these are rotated, one command after the other and without signs of their own.
    fn rotation(&mut self, all: &[TensorId]) -> Option<u32> {
        let mut found = None;
        for (nth, id) in all.iter().enumerate() {
            let Some(Command::Rotate(Rotate { signs, x, params })) = self.command(nth) else { return None };
            let expected = *found.get_or_insert((*signs, params.block));
            if x != id || params.single == 1 || params.undo == 1 || expected != (*signs, params.block) {
                return None;
            }
        }
        self.at += all.len();
        found.map(|(_, block)| block)
    }

    fn write(&mut self, from: TensorId) -> Option<TensorId> {
        let Some(Command::KvWrite(KvWrite { x, cache, .. })) = self.command(0) else { return None };
        if *x != from {
            return None;
        }
        self.at += 1;
        Some(*cache)
    }
}
