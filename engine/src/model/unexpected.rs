//! Tensors that a model's file has and nothing reads. A bias or a norm that is passed over makes an answer that looks
//! right and is not, so such a file is refused; llama.cpp does the same ("wrong number of tensors").

use std::collections::BTreeSet;

use crate::{Error, Result, file::Catalog};

/// Refuses a catalog with a tensor that is neither read nor harmless.
pub fn refuse<'a>(
    catalog: &Catalog,
    architecture: &str,
    read: impl Iterator<Item = &'a str>,
    is_harmless: impl Fn(&str) -> bool,
) -> Result<()> {
    let read: BTreeSet<&str> = read.collect();
    let names = catalog.tensors.keys().map(String::as_str);
    let mut unread = names.filter(|name| !read.contains(name) && !is_harmless(name));
    let Some(first) = unread.next() else { return Ok(()) };
    let (tensor, architecture) = (first.to_owned(), architecture.to_owned());
    Err(Error::UnexpectedTensor { tensor, others: unread.count(), architecture })
}

/// Whether a decoder of transformers gives the same logits without it: frequencies that older checkpoints stored though
/// they follow from the configuration, and what judges an answer beside the head (a reward, a class).
pub fn is_harmless_in_hf(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq") || ["score.", "v_head."].iter().any(|prefix| name.starts_with(prefix))
}

/// The same for llama.cpp's names: `attn_rot_embd` are those frequencies, and `cls` judges.
pub fn is_harmless_in_gguf(name: &str) -> bool {
    name.starts_with("cls.") || name.starts_with("blk.") && name.ends_with(".attn_rot_embd.weight")
}

/// Whether an encoder's vectors are the same without it: the heads for words, sentences and classes that stand behind
/// the last block, `position_ids` and `token_type_ids`, which only count, and BERT's pooler, from which no vector is made.
pub fn is_harmless_to_vectors(name: &str, prefix: &str) -> bool {
    const HEADS: [&str; 5] = ["cls.", "lm_head.", "classifier.", "qa_outputs.", "predictions."];
    let within = name.strip_prefix(prefix).unwrap_or(name);
    within.starts_with("pooler.")
        || HEADS.iter().any(|head| name.starts_with(head))
        || within.ends_with(".position_ids")
        || within.ends_with(".token_type_ids")
}
