//! The committed tiny model in strips is, byte for byte, what the quantizer writes; `HEARTH_BLESS=1` writes it anew, and
//! then `tests/golden/quantised.py` its golden logits.
//!
//! Bytes are the same on every machine only with plain Rust on one thread, whose sums come in one order.

mod small_model;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use hearth_engine::{
    Error,
    file::{MemoryFolder, OpenedModel, open_model},
    memory::Recipes,
    protocol::MemoryPlan,
    quant::trellis::{Code, Codebook},
};
use hearth_quantizer::{Options, Recipe, model::quantize_model, random::Random};
use small_model::{MemoryHost, device};

/// Every number of bits, and blocks of nibbles, in one model.
const RECIPE: &str = r#"{ "format": "TRELLIS3", "table_format": "TRELLIS5", "rules": [
    { "tensors": "lm_head.weight", "format": "TRELLIS6" },
    { "tensors": "*.0.*.q_proj.weight", "format": "TRELLIS2" },
    { "tensors": "*.0.*.v_proj.weight", "format": "TRELLIS4" },
    { "tensors": "*.0.*.o_proj.weight", "format": "TRELLIS5" },
    { "tensors": "*.0.*.gate_proj.weight", "format": "TRELLIS6" },
    { "tensors": "*.1.*.k_proj.weight", "format": "Q4_0" },
    { "tensors": "*.1.*.down_proj.weight", "format": "TRELLIS4" },
    { "tensors": "*.1.*.up_proj.weight", "format": "plain" }
] }"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

fn opened() -> OpenedModel {
    let folder = files(&fixture("tiny-llama"))
        .into_iter()
        .fold(MemoryFolder::new("tiny-llama"), |folder, (name, bytes)| folder.with(&name, bytes));
    pollster::block_on(open_model(&folder, None)).unwrap()
}

fn texts() -> Vec<Vec<u32>> {
    let mut random = Random::new(11);
    (0..8).map(|_| (0..48).map(|_| (random.bits() % 272) as u32).collect()).collect()
}

fn run(host: &MemoryHost) -> Result<(), Error> {
    let mut options = Options::new(Recipe::parse("recipe.json", RECIPE).unwrap());
    options.code = Code::new(Codebook::Sum7, 12).unwrap();
    options.seed = 5;
    pollster::block_on(quantize_model(&mut device(), &opened(), &options, &texts(), host)).map(|_| ())
}

#[test]
fn the_committed_folder_is_what_the_quantizer_writes_interrupted_or_not() {
    let whole = MemoryHost::new(usize::MAX);
    run(&whole).unwrap();
    let (place, found) = (fixture("tiny-llama-trellis"), whole.files());
    if std::env::var_os("HEARTH_BLESS").is_some() {
        fs::create_dir_all(&place).unwrap();
        for (name, bytes) in &found {
            fs::write(place.join(name), bytes).unwrap();
        }
    }
    let committed = files(&place);
    assert_eq!(committed.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, bytes) in &committed {
        assert!(found[name] == *bytes, "{name} differs from the committed one; renew it with HEARTH_BLESS=1");
    }
    for patience in [1, 4, 6] {
        let host = MemoryHost::new(patience);
        assert_eq!(run(&host), Err(Error::Cancelled), "{patience}");
        host.patience.store(usize::MAX, Ordering::Relaxed);
        run(&host).unwrap();
        assert!(host.files() == committed, "another run goes on after {patience} files and gives the same bytes");
    }
}

#[test]
fn a_recipe_takes_the_bytes_that_were_predicted() {
    let opened = opened();
    let plan = MemoryPlan { total_bytes: opened.catalog.weights_bytes() + 1000, ..MemoryPlan::default() };
    let memory_bytes = Some(plan.total_bytes / 3);
    let recipes =
        Recipes { catalog: &opened.catalog, model: "tiny", plan: &plan, memory_bytes, own: None, other: None }.report();
    for bits in [2, 6] {
        let mut options = Options::new(Recipe::of_bits(bits).unwrap());
        options.code = Code::new(Codebook::Sum7, 12).unwrap();
        let host = MemoryHost::new(usize::MAX);
        let made = pollster::block_on(quantize_model(&mut device(), &opened, &options, &texts(), &host)).unwrap();
        let predicted = recipes.recipes.iter().find(|recipe| recipe.name == format!("{bits} bits")).unwrap();
        assert_eq!(predicted.weights_bytes, made.bytes, "{bits}");
        assert_eq!(predicted.needed_bytes, made.bytes + 1000, "all that is no weight stays");
        assert!((predicted.linear_bits_per_weight - made.linear_bits).abs() < 1e-9, "{bits}");
        assert!((predicted.bits_per_weight - made.model_bits).abs() < 1e-9, "{bits}");
    }
    let chosen = recipes.recipes.iter().find(|recipe| Some(&recipe.name) == recipes.recommended.as_ref()).unwrap();
    let fitting = recipes.recipes.iter().filter(|recipe| recipe.needed_bytes <= plan.total_bytes / 3);
    assert_eq!(fitting.map(|recipe| recipe.weights_bytes).max(), Some(chosen.weights_bytes), "{chosen:?}");
}
