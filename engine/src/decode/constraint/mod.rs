//! Answers of a given form: JSON after a schema, a regular expression, a grammar.
//!
//! llguidance keeps a parser beside the generation. Before each token it says which tokens the grammar allows; all other
//! logits become minus infinity, so that whatever the sampler does, the answer keeps the form. What is compiled comes
//! from outside, so it is checked first ([`schema`], [`lark`]): llguidance's own limits bound the work that a grammar
//! may cause, and ours the depth of its recursions, which on WebAssembly nobody would catch.

mod endless;
mod formats;
mod lark;
mod scan;
mod schema;
mod vocabulary;

use std::sync::Arc;

use llguidance::{Matcher, api::TopLevelGrammar};
use serde_json::json;

use self::{scan::JsonScan, vocabulary::Vocabulary};
use super::Session;
use crate::{Error, Result, protocol::Constraint, text::Tokenizer};

/// Compiles constraints for one model. Building it takes a fraction of a second for a large vocabulary.
pub struct Grammars {
    vocabulary: Arc<Vocabulary>,
}

impl Grammars {
    /// For a model and its tokenizer.
    pub fn new(session: &Session, tokenizer: &Tokenizer) -> Result<Self> {
        let config = session.config();
        let mut ends: Vec<u32> = tokenizer.end_of_turn().iter().chain(&config.end_tokens).copied().collect();
        ends.sort_unstable();
        ends.dedup();
        Self::for_tokens(tokenizer, &ends, config.vocab_size as usize)
    }

    /// For a tokenizer alone: `ends` are the tokens that end an answer, and ids below `ids_max` have a logit.
    pub fn for_tokens(tokenizer: &Tokenizer, ends: &[u32], ids_max: usize) -> Result<Self> {
        Ok(Self { vocabulary: Arc::new(Vocabulary::new(tokenizer, ends, ids_max)?) })
    }

    /// Compiles a constraint.
    pub fn compile(&self, constraint: &Constraint) -> Result<TokenMask> {
        match constraint {
            Constraint::JsonSchema { schema } => {
                let schema = schema::prepare(schema)?;
                self.start("JSON Schema", TopLevelGrammar::from_json_schema(schema), true)
            }
            Constraint::JsonObject => self.compile(&Constraint::JsonSchema { schema: json!({"type": "object"}) }),
            Constraint::Regex { pattern } => {
                let pattern = lark::pattern(pattern)?;
                self.start("regular expression", TopLevelGrammar::from_regex(pattern), false)
            }
            Constraint::Lark { grammar } => {
                let grammar = lark::prepare(grammar)?;
                let has_json = grammar.contains("%json");
                let mask = self.start("grammar", TopLevelGrammar::from_lark(grammar), false)?;
                Ok(TokenMask { has_json, ..mask })
            }
        }
    }

    fn start(&self, kind: &'static str, grammar: TopLevelGrammar, is_json: bool) -> Result<TokenMask> {
        let mut matcher = Matcher::new(self.vocabulary.factory.create_parser(grammar));
        if let Some(reason) = matcher.get_error() {
            return Err(failed(kind, reason));
        }
        // Says now, and not after the prompt has been read, if the vocabulary cannot even begin.
        matcher.compute_mask().map_err(|error| failed(kind, error))?;
        let scan = JsonScan::default();
        Ok(TokenMask { kind, matcher, scan, has_json: is_json, is_json, vocabulary: Arc::clone(&self.vocabulary) })
    }
}

/// Which tokens a constraint allows next, from an answer's beginning on.
pub struct TokenMask {
    kind: &'static str,
    matcher: Matcher,
    scan: JsonScan,
    /// Whether there is JSON in the answer.
    has_json: bool,
    /// Whether all of it is JSON.
    is_json: bool,
    vocabulary: Arc<Vocabulary>,
}

impl TokenMask {
    /// Takes the tokens that would break the form out of the choice.
    pub fn apply(&mut self, logits: &mut [f32]) -> Result<()> {
        let mut allowed = self.matcher.compute_mask().map_err(|error| failed(self.kind, error))?;
        if self.has_json {
            let scan = self.scan;
            let wide = |id: &u32| allowed.is_allowed(*id) && !scan.permits(self.vocabulary.bytes(*id));
            let wide: Vec<u32> = self.vocabulary.watched.iter().copied().filter(wide).collect();
            // A schema may ask for a longer number or a deeper value: then nothing else is left.
            if wide.len() < allowed.num_set() {
                for id in wide {
                    allowed.disallow_token(id);
                }
            }
        }
        let known = allowed.len();
        for (id, logit) in logits.iter_mut().enumerate() {
            if id >= known || !allowed.is_allowed(id as u32) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Goes on behind a token that was chosen.
    pub fn push(&mut self, id: u32) -> Result<()> {
        self.scan.push(self.vocabulary.bytes(id));
        self.matcher.consume_token(id).map_err(|error| failed(self.kind, error))
    }

    /// Whether the form is complete and allows nothing more, but perhaps space.
    pub fn is_complete(&mut self) -> bool {
        self.matcher.is_stopped()
            || (self.is_json && self.scan.is_closed() && self.matcher.is_accepting().unwrap_or(false))
    }
}

/// What llguidance says, as this engine's error: its first line; below it are its own insides.
fn failed(kind: &'static str, reason: impl ToString) -> Error {
    let reason = reason.to_string();
    let lines = reason.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('<'));
    let short: String = lines.take(2).collect::<Vec<_>>().join("; ").chars().take(300).collect();
    // llguidance's name for it.
    let is_empty = short.is_empty() || short == "NoExtensionBias";
    let nothing = "it allows no text that the model's tokens can spell";
    Error::Constraint { kind, reason: if is_empty { nothing.to_owned() } else { short } }
}
