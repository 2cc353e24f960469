//! A tiny model of every architecture on every device, against logits that transformers computed in float32 at every
//! position of three prompts, of which one passes the window and the original context.

use hearth_engine::{
    Error,
    decode::Session,
    file::{OpenedModel, open_model},
    model::ModelConfig,
    text::Tokenizer,
};
use hearth_tests::{
    devices::Candidate,
    files::{Golden, golden, model, read},
    numbers::kl_divergence,
    sessions::{greedy, load, open},
};

/// Nats a position, on a CPU and on a GPU.
const DIVERGENCE_CPU: f64 = 1e-5;
const DIVERGENCE_GPU: f64 = 1e-4;
/// How far below the likeliest token's logit the one may be that was chosen in its place: a tie but for rounding.
const TIE: f32 = 1e-3;
/// What the models are loaded with.
const CONTEXT: u32 = 192;

/// The largest divergence of any position, and which one that is.
fn worst_divergence(session: &mut Session, golden: &Golden) -> (f64, usize) {
    let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
    let vocab = found.len() / golden.ids.len();
    let of = |(position, reference)| (kl_divergence(reference, &found[position * vocab..][..vocab]), position);
    // What is no number counts as the largest.
    golden.rows().map(of).max_by(|a, b| a.0.abs().total_cmp(&b.0.abs())).expect("a prompt is not empty")
}

/// The token that follows each beginning of a prompt, through the plans of prefill and decode, which share the cache.
fn check_tokens(what: &str, session: &mut Session, tokenizer: &Tokenizer, golden: &Golden) {
    session.clear();
    for (position, reference) in golden.rows().skip(golden.ids.len() / 2) {
        let answer = greedy(session, tokenizer, &golden.ids[..=position], 1).unwrap();
        let highest = reference.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let likeliest = reference.iter().position(|logit| *logit == highest).unwrap();
        // The end of a turn is no token of the answer.
        let chosen = answer.ids.first().map_or(likeliest, |id| *id as usize);
        assert!(highest - reference[chosen] <= TIE, "{what}, {} at {position}: {chosen}", golden.name);
    }
}

/// The smaller models in GGUF. There the architecture "llama" is also Mistral's, and "olmo2" that of OLMo 3.
const GGUF_NAMES: &[&str] = &[
    "llama3",
    "mistral",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "olmoe",
    "gemma",
    "gemma2",
    "gemma3",
    "phi3",
    "smollm3",
    "olmo2",
    "olmo3",
    "granite",
];
/// The original context of those with one; a longer prompt needs a longer context, where other factors turn the positions.
const GGUF_CONTEXT: u32 = 32;

#[test]
fn gguf_files() {
    for name in GGUF_NAMES {
        let opened = open(&format!("tests/fixtures/architectures/{name}.gguf"));
        for golden in golden(&format!("{name}-gguf")) {
            let context = if golden.ids.len() > GGUF_CONTEXT as usize { CONTEXT } else { GGUF_CONTEXT };
            for candidate in Candidate::one_each() {
                let what = format!("{name}, {}, {candidate}", golden.name);
                let mut session = load(&candidate, &opened, context).unwrap_or_else(|error| panic!("{what}: {error}"));
                let (worst, position) = worst_divergence(&mut session, &golden);
                let divergence_max = if candidate.is_gpu() { DIVERGENCE_GPU } else { DIVERGENCE_CPU };
                assert!(worst <= divergence_max, "{what}, at {position}: {worst:e} nats");
            }
        }
    }
}

/// `original`: the context within which other factors turn the positions, if there is one.
fn check(name: &str, original: Option<u32>) {
    let opened = open(&format!("tests/fixtures/architectures/{name}"));
    let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
    let goldens = golden(name);
    let fits = |golden: &&Golden| original.is_some_and(|original| golden.ids.len() <= original as usize);
    let (within, beyond): (Vec<&Golden>, Vec<&Golden>) = goldens.iter().partition(fits);
    for candidate in Candidate::all() {
        let divergence_max = if candidate.is_gpu() { DIVERGENCE_GPU } else { DIVERGENCE_CPU };
        for (goldens, context) in [(&within, original.unwrap_or(CONTEXT)), (&beyond, CONTEXT)] {
            if goldens.is_empty() {
                continue;
            }
            let what = format!("{name}, {candidate}, {context} tokens");
            let mut session = load(&candidate, &opened, context).unwrap_or_else(|error| panic!("{what}: {error}"));
            for golden in goldens {
                let (worst, position) = worst_divergence(&mut session, golden);
                assert!(worst <= divergence_max, "{what}, {} at {position}: {worst:e} nats", golden.name);
            }
            if Candidate::one_each().contains(&candidate) {
                goldens.iter().for_each(|golden| check_tokens(&what, &mut session, &tokenizer, golden));
            }
        }
    }
}

/// Fields of the configurations: with another value the logits must be far from the golden ones, which shows that the
/// field is read, and that the golden logits would show if it were not.
const FIELDS: &[(&str, &str, &str)] = &[
    ("llama3", "/rope_parameters/factor", "4.0"),
    ("llama3", "/rope_parameters/rope_type", "\"default\""),
    ("llama3", "/rope_parameters/low_freq_factor", "2.0"),
    ("llama3", "/rope_parameters/high_freq_factor", "2.0"),
    ("llama3", "/rope_parameters/original_max_position_embeddings", "64"),
    ("mistral", "/sliding_window", "17"),
    ("qwen2", "/layer_types/1", "\"full_attention\""),
    ("qwen2", "/rope_parameters/rope_theta", "1e5"),
    ("qwen3", "/rope_parameters/factor", "8.0"),
    ("qwen3", "/rope_parameters/attention_factor", "1.0"),
    ("qwen3_moe", "/num_experts_per_tok", "2"),
    ("qwen3_moe", "/norm_topk_prob", "false"),
    ("olmoe", "/num_experts_per_tok", "2"),
    ("olmoe", "/norm_topk_prob", "true"),
    ("gemma2", "/attn_logit_softcapping", "null"),
    ("gemma2", "/final_logit_softcapping", "null"),
    ("gemma2", "/query_pre_attn_scalar", "16"),
    ("gemma2", "/sliding_window", "15"),
    ("gemma2", "/layer_types/1", "\"sliding_attention\""),
    ("gemma3", "/rope_parameters/sliding_attention/rope_theta", "1e6"),
    ("gemma3", "/rope_parameters/full_attention/rope_theta", "1e4"),
    ("gemma3", "/rope_parameters/full_attention/factor", "1.0"),
    ("gemma3", "/sliding_window", "17"),
    ("phi3", "/sliding_window", "null"),
    ("phi3", "/rope_parameters/long_factor/1", "1.0"),
    ("phi3", "/rope_parameters/attention_factor", "1.0"),
    ("smollm3", "/no_rope_layers/3", "1"),
    ("olmo2", "/rms_norm_eps", "1e-2"),
    ("olmo3", "/sliding_window", "17"),
    ("olmo3", "/rope_parameters/sliding_attention/rope_theta", "1e4"),
    ("olmo3", "/rope_parameters/full_attention/factor", "8.0"),
    ("granite", "/embedding_multiplier", "1.0"),
    ("granite", "/residual_multiplier", "1.0"),
    ("granite", "/attention_multiplier", "0.25"),
    ("granite", "/logits_scaling", "1.0"),
];

/// What a wrong number must change at least, in nats at the worst position: twice what is allowed on a GPU.
const DIVERGENCE_WRONG: f64 = 2.0 * DIVERGENCE_GPU;

/// A model of the fixtures with another value in its configuration.
fn changed(name: &str, field: &str, value: &str) -> OpenedModel {
    let path = format!("tests/fixtures/architectures/{name}");
    let mut config: serde_json::Value = serde_json::from_slice(&read(&format!("{path}/config.json"))).unwrap();
    let (parent, key) = field.rsplit_once('/').unwrap();
    let value: serde_json::Value = serde_json::from_str(value).unwrap();
    match config.pointer_mut(parent).unwrap() {
        serde_json::Value::Array(values) => values[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    let folder = model(&path).0.with("config.json", config.to_string());
    pollster::block_on(open_model(&folder, None)).unwrap()
}

#[test]
fn every_number_of_a_configuration_shows_in_the_logits() {
    let candidate = &Candidate::all()[0];
    let mut complaints = Vec::new();
    for (name, field, value) in FIELDS {
        let opened = changed(name, field, value);
        let mut session = load(candidate, &opened, CONTEXT).unwrap_or_else(|error| panic!("{name}, {field}: {error}"));
        let golden = golden(name).into_iter().find(|golden| golden.name == "long").unwrap();
        let worst = worst_divergence(&mut session, &golden).0;
        if worst < DIVERGENCE_WRONG {
            complaints.push(format!("{name}, {field}: {worst:e} nats"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What is refused, and how the error calls the field.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("llama3", "/hidden_act", "\"relu\"", "hidden_act"),
    ("llama3", "/rope_parameters/rope_type", "\"dynamic\"", "rope_parameters.rope_type"),
    ("llama3", "/rope_parameters/factor", "0.0", "rope_parameters.factor"),
    ("llama3", "/rope_parameters/low_freq_factor", "null", "rope_parameters.low_freq_factor"),
    ("llama3", "/num_hidden_layers", "4294967295", "num_hidden_layers"),
    ("llama3", "/num_hidden_layers", "\"three\"", "num_hidden_layers"),
    ("llama3", "/quantization_config", "{}", "quantization_config"),
    ("qwen2", "/layer_types/0", "\"linear_attention\"", "layer_types"),
    ("qwen2", "/layer_types", "[]", "layer_types or no_rope_layers"),
    ("qwen2", "/sliding_window", "null", "sliding_window"),
    ("qwen3", "/rope_parameters/original_max_position_embeddings", "-1", "original_max_position_embeddings"),
    ("qwen3_moe", "/num_experts_per_tok", "9", "num_experts_per_tok"),
    ("qwen3_moe", "/num_local_experts", "100000", "num_experts"),
    ("qwen3_moe", "/decoder_sparse_step", "2", "decoder_sparse_step"),
    ("qwen3_moe", "/mlp_only_layers", "[0]", "mlp_only_layers"),
    ("gemma2", "/hidden_activation", "\"silu\"", "hidden_activation"),
    ("gemma2", "/query_pre_attn_scalar", "0", "attention_multiplier or query_pre_attn_scalar"),
    ("gemma3", "/use_bidirectional_attention", "true", "use_bidirectional_attention"),
    ("phi3", "/rope_parameters/long_factor", "[1.0]", "long_factor"),
    ("phi3", "/rope_parameters/short_factor/2", "0.0", "rope_parameters"),
    ("phi3", "/rope_parameters/partial_rotary_factor", "3.0", "rotary dimensions"),
    ("smollm3", "/no_rope_layers", "[1]", "layer_types or no_rope_layers"),
    ("granite", "/logits_scaling", "0.0", "logits_scaling"),
];

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    for (name, path, value, named) in REFUSED {
        match ModelConfig::read(&changed(name, path, value).documents) {
            Err(Error::BadConfig { field, .. }) => assert_eq!(&field, named, "{name}, {path}"),
            other => panic!("{name}, {path}: {other:?}"),
        }
    }
}

/// Older configurations have no `layer_types`: which layers have a window then follows from other fields.
#[test]
fn a_configuration_without_a_list_of_layers_means_the_same() {
    for name in ["llama3", "mistral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "gemma3", "phi3", "smollm3", "olmo3"] {
        let folder = model(&format!("tests/fixtures/architectures/{name}")).0;
        let mut config: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&read(&format!("tests/fixtures/architectures/{name}/config.json"))).unwrap();
        let listed = ModelConfig::read(&pollster::block_on(open_model(&folder, None)).unwrap().documents).unwrap();
        config.remove("layer_types");
        config.remove("no_rope_layers");
        let folder = folder.with("config.json", serde_json::to_string(&config).unwrap());
        let by_rule = ModelConfig::read(&pollster::block_on(open_model(&folder, None)).unwrap().documents).unwrap();
        assert_eq!(by_rule.layer_kinds, listed.layer_kinds, "{name}");
    }
}

/// transformers 5 ties only what is equal or absent.
#[test]
fn a_head_in_the_file_is_used_even_if_the_configuration_ties_it() {
    let opened = changed("olmo2", "/tie_word_embeddings", "true");
    let mut session = load(&Candidate::all()[0], &opened, CONTEXT).unwrap();
    let worst = worst_divergence(&mut session, &golden("olmo2")[0]).0;
    assert!(worst <= DIVERGENCE_CPU, "{worst:e} nats");
}

macro_rules! architectures {
    ($($name:ident $(within $original:literal)?),* $(,)?) => {
        $(#[test]
        fn $name() {
            #[allow(unused_mut, unused_assignments, reason = "most have one rope for every context")]
            let mut original = None;
            $(original = Some($original);)?
            check(stringify!($name), original);
        })*
    };
}

architectures! {
    llama3,
    mistral,
    qwen2,
    qwen3,
    qwen3_moe,
    olmoe,
    gemma,
    gemma2,
    gemma3,
    phi3 within 32,
    smollm3,
    olmo2,
    olmo3,
    granite,
}
