//! The first part of a model and the last: its tables, and what stands behind the layers.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result, device::Device, file::TensorInfo, model::Role, quant::trellis::STRIP_ROWS, tensor::Format,
};

use super::{
    calibration::{layer_of, read},
    part::{Part, encode_plain, multiply},
    pipeline::Job,
    shards::Stored,
};
use crate::{
    linear::{Feedback, Hessian},
    rotation::Rotation,
};

/// Rows of a table that are in memory at once; whole strips.
const TABLE_ROWS: u64 = 512 * STRIP_ROWS as u64;

impl Job<'_> {
    /// The first part; gives each text's stream in front of the first layer, (tokens, hidden).
    pub(super) async fn embeddings(&mut self, device: &mut Device) -> Result<Vec<Vec<f32>>> {
        let table =
            self.named(Role::Embedding).ok_or_else(|| Error::MissingTensor { tensor: "embed_tokens".into() })?;
        let is_tied = self.named(Role::Head).is_none();
        let rotation = self.folding.residual.clone().filter(|_| !is_tied);
        let mut rows = BTreeMap::new();
        self.texts.iter().flatten().for_each(|id| drop(rows.insert(*id, Vec::new())));
        let format = self.format_of(table, true)?;
        if let Some(tensors) = self.kept(0)? {
            let stored = tensors.get(&table.name).ok_or_else(|| Error::MissingTensor { tensor: table.name.clone() })?;
            self.table_rows(table, format, stored, rotation.as_ref(), &mut rows).await?;
            self.tell(&table.name, table.elements());
        } else {
            let (rounding, mut part) = (self.head_inputs(device, table, is_tied, format).await?, Part::default());
            let stored = self.table(table, format, rotation.as_ref(), None, rounding, &mut part).await?;
            self.table_rows(table, format, &stored, rotation.as_ref(), &mut rows).await?;
            part.tensors.insert(table.name.clone(), stored);
            self.keep(0, &part.tensors, part.reports)?;
        }
        Ok(self.streams(&rows))
    }

    fn streams(&self, rows: &BTreeMap<u32, Vec<f32>>) -> Vec<Vec<f32>> {
        let factor = self.config().scales.embedding;
        let row = |id: &u32| rows.get(id).into_iter().flatten().map(move |value| value * factor);
        self.texts.iter().map(|text| text.iter().flat_map(row).collect()).collect()
    }

    /// What a tied table's rows are multiplied with as a head, and how much each column counts in a look-up: the same.
    async fn head_inputs(
        &mut self,
        device: &mut Device,
        table: &TensorInfo,
        is_tied: bool,
        format: Option<Format>,
    ) -> Result<Hessian> {
        let columns = table.columns() as usize;
        if !is_tied || format.is_none() {
            return Ok(Hessian::identity(columns));
        }
        let mut rows = BTreeMap::new();
        for id in self.texts.iter().flatten() {
            if !rows.contains_key(id) {
                let row = u64::from(*id);
                rows.insert(*id, read(&self.opened.catalog, &table.name, row..row + 1).await?);
            }
        }
        let mut streams = self.streams(&rows);
        for layer in 0..self.layers.count() {
            self.tell(&format!("reading layer {layer} as it was"), 0);
            self.layers.prepare(device, &self.opened.catalog, layer, false).await?;
            let stages = self.layers.stages(layer)?;
            for product in stages.iter().flat_map(|stage| &stage.products) {
                let tensor = self.opened.catalog.tensor(&product.component.name)?;
                let whole = read(&self.opened.catalog, &tensor.name, 0..tensor.rows()).await?;
                self.layers.upload(device, product, &whole, tensor.columns() as usize)?;
            }
            for stream in &mut streams {
                self.check_cancelled()?;
                self.layers.forward(device, stages.len(), stream).await?;
            }
        }
        let mut hessian = Hessian::new(columns);
        let gains = self.final_gains().await?;
        for stream in &mut streams {
            self.normalise(stream, Some(&gains));
            hessian.add(self.host.workers(), stream);
        }
        Ok(hessian.with_identity(1.0))
    }

    async fn final_gains(&self) -> Result<Vec<f32>> {
        let norm = self.named(Role::FinalNorm).ok_or_else(|| Error::MissingTensor { tensor: "norm.weight".into() })?;
        let mut gains = read(&self.opened.catalog, &norm.name, 0..1).await?;
        let adds_one = self.config().architecture.hf_norms_add_one;
        gains.iter_mut().filter(|_| adds_one).for_each(|gain| *gain += 1.0);
        Ok(gains)
    }

    /// The final norm, with gains or without.
    fn normalise(&self, stream: &mut [f32], gains: Option<&[f32]>) {
        let (hidden, epsilon) = (self.config().hidden as usize, self.config().norm_epsilon);
        for x in stream.chunks_exact_mut(hidden) {
            let square = x.iter().map(|x| x * x).sum::<f32>() / hidden as f32;
            let factor = 1.0 / (square + epsilon).sqrt();
            for (at, x) in x.iter_mut().enumerate() {
                *x *= factor * gains.map_or(1.0, |gains| gains[at]);
            }
        }
    }

    /// Rounds a table or a head, some strips at a time.
    async fn table(
        &mut self,
        table: &TensorInfo,
        format: Option<Format>,
        rotation: Option<&Rotation>,
        gains: Option<&[f32]>,
        hessian: Hessian,
        part: &mut Part,
    ) -> Result<Stored> {
        let (rows, columns) = (table.rows(), table.columns() as usize);
        let feedback = format.map_or_else(|| Feedback::none(columns), |format| self.feedback(format, &hessian));
        let (mut bytes, mut error) = (Vec::new(), 0.0);
        for first in (0..rows).step_by(TABLE_ROWS as usize) {
            let range = first..rows.min(first + TABLE_ROWS);
            let count = range.end - range.start;
            self.tell(&table.name, 0);
            let mut values = read(&self.opened.catalog, &table.name, range).await?;
            multiply(&mut values, gains);
            if let Some(rotation) = rotation {
                rotation.apply(&mut values);
            }
            match format {
                Some(format) => {
                    let rounded = self.round(format, &hessian, &feedback, &values)?;
                    bytes.extend(rounded.stored);
                    error += rounded.error * count as f64;
                }
                None => bytes.extend(encode_plain(table, &values)?),
            }
            self.tell(&table.name, count * table.columns());
        }
        let Some(format) = format else { return Stored::plain(table, bytes) };
        let stored = Stored::quantised(format, columns, bytes);
        part.reports.push(self.report_of(table, format, true, &stored, error / rows.max(1) as f64));
        Ok(stored)
    }

    /// Some rows of a table as they came out, for the texts' tokens.
    async fn table_rows(
        &self,
        table: &TensorInfo,
        format: Option<Format>,
        stored: &Stored,
        rotation: Option<&Rotation>,
        rows: &mut BTreeMap<u32, Vec<f32>>,
    ) -> Result<()> {
        let columns = table.columns() as usize;
        for (id, out) in rows {
            let at = *id as usize;
            *out = match format {
                Some(format) => {
                    let (unit_rows, unit_bytes) =
                        (format.strip_rows() as usize, stored.shape.last().copied().unwrap_or(1));
                    let unit = stored.bytes.chunks_exact(unit_bytes).nth(at / unit_rows).unwrap_or_default();
                    let mut decoded = vec![0.0; unit_rows * columns];
                    self.decode(format, unit, columns, &mut decoded);
                    decoded[at % unit_rows * columns..][..columns].to_vec()
                }
                None => {
                    let row = u64::from(*id);
                    read(&self.opened.catalog, &table.name, row..row + 1).await?
                }
            };
            if let (Some(rotation), Some(_)) = (rotation, format) {
                rotation.undo(out);
            }
        }
        Ok(())
    }

    /// The last part: the head, if it is its own, the final norm, and whatever else there is.
    pub(super) async fn rest(&mut self, streams: &[Vec<f32>]) -> Result<()> {
        let at = self.layers.count() + 1;
        if self.kept(at)?.is_some() {
            return Ok(());
        }
        let catalog = &self.opened.catalog;
        let mut part = Part::default();
        if let Some(head) = self.named(Role::Head) {
            let rotation = self.folding.residual.clone();
            let gains = self.final_gains().await?;
            let folded = rotation.as_ref().map(|_| gains.as_slice());
            let mut hessian = Hessian::new(head.columns() as usize);
            for stream in streams {
                let mut x = stream.clone();
                self.normalise(&mut x, if folded.is_some() { None } else { Some(&gains) });
                if let Some(rotation) = &rotation {
                    rotation.apply(&mut x);
                }
                hessian.add(self.host.workers(), &x);
            }
            let format = self.format_of(head, true)?;
            let stored = self.table(head, format, rotation.as_ref(), folded, hessian, &mut part).await?;
            part.tensors.insert(head.name.clone(), stored);
            if let (Some(norm), true) = (self.named(Role::FinalNorm), folded.is_some()) {
                let ones = if self.config().architecture.hf_norms_add_one { 0.0 } else { 1.0 };
                let stored = Stored::floats(vec![gains.len()], &vec![ones; gains.len()]);
                part.tensors.insert(norm.name.clone(), stored);
            }
        }
        let table = self.named(Role::Embedding).map(|table| &table.name);
        for tensor in catalog.tensors.values() {
            let is_done = layer_of(&tensor.name).is_some() || Some(&tensor.name) == table;
            if !is_done && !part.tensors.contains_key(&tensor.name) {
                let bytes = catalog.read_rows(tensor, 0..tensor.rows()).await?;
                part.tensors.insert(tensor.name.clone(), Stored::plain(tensor, bytes)?);
            }
        }
        self.keep(at, &part.tensors, part.reports)
    }
}
