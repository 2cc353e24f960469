//! Which tokens end an answer, as the model's own template shows it.

use super::{ChatInput, ChatTemplate, LocalTime};
use crate::{
    protocol::{ChatMessage, Role},
    text::Tokenizer,
};

/// What ends a turn in the templates of the usual families.
const MARKS: [&str; 16] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|assistant_end|>",
    "<turn|>",
    "<|eot|>",
    "<|eom|>",
    "<EOT>",
    "</s>",
];

/// Marks that end only a part of an answer where the vocabulary has both others: gpt-oss and Solar end each thought so,
/// and their turns with these.
const PARTS: [(&str, [&str; 2]); 2] =
    [("<|end|>", ["<|return|>", "<|call|>"]), ("<|end|>", ["<|calls|>", "<|flush|>"])];

/// An answer that is looked for again in what the template made of it.
const ANSWER: &str = "It is an answer.";

/// Any moment: what a template writes of it is not looked at.
const SOME_DAY: LocalTime = LocalTime { year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0 };

impl ChatTemplate {
    /// Tokens that end an answer: the usual marks that stand in the template, and whatever the template itself writes
    /// behind an answer. Only special tokens count, since a person could write all others.
    pub fn end_tokens(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        if self.is_transcript {
            return Vec::new();
        }
        let stands = |mark: &&str| self.sources().any(|source| source.contains(mark));
        let marks = MARKS.into_iter().filter(stands).map(str::to_owned).chain(self.written_end(tokenizer));
        special_ids(tokenizer, marks.filter(|mark| !is_part(tokenizer, mark)))
    }

    /// The special token behind an answer, or else that with which the next turn begins.
    fn written_end(&self, tokenizer: &Tokenizer) -> Option<String> {
        let mut template = self.clone();
        template.set_now(Some(SOME_DAY));
        let say = |role, content: &str| ChatMessage::new(role, content);
        let turns = [say(Role::User, "Hello."), say(Role::Assistant, ANSWER), say(Role::User, "Go on.")];
        [2, 3].into_iter().find_map(|count| {
            // A template that fails says so when a conversation is rendered.
            let text = template.render_input(&ChatInput::new(&turns[..count], false).ok()?).ok()?;
            let rest = text[text.rfind(ANSWER)? + ANSWER.len()..].trim_start();
            tokenizer.special_at(rest).map(str::to_owned)
        })
    }
}

/// Special tokens that end an answer by their name, for models that do not list theirs.
pub(in crate::text) fn usual_ends(tokenizer: &Tokenizer) -> Vec<u32> {
    special_ids(tokenizer, MARKS.into_iter().filter(|mark| !is_part(tokenizer, mark)).map(str::to_owned))
}

fn special_ids(tokenizer: &Tokenizer, marks: impl Iterator<Item = String>) -> Vec<u32> {
    marks.filter_map(|mark| tokenizer.id_of(&mark)).filter(|id| tokenizer.is_special(*id)).collect()
}

fn is_part(tokenizer: &Tokenizer, mark: &str) -> bool {
    PARTS.iter().any(|(part, ends)| *part == mark && ends.iter().all(|end| tokenizer.id_of(end).is_some()))
}
