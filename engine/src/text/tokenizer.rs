//! Text to tokens.

use std::borrow::Cow;

use tokenizers::{AddedToken, Model, OffsetReferential, OffsetType, PreTokenizer, tokenizer::Tokenizer as Inner};

use super::{
    ChatInput, ChatTemplate, gguf_vocab,
    guard::{Guard, Specials},
    hf_config::HfConfig,
    sentence_piece::{Charsmap, Vocabulary},
    spelling::{Spelling, TokenBytes},
    template::usual_ends,
    tokenizer_json,
};
use crate::{
    Error, Result,
    file::{Documents, GgufMetadata},
    protocol::ChatMessage,
};

/// How a text becomes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether a special token that is spelled out in the text becomes that token (`true`) or plain text (`false`).
    pub parse_special: bool,
    /// Whether the tokens with which this model's texts begin (BOS, if it wants one) are put in front.
    pub add_special: bool,
}

impl EncodeOptions {
    /// For a text as a person typed it: the model's own beginning, and no special tokens out of spellings.
    pub const PROMPT: Self = Self { parse_special: false, add_special: true };
    /// As the model's own tokenizer does it, spelled-out special tokens included.
    pub const ALL_SPECIAL: Self = Self { parse_special: true, add_special: true };
    /// The text alone, letter by letter.
    pub const PLAIN: Self = Self { parse_special: false, add_special: false };
}

/// Cuts text into tokens as the model was trained to.
///
/// Special tokens (where a turn begins, where it ends) come from three places only: the model's own beginning, the chat
/// template, and a text that the caller declares to be trusted with [`EncodeOptions::parse_special`]. What a person
/// writes never becomes one, whatever it spells out; [`Self::encode_chat`] keeps to that too. Tokens that were added
/// to the vocabulary without being special (`<think>` in some models) are recognised everywhere.
pub struct Tokenizer {
    inner: Inner,
    /// Which characters become which before anything else is done; SentencePiece's.
    charsmap: Option<Charsmap>,
    tokens: TokenBytes,
    specials: Specials,
    leading_spaces: usize,
    /// What stands before each text.
    pub(super) prefix: Vec<u32>,
    /// What stands behind a text that is whole, as an encoder wants it.
    pub(super) suffix: Vec<u32>,
    bos: Option<u32>,
    end_of_turn: Vec<u32>,
}

/// What the tokenizers crate says, as this engine's error.
fn failed(error: impl ToString) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}

/// A part of the tokenizer, as `tokenizer.json` writes it.
fn to_json(part: impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(part).map_err(failed)
}

impl Tokenizer {
    /// From whatever an opened model brought. A GGUF file's own tokenizer counts; where this engine does not know its
    /// kind, a `tokenizer.json` beside the file is used. What ends a turn in the model's chat template ends it too.
    pub fn from_documents(documents: &Documents) -> Result<Self> {
        let mut tokenizer = Self::without_template(documents)?;
        // A template that cannot be read is refused where one is needed.
        if let Ok(Some(template)) = ChatTemplate::from_documents(documents) {
            let ends = template.end_tokens(&tokenizer);
            tokenizer.add_ends(ends);
        }
        Ok(tokenizer)
    }

    fn without_template(documents: &Documents) -> Result<Self> {
        match documents {
            Documents::HuggingFace {
                config,
                tokenizer,
                tokenizer_model,
                tokenizer_config,
                generation_config,
                special_tokens_map,
                ..
            } => {
                let config = HfConfig::parse(tokenizer_config.as_deref(), generation_config.as_deref(), Some(config))?
                    .or_tokens(special_tokens_map.as_deref())?;
                match (tokenizer, tokenizer_model) {
                    (Some(json), _) => Self::from_hf(json, &config),
                    (None, Some(model)) => Self::from_sentence_piece(model, &config),
                    (None, None) => Err(Error::MissingFile { file: "tokenizer.json".to_owned() }),
                }
            }
            Documents::Gguf { metadata, tokenizer, tokenizer_config } => match (Self::from_gguf(metadata), tokenizer) {
                (Err(Error::Tokenizer { .. }), Some(tokenizer)) => {
                    let mut built =
                        Self::from_hf(tokenizer, &HfConfig::parse(tokenizer_config.as_deref(), None, None)?)?;
                    let (_, end_of_turn) = gguf_vocab::turn_ids(metadata, built.vocab_size())?;
                    built.add_ends(end_of_turn);
                    Ok(built)
                }
                (built, _) => built,
            },
        }
    }

    /// From the text of a `tokenizer.json` alone.
    pub fn from_json(tokenizer_json: &str) -> Result<Self> {
        Self::from_hf(tokenizer_json, &HfConfig::default())
    }

    /// From the metadata of a GGUF file alone.
    pub fn from_gguf(metadata: &GgufMetadata) -> Result<Self> {
        let vocab = gguf_vocab::build(metadata)?;
        let mut tokenizer = Self::from_inner(vocab.inner)?;
        let (bos, end_of_turn) = gguf_vocab::turn_ids(metadata, tokenizer.vocab_size())?;
        tokenizer.add_ends(end_of_turn);
        tokenizer.add_ends(usual_ends(&tokenizer));
        tokenizer.bos = bos;
        tokenizer.prefix = bos.filter(|_| vocab.add_bos).into_iter().collect();
        tokenizer.suffix = vocab.suffix.into_iter().collect();
        tokenizer.charsmap = vocab.charsmap;
        Ok(tokenizer)
    }

    /// From a `tokenizer.model` and what the files beside it say. Tokens that only those files name are added behind
    /// the others.
    fn from_sentence_piece(model: &[u8], config: &HfConfig) -> Result<Self> {
        let vocabulary = Vocabulary::parse(model)?;
        let mut inner = vocabulary.build()?;
        let named: Vec<_> =
            config.special_tokens.iter().map(|(_, token)| AddedToken::from(token.clone(), true)).collect();
        inner.add_special_tokens(&named);
        let mut tokenizer = Self::from_inner(inner)?;
        let is_known = |id: &u32| tokenizer.token_bytes(*id).is_some();
        let bos = vocabulary.bos.filter(is_known);
        let eos = vocabulary.eos.filter(is_known);
        tokenizer.add_config(config, bos, eos);
        tokenizer.charsmap = vocabulary.rules.charsmap;
        let wants_bos = config.add_bos.unwrap_or(!vocabulary.is_unigram);
        tokenizer.prefix = tokenizer.bos.filter(|_| wants_bos).into_iter().collect();
        let eos = config.eos_token.as_deref().map_or(eos, |token| tokenizer.id_of(token));
        tokenizer.suffix = eos.filter(|_| config.add_eos == Some(true)).into_iter().collect();
        Ok(tokenizer)
    }

    /// From a `tokenizer.json` and what the files beside it say.
    fn from_hf(tokenizer_json: &str, config: &HfConfig) -> Result<Self> {
        tokenizer_json::check(tokenizer_json)?;
        let mut inner: Inner = tokenizer_json.parse().map_err(failed)?;
        inner.with_truncation(None).map_err(failed)?.with_padding(None);
        let mut tokenizer = Self::from_inner(inner)?;
        let post_processor = to_json(tokenizer.inner.get_post_processor())?;
        tokenizer.prefix = tokenizer_json::prefix(&post_processor);
        tokenizer.suffix = tokenizer_json::suffix(&post_processor);
        tokenizer.add_config(config, None, None);
        match (config.add_bos, tokenizer.bos) {
            (Some(true), Some(bos)) if tokenizer.prefix.is_empty() => tokenizer.prefix = vec![bos],
            (Some(false), Some(bos)) if tokenizer.prefix == [bos] => tokenizer.prefix.clear(),
            _ => {}
        }
        Ok(tokenizer)
    }

    /// BOS and the ends of a turn, as the files beside the tokenizer name them, or else these.
    fn add_config(&mut self, config: &HfConfig, bos: Option<u32>, eos: Option<u32>) {
        self.bos = match &config.bos_token {
            Some(token) => self.id_of(token),
            None => config.bos_id.filter(|id| self.token_bytes(*id).is_some()).or(bos),
        };
        let eos = config.eos_token.as_deref().map_or(eos, |token| self.id_of(token));
        self.add_ends(config.eos_ids.iter().copied().chain(eos));
        if config.eos_ids.is_empty() {
            self.add_ends(usual_ends(self));
        }
    }

    /// Takes more tokens that end an answer; those that the vocabulary lacks are left out.
    fn add_ends(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.end_of_turn.extend(ids.into_iter().filter(|id| self.tokens.get(*id).is_some()));
        self.end_of_turn.sort_unstable();
        self.end_of_turn.dedup();
    }

    /// Derives from a tokenizer what each of its tokens stands for.
    fn from_inner(inner: Inner) -> Result<Self> {
        let spelling = Spelling::from_decoder(&to_json(inner.get_decoder())?)?;
        let mut tokens = TokenBytes::default();
        for (token, id) in inner.get_vocab(false) {
            tokens.insert(id, &token, &spelling)?;
        }
        let mut specials = Vec::new();
        for (id, token) in inner.get_added_vocabulary().get_added_tokens_decoder() {
            tokens.insert_added(*id, &token.content, token.special)?;
            if token.special {
                specials.push(token.content.clone());
            }
        }
        Ok(Self {
            inner,
            charsmap: None,
            tokens,
            specials: Specials::new(specials.into_iter()),
            leading_spaces: spelling.leading_spaces,
            prefix: Vec::new(),
            suffix: Vec::new(),
            bos: None,
            end_of_turn: Vec::new(),
        })
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let mut ids = if options.add_special { self.prefix.clone() } else { Vec::new() };
        let text = &*self.map_characters(text);
        if options.parse_special {
            ids.extend(self.encode_guarded(text, None)?);
        } else {
            let guard = self.guard([text].into_iter())?;
            ids.extend(self.encode_guarded(&guard.protect(text, &self.specials), Some(guard))?);
        }
        Ok(ids)
    }

    /// The tokens of a conversation of plain texts; see [`Self::encode_input`].
    pub fn encode_chat(
        &self,
        template: &ChatTemplate,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<Vec<u32>> {
        self.encode_input(template, &ChatInput::new(messages, add_generation_prompt)?)
    }

    /// The tokens of a conversation, rendered with the template. A special token that a message, a tool or a document
    /// spells out stays plain text; only the template makes special tokens, the first of a text included.
    pub fn encode_input(&self, template: &ChatTemplate, input: &ChatInput) -> Result<Vec<u32>> {
        let texts = input.texts();
        let guard = self.guard(texts.iter().copied().chain(template.sources()))?;
        let guarded = input.map_texts(&|text| guard.protect(&self.map_characters(text), &self.specials));
        self.encode_guarded(&template.render_input(&guarded)?, Some(guard))
    }

    fn map_characters<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.charsmap.as_ref().map_or(Cow::Borrowed(text), |charsmap| charsmap.apply(text).into())
    }

    fn guard<'a>(&self, texts: impl Iterator<Item = &'a str> + Clone) -> Result<Guard> {
        Guard::absent_from(texts).ok_or_else(|| failed("the text uses all of Unicode's noncharacters U+FDD0 to U+FDEF"))
    }

    /// The pipeline of the tokenizers crate, with one step between its first and its second: the guard's marks go.
    fn encode_guarded(&self, text: &str, guard: Option<Guard>) -> Result<Vec<u32>> {
        let added = self.inner.get_added_vocabulary();
        let mut pieces = added.extract_and_normalize(self.inner.get_normalizer(), text);
        if let Some(guard) = guard {
            pieces.normalize(|piece| piece.replace(guard.mark(), "")).map_err(failed)?;
        }
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(failed)?;
        }
        let model = self.inner.get_model();
        pieces.tokenize(|piece| model.tokenize(piece.get())).map_err(failed)?;
        let splits = pieces.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(splits.iter().filter_map(|(_, _, tokens)| tokens.as_ref()).flatten().map(|token| token.id).collect())
    }

    /// The text of tokens, special ones hidden: what a [`super::TextStream`] gives for them in all.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = super::TextStream::new();
        let mut text: String = ids.iter().map(|id| stream.push(self, *id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// The token of that spelling, added and special tokens included.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The bytes that a token stands for; `None` if there is no such token. A special token's are its spelling.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id)
    }

    /// Whether a token is special: hidden in text, and never made from a message's content.
    pub fn is_special(&self, id: u32) -> bool {
        self.tokens.is_special(id)
    }

    /// One more than the greatest id. The model's table of embeddings may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// The token with which texts begin, if the model names one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The tokens that end an answer, in rising order.
    pub fn end_of_turn(&self) -> &[u32] {
        &self.end_of_turn
    }

    /// The spelling of the tokens that stand before each text.
    pub fn beginning(&self) -> String {
        self.prefix.iter().filter_map(|id| self.token_bytes(*id)).map(String::from_utf8_lossy).collect()
    }

    /// The longest special token with whose spelling the text begins.
    pub(super) fn special_at(&self, text: &str) -> Option<&str> {
        self.specials.longest(text)
    }

    /// The special tokens that a text spells out somewhere.
    pub(super) fn specials_in(&self, text: &str) -> Vec<u32> {
        let spelled = text.char_indices().filter_map(|(at, _)| self.special_at(&text[at..]));
        spelled.filter_map(|special| self.id_of(special)).collect()
    }

    /// How many spaces the tokenizer puts before a text.
    pub(super) fn leading_spaces(&self) -> usize {
        self.leading_spaces
    }
}
