//! Products of one vector with matrices that stand in strips: `fused_strips` or, for levels, `fused_levels` in the place
//! of `fused_matvec`.

use super::{
    dispatch::{Bench, Size, Sketch},
    tuning::Tuning,
};
use crate::{
    kernel::{
        Epilogue, FusedMatvec, flat_groups,
        shader::{Kernel, fused_levels, fused_matvec, fused_strips},
    },
    quant::trellis::STRIP_ROWS,
    tensor::Format,
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
    format.strip_bits()?;
    let rows = match matvec.epilogue {
        Epilogue::Gated { .. } => params.rows / 2,
        _ => params.rows,
    };
    // The shaders have the same parameters.
    let (kernel, format, reading, threads, params) = if format == Format::Levels2 {
        let params: fused_levels::Params = bytemuck::cast(params);
        // It reads nothing but levels, in its own way.
        let (reading, threads) = (tuning.levels_reading(), tuning.levels_threads(matvec.columns));
        (Kernel::FusedLevels, None, reading, threads, bytemuck::bytes_of(&params).to_vec())
    } else {
        let params: fused_strips::Params = bytemuck::cast(params);
        let (reading, threads) = (tuning.strips_reading(), tuning.strips_threads(matvec.columns));
        (Kernel::FusedStrips, Some(format), reading, threads, bytemuck::bytes_of(&params).to_vec())
    };
    Some(Sketch {
        kernel,
        format,
        reading,
        constants: vec![
            ("THREADS", threads),
            ("NORM", matvec.norm.map_or(0, |norm| if norm.is_handed { 2 } else { 1 })),
            ("BIASES", matvec.biases()),
            ("EPILOGUE", matvec.epilogue.number()),
            ("HANDS_ON", u32::from(matvec.hands_on.is_some())),
        ],
        params,
        storage: storage.to_vec(),
        size: Size::Fixed(flat_groups(rows.div_ceil(STRIP_ROWS as u32))),
    })
}
