//! A matrix as it is stored. It is unpacked some rows at a time, whenever it is read, so that it never takes 4 bytes a
//! weight.

use hearth_engine::{
    Error, Result,
    file::{Catalog, TensorInfo},
    model::Component,
    quant::{
        decode_row,
        strips::decode_rows,
        trellis::{Code, SCALES_BYTES, STRIP_ROWS},
    },
    tensor::Format,
};

use super::Number;
use crate::linear::{columns_of, rows_of};

/// Rows that are unpacked at a time: whole strips.
const BLOCK_ROWS: usize = 8 * STRIP_ROWS;

/// A matrix whose codes stay.
pub struct Matrix {
    format: Format,
    code: Code,
    rows: usize,
    columns: usize,
    /// Where rows have scales these are 1, and the scales are parameters.
    stored: Vec<u8>,
    /// Where its rows' scales begin among the parameters.
    scales: Option<usize>,
}

impl Matrix {
    /// Reads it, and what its rows' scales are; `first` is where these will stand among the parameters. Formats whose
    /// rows stand in strips have them.
    pub async fn read(catalog: &Catalog, component: &Component, first: usize) -> Result<(Self, Vec<f32>)> {
        let tensor = catalog.tensor(&component.name)?;
        let TensorInfo { format, .. } = *tensor;
        let [rows, columns] = [component.rows.end - component.rows.start, tensor.columns()].map(|side| side as usize);
        let mut stored = catalog.read_rows(tensor, component.rows.clone()).await?;
        let has_scales = format.strip_bits().is_some();
        let mut scales = Vec::new();
        if has_scales {
            let strips = rows.div_ceil(STRIP_ROWS).max(1);
            let bytes = stored.len() / strips;
            if !stored.len().is_multiple_of(strips) || bytes < SCALES_BYTES {
                return Err(Error::malformed(&tensor.name, "its strips are cut short"));
            }
            for strip in stored.chunks_exact_mut(bytes) {
                for scale in strip[..SCALES_BYTES].as_chunks_mut::<2>().0 {
                    scales.push(half::f16::from_le_bytes(*scale).to_f32());
                    *scale = half::f16::ONE.to_le_bytes();
                }
            }
            scales.truncate(rows);
        }
        let code = catalog.quantization.code;
        Ok((Self { format, code, rows, columns, stored, scales: has_scales.then_some(first) }, scales))
    }

    /// Where its rows' scales begin among the parameters, if it has them.
    pub fn scales(&self) -> Option<usize> {
        self.scales
    }

    /// Bytes as stored.
    pub fn bytes(&self) -> usize {
        self.stored.len()
    }

    /// The scales of its rows.
    fn scales_in<'a, N>(&self, values: &'a [N]) -> Option<&'a [N]> {
        values.get(self.scales?..)?.get(..self.rows)
    }

    /// Rows from `first` on, without their scales: (rows, columns). `first` begins a strip.
    fn decode<N: Number>(&self, first: usize, rows: usize) -> Vec<N> {
        let unit_rows = self.format.strip_rows() as usize;
        let unit_bytes = self.stored.len() / self.rows.div_ceil(unit_rows).max(1);
        let units = first / unit_rows..(first + rows).div_ceil(unit_rows);
        let bytes = &self.stored[units.start * unit_bytes..units.end * unit_bytes];
        let mut out = vec![0.0; rows * self.columns];
        match self.format.strip_bits() {
            Some(_) => decode_rows(self.format, self.code, bytes, self.columns, &mut out),
            None => decode_row(self.format, bytes, &mut out),
        }
        N::of_all(out)
    }

    /// Some rows with their scales, (ids, columns); those of no row are zeros.
    pub fn look_up<N: Number>(&self, values: &[N], ids: &[u32]) -> Vec<N> {
        let (columns, unit) = (self.columns, self.format.strip_rows() as usize);
        let mut out = vec![N::zero(); ids.len() * columns];
        let mut order: Vec<(usize, usize)> = ids.iter().map(|id| *id as usize).zip(0..).collect();
        order.sort_unstable();
        let mut unpacked: (usize, Vec<N>) = (usize::MAX, Vec::new());
        for (id, at) in order.into_iter().filter(|(id, _)| *id < self.rows) {
            let first = id / unit * unit;
            if unpacked.0 != first {
                unpacked = (first, self.decode(first, unit.min(self.rows - first)));
            }
            let scale = self.scales_in(values).map_or(N::one(), |scales| scales[id]);
            let row = &unpacked.1[(id - first) * columns..][..columns];
            out[at * columns..][..columns].iter_mut().zip(row).for_each(|(out, weight)| *out = *weight * scale);
        }
        out
    }

    /// `y = x W^T`: x is (tokens, columns) and y (tokens, rows).
    pub fn forward<N: Number>(&self, values: &[N], x: &[N]) -> Vec<N> {
        let (rows, columns) = (self.rows, self.columns);
        let tokens = x.len() / columns.max(1);
        let mut y = vec![N::zero(); tokens * rows];
        for first in (0..rows).step_by(BLOCK_ROWS) {
            let count = BLOCK_ROWS.min(rows - first);
            let block = self.decode::<N>(first, count);
            let (weights, out) = ((block.as_slice(), columns_of(columns)), (&mut y[first..], rows_of(rows)));
            N::product([tokens, columns, count], N::one(), (x, rows_of(columns)), weights, N::zero(), out);
        }
        if let Some(scales) = self.scales_in(values) {
            for y in y.chunks_exact_mut(rows) {
                y.iter_mut().zip(scales).for_each(|(y, scale)| *y *= *scale);
            }
        }
        y
    }

    /// `dx = dy W`.
    pub fn backward<N: Number>(&self, values: &[N], dy: &[N]) -> Vec<N> {
        let (rows, columns) = (self.rows, self.columns);
        let tokens = dy.len() / rows.max(1);
        let mut dx = vec![N::zero(); tokens * columns];
        for first in (0..rows).step_by(BLOCK_ROWS) {
            let count = BLOCK_ROWS.min(rows - first);
            let mut block = self.decode::<N>(first, count);
            if let Some(scales) = self.scales_in(values) {
                for (row, scale) in block.chunks_exact_mut(columns).zip(&scales[first..]) {
                    row.iter_mut().for_each(|weight| *weight *= *scale);
                }
            }
            let (dy, weights) = ((&dy[first..], rows_of(rows)), (block.as_slice(), rows_of(columns)));
            N::product([tokens, count, columns], N::one(), dy, weights, N::one(), (&mut dx, rows_of(columns)));
        }
        dx
    }

    /// Adds to its scales' gradients what follows from its product y and from that one's: `ds = sum of dy y / s`.
    pub fn add_scales_gradient<N: Number>(&self, values: &[N], y: &[N], dy: &[N], gradients: &mut [N]) {
        let (Some(scales), Some(first)) = (self.scales_in(values), self.scales) else { return };
        let mut sums = vec![N::zero(); self.rows];
        for (y, dy) in y.chunks_exact(self.rows).zip(dy.chunks_exact(self.rows)) {
            sums.iter_mut().zip(y).zip(dy).for_each(|((sum, y), dy)| *sum += *y * *dy);
        }
        for ((gradient, sum), scale) in gradients[first..].iter_mut().zip(sums).zip(scales) {
            if *scale != N::zero() {
                *gradient += sum / *scale;
            }
        }
    }

    /// The same of rows that were looked up, (ids, columns).
    pub fn add_look_up_gradient<N: Number>(
        &self,
        values: &[N],
        ids: &[u32],
        [out, dout]: [&[N]; 2],
        gradients: &mut [N],
    ) {
        let (Some(scales), Some(first)) = (self.scales_in(values), self.scales) else { return };
        let rows = out.chunks_exact(self.columns).zip(dout.chunks_exact(self.columns));
        for (id, (out, dout)) in ids.iter().map(|id| *id as usize).zip(rows) {
            let sum: N = out.iter().zip(dout).map(|(out, dout)| *out * *dout).sum();
            if let Some(scale) = scales.get(id).filter(|scale| **scale != N::zero()) {
                gradients[first + id] += sum / *scale;
            }
        }
    }
}
