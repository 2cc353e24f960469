//! What bits are worth: how much each matrix loses with 2 to 6 of them, and what such a loss does to the answers.
//!
//! The first is measured on some strips of each matrix, with its own Hessian. The second is the divergence between the
//! model's answers and those that it gives when noise of that size is put on a group of matrices (HIGGS, Malinovskii et
//! al. 2024, sections 3 and 4: the divergence grows in proportion to the noise).

use std::collections::BTreeMap;

use hearth_engine::{
    Error, Result,
    device::Device,
    file::OpenedModel,
    kernel::Step,
    model::{Model, ModelConfig, PlanIndex, Role},
    quant::trellis::{Code, Codebook, STRIP_ROWS, TILE_COLUMNS},
    tensor::TensorId,
};

use super::{
    calibration::{Layers, read, state_values},
    folding::{Folding, role_of},
    part::{encode_plain, multiply},
};
use crate::{
    allocation::{Group, allocate},
    linear::{Feedback, Hessian, Rounding, quantize},
    options::{Host, Options, Progress, Recipe, Rule},
    random::Random,
    trellis::{BITS, Trellis},
};

/// Strips of a matrix that are tried.
const STRIPS: usize = 4;
/// Tokens for the Hessians.
const HESSIAN_TOKENS: usize = 8192;
/// Tokens whose answers are compared; their logits are kept.
const ANSWER_TOKENS: usize = 1024;
/// Windows of the codes that are tried: short ones lose alike.
const WINDOW_BITS: u32 = 12;

/// Bits of a row's scale.
const SCALE_BITS: u64 = 16;
/// What every weight takes.
const LEAST_BITS: f64 = 2.0;

/// What is found of a matrix.
struct Matrix {
    layer: usize,
    role: Role,
    rows: u64,
    weights: u64,
    /// Of 2 to 6 bits, as a part of what its outputs are.
    errors: [f64; 5],
    /// Mean square of the noise on a weight that makes an error of 1.
    noise: f64,
}

/// A recipe of at most so many bits a weight, in the linear layers that the options' recipe has no rule for.
pub async fn allocate_bits(
    device: &mut Device,
    opened: &OpenedModel,
    options: &Options,
    texts: &[Vec<u32>],
    host: &dyn Host,
    bits: f64,
) -> Result<Recipe> {
    if !bits.is_finite() || bits < LEAST_BITS {
        return Err(Error::invalid(
            "target-bpw",
            format_args!("{bits} is less than {LEAST_BITS}, and no code is shorter"),
        ));
    }
    let config = ModelConfig::read(&opened.documents)?;
    let folding = if options.rotates { Folding::of(&config, options.seed) } else { Folding::default() };
    let mut taken = 0;
    let texts: Vec<Vec<u32>> = texts
        .iter()
        .take_while(|text| {
            taken += text.len();
            taken <= HESSIAN_TOKENS.max(text.len())
        })
        .cloned()
        .collect();
    let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
    let layers = Layers::new(config, &opened.catalog, u32::try_from(longest).unwrap_or(u32::MAX))?;
    let total = layers.count() as u64;
    let mut survey =
        Survey { opened, options, host, folding, progress: Progress { stage: String::new(), done: 0, total } };
    let matrices = survey.matrices(device, &layers, &texts).await?;
    let groups = survey.groups(device, &layers, &texts, &matrices).await?;
    // Rows' scales are paid from the budget too.
    let weights: u64 = matrices.values().map(|matrix| matrix.weights).sum();
    let scales: u64 = matrices.values().map(|matrix| SCALE_BITS * matrix.rows).sum();
    let found = allocate(&groups, (bits - scales as f64 / weights.max(1) as f64).max(LEAST_BITS))?;
    let mut recipe = options.recipe.clone();
    for (group, bits) in groups.into_iter().zip(found) {
        let format = format!("TRELLIS{bits}");
        recipe.rules.extend(group.tensors.into_iter().map(|tensors| Rule { tensors, format: format.clone() }));
    }
    Ok(recipe)
}

struct Survey<'a> {
    opened: &'a OpenedModel,
    options: &'a Options,
    host: &'a dyn Host,
    folding: Folding,
    progress: Progress,
}

impl Survey<'_> {
    fn tell(&mut self, stage: String, done: u64) -> Result<()> {
        self.progress.done += done;
        self.progress.stage = stage;
        self.host.progress(&self.progress);
        if self.host.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Of each matrix, what it loses.
    async fn matrices(
        &mut self,
        device: &mut Device,
        layers: &Layers,
        texts: &[Vec<u32>],
    ) -> Result<BTreeMap<String, Matrix>> {
        let catalog = &self.opened.catalog;
        let mut streams = self.streams(layers, texts).await?;
        let folds = self.folding.residual.is_some();
        let mut found = BTreeMap::new();
        for layer in 0..layers.count() {
            self.tell(format!("measuring layer {layer}"), 1)?;
            layers.prepare(device, catalog, layer, folds).await?;
            let stages = layers.stages(layer)?;
            let mut wholes = BTreeMap::new();
            for stage in &stages {
                let gains = match stage.norm {
                    Some(norm) if folds => Some(layers.vector(catalog, norm).await?),
                    _ => None,
                };
                for product in &stage.products {
                    let tensor = catalog.tensor(&product.component.name)?;
                    let mut whole = read(catalog, &tensor.name, 0..tensor.rows()).await?;
                    multiply(&mut whole, gains.as_deref());
                    layers.upload(device, product, &whole, stage.columns)?;
                    wholes.insert(tensor.name.clone(), whole);
                }
            }
            for (at, stage) in stages.iter().enumerate() {
                if stage.columns % TILE_COLUMNS != 0 {
                    continue;
                }
                let names: Vec<&String> = stage.products.iter().map(|product| &product.component.name).collect();
                let role = names.first().and_then(|name| role_of(&layers.model.config, layer as u32, name));
                let rotation = role.and_then(|role| self.folding.input(role));
                let mut hessian = Hessian::new(stage.columns);
                for stream in &streams {
                    let mut x = layers.inputs(device, (at, stage), stream).await?;
                    if let Some(rotation) = rotation {
                        rotation.apply(&mut x);
                    }
                    hessian.add(self.host.workers(), &x);
                }
                let feedback = Feedback::new(self.host.workers(), &hessian, self.options.damping);
                for name in names {
                    let Some(role) = role_of(&layers.model.config, layer as u32, name) else { continue };
                    if let Some(mut whole) = wholes.remove(name) {
                        let weights = whole.len() as u64;
                        let rows = weights / stage.columns as u64;
                        self.folding.fold(role, &mut whole, stage.columns);
                        let (errors, noise) = self.losses(&hessian, &feedback, &whole)?;
                        found.insert(name.clone(), Matrix { layer, role, rows, weights, errors, noise });
                    }
                }
            }
            for stream in &mut streams {
                layers.forward(device, stages.len(), stream).await?;
            }
        }
        Ok(found)
    }

    async fn streams(&self, layers: &Layers, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let config = &layers.model.config;
        let name = config.naming.weight(Role::Embedding, config.architecture.norms, 0);
        let bare = name.strip_prefix("model.").unwrap_or(&name);
        let table = if self.opened.catalog.tensors.contains_key(&name) { &name } else { bare };
        let mut streams = Vec::new();
        for text in texts {
            let mut stream = Vec::new();
            for id in text {
                let row = u64::from(*id);
                stream.extend(read(&self.opened.catalog, table, row..row + 1).await?);
            }
            stream.iter_mut().for_each(|value| *value *= config.scales.embedding);
            streams.push(stream);
        }
        Ok(streams)
    }

    /// Errors of 2 to 6 bits, and the mean square of noise for an error of 1.
    fn losses(&self, hessian: &Hessian, feedback: &Feedback, matrix: &[f32]) -> Result<([f64; 5], f64)> {
        let columns = hessian.columns();
        let strips: Vec<&[f32]> = matrix.chunks(STRIP_ROWS * columns).collect();
        let step = strips.len().div_ceil(STRIPS).max(1);
        let sample: Vec<f32> = strips.into_iter().step_by(step).flatten().copied().collect();
        let (mut errors, mut whole) = ([0.0; 5], 0.0);
        for (error, bits) in errors.iter_mut().zip(BITS) {
            let trellis = Trellis::new(bits, Code::new(Codebook::default(), WINDOW_BITS)?)?;
            let host = self.host;
            let is_cancelled = || host.is_cancelled();
            let (encoder, is_cancelled) = (host.encoder(), &is_cancelled);
            let rounding =
                Rounding { trellis: &trellis, hessian, feedback, encoder, tries_scales: false, is_cancelled };
            let rounded = quantize(host.workers(), &rounding, &sample).ok_or(Error::Cancelled)?;
            (*error, whole) = (rounded.error, rounded.whole);
        }
        let trace: f64 = hessian.sum().iter().step_by(columns + 1).map(|sum| f64::from(*sum)).sum();
        let rows = sample.len() as f64 / columns as f64;
        Ok((errors, if trace > 0.0 { whole / rows / trace } else { 0.0 }))
    }

    /// Groups of matrices, with the divergence that their losses make.
    async fn groups(
        &mut self,
        device: &mut Device,
        layers: &Layers,
        texts: &[Vec<u32>],
        matrices: &BTreeMap<String, Matrix>,
    ) -> Result<Vec<Group>> {
        let mut named: BTreeMap<(usize, u8), Vec<&String>> = BTreeMap::new();
        let ruled = |name: &str| self.options.recipe.has_rule_for(name);
        for (name, matrix) in matrices.iter().filter(|(name, _)| !ruled(name)) {
            named.entry((matrix.layer, class_of(matrix.role))).or_default().push(name);
        }
        self.progress = Progress { stage: String::new(), done: 0, total: named.len() as u64 };
        let answers = Answers::new(device, self.opened, layers, texts, self.host).await?;
        let expected = answers.logits(device).await?;
        let mut groups = Vec::new();
        for (at, ((layer, _), names)) in named.into_iter().enumerate() {
            self.tell(format!("measuring what layer {layer} is worth"), 1)?;
            for name in &names {
                answers.disturb(device, name, &matrices[*name], at as u64).await?;
            }
            let divergence = answers.divergence(device, &expected).await?;
            for name in &names {
                answers.restore(device, name).await?;
            }
            // Noise was as large as what 3 bits leave; other losses are in proportion to it.
            let mean = |of: &dyn Fn(&Matrix) -> f64| names.iter().map(|name| of(&matrices[*name])).sum::<f64>();
            let at_three = mean(&|matrix| matrix.errors[1]).max(f64::MIN_POSITIVE);
            groups.push(Group {
                costs: std::array::from_fn(|bits| divergence * mean(&|matrix| matrix.errors[bits]) / at_three),
                weights: names.iter().map(|name| matrices[*name].weights).sum(),
                tensors: names.into_iter().cloned().collect(),
            });
        }
        Ok(groups)
    }
}

/// Which of a layer's matrices get the same bits.
fn class_of(role: Role) -> u8 {
    match role {
        Role::Query | Role::Key | Role::QueryKeyValue => 0,
        Role::Value => 1,
        Role::AttentionOutput => 2,
        Role::Gate | Role::Up | Role::GateUp => 3,
        _ => 4,
    }
}

/// The whole model on a device, and the texts whose next tokens it is asked for.
struct Answers<'a> {
    opened: &'a OpenedModel,
    model: Model,
    texts: Vec<Vec<u32>>,
    host: &'a dyn Host,
}

impl<'a> Answers<'a> {
    async fn new(
        device: &mut Device,
        opened: &'a OpenedModel,
        layers: &Layers,
        texts: &[Vec<u32>],
        host: &'a dyn Host,
    ) -> Result<Self> {
        let config = layers.model.config.clone();
        let each = (ANSWER_TOKENS / texts.len().max(1)).max(64);
        let wanted = ANSWER_TOKENS.div_ceil(each);
        let step = (texts.len() / wanted).max(1);
        let texts: Vec<Vec<u32>> =
            texts.iter().step_by(step).take(wanted).map(|text| text[..text.len().min(each)].to_vec()).collect();
        let context = texts.iter().map(Vec::len).max().unwrap_or(1) as u32;
        let model = Model::record_batches(config, &opened.catalog, context, true, context)?;
        device.prepare(&model.program).await?;
        for (id, init) in &model.states {
            if let Some(values) = state_values(&opened.catalog, init, context).await? {
                device.write(*id, 0, &values)?;
            }
        }
        let answers = Self { opened, model, texts, host };
        let names: Vec<&String> =
            answers.model.weights.iter().flat_map(|load| &load.components).map(|part| &part.name).collect();
        for name in names {
            answers.restore(device, name).await?;
        }
        Ok(answers)
    }

    /// Where the rows of a tensor go.
    fn targets(&self, name: &str) -> impl Iterator<Item = (TensorId, std::ops::Range<u64>)> {
        let components = self.model.weights.iter().flat_map(|load| load.components.iter().map(|part| (load.id, part)));
        components.filter(move |(_, part)| part.name == name).map(|(id, part)| (id, part.rows.clone()))
    }

    async fn restore(&self, device: &mut Device, name: &str) -> Result<()> {
        let tensor = self.opened.catalog.tensor(name)?;
        for (id, rows) in self.targets(name) {
            let bytes = self.opened.catalog.read_rows(tensor, rows.clone()).await?;
            device.upload(id, 0..rows.end - rows.start, &bytes)?;
        }
        Ok(())
    }

    /// Puts noise on a tensor, as large as what 3 bits leave.
    async fn disturb(&self, device: &mut Device, name: &str, matrix: &Matrix, seed: u64) -> Result<()> {
        let tensor = self.opened.catalog.tensor(name)?;
        let mut random = Random::new(seed);
        let deviation = (matrix.errors[1] * matrix.noise).sqrt();
        for (id, rows) in self.targets(name) {
            let mut values = read(&self.opened.catalog, name, rows.clone()).await?;
            values.iter_mut().for_each(|value| *value += (deviation * random.normal()) as f32);
            device.upload(id, 0..rows.end - rows.start, &encode_plain(tensor, &values)?)?;
        }
        Ok(())
    }

    /// Of every token of every text: (tokens, vocabulary).
    async fn logits(&self, device: &mut Device) -> Result<Vec<f32>> {
        let plan = PlanIndex::Score as usize;
        let batch = self.model.program.plans[plan].tokens_max as usize;
        let vocab = u64::from(self.model.config.vocab_size);
        let mut logits = Vec::new();
        for text in &self.texts {
            for (at, ids) in text.chunks(batch).enumerate() {
                if self.host.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let step = Step { position: (at * batch) as u32, tokens: ids.len() as u32 };
                device.run(plan, step, ids)?;
                logits.extend(device.read(self.model.logits, 0..ids.len() as u64 * vocab).await?);
            }
        }
        Ok(logits)
    }

    /// Mean divergence from the expected answers, in nats.
    async fn divergence(&self, device: &mut Device, expected: &[f32]) -> Result<f64> {
        let found = self.logits(device).await?;
        let vocab = self.model.config.vocab_size as usize;
        let rows = expected.chunks_exact(vocab).zip(found.chunks_exact(vocab));
        let count = rows.len().max(1) as f64;
        Ok(rows.map(|(expected, found)| divergence(expected, found)).sum::<f64>() / count)
    }
}

/// Kullback and Leibler's, from logits.
fn divergence(expected: &[f32], found: &[f32]) -> f64 {
    let log_sum = |logits: &[f32]| {
        let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        highest + logits.iter().map(|logit| (f64::from(*logit) - highest).exp()).sum::<f64>().ln()
    };
    let (of_expected, of_found) = (log_sum(expected), log_sum(found));
    let each = expected.iter().zip(found).map(|(expected, found)| {
        let log = f64::from(*expected) - of_expected;
        log.exp() * (log - f64::from(*found) + of_found)
    });
    each.sum()
}
