//! Products of one vector with matrices that stand in strips: `fused_strips` in the place of `fused_matvec`.

use super::{
    dispatch::{Bench, Size, Sketch},
    tuning::Tuning,
};
use crate::{
    kernel::{
        Epilogue, FusedMatvec, flat_groups,
        shader::{Kernel, fused_matvec, fused_strips},
    },
    quant::trellis::STRIP_ROWS,
};

/// The dispatch for a part of `matvec`'s matrices, with what `fused_matvec` would be given; None if their rows stand
/// alone.
pub fn sketch(
    bench: &Bench<'_>,
    tuning: Tuning,
    matvec: &FusedMatvec,
    params: fused_matvec::Params,
    storage: &[wgpu::Buffer],
) -> Option<Sketch> {
    let format = bench.format(matvec.matrices.first()?.weights)?;
    format.trellis_bits()?;
    let rows = match matvec.epilogue {
        Epilogue::Gated { .. } => params.rows / 2,
        _ => params.rows,
    };
    // The two shaders have the same parameters.
    let params: fused_strips::Params = bytemuck::cast(params);
    Some(Sketch {
        kernel: Kernel::FusedStrips,
        format: Some(format),
        reading: tuning.strips_reading(),
        constants: vec![
            ("THREADS", tuning.strips_threads(matvec.columns)),
            ("NORM", u32::from(matvec.norm.is_some())),
            ("BIASES", matvec.biases()),
            ("EPILOGUE", matvec.epilogue.number()),
        ],
        params: bytemuck::bytes_of(&params).to_vec(),
        storage: storage.to_vec(),
        size: Size::Fixed(flat_groups(rows.div_ceil(STRIP_ROWS as u32))),
    })
}
