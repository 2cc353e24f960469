//! Runs a model layer by layer on the engine's own plans, and takes what its products read.
//!
//! The plan of a prefill is cut where a layer ends. A layer's program has the same tensors as the whole one, but only
//! its own take memory; all of them outlive a run, so that they can be read. Weights are F32 there.

use std::ops::Range;

use hearth_engine::{
    Error, Result,
    device::Device,
    file::Catalog,
    kernel::{Matmul, RmsNorm, Step},
    model::{Component, Model, ModelConfig, PlanIndex, StateInit},
    plan::{Command, Plan, Program, TensorDecl, TensorKind},
    quant::decode_row,
    tensor::{Format, TensorId},
};

/// A recorded model, cut into layers.
pub struct Layers {
    /// As it was recorded.
    pub model: Model,
    layers: Vec<Range<usize>>,
    stream: TensorId,
    tokens_max: u32,
}

/// A product of a layer.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its weights in the program.
    pub weights: TensorId,
    /// Where they come from.
    pub component: Component,
}

/// Products that read the same, and so are rounded for the same inputs.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What they read.
    pub x: TensorId,
    /// Its length.
    pub columns: usize,
    /// The norm that it comes from, if it is one of the stream.
    pub norm: Option<TensorId>,
    /// In the plan's order.
    pub products: Vec<Product>,
    /// The first product's command.
    cut: usize,
}

impl Layers {
    /// Cuts a model for texts of so many tokens.
    pub fn new(config: ModelConfig, catalog: &Catalog, tokens_max: u32) -> Result<Self> {
        let model = Model::record_batches(config, catalog, tokens_max, false, tokens_max)?;
        let commands = &model.program.plans[PlanIndex::Prefill as usize].commands;
        let Some(Command::Embed(embed)) = commands.first() else {
            return Err(Error::DeviceFault { reason: "a prefill does not begin with the embeddings".to_owned() });
        };
        let end = commands.iter().position(|command| matches!(command, Command::LastRow(_))).unwrap_or(commands.len());
        let mut layers: Vec<Range<usize>> = Vec::new();
        for (at, command) in commands[..end].iter().enumerate() {
            let found = command.operands().into_iter().find_map(|id| layer_of(&model.program.tensor(id).label));
            match (found, layers.len()) {
                (Some(layer), count) if layer == count => layers.push(at..at + 1),
                (Some(layer), count) if layer + 1 != count => {
                    let reason = format!("layer {layer} follows layer {}", count as i64 - 1);
                    return Err(Error::DeviceFault { reason });
                }
                _ => {
                    if let Some(last) = layers.last_mut() {
                        last.end = at + 1;
                    }
                }
            }
        }
        if layers.len() != model.config.layers as usize {
            return Err(Error::DeviceFault { reason: format!("{} layers were found in the plan", layers.len()) });
        }
        Ok(Self { stream: embed.out, layers, tokens_max, model })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    fn commands(&self, layer: usize) -> &[Command] {
        &self.model.program.plans[PlanIndex::Prefill as usize].commands[self.layers[layer].clone()]
    }

    /// What a layer's products read, in order.
    pub fn stages(&self, layer: usize) -> Result<Vec<Stage>> {
        let commands = self.commands(layer);
        let mut stages: Vec<Stage> = Vec::new();
        for (at, command) in commands.iter().enumerate() {
            let Command::Matmul(Matmul { x, weights, columns, .. }) = *command else {
                if matches!(command, Command::ExpertMatvec(_)) {
                    return Err(Error::invalid("model", "has experts, which cannot be quantised here yet"));
                }
                continue;
            };
            let load = self.model.weights.iter().find(|load| load.id == weights);
            let Some([component]) = load.map(|load| load.components.as_slice()) else {
                return Err(Error::DeviceFault { reason: "a product's weights come from nowhere".to_owned() });
            };
            let product = Product { weights, component: component.clone() };
            match stages.iter_mut().find(|stage| stage.x == x) {
                Some(stage) => stage.products.push(product),
                None => {
                    let norm = commands[..at].iter().find_map(|command| self.norm_of_stream(command, x));
                    stages.push(Stage { x, columns: columns as usize, norm, products: vec![product], cut: at });
                }
            }
        }
        Ok(stages)
    }

    fn norm_of_stream(&self, command: &Command, of: TensorId) -> Option<TensorId> {
        match command {
            Command::RmsNorm(RmsNorm { x, weight, out, .. }) if *out == of && *x == self.stream => Some(*weight),
            _ => None,
        }
    }

    /// The layer alone. Its plans end before each stage, and the last one is all of it.
    fn program(&self, layer: usize) -> Result<Program> {
        let commands = self.commands(layer);
        let used: Vec<TensorId> = commands.iter().flat_map(|command| command.operands()).collect();
        let tensors = self.model.program.tensors.iter().enumerate().map(|(at, decl)| {
            let (label, rows, columns) = (decl.label.clone(), decl.rows, decl.columns);
            match decl.kind {
                TensorKind::Tokens => decl.clone(),
                _ if !used.contains(&TensorId(at as u32)) => {
                    TensorDecl { label, kind: TensorKind::State, rows: 1, columns: 1 }
                }
                TensorKind::Weight(_) => TensorDecl { label, kind: TensorKind::Weight(Format::F32), rows, columns },
                _ => TensorDecl { label, kind: TensorKind::State, rows, columns },
            }
        });
        let cuts = self.stages(layer)?.into_iter().map(|stage| stage.cut).chain([commands.len()]);
        let plans = cuts.map(|cut| Plan {
            name: format!("layer {layer} to {cut}"),
            tokens_max: self.tokens_max,
            commands: commands[..cut].to_vec(),
        });
        Ok(Program { tensors: tensors.collect(), plans: plans.collect(), ..self.model.program.clone() })
    }

    /// Puts a layer on a device, without its matrices. Norms before a stage are all ones: what they multiply with is in
    /// the matrices then.
    pub async fn prepare(&self, device: &mut Device, catalog: &Catalog, layer: usize, folds: bool) -> Result<()> {
        let program = self.program(layer)?;
        device.prepare(&program).await?;
        let folded: Vec<TensorId> = self.stages(layer)?.into_iter().filter_map(|stage| stage.norm).collect();
        for (id, init) in &self.model.states {
            if program.tensor(*id).columns == 1 {
                continue;
            }
            let values = match init {
                StateInit::Tensor { elements, .. } if folds && folded.contains(id) => {
                    Some(vec![1.0; (elements.end - elements.start) as usize])
                }
                _ => state_values(catalog, init, self.tokens_max).await?,
            };
            if let Some(values) = values {
                device.write(*id, 0, &values)?;
            }
        }
        Ok(())
    }

    /// The numbers of a state that is a vector of the catalog.
    pub async fn vector(&self, catalog: &Catalog, id: TensorId) -> Result<Vec<f32>> {
        let init = self.model.states.iter().find(|(state, _)| *state == id).map(|(_, init)| init);
        match init {
            Some(init @ StateInit::Tensor { .. }) => {
                Ok(state_values(catalog, init, self.tokens_max).await?.unwrap_or_default())
            }
            _ => Err(Error::DeviceFault { reason: format!("%{} is no vector", id.0) }),
        }
    }

    /// Puts a product's matrix on the device; `whole` is the tensor of the catalog, (rows, columns).
    pub fn upload(&self, device: &mut Device, product: &Product, whole: &[f32], columns: usize) -> Result<()> {
        let Range { start, end } = product.component.rows;
        let rows = &whole[start as usize * columns..end as usize * columns];
        device.upload(product.weights, 0..end - start, bytemuck::cast_slice(rows))
    }

    /// What a stage reads, (tokens, columns), when the layer begins with this stream.
    pub async fn inputs(&self, device: &mut Device, stage: (usize, &Stage), stream: &[f32]) -> Result<Vec<f32>> {
        let (at, stage) = stage;
        let tokens = self.run(device, at, stream)?;
        device.read(stage.x, 0..tokens * stage.columns as u64).await
    }

    /// The stream behind a layer; `stages` is how many stages it has.
    pub async fn forward(&self, device: &mut Device, stages: usize, stream: &mut Vec<f32>) -> Result<()> {
        let tokens = self.run(device, stages, stream)?;
        *stream = device.read(self.stream, 0..tokens * u64::from(self.model.config.hidden)).await?;
        Ok(())
    }

    fn run(&self, device: &mut Device, plan: usize, stream: &[f32]) -> Result<u64> {
        let tokens = stream.len() / self.model.config.hidden as usize;
        device.write(self.stream, 0, stream)?;
        device.run(plan, Step { position: 0, tokens: tokens as u32 }, &vec![0; tokens])?;
        Ok(tokens as u64)
    }
}

/// What a decoder's state begins with; None for those of encoders.
pub async fn state_values(catalog: &Catalog, init: &StateInit, context_tokens: u32) -> Result<Option<Vec<f32>>> {
    match init {
        StateInit::Tensor { name, elements, add_one } => {
            let whole = read(catalog, name, 0..1).await?;
            let mut values = whole.get(elements.start as usize..elements.end as usize).unwrap_or_default().to_vec();
            values.iter_mut().filter(|_| *add_one).for_each(|value| *value += 1.0);
            Ok(Some(values))
        }
        StateInit::RopeTable { rope, factors } => {
            let factors = match factors {
                Some(name) => Some(read(catalog, name, 0..1).await?),
                None => None,
            };
            rope.table(context_tokens, factors.as_deref()).map(Some)
        }
        // Only encoders and models that were rotated already have others.
        _ => Ok(None),
    }
}

/// Some rows of a tensor, decoded.
pub async fn read(catalog: &Catalog, name: &str, rows: Range<u64>) -> Result<Vec<f32>> {
    let tensor = catalog.tensor(name)?;
    let bytes = catalog.read_rows(tensor, rows.clone()).await?;
    let mut values = vec![0.0; ((rows.end - rows.start) * tensor.columns()) as usize];
    decode_row(tensor.format, &bytes, &mut values);
    Ok(values)
}

/// The layer that a tensor belongs to, by its name or by what the plan calls it.
pub fn layer_of(label: &str) -> Option<usize> {
    if let Some(layer) = label.strip_prefix("key cache ").or_else(|| label.strip_prefix("value cache ")) {
        return layer.parse().ok();
    }
    let mut parts = label.split('.').skip_while(|part| *part != "layers" && *part != "blk");
    parts.nth(1)?.parse().ok()
}
