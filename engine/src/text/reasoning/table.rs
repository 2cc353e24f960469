//! How models mark their thoughts: what their templates show, as data.

/// One way to mark thoughts.
#[derive(Debug)]
pub(super) struct Syntax {
    pub(super) name: &'static str,
    /// All of these stand in the templates of models that write so.
    pub(super) evidence: &'static [&'static str],
    /// With any of these a thought begins.
    pub(super) opens: &'static [&'static str],
    /// With this it ends.
    pub(super) close: &'static str,
    /// What stands around answers and is no text either.
    pub(super) silent: &'static [&'static str],
    /// Whether marks count in the middle of an answer too, rather than before its first word only. They do where they
    /// are tokens that mean nothing else; a model that writes about `<think>` does not think.
    pub(super) is_anywhere: bool,
}

/// The first whose evidence a template shows is taken, so the special stand before the general.
pub(super) const SYNTAXES: [Syntax; 11] = [
    Syntax {
        name: "gpt-oss",
        evidence: &["<|channel|>analysis<|message|>"],
        opens: &["<|channel|>analysis<|message|>"],
        close: "<|end|>",
        silent: &["<|start|>assistant", "<|channel|>final<|message|>", "<|channel|>commentary<|message|>"],
        is_anywhere: true,
    },
    Syntax {
        name: "Gemma 4",
        evidence: &["<|channel>thought", "<channel|>"],
        opens: &["<|channel>thought\n", "<|channel>"],
        close: "<channel|>",
        silent: &[],
        is_anywhere: true,
    },
    Syntax {
        name: "Solar",
        evidence: &["<|begin|>assistant<|think|>"],
        opens: &["<|think|>"],
        close: "<|end|>",
        silent: &["<|begin|>assistant", "<|content|>", "<|tool_calls|>"],
        is_anywhere: true,
    },
    Syntax {
        name: "Command",
        evidence: &["<|START_THINKING|>", "<|END_THINKING|>"],
        opens: &["<|START_THINKING|>"],
        close: "<|END_THINKING|>",
        silent: &["<|START_RESPONSE|>", "<|END_RESPONSE|>"],
        is_anywhere: true,
    },
    Syntax {
        name: "Apertus",
        evidence: &["<|inner_prefix|>", "<|inner_suffix|>"],
        opens: &["<|inner_prefix|>"],
        close: "<|inner_suffix|>",
        silent: &[],
        is_anywhere: true,
    },
    Syntax {
        name: "Mistral",
        evidence: &["[THINK]", "[/THINK]"],
        opens: &["[THINK]"],
        close: "[/THINK]",
        silent: &[],
        is_anywhere: false,
    },
    Syntax {
        name: "Seed",
        evidence: &["<seed:think>", "</seed:think>"],
        opens: &["<seed:think>"],
        close: "</seed:think>",
        silent: &[],
        is_anywhere: false,
    },
    Syntax {
        name: "Apriel",
        evidence: &["Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"],
        opens: &["Here are my reasoning steps:"],
        close: "[BEGIN FINAL RESPONSE]",
        silent: &[],
        is_anywhere: false,
    },
    // The answer stands between marks of its own.
    Syntax {
        name: "Granite",
        evidence: &["<think></think>", "<response></response>"],
        opens: &["<think>"],
        close: "</think>",
        silent: &["<response>", "</response>"],
        is_anywhere: true,
    },
    Syntax {
        name: "DeepSeek, Qwen and most others",
        evidence: &["</think>"],
        opens: &["<think>"],
        close: "</think>",
        silent: &[],
        is_anywhere: false,
    },
    Syntax {
        name: "thinking",
        evidence: &["<thinking>", "</thinking>"],
        opens: &["<thinking>"],
        close: "</thinking>",
        silent: &[],
        is_anywhere: false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_hides_another() {
        for syntax in &SYNTAXES {
            let marks: Vec<_> = syntax.opens.iter().chain(syntax.silent).chain([&syntax.close]).collect();
            for (at, mark) in marks.iter().enumerate() {
                assert!(!mark.is_empty() && mark.trim_start() == **mark, "{}: {mark:?}", syntax.name);
                // A longer mark stands before one that it begins with.
                assert!(marks[..at].iter().all(|earlier| !mark.starts_with(*earlier)), "{}: {mark:?}", syntax.name);
            }
        }
    }
}
