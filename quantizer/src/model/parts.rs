//! The parts of a model: tables, layers, and the vectors around them.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    device::Device,
    file::TensorInfo,
    model::{Role, StateInit},
    quant::trellis::{STRIP_ROWS, decode_rows},
    tensor::{Format, TensorId},
};
use safetensors::Dtype;

use super::{
    calibration::{Stage, read},
    folding::role_of,
    pipeline::{Job, TensorReport},
    shards::Stored,
};
use crate::{
    linear::{Feedback, Hessian, Rounded, Rounding, quantize},
    rotation::Rotation,
    trellis::Trellis,
};

/// Rows of a table that are in memory at once; whole strips.
const TABLE_ROWS: u64 = 512 * STRIP_ROWS as u64;

/// A part that is being made.
#[derive(Default)]
struct Part {
    tensors: BTreeMap<String, Stored>,
    reports: Vec<TensorReport>,
}

impl Job<'_> {
    /// The first part; gives each text's stream in front of the first layer, (tokens, hidden).
    pub(super) async fn embeddings(&mut self, device: &mut Device) -> Result<Vec<Vec<f32>>> {
        let table =
            self.named(Role::Embedding).ok_or_else(|| Error::MissingTensor { tensor: "embed_tokens".into() })?;
        let is_tied = self.named(Role::Head).is_none();
        let rotation = self.folding.residual.clone().filter(|_| !is_tied);
        let mut rows = BTreeMap::new();
        self.texts.iter().flatten().for_each(|id| drop(rows.insert(*id, Vec::new())));
        let bits = self.bits_of(table, true)?;
        if let Some(tensors) = self.kept(0)? {
            let stored = tensors.get(&table.name).ok_or_else(|| Error::MissingTensor { tensor: table.name.clone() })?;
            self.table_rows(table, bits, stored, rotation.as_ref(), &mut rows).await?;
            self.tell(&table.name, table.elements());
        } else {
            let (rounding, mut part) = (self.head_inputs(device, table, is_tied, bits).await?, Part::default());
            let stored = self.table(table, bits, rotation.as_ref(), None, rounding, &mut part).await?;
            self.table_rows(table, bits, &stored, rotation.as_ref(), &mut rows).await?;
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
        bits: Option<u32>,
    ) -> Result<Hessian> {
        let columns = table.columns() as usize;
        if !is_tied || bits.is_none() {
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
        bits: Option<u32>,
        rotation: Option<&Rotation>,
        gains: Option<&[f32]>,
        hessian: Hessian,
        part: &mut Part,
    ) -> Result<Stored> {
        let (rows, columns) = (table.rows(), table.columns() as usize);
        let feedback = match bits {
            Some(_) => Feedback::new(self.host.workers(), &hessian, self.options.damping),
            None => Feedback::none(columns),
        };
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
            match bits {
                Some(bits) => {
                    let rounded = self.round(bits, &hessian, &feedback, &values)?;
                    bytes.extend(rounded.stored);
                    error += rounded.error * count as f64;
                }
                None => bytes.extend(encode_plain(table, &values)?),
            }
            self.tell(&table.name, count * table.columns());
        }
        let Some(bits) = bits else { return Stored::plain(table, bytes) };
        let stored = Self::strips(bits, columns, bytes);
        part.reports.push(self.report_of(table, bits, true, &stored, error / rows.max(1) as f64));
        Ok(stored)
    }

    fn round(&self, bits: u32, hessian: &Hessian, feedback: &Feedback, values: &[f32]) -> Result<Rounded> {
        let trellis = Trellis::new(bits, self.options.code)?;
        let host = self.host;
        let is_cancelled = || host.is_cancelled();
        let rounding = Rounding {
            trellis: &trellis,
            hessian,
            feedback,
            tries_scales: self.options.tries_scales,
            is_cancelled: &is_cancelled,
        };
        quantize(host.workers(), &rounding, values).ok_or(Error::Cancelled)
    }

    /// Some rows of a table as they came out, for the texts' tokens.
    async fn table_rows(
        &self,
        table: &TensorInfo,
        bits: Option<u32>,
        stored: &Stored,
        rotation: Option<&Rotation>,
        rows: &mut BTreeMap<u32, Vec<f32>>,
    ) -> Result<()> {
        let columns = table.columns() as usize;
        for (id, out) in rows {
            let at = *id as usize;
            *out = match bits {
                Some(bits) => {
                    let strip_bytes = stored.shape.last().copied().unwrap_or(1);
                    let strip = stored.bytes.chunks_exact(strip_bytes).nth(at / STRIP_ROWS).unwrap_or_default();
                    let mut decoded = vec![0.0; STRIP_ROWS * columns];
                    decode_rows(bits, self.options.code, strip, columns, &mut decoded);
                    decoded[at % STRIP_ROWS * columns..][..columns].to_vec()
                }
                None => {
                    let row = u64::from(*id);
                    read(&self.opened.catalog, &table.name, row..row + 1).await?
                }
            };
            if let (Some(rotation), Some(_)) = (rotation, bits) {
                rotation.undo(out);
            }
        }
        Ok(())
    }

    /// A layer's part, and the streams behind it.
    pub(super) async fn layer(&mut self, device: &mut Device, layer: usize, streams: &mut [Vec<f32>]) -> Result<()> {
        let catalog = &self.opened.catalog;
        let stages = self.layers.stages(layer)?;
        let folds = self.folding.residual.is_some();
        self.layers.prepare(device, catalog, layer, folds).await?;
        let mut matrices = self.matrices(device, &stages, folds).await?;
        if let Some(kept) = self.kept(layer + 1)? {
            self.take_kept(device, layer, &stages, &kept, &mut matrices)?;
        } else {
            let mut part = Part::default();
            for at in 0..stages.len() {
                self.stage(device, layer, (at, &stages[at]), streams, &mut matrices, &mut part).await?;
            }
            self.vectors(layer, &stages, &mut part).await?;
            self.keep(layer + 1, &part.tensors, part.reports)?;
        }
        for stream in streams {
            self.check_cancelled()?;
            self.layers.forward(device, stages.len(), stream).await?;
        }
        Ok(())
    }

    /// The layer's matrices with the gains in front of them, all of them on the device.
    async fn matrices(&self, device: &mut Device, stages: &[Stage], folds: bool) -> Result<BTreeMap<String, Vec<f32>>> {
        let catalog = &self.opened.catalog;
        let mut matrices = BTreeMap::new();
        for stage in stages {
            let gains = match stage.norm {
                Some(norm) if folds => Some(self.layers.vector(catalog, norm).await?),
                _ => None,
            };
            for product in &stage.products {
                let name = &product.component.name;
                if !matrices.contains_key(name) {
                    let mut whole = read(catalog, name, 0..catalog.tensor(name)?.rows()).await?;
                    multiply(&mut whole, gains.as_deref());
                    matrices.insert(name.clone(), whole);
                }
                self.layers.upload(device, product, &matrices[name], stage.columns)?;
            }
        }
        Ok(matrices)
    }

    /// Puts what an earlier run made of the layer on the device.
    fn take_kept(
        &mut self,
        device: &mut Device,
        layer: usize,
        stages: &[Stage],
        kept: &BTreeMap<String, Stored>,
        matrices: &mut BTreeMap<String, Vec<f32>>,
    ) -> Result<()> {
        for stage in stages {
            for product in &stage.products {
                let name = &product.component.name;
                let (Some(matrix), Some(stored)) = (matrices.get_mut(name), kept.get(name)) else {
                    return Err(Error::MissingTensor { tensor: name.clone() });
                };
                let format = self.format_in(layer + 1, name).and_then(|report| Format::from_name(&report.format));
                if let Some(bits) = format.and_then(Format::trellis_bits) {
                    decode_rows(bits, self.options.code, &stored.bytes, stage.columns, matrix);
                    if let Some(role) = role_of(self.config(), layer as u32, name) {
                        self.folding.unfold(role, matrix, stage.columns);
                    }
                }
                self.layers.upload(device, product, matrix, stage.columns)?;
            }
        }
        let weights: usize = matrices.values().map(Vec::len).sum();
        self.tell(&format!("layer {layer}, as it was kept"), weights as u64);
        Ok(())
    }

    /// Rounds the matrices that read the same.
    async fn stage(
        &mut self,
        device: &mut Device,
        layer: usize,
        (at, stage): (usize, &Stage),
        streams: &[Vec<f32>],
        matrices: &mut BTreeMap<String, Vec<f32>>,
        part: &mut Part,
    ) -> Result<()> {
        let catalog = &self.opened.catalog;
        let names: Vec<&String> = stage.products.iter().map(|product| &product.component.name).collect();
        let Some(first) = names.first() else { return Ok(()) };
        let unknown = |name: &str| Error::DeviceFault { reason: format!("{name} has no known part in the layer") };
        let role_of = |name: &str| role_of(self.config(), layer as u32, name).ok_or_else(|| unknown(name));
        let rotation = self.folding.input(role_of(first)?).cloned();
        self.tell_stage(first);
        let mut hessian = Hessian::new(stage.columns);
        for stream in streams {
            self.check_cancelled()?;
            let mut x = self.layers.inputs(device, (at, stage), stream).await?;
            if let Some(rotation) = &rotation {
                rotation.apply(&mut x);
            }
            hessian.add(self.host.workers(), &x);
        }
        let feedback = Feedback::new(self.host.workers(), &hessian, self.options.damping);
        for product in &stage.products {
            let name = &product.component.name;
            let tensor = catalog.tensor(name)?;
            let Some(matrix) = matrices.get_mut(name) else { return Err(unknown(name)) };
            if !part.tensors.contains_key(name) {
                let role = super::folding::role_of(self.config(), layer as u32, name).ok_or_else(|| unknown(name))?;
                self.folding.fold(role, matrix, stage.columns);
                let stored = match self.bits_of(tensor, false)? {
                    Some(bits) => {
                        let rounded = self.round(bits, &hessian, &feedback, matrix)?;
                        *matrix = rounded.decoded;
                        let stored = Self::strips(bits, stage.columns, rounded.stored);
                        part.reports.push(self.report_of(tensor, bits, false, &stored, rounded.error));
                        stored
                    }
                    None => Stored::plain(tensor, encode_plain(tensor, matrix)?)?,
                };
                part.tensors.insert(name.clone(), stored);
                self.folding.unfold(role, matrix, stage.columns);
                self.tell(name, tensor.elements());
            }
            self.layers.upload(device, product, matrix, stage.columns)?;
        }
        Ok(())
    }

    fn tell_stage(&mut self, name: &str) {
        self.tell(&format!("inputs of {name}"), 0);
    }

    /// The layer's vectors: norms that were folded, biases that turn, and all others as they are.
    async fn vectors(&mut self, layer: usize, stages: &[Stage], part: &mut Part) -> Result<()> {
        let catalog = &self.opened.catalog;
        let folded: Vec<TensorId> = stages.iter().filter_map(|stage| stage.norm).collect();
        let ones = if self.config().architecture.hf_norms_add_one { 0.0 } else { 1.0 };
        for (id, init) in &self.layers.model.states {
            if let StateInit::Tensor { name, .. } = init
                && folded.contains(id)
                && self.folding.residual.is_some()
            {
                let columns = catalog.tensor(name)?.columns() as usize;
                part.tensors.insert(name.clone(), Stored::floats(vec![columns], &vec![ones; columns]));
            }
        }
        for product in stages.iter().flat_map(|stage| &stage.products) {
            let name = &product.component.name;
            let bias = name.strip_suffix(".weight").map(|stem| format!("{stem}.bias")).unwrap_or_default();
            let rotation = role_of(self.config(), layer as u32, name).and_then(|role| self.folding.output(role));
            if let (Some(rotation), Some(tensor)) = (rotation, catalog.tensors.get(&bias)) {
                let mut values = read(catalog, &bias, 0..1).await?;
                rotation.apply(&mut values);
                part.tensors.insert(tensor.name.clone(), Stored::floats(vec![values.len()], &values));
            }
        }
        for tensor in catalog.tensors.values() {
            if super::calibration::layer_of(&tensor.name) == Some(layer) && !part.tensors.contains_key(&tensor.name) {
                let bytes = catalog.read_rows(tensor, 0..tensor.rows()).await?;
                part.tensors.insert(tensor.name.clone(), Stored::plain(tensor, bytes)?);
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
            let bits = self.bits_of(head, true)?;
            let stored = self.table(head, bits, rotation.as_ref(), folded, hessian, &mut part).await?;
            part.tensors.insert(head.name.clone(), stored);
            if let (Some(norm), true) = (self.named(Role::FinalNorm), folded.is_some()) {
                let ones = if self.config().architecture.hf_norms_add_one { 0.0 } else { 1.0 };
                let stored = Stored::floats(vec![gains.len()], &vec![ones; gains.len()]);
                part.tensors.insert(norm.name.clone(), stored);
            }
        }
        let table = self.named(Role::Embedding).map(|table| &table.name);
        for tensor in catalog.tensors.values() {
            let is_done = super::calibration::layer_of(&tensor.name).is_some() || Some(&tensor.name) == table;
            if !is_done && !part.tensors.contains_key(&tensor.name) {
                let bytes = catalog.read_rows(tensor, 0..tensor.rows()).await?;
                part.tensors.insert(tensor.name.clone(), Stored::plain(tensor, bytes)?);
            }
        }
        self.keep(at, &part.tensors, part.reports)
    }
}

/// Multiplies each row's elements with gains.
fn multiply(matrix: &mut [f32], gains: Option<&[f32]>) {
    let Some(gains) = gains else { return };
    for row in matrix.chunks_exact_mut(gains.len().max(1)) {
        row.iter_mut().zip(gains).for_each(|(weight, gain)| *weight *= gain);
    }
}

/// A matrix that is not rounded to a trellis, in the type that it had.
fn encode_plain(tensor: &TensorInfo, values: &[f32]) -> Result<Vec<u8>> {
    Ok(match Stored::plain(tensor, Vec::new())?.dtype {
        Dtype::F16 => values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => bytemuck::cast_slice(values).to_vec(),
    })
}
