//! Whole models whose weights stand in strips, and models that were rotated, on every device.

use std::collections::BTreeMap;

use hearth_engine::{
    Error,
    bench::open_shape,
    file::{Documents, MemoryFolder, OpenedModel, open_model},
    model::{Model, ModelConfig},
    protocol::BenchShape,
    quant::rotation::{block_of, hadamard, rotate, signs},
    tensor::Format,
};
use hearth_tests::{
    devices::Candidate,
    numbers::relative_difference,
    sessions::{load, open},
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

const IDS: [u32; 9] = [0, 7, 21, 100, 3, 3, 250, 42, 9];
const SEED: u64 = 20261123;

fn logits(candidate: &Candidate, opened: &OpenedModel) -> Vec<f32> {
    let mut session = load(candidate, opened, 64).unwrap_or_else(|error| panic!("{candidate}: {error}"));
    pollster::block_on(session.logits(&IDS)).unwrap()
}

#[test]
fn a_model_in_strips_says_the_same_on_every_device() {
    for format in [Format::Trellis2, Format::Trellis3, Format::Trellis6, Format::Levels2] {
        let opened = open_shape(BenchShape::Tiny, format, 5).unwrap();
        let mut expected: Option<Vec<f32>> = None;
        for candidate in Candidate::all() {
            let found = logits(&candidate, &opened);
            let expected = expected.get_or_insert_with(|| found.clone());
            let difference = relative_difference(&found, expected);
            assert!(difference < 1e-4, "{format}, {candidate}: {difference:e}");
            assert!(found.iter().any(|logit| logit.abs() > 1e-3), "{format}: all logits are nothing");
        }
    }
}

/// A model's tensors in F32, and its configuration.
struct Folder {
    config: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    tokenizer: String,
}

impl Folder {
    /// The fixture, with its head as it is or with the embedding's table in its place.
    fn read(tied: bool) -> Self {
        let opened = open("tests/fixtures/tiny-llama");
        let Documents::HuggingFace { config, tokenizer: Some(tokenizer), .. } = &opened.documents else {
            panic!("the fixture is a folder with a tokenizer")
        };
        let mut config: Value = serde_json::from_str(config).unwrap();
        let catalog = &opened.catalog;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &catalog.tensors {
            let bytes = pollster::block_on(catalog.read_rows(tensor, 0..tensor.rows())).unwrap();
            let mut numbers = vec![0.0; tensor.elements() as usize];
            hearth_engine::quant::decode_row(tensor.format, &bytes, &mut numbers);
            tensors.insert(name.clone(), (tensor.shape.iter().map(|side| *side as usize).collect(), numbers));
        }
        if tied {
            tensors.remove("lm_head.weight");
            config["tie_word_embeddings"] = true.into();
        }
        Self { config, tensors, tokenizer: tokenizer.clone() }
    }

    fn open(&self) -> hearth_engine::Result<OpenedModel> {
        let stored: Vec<(&str, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, numbers))| {
                (name.as_str(), shape.as_slice(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
            })
            .collect();
        let views = stored
            .iter()
            .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
        let folder = MemoryFolder::new("rotated")
            .with("config.json", self.config.to_string())
            .with("tokenizer.json", self.tokenizer.clone())
            .with("model.safetensors", safetensors::serialize(views, None).unwrap());
        pollster::block_on(open_model(&folder, None))
    }

    fn rows(&mut self, name: &str, change: impl Fn(&mut [f32])) {
        let (shape, numbers) = self.tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is not there"));
        numbers.chunks_exact_mut(shape[1]).for_each(change);
    }

    fn columns(&mut self, name: &str, change: impl Fn(&mut [f32])) {
        let (shape, numbers) = self.tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is not there"));
        let (rows, columns) = (shape[0], shape[1]);
        for column in 0..columns {
            let mut turned: Vec<f32> = (0..rows).map(|row| numbers[row * columns + column]).collect();
            change(&mut turned);
            turned.iter().enumerate().for_each(|(row, number)| numbers[row * columns + column] = *number);
        }
    }

    /// A norm's gains into what reads it.
    fn fold(&mut self, norm: &str, readers: &[String]) {
        let gains = std::mem::take(&mut self.tensors.get_mut(norm).unwrap().1);
        self.tensors.get_mut(norm).unwrap().1 = vec![1.0; gains.len()];
        for reader in readers {
            self.rows(reader, |row| row.iter_mut().zip(&gains).for_each(|(weight, gain)| *weight *= gain));
        }
    }

    /// What the quantizer does before it quantises.
    fn rotate(&mut self) {
        let number = |field: &str| self.config[field].as_u64().unwrap() as usize;
        let (hidden, head_dim, layers) = (number("hidden_size"), number("head_dim"), number("num_hidden_layers"));
        let (signs, block) = (signs(SEED, hidden), block_of(hidden as u32) as usize);
        let turn = |numbers: &mut [f32]| rotate(numbers, &signs, block);
        for layer in 0..layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            let attention = ["q", "k", "v"].map(|part| name(&format!("self_attn.{part}_proj")));
            let raises = ["gate", "up"].map(|part| name(&format!("mlp.{part}_proj")));
            self.fold(&name("input_layernorm"), &attention);
            self.fold(&name("post_attention_layernorm"), &raises);
            attention.iter().chain(&raises).for_each(|reader| self.rows(reader, turn));
            let (output, down) = (name("self_attn.o_proj"), name("mlp.down_proj"));
            [&output, &down].into_iter().for_each(|writer| self.columns(writer, turn));
            self.columns(&attention[2], |values| hadamard(values, head_dim));
            self.rows(&output, |row| hadamard(row, head_dim));
            self.rows(&down, |row| hadamard(row, 32));
        }
        if self.tensors.contains_key("lm_head.weight") {
            self.fold("model.norm.weight", &["lm_head.weight".to_owned()]);
            self.rows("lm_head.weight", turn);
            self.rows("model.embed_tokens.weight", turn);
        }
        self.config["quantization_config"] = json!({
            "quant_method": "hearth", "version": 1, "codebook": "sum7", "window_bits": 16, "tensors": {},
            "rotation": { "seed": SEED, "residual": true, "values": true, "down_block": 32 },
        });
    }
}

#[test]
fn a_rotated_model_says_what_it_said_before() {
    for tied in [false, true] {
        let mut folder = Folder::read(tied);
        let plain = folder.open().unwrap();
        folder.rotate();
        let rotated = folder.open().unwrap();
        for candidate in Candidate::all() {
            let difference = relative_difference(&logits(&candidate, &rotated), &logits(&candidate, &plain));
            assert!(difference < 2e-4, "tied {tied}, {candidate}: {difference:e}");
        }
        // Without its rotation being undone the model says something else.
        folder.config["quantization_config"]["rotation"]["down_block"] = 0.into();
        let candidate = &Candidate::all()[0];
        let difference = relative_difference(&logits(candidate, &folder.open().unwrap()), &logits(candidate, &plain));
        assert!(difference > 1e-2, "tied {tied}: {difference:e}");
    }
}

#[test]
fn rotations_that_a_model_does_not_bear_are_refused() {
    let refused = |model_type: &str, field: &str, value: Value| {
        let mut folder = Folder::read(false);
        folder.rotate();
        folder.config["quantization_config"]["rotation"][field] = value;
        folder.config["model_type"] = model_type.into();
        let opened = folder.open().unwrap();
        let config = ModelConfig::read(&opened.documents).unwrap();
        Model::record(config, &opened.catalog, 64, false).expect_err("it should have been refused")
    };
    for (model_type, field, value) in [("llama", "down_block", json!(64)), ("olmo2", "residual", json!(true))] {
        let error = refused(model_type, field, value);
        let Error::BadConfig { field: found, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, format!("quantization_config.rotation.{field}"));
    }
}
