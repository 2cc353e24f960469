//! A whole small model, from its files to the files of its quantised model.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use hearth_engine::{
    Error, Result,
    device::{CpuDevice, Device, Serial, SimdLevel, Workers},
    file::{MemoryFolder, OpenedModel, open_model},
    quant::trellis::{Code, Codebook},
};
use hearth_quantizer::{
    Host, Options, Progress, Recipe, Rule,
    model::{Report, quantize_model},
    random::Random,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

const CONFIG: &str = r#"{"model_type": "qwen2", "vocab_size": 48, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": TIED}"#;

/// A model of random weights, with biases, norms that are not 1 and a few columns that stand out.
fn opened(is_tied: bool) -> OpenedModel {
    let mut random = Random::new(9);
    let mut tensors: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![48, 64])];
    for layer in 0..2 {
        let shapes: [(&str, &[usize]); 12] = [
            ("input_layernorm.weight", &[64]),
            ("self_attn.q_proj.weight", &[64, 64]),
            ("self_attn.k_proj.weight", &[32, 64]),
            ("self_attn.v_proj.weight", &[32, 64]),
            ("self_attn.q_proj.bias", &[64]),
            ("self_attn.k_proj.bias", &[32]),
            ("self_attn.v_proj.bias", &[32]),
            ("self_attn.o_proj.weight", &[64, 64]),
            ("post_attention_layernorm.weight", &[64]),
            ("mlp.gate_proj.weight", &[96, 64]),
            ("mlp.up_proj.weight", &[96, 64]),
            ("mlp.down_proj.weight", &[64, 96]),
        ];
        tensors.extend(shapes.map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape.to_vec())));
    }
    tensors.push(("model.norm.weight".into(), vec![64]));
    if !is_tied {
        tensors.push(("lm_head.weight".into(), vec![48, 64]));
    }
    let values: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(name, shape)| {
            let columns = shape[shape.len() - 1];
            let value = |at: usize| match name.contains("norm") {
                true => 1.0 + 0.3 * random.normal() as f32,
                false if at % columns == 5 => random.normal() as f32,
                false => 0.2 * random.normal() as f32,
            };
            (0..shape.iter().product()).map(value).flat_map(f32::to_le_bytes).collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&values)
        .map(|((name, shape), values)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), values).unwrap()));
    let folder = MemoryFolder::new("a small model")
        .with("config.json", CONFIG.replace("TIED", &is_tied.to_string()))
        .with("tokenizer.json", "{}")
        .with("model.safetensors", safetensors::serialize(views, None).unwrap());
    pollster::block_on(open_model(&folder, None)).unwrap()
}

/// Texts of random tokens.
fn texts() -> Vec<Vec<u32>> {
    let mut random = Random::new(4);
    (0..6).map(|_| (0..32).map(|_| (random.bits() % 48) as u32).collect()).collect()
}

fn options(bits: u32) -> Options {
    let mut options = Options::new(Recipe::of_bits(bits).unwrap());
    options.code = Code::new(Codebook::Sum7, 12).unwrap();
    options.seed = 3;
    options
}

/// A folder in memory, whose owner loses patience after so many files.
struct MemoryHost {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    patience: AtomicUsize,
    seen: Mutex<Vec<Progress>>,
}

impl MemoryHost {
    fn new(patience: usize) -> Self {
        Self { files: Mutex::default(), patience: AtomicUsize::new(patience), seen: Mutex::default() }
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.lock().unwrap().clone()
    }

    fn config(&self) -> serde_json::Value {
        serde_json::from_slice(&self.files()["config.json"]).unwrap()
    }
}

impl Host for MemoryHost {
    fn workers(&self) -> &dyn Workers {
        &Serial
    }

    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(name).cloned())
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.files.lock().unwrap().insert(name.to_owned(), bytes.to_vec());
        let _ = self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        Ok(())
    }

    fn forget(&self, name: &str) -> Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }

    fn progress(&self, progress: &Progress) {
        self.seen.lock().unwrap().push(progress.clone());
    }

    fn is_cancelled(&self) -> bool {
        self.patience.load(Ordering::Relaxed) == 0
    }
}

fn run(opened: &OpenedModel, options: &Options, host: &MemoryHost) -> Result<Report> {
    let mut device = Device::Cpu(CpuDevice::with_simd(Arc::new(Serial), SimdLevel::Scalar));
    pollster::block_on(quantize_model(&mut device, opened, options, &texts(), host))
}

#[test]
fn an_interrupted_run_goes_on_and_gives_the_same_bytes() {
    for is_tied in [true, false] {
        let (opened, mut options) = (opened(is_tied), options(3));
        options.recipe.rules.push(Rule { tensors: "*.up_proj.weight".into(), format: "Q4_0".into() });
        options.recipe.rules.push(Rule { tensors: "*.0.*.o_proj.weight".into(), format: "plain".into() });
        let whole = MemoryHost::new(usize::MAX);
        let report = run(&opened, &options, &whole).unwrap();
        let files = whole.files();
        assert!(files.len() >= 7 && !files.contains_key("quantize.journal.json"), "{:?}", files.keys());
        let mut interruptions = 0;
        for patience in 1..=8 {
            let host = MemoryHost::new(patience);
            let first = run(&opened, &options, &host);
            if first == Err(Error::Cancelled) {
                interruptions += 1;
                assert!(!host.files().contains_key("config.json"), "it is no model yet");
                host.patience.store(usize::MAX, Ordering::Relaxed);
                assert_eq!(run(&opened, &options, &host).unwrap(), report, "{patience}");
            }
            assert_eq!(host.files(), files, "{patience}");
        }
        assert!(interruptions >= 4, "{interruptions}");
    }
}

#[test]
fn what_is_said_of_a_model_is_true() {
    let host = MemoryHost::new(usize::MAX);
    let mut options = options(2);
    let rule = |tensors: &str, format: &str| Rule { tensors: tensors.into(), format: format.into() };
    options.recipe.rules.extend([rule("*.v_proj.weight", "TRELLIS4"), rule("*.1.*.k_proj.weight", "Q4_0")]);
    let report = run(&opened(true), &options, &host).unwrap();
    let config = host.config();
    let quantization = &config["quantization_config"];
    assert_eq!((&quantization["quant_method"], &quantization["version"]), (&"hearth".into(), &1.into()));
    assert_eq!((&quantization["codebook"], &quantization["window_bits"]), (&"sum7".into(), &12.into()));
    let rotation = serde_json::json!({ "seed": 3, "residual": true, "values": true, "down_block": 32 });
    assert_eq!(quantization["rotation"], rotation);
    let index: serde_json::Value = serde_json::from_slice(&host.files()["model.safetensors.index.json"]).unwrap();
    let mut bytes = 0;
    for (name, entry) in quantization["tensors"].as_object().unwrap() {
        let file = &host.files()[index["weight_map"][name].as_str().unwrap()];
        let tensors = SafeTensors::deserialize(file).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let [rows, columns] = [0, 1].map(|side| entry["shape"][side].as_u64().unwrap() as usize);
        let bits = if name.contains("v_proj") || name.contains("embed") { 4 } else { 2 };
        let (format, shape) = match name.contains("1.self_attn.k_proj") {
            true => ("Q4_0".to_owned(), [rows, columns / 32 * 18]),
            false => (format!("TRELLIS{bits}"), [rows.div_ceil(16), 32 + 2 * bits * columns]),
        };
        assert_eq!(entry["format"], format, "{name}");
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::U8, &shape[..]), "{name}");
        bytes += if name.contains("embed") { 0 } else { tensor.data().len() };
    }
    let weights = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64);
    assert!((report.linear_bits - 8.0 * bytes as f64 / f64::from(weights)).abs() < 1e-9);
    assert_eq!(report.tensors.len(), 15);
    let done = host.seen.lock().unwrap().iter().map(|progress| progress.done).collect::<Vec<_>>();
    assert!(done.is_sorted() && done.last().is_some_and(|done| *done > 0));
}

#[test]
fn an_output_that_holds_something_else_is_refused() {
    let opened = opened(true);
    let host = MemoryHost::new(3);
    assert_eq!(run(&opened, &options(2), &host), Err(Error::Cancelled));
    host.patience.store(usize::MAX, Ordering::Relaxed);
    let other = run(&opened, &options(3), &host).unwrap_err().to_string();
    assert!(other.contains("other options"), "{other}");
    run(&opened, &options(2), &host).unwrap();
    let again = run(&opened, &options(2), &host).unwrap_err().to_string();
    assert!(again.contains("holds a model already"), "{again}");
}

#[test]
fn more_bits_leave_less_error() {
    let opened = opened(false);
    let errors = [2, 4, 6].map(|bits| {
        let report = run(&opened, &options(bits), &MemoryHost::new(usize::MAX)).unwrap();
        report.tensors.iter().map(|tensor| tensor.error).sum::<f64>() / report.tensors.len() as f64
    });
    assert!(errors[0] < 0.15 && errors[1] < errors[0] / 6.0 && errors[2] < errors[1] / 6.0, "{errors:?}");
}
