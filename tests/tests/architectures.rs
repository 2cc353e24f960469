//! A tiny model of every architecture on every device, against logits that transformers computed in float32 at every
//! position of three prompts, of which one passes the window and the original context.

use hearth_engine::{decode::Session, text::Tokenizer};
use hearth_tests::{
    devices::Candidate,
    files::{Golden, golden},
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

/// A session's answers to some prompts.
fn check_logits(what: &str, divergence_max: f64, session: &mut Session, goldens: &[&Golden]) {
    let mut worst = (0.0, String::new());
    for golden in goldens {
        let found = pollster::block_on(session.logits(&golden.ids)).unwrap();
        let vocab = found.len() / golden.ids.len();
        for (position, reference) in golden.rows() {
            let divergence = kl_divergence(reference, &found[position * vocab..][..vocab]);
            // Also true of what is no number.
            if !(divergence <= worst.0) {
                worst = (divergence, format!("{} at {position}", golden.name));
            }
        }
    }
    assert!(worst.0 <= divergence_max, "{what}: {:e} nats, {}", worst.0, worst.1);
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
            check_logits(&what, divergence_max, &mut session, goldens);
            if Candidate::one_each().contains(&candidate) {
                goldens.iter().for_each(|golden| check_tokens(&what, &mut session, &tokenizer, golden));
            }
        }
    }
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
    gemma2,
    gemma3,
    phi3 within 32,
    smollm3,
    olmo2,
    granite,
}
