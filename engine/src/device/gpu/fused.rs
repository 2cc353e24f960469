//! The dispatches of fused commands.

use bytemuck::bytes_of;

use super::{
    buffers::{self, Part},
    dispatch::{Bench, Size, Sketch, kv_constant},
    strips,
    tuning::Tuning,
};
use crate::{
    kernel::{
        Attend, Epilogue, FusedMatvec, FusedOut, NormAdd, Reading,
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
    /// What one product hands on to the next.
    handed: wgpu::Buffer,
    /// Bound where a shader may write and does not.
    unused: wgpu::Buffer,
}

impl Spare {
    /// As much as the fusion needs.
    pub fn allocate(bench: &Bench<'_>, fusion: &Fusion, tuning: Tuning) -> Self {
        let partials = fusion.partial_elements(tuning.split_keys, tuning.splits_max);
        Self {
            between: buffers::storage(bench.device, "between", u64::from(fusion.between_elements) * 4),
            partials: buffers::storage(bench.device, "partials", partials * 4),
            handed: buffers::storage(bench.device, "handed", u64::from(fusion.handed_elements) * 4),
            unused: buffers::storage(bench.device, "unused", 4),
        }
    }
}

impl Spare {
    /// Bytes of all of it.
    pub fn bytes(&self) -> u64 {
        [&self.between, &self.partials, &self.handed, &self.unused].into_iter().map(wgpu::Buffer::size).sum()
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
                ("NORM", matvec.norm.map_or(0, |norm| if norm.is_handed { 2 } else { 1 })),
                ("BIASES", matvec.biases()),
                ("EPILOGUE", matvec.epilogue.number()),
                ("HANDS_ON", u32::from(matvec.hands_on.is_some())),
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
    let x = match matvec.norm {
        Some(norm) if norm.is_handed => Some(spare.handed.clone()),
        _ => whole(matvec.x),
    };
    let norm = match matvec.norm {
        Some(norm) if !norm.is_handed => whole(norm.weight),
        _ => x.clone(),
    };
    let bias = |nth: usize| matvec.matrices.get(nth).and_then(|matrix| whole(matrix.bias?));
    let (second, third) = match matvec.hands_on {
        Some(next_norm) => (whole(next_norm), spare.handed.clone()),
        None => (bias(1).or_else(|| x.clone()), bias(2).unwrap_or_else(|| spare.unused.clone())),
    };
    let out = match matvec.out {
        FusedOut::Tensor(id) => whole(id),
        FusedOut::Between(_) => Some(spare.between.clone()),
    };
    let weights = Some(part.buffer.clone());
    let first = bias(0).or_else(|| x.clone());
    [x, norm, weights.clone(), first, second, Some(third), out, weights].into_iter().flatten().collect()
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
    let storage: Vec<wgpu::Buffer> = storage.into_iter().flatten().collect();
    let attend = |heads_each: u32, is_cut: Option<bool>| Sketch {
        kernel: Kernel::Attend,
        format: None,
        reading: Reading::Narrow,
        constants: vec![
            ("THREADS", tuning.attend_threads),
            ("HEADS", heads_each),
            ("NORM", norm),
            kv_constant(command.format),
        ],
        params: bytes_of(&attend_params(command, tuning)).to_vec(),
        storage: storage.clone(),
        size: Size::Attend { attend: command.clone(), tuning, heads_each, is_cut },
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
    // A short context is read by each head for itself: there are more workgroups then, each with less to do.
    match command.heads_each() {
        1 => vec![attend(1, None), combine],
        most => vec![attend(1, Some(false)), attend(most, Some(true)), combine],
    }
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
