//! From a recorded model to a device that holds its weights.

use std::ops::Range;

use crate::{
    Error, Result,
    device::{Device, UPLOAD_ROWS},
    file::{Catalog, TensorInfo},
    model::{StateInit, WeightLoad},
    quant::{self, rotation::signs, trellis::STRIP_ROWS},
    tensor::TensorId,
};

/// Weights travel in pieces of about this size, so that no file is ever whole in memory on its way to a device.
const PIECE_BYTES: u64 = 4 << 20;

/// How far the loading is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Bytes of weights on the device.
    pub done_bytes: u64,
    /// Bytes of weights in all.
    pub total_bytes: u64,
}

/// What is to be put on a device that is prepared for it.
pub(super) struct Cargo<'a> {
    pub catalog: &'a Catalog,
    pub weights: &'a [WeightLoad],
    pub states: &'a [(TensorId, StateInit)],
    /// Rows of the tables of positions.
    pub context_tokens: u32,
}

impl Cargo<'_> {
    /// Brings all of it there. `progress` is called after every piece; its error stops the loading.
    pub async fn load(&self, device: &mut Device, progress: &mut dyn FnMut(LoadProgress) -> Result<()>) -> Result<()> {
        let mut done = LoadProgress { done_bytes: 0, total_bytes: self.bytes() };
        progress(done)?;
        for load in self.weights {
            for component in &load.components {
                let tensor = self.catalog.tensor(&component.name)?;
                for rows in pieces(component.rows.clone(), tensor.row_bytes()) {
                    let bytes = self.catalog.read_rows(tensor, rows.clone()).await?;
                    let first = component.first_row + rows.start - component.rows.start;
                    device.upload(load.id, first..first + rows.end - rows.start, &bytes)?;
                    done.done_bytes += bytes.len() as u64;
                    progress(done)?;
                }
            }
        }
        for (id, init) in self.states {
            self.fill(device, *id, init).await?;
            done.done_bytes += self.state_bytes(init);
        }
        progress(done)
    }

    async fn fill(&self, device: &mut Device, id: TensorId, init: &StateInit) -> Result<()> {
        match init {
            StateInit::Tensor { name, elements, add_one } => {
                let whole = self.vector(name).await?;
                let wanted = elements.start as usize..elements.end as usize;
                let mut values = whole.get(wanted).unwrap_or_default().to_vec();
                values.iter_mut().filter(|_| *add_one).for_each(|value| *value += 1.0);
                device.write(id, 0, &values)
            }
            StateInit::RopeTable { rope, factors } => {
                let factors = match factors {
                    Some(name) => Some(self.vector(name).await?),
                    None => None,
                };
                device.write(id, 0, &rope.table(self.context_tokens, factors.as_deref())?)
            }
            StateInit::Signs { seed, columns } => {
                let columns = *columns as usize;
                device.write(id, 0, &seed.map_or_else(|| vec![1.0; columns], |seed| signs(seed, columns)))
            }
            StateInit::Positions { table, rows, types } => {
                let types = match types {
                    Some(name) => self.vector(name).await?,
                    None => Vec::new(),
                };
                self.positions(device, id, self.catalog.tensor(table)?, rows, &types).await
            }
        }
    }

    async fn positions(
        &self,
        device: &mut Device,
        id: TensorId,
        table: &TensorInfo,
        rows: &Range<u64>,
        types: &[f32],
    ) -> Result<()> {
        let columns = table.columns();
        for piece in pieces(rows.clone(), table.row_bytes()) {
            let mut values = self.floats(table, piece.clone()).await?;
            for row in values.chunks_exact_mut((columns as usize).max(1)) {
                for (value, of_type) in row.iter_mut().zip(types) {
                    *value += of_type;
                }
            }
            device.write(id, (piece.start - rows.start) * columns, &values)?;
        }
        Ok(())
    }

    /// The first row of a tensor, decoded.
    async fn vector(&self, name: &str) -> Result<Vec<f32>> {
        self.floats(self.catalog.tensor(name)?, 0..1).await
    }

    /// Some rows of a tensor, decoded.
    async fn floats(&self, tensor: &TensorInfo, rows: Range<u64>) -> Result<Vec<f32>> {
        let bytes = self.catalog.read_rows(tensor, rows.clone()).await?;
        if tensor.format.strip_bits().is_some() {
            let format = format!("{}, which only matrices are read in", tensor.format);
            return Err(Error::UnsupportedFormat { tensor: tensor.name.clone(), format });
        }
        let columns = tensor.columns() as usize;
        let mut values = vec![0.0; (rows.end - rows.start) as usize * columns];
        let stored = bytes.chunks_exact((tensor.row_bytes() as usize).max(1));
        for (row, out) in stored.zip(values.chunks_exact_mut(columns.max(1))) {
            quant::decode_row(tensor.format, row, out);
        }
        Ok(values)
    }

    /// Bytes that are taken from the files.
    fn bytes(&self) -> u64 {
        let components = self.weights.iter().flat_map(|load| &load.components);
        let weights = components.map(|part| self.bytes_of_rows(&part.name, &part.rows));
        weights.chain(self.states.iter().map(|(_, init)| self.state_bytes(init))).sum()
    }

    fn state_bytes(&self, init: &StateInit) -> u64 {
        match init {
            StateInit::Positions { table, rows, .. } => (rows.end - rows.start) * self.row_bytes(table),
            _ => init.tensors().map(|name| self.row_bytes(name)).sum(),
        }
    }

    fn bytes_of_rows(&self, name: &str, rows: &Range<u64>) -> u64 {
        let bytes = self.catalog.tensors.get(name).and_then(|tensor| tensor.bytes_of_rows(rows));
        bytes.map_or(0, |bytes| bytes.end - bytes.start)
    }

    fn row_bytes(&self, name: &str) -> u64 {
        self.catalog.tensors.get(name).map_or(0, TensorInfo::row_bytes)
    }
}

/// A piece's rows are a multiple of so many: at such rows uploads may begin, and strips end.
const PIECE_ROWS: u64 = UPLOAD_ROWS * STRIP_ROWS as u64;

/// Whole rows, a multiple of [`PIECE_ROWS`] of them, of about [`PIECE_BYTES`].
fn pieces(rows: Range<u64>, row_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let step = (PIECE_BYTES / row_bytes.max(1)).max(PIECE_ROWS) / PIECE_ROWS * PIECE_ROWS;
    (rows.start..rows.end).step_by(step as usize).map(move |first| first..(first + step).min(rows.end))
}
