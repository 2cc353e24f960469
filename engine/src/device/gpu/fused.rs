//! The dispatches of fused commands.

use bytemuck::bytes_of;

use super::{
    buffers::{self, Part},
    dispatch::{Bench, Size, Sketch},
    strips,
    tuning::Tuning,
};
use crate::{
    kernel::{
        Attend, Epilogue, FUSED_MATRICES_MAX, FusedMatvec, FusedOut, NormAdd, Reading,
        shader::{Kernel, attend, attend_combine, fused_matvec},
    },
    plan::Fusion,
    tensor::TensorId,
};

/// Memory that fused commands need besides a program's tensors.
pub struct Spare {
    /// Between two fused commands.
    between: wgpu::Buffer,
    /// What the pieces of the context leave.
    partials: wgpu::Buffer,
}

impl Spare {
    /// As much as the fusion needs.
    pub fn allocate(bench: &Bench<'_>, fusion: &Fusion, tuning: Tuning) -> Self {
        let partials = fusion.partial_elements(tuning.split_keys, tuning.splits_max);
        Self {
            between: buffers::storage(bench.device, "between", u64::from(fusion.between_elements) * 4),
            partials: buffers::storage(bench.device, "partials", partials * 4),
        }
    }
}

impl Spare {
    /// Bytes of all of it.
    pub fn bytes(&self) -> u64 {
        self.between.size() + self.partials.size()
    }
}

/// One dispatch, or one for each part of a matrix that lies in several.
pub fn of_matvec(bench: &Bench<'_>, spare: &Spare, tuning: Tuning, matvec: &FusedMatvec) -> Vec<Sketch> {
    let Some(first) = matvec.matrices.first() else { return Vec::new() };
    // Several matrices lie in one buffer, of which the first one's part knows the start.
    let is_stack = matvec.matrices.len() > 1;
    let sketch = |part: &Part| {
        let rows = if is_stack { matvec.rows() } else { part.rows as u32 };
        let (params, storage) = (matvec_params(matvec, part, rows), matvec_storage(bench, spare, matvec, part));
        if let Some(strips) = strips::sketch(bench, tuning, matvec, params, &storage) {
            return strips;
        }
        Sketch {
            kernel: Kernel::FusedMatvec,
            format: bench.format(first.weights),
            reading: tuning.reading(bench.format(first.weights), matvec.columns),
            constants: vec![
                ("THREADS", tuning.matvec_threads(matvec.columns)),
                ("NORM", u32::from(matvec.norm.is_some())),
                ("BIASES", matvec.biases()),
                ("EPILOGUE", matvec.epilogue.number()),
            ],
            params: bytes_of(&params).to_vec(),
            storage,
            size: Size::Fixed(matvec.groups(rows)),
        }
    };
    bench.buffers.parts(first.weights).iter().map(sketch).collect()
}

fn matvec_params(matvec: &FusedMatvec, part: &Part, rows: u32) -> fused_matvec::Params {
    let begins = |nth: usize| {
        let before: u32 = matvec.matrices.iter().take(nth).map(|matrix| matrix.rows).sum();
        if nth < matvec.matrices.len() { before } else { u32::MAX }
    };
    let (factor, softcap) = match matvec.epilogue {
        Epilogue::Add { factor } => (factor, 0.0),
        Epilogue::Scale { factor, softcap } => (factor, softcap),
        Epilogue::Store | Epilogue::Gated { .. } => (1.0, 0.0),
    };
    fused_matvec::Params {
        columns: matvec.columns,
        rows,
        first_row: part.first_row as u32,
        scales_word: part.scales_word,
        base_row: part.base_row as u32,
        second_row: begins(1),
        third_row: begins(2),
        out_first: if let FusedOut::Between(first) = matvec.out { first } else { 0 },
        activation: if let Epilogue::Gated { activation } = matvec.epilogue { activation } else { 0 },
        epsilon: matvec.norm.map_or(0.0, |norm| norm.epsilon),
        factor,
        softcap,
    }
}

/// What is not there is bound to x, which the shader then does not read in its place.
fn matvec_storage(bench: &Bench<'_>, spare: &Spare, matvec: &FusedMatvec, part: &Part) -> Vec<wgpu::Buffer> {
    let whole = |id: TensorId| bench.buffers.whole(id).ok().cloned();
    let x = whole(matvec.x);
    let norm = matvec.norm.and_then(|norm| whole(norm.weight)).or_else(|| x.clone());
    let bias = |nth: usize| matvec.matrices.get(nth).and_then(|matrix| whole(matrix.bias?)).or_else(|| x.clone());
    let out = match matvec.out {
        FusedOut::Tensor(id) => whole(id),
        FusedOut::Between(_) => Some(spare.between.clone()),
    };
    let biases = (0..FUSED_MATRICES_MAX).map(bias);
    let weights = Some(part.buffer.clone());
    let all = [x.clone(), norm, weights.clone()].into_iter().chain(biases).chain([out, weights]);
    all.flatten().collect()
}

/// Attention, and what puts its pieces together.
pub fn of_attend(bench: &Bench<'_>, spare: &Spare, tuning: Tuning, command: &Attend) -> Vec<Sketch> {
    let whole = |id: TensorId| bench.buffers.whole(id).ok().cloned();
    let between = Some(spare.between.clone());
    let norm = |id: Option<TensorId>| id.and_then(whole).or_else(|| between.clone());
    let storage = [
        between.clone(),
        norm(command.norm.map(|norm| norm.query)),
        norm(command.norm.map(|norm| norm.key)),
        norm(command.turn.map(|turn| turn.table)),
        whole(command.keys),
        whole(command.values),
        whole(command.out),
        Some(spare.partials.clone()),
    ];
    let norm = command.norm.map_or(0, |norm| if norm.by_width { 2 } else { 1 });
    let attend = Sketch {
        kernel: Kernel::Attend,
        format: None,
        reading: Reading::Narrow,
        constants: vec![("THREADS", tuning.attend_threads), ("HEADS", command.heads_each()), ("NORM", norm)],
        params: bytes_of(&attend_params(command, tuning)).to_vec(),
        storage: storage.into_iter().flatten().collect(),
        size: Size::Attend(command.clone(), tuning),
    };
    let params = attend_combine::Params {
        heads: command.params.heads,
        head_dim: command.params.head_dim,
        window: command.params.window,
        split_keys: tuning.split_keys,
        splits_max: tuning.splits_max,
    };
    let combine = Sketch {
        kernel: Kernel::AttendCombine,
        format: None,
        reading: Reading::Narrow,
        constants: Vec::new(),
        params: bytes_of(&params).to_vec(),
        storage: [Some(spare.partials.clone()), whole(command.out)].into_iter().flatten().collect(),
        size: Size::Combine(command.clone(), tuning),
    };
    vec![attend, combine]
}

fn attend_params(command: &Attend, tuning: Tuning) -> attend::Params {
    let [query_at, key_at, value_at] = command.projected_at;
    let of = command.params;
    attend::Params {
        heads: of.heads,
        kv_heads: of.kv_heads,
        head_dim: of.head_dim,
        context: of.context,
        scale: of.scale,
        softcap: of.softcap,
        window: of.window,
        rotary: command.turn.map_or(0, |turn| turn.rotary),
        interleaved: command.turn.map_or(0, |turn| turn.interleaved),
        epsilon: command.norm.map_or(0.0, |norm| norm.epsilon),
        query_at,
        key_at,
        value_at,
        split_keys: tuning.split_keys,
        splits_max: tuning.splits_max,
    }
}

/// A normed branch onto the stream.
pub fn of_norm_add(bench: &Bench<'_>, command: &NormAdd) -> Sketch {
    Sketch {
        kernel: Kernel::NormAdd,
        format: None,
        reading: Reading::Narrow,
        constants: Vec::new(),
        params: bytes_of(&command.params).to_vec(),
        storage: command.operands().into_iter().filter_map(|id| bench.buffers.whole(id).ok().cloned()).collect(),
        size: Size::Fixed(command.groups()),
    }
}
