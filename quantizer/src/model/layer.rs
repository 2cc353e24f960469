//! A layer's part of a model: its matrices, stage by stage, and the vectors around them.

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    device::Device,
    model::StateInit,
    quant::decode_row,
    tensor::{Format, TensorId},
};

use super::{
    calibration::{Stage, layer_of, read},
    folding::role_of,
    part::{Part, encode_plain, multiply},
    pipeline::Job,
    shards::Stored,
};
use crate::linear::Hessian;

impl Job<'_> {
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
            for stage in stages.iter().enumerate() {
                self.stage(device, layer, stage, streams, &mut matrices, &mut part).await?;
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
                let report = self.format_in(layer + 1, name);
                let plain = self.opened.catalog.tensor(name)?.format;
                let format = report.and_then(|report| Format::from_name(&report.format)).unwrap_or(plain);
                self.decode(format, &stored.bytes, stage.columns, matrix);
                if let Some(role) = role_of(self.config(), layer as u32, name) {
                    self.folding.unfold(role, matrix, stage.columns);
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
        let role = role_of(self.config(), layer as u32, first).ok_or_else(|| unknown(first))?;
        let rotation = self.folding.input(role).cloned();
        self.tell(&format!("inputs of {first}"), 0);
        let mut hessian = Hessian::new(stage.columns);
        for stream in streams {
            self.check_cancelled()?;
            let mut x = self.layers.inputs(device, (at, stage), stream).await?;
            if let Some(rotation) = &rotation {
                rotation.apply(&mut x);
            }
            hessian.add(self.host.workers(), &x);
        }
        // One for tiles and one for single columns, where both are wanted.
        let mut feedbacks = BTreeMap::new();
        for product in &stage.products {
            let name = &product.component.name;
            let tensor = catalog.tensor(name)?;
            let Some(matrix) = matrices.get_mut(name) else { return Err(unknown(name)) };
            if !part.tensors.contains_key(name) {
                let role = role_of(self.config(), layer as u32, name).ok_or_else(|| unknown(name))?;
                self.folding.fold(role, matrix, stage.columns);
                let stored = match self.format_of(tensor, false)? {
                    Some(format) => {
                        let kind = format.trellis_bits().is_some();
                        let feedback = feedbacks.entry(kind).or_insert_with(|| self.feedback(format, &hessian));
                        let rounded = self.round(format, &hessian, feedback, matrix)?;
                        *matrix = rounded.decoded;
                        let stored = Stored::quantised(format, stage.columns, rounded.stored);
                        part.reports.push(self.report_of(tensor, format, false, &stored, rounded.error));
                        stored
                    }
                    None => {
                        let stored = Stored::plain(tensor, encode_plain(tensor, matrix)?)?;
                        decode_row(tensor.format, &stored.bytes, matrix);
                        stored
                    }
                };
                part.tensors.insert(name.clone(), stored);
                self.folding.unfold(role, matrix, stage.columns);
                self.tell(name, tensor.elements());
            }
            self.layers.upload(device, product, matrix, stage.columns)?;
        }
        Ok(())
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
            if layer_of(&tensor.name) == Some(layer) && !part.tensors.contains_key(&tensor.name) {
                let bytes = catalog.read_rows(tensor, 0..tensor.rows()).await?;
                part.tensors.insert(tensor.name.clone(), Stored::plain(tensor, bytes)?);
            }
        }
        Ok(())
    }
}
