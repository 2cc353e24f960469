//! What could be made of a model, and which of it suits the memory at hand.

use hearth_engine::{
    file::MemoryFolder,
    protocol::{Event, InspectRequest, ModelReport, Request},
};
use hearth_tests::{
    files::model,
    platform::{Host, last},
};

const TINY: &str = "tests/fixtures/tiny-llama";

/// What was measured of a folder of ours with so many linear bits, and of somebody else's.
fn frontier(reference: &str, linear_bits: f64, kl: f64) -> String {
    let point = |quantizer: &str, kl: f64| {
        serde_json::json!({
            "model": "made", "weights_bytes": 40_000, "bits_per_weight": 3.2, "linear_bits_per_weight": linear_bits,
            "kl_mean": kl, "top_agreement": 0.9, "perplexity": 30.0, "perplexity_rise": 0.1, "accuracy_kept": 0.95,
            "pairs_accuracy": null, "quantizer": quantizer,
        })
    };
    let points = [point("gguf", kl / 2.0), point("hearth", kl)];
    serde_json::json!({ "version": 1, "reference": reference, "text": "a book", "points": points }).to_string()
}

fn inspect(
    folder: MemoryFolder,
    file: Option<&str>,
    memory_bytes: Option<u64>,
    bundled: Option<MemoryFolder>,
) -> ModelReport {
    let host = Host::default();
    host.platform.add("model", folder, file);
    if let Some(bundled) = bundled {
        host.platform.add("", bundled, None);
    }
    let request = InspectRequest { model: "model".into(), memory_bytes, ..InspectRequest::default() };
    match last(host.ask(Request::Inspect(request))) {
        Event::Inspected(report) => *report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recipe_is_chosen_for_the_memory_at_hand() {
    let (folder, _) = model(TINY);
    let for_memory = |bytes: Option<u64>| inspect(folder.clone(), None, bytes, None).recipes;
    let all = for_memory(Some(1 << 30));
    assert_eq!(all.recommended.as_deref(), Some("as it is"), "{}", all.advice);
    let sizes: Vec<u64> = all.recipes.iter().map(|recipe| recipe.needed_bytes).collect();
    assert!(sizes.is_sorted_by(|one, other| one > other), "what takes most comes first: {sizes:?}");
    for recipe in &all.recipes[1..] {
        assert_eq!(for_memory(Some(recipe.needed_bytes)).recommended.as_ref(), Some(&recipe.name));
        assert_ne!(for_memory(Some(recipe.needed_bytes - 1)).recommended.as_ref(), Some(&recipe.name));
    }
    let nothing = for_memory(Some(1));
    assert_eq!(nothing.recommended, None);
    assert!(nothing.advice.contains("Choose less context or a smaller model"), "{}", nothing.advice);
    let unknown = for_memory(None);
    assert_eq!((unknown.recommended, unknown.memory_bytes), (None, None));
}

#[test]
fn losses_are_the_models_own_or_named_as_anothers() {
    let loss_of = |report: &ModelReport, name: &str| {
        report.recipes.recipes.iter().find(|recipe| recipe.name == name).and_then(|recipe| recipe.loss.clone())
    };
    let (folder, _) = model(TINY);
    let other = folder.clone().with("frontier.json", frontier("another", 3.05, 0.2));
    let report = inspect(folder.clone(), None, None, Some(other.clone()));
    let loss = loss_of(&report, "3 bits").unwrap();
    assert_eq!((loss.model.as_str(), loss.is_own, loss.kl_mean), ("another", false, 0.2));
    assert_eq!((loss_of(&report, "4 bits"), &report.recipes.frontier), (None, &None), "nobody measured that");
    let own = folder.clone().with("frontier.json", frontier("model", 3.05, 0.1));
    let report = inspect(own, None, None, Some(other));
    let loss = loss_of(&report, "3 bits").unwrap();
    assert_eq!((loss.is_own, loss.kl_mean), (true, 0.1));
    assert_eq!(report.recipes.frontier.map(|frontier| frontier.points.len()), Some(2));
    // What cannot be read is as good as nothing, and keeps nobody from looking at the model.
    let newer = frontier("model", 3.05, 0.1).replace("\"version\":1", "\"version\":2");
    for damaged in ["", "{", "[]", "{\"version\": 1}", &newer] {
        let report = inspect(folder.clone().with("frontier.json", damaged), None, None, None);
        assert!(report.recipes.frontier.is_none() && loss_of(&report, "3 bits").is_none(), "{damaged}");
        assert!(!report.recipes.recipes.is_empty(), "{damaged}");
    }
}

#[test]
fn a_model_that_cannot_be_quantised_has_no_recipes() {
    for (path, words) in [
        ("tests/fixtures/tiny-llama-q8_0.gguf", "Hugging Face layout"),
        ("tests/fixtures/tiny-llama-trellis", "quantised already"),
        ("tests/fixtures/architectures/olmoe", "no experts"),
        ("tests/fixtures/tiny-bert", "write text"),
    ] {
        let (folder, file) = model(path);
        let recipes = inspect(folder, file.as_deref(), None, None).recipes;
        assert!(recipes.absence.contains(words) && recipes.recipes.is_empty(), "{path}: {}", recipes.absence);
    }
}
