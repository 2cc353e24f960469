//! A whole small model, from its files to the files of its quantised model.

mod small_model;

use std::sync::atomic::Ordering;

use hearth_engine::{Error, Result, file::OpenedModel};
use hearth_quantizer::{
    Options, Recipe, Rule,
    model::{Report, quantize_model},
};
use safetensors::{Dtype, SafeTensors};
use small_model::{MemoryHost, apart, device, logits, opened, options, texts, written};

fn run(opened: &OpenedModel, options: &Options, host: &MemoryHost) -> Result<Report> {
    pollster::block_on(quantize_model(&mut device(), opened, options, &texts(), host))
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
    let config = config(&host);
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
        let bits = if name.contains("v_proj") { 4 } else { 2 + usize::from(name.contains("embed")) };
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

#[test]
fn levels_stand_beside_other_formats_in_a_model_that_the_engine_reads() {
    for is_tied in [true, false] {
        let (opened, mut options) = (opened(is_tied), options(2));
        let expected = logits(&opened, &texts()[0]);
        options.recipe = Recipe { table_format: "plain".into(), ..Recipe::of_levels() };
        let host = MemoryHost::new(usize::MAX);
        run(&opened, &options, &host).unwrap();
        let levels = apart(&expected, &logits(&written(&host), &texts()[0]));
        assert!(levels < 0.8, "{is_tied}: {levels}");
        // With more bits where they are worth most, and Q4_0 in the table.
        options.recipe = Recipe::of_levels();
        for (tensors, format) in [("*.v_proj.weight", "TRELLIS4"), ("*_proj.weight", "Q4_0")] {
            options.recipe.rules.push(Rule { tensors: tensors.into(), format: format.into() });
        }
        options.recipe.rules.insert(0, Rule { tensors: "*.up_proj.weight".into(), format: "LEVELS2".into() });
        let host = MemoryHost::new(usize::MAX);
        let report = run(&opened, &options, &host).unwrap();
        let formats: std::collections::BTreeSet<&str> =
            report.tensors.iter().map(|tensor| tensor.format.as_str()).collect();
        assert_eq!(formats.into_iter().collect::<Vec<_>>(), ["LEVELS2", "Q4_0", "TRELLIS4"]);
        let mixed = apart(&expected, &logits(&written(&host), &texts()[0]));
        assert!(mixed < levels, "{is_tied}: {mixed} and {levels}");
    }
}

fn config(host: &MemoryHost) -> serde_json::Value {
    serde_json::from_slice(&host.files()["config.json"]).unwrap()
}

#[test]
fn a_model_that_is_rotated_and_nothing_more_answers_the_same() {
    for is_tied in [true, false] {
        let opened = opened(is_tied);
        let host = MemoryHost::new(usize::MAX);
        let mut options = options(2);
        options.recipe = Recipe { format: "plain".into(), table_format: "plain".into(), rules: Vec::new(), tune: None };
        run(&opened, &options, &host).unwrap();
        assert_eq!(config(&host)["quantization_config"]["rotation"]["residual"], true);
        let read = |opened: &OpenedModel| {
            let name = "model.layers.0.self_attn.q_proj.weight";
            let tensor = opened.catalog.tensor(name).unwrap();
            pollster::block_on(opened.catalog.read_rows(tensor, 0..1)).unwrap()
        };
        let written = written(&host);
        assert_ne!(read(&opened), read(&written), "its weights are others");
        let found = apart(&logits(&opened, &texts()[0]), &logits(&written, &texts()[0]));
        // F32, whose sums come in another order.
        assert!(found < 1e-5, "tied: {is_tied}: {found}");
    }
}

#[test]
fn the_engine_reads_what_is_written_and_more_bits_bring_it_nearer() {
    for is_tied in [true, false] {
        let opened = opened(is_tied);
        let expected = logits(&opened, &texts()[0]);
        let of = |bits: u32, table_format: &str| {
            let host = MemoryHost::new(usize::MAX);
            let mut options = options(bits);
            options.recipe.table_format = table_format.into();
            run(&opened, &options, &host).unwrap();
            apart(&expected, &logits(&written(&host), &texts()[0]))
        };
        let found = [2, 4, 6].map(|bits| of(bits, "plain"));
        assert!(found[0] < 0.6 && found[1] < 0.6 * found[0] && found[2] < 0.6 * found[1], "{is_tied}: {found:?}");
        // A tied table is not rotated, and one of its columns stands out.
        let with_table = of(6, "TRELLIS6");
        assert!(with_table < 0.15, "{is_tied}: {with_table}");
    }
}
