//! Thoughts in every way that models mark them, cut at every place, and cut off.

use hearth_engine::text::reasoning::{Piece, ReasoningParser, ReasoningSyntax};

/// A way of marking thoughts: words of a template that shows it, the end of a prompt, and an answer with what is in it.
struct Sample {
    name: &'static str,
    template: &'static str,
    prompt_end: &'static str,
    answer: &'static str,
    thought: &'static str,
    text: &'static str,
}

const THINK: &str = "DeepSeek, Qwen and most others";
const HARMONY: &str = "<|channel|>analysis<|message|>";

/// An answer after a prompt that leaves it to the model whether to think.
const fn thinks(answer: &'static str, thought: &'static str, text: &'static str) -> Sample {
    Sample { name: THINK, template: "</think>", prompt_end: "assistant\n", answer, thought, text }
}

#[rustfmt::skip]
const SAMPLES: [Sample; 21] = [
    thinks("<think>\nTwo.\n\nAnd < two </think\n</think>\n\nFour.\n", "Two.\n\nAnd < two </think", "Four.\n"),
    Sample { name: THINK, template: "</think>", prompt_end: "assistant\n<think>\n",
        answer: " Two é\n</think>\n\nFour.", thought: "Two é", text: "Four." },
    Sample { name: THINK, template: "</think>", prompt_end: "assistant\n<think>\n\n</think>\n\n",
        answer: "Four.", thought: "", text: "Four." },
    // Space before an answer is the answer's, as long as nothing was thought.
    thinks(" \n Four.", "", " \n Four."),
    thinks("<think>\n\n</think>\n\nFour.", "", "Four."),
    thinks("\n<think>Two.</think><think>Three.</think> Four.", "Two.Three.", "Four."),
    // Who writes about thinking does not think.
    thinks("Write <think>x</think> so.", "", "Write <think>x</think> so."),
    thinks("<thinly>", "", "<thinly>"),
    // Cut off.
    thinks("<think>Two and ", "Two and", ""),
    thinks("<think>Two </thi", "Two </thi", ""),
    thinks("<thin", "", "<thin"),
    Sample { name: "gpt-oss", template: HARMONY, prompt_end: "<|start|>assistant",
        answer: "<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>final<|message|>Four.", thought: "Two.", text: "Four." },
    Sample { name: "gpt-oss", template: HARMONY, prompt_end: "<|start|>assistant",
        answer: "<|channel|>commentary<|message|>I count.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>final<|message|> Four.", thought: "Two.", text: "I count.Four." },
    Sample { name: "Gemma 4", template: "<|channel>thought\n<channel|>", prompt_end: "<|turn>model\n",
        answer: "<|channel>thought\nTwo.\n<channel|>Four.", thought: "Two.", text: "Four." },
    Sample { name: "Gemma 4", template: "<|channel>thought\n<channel|>", prompt_end: "<|turn>model\n<|channel>thought\n<channel|>",
        answer: "Four.", thought: "", text: "Four." },
    Sample { name: "Solar", template: "<|begin|>assistant<|think|>", prompt_end: "<|begin|>assistant",
        answer: "<|think|>Two.<|end|><|begin|>assistant<|content|>Four.<|end|>", thought: "Two.", text: "Four." },
    Sample { name: "Command", template: "<|START_THINKING|><|END_THINKING|>", prompt_end: "<|CHATBOT_TOKEN|>",
        answer: "<|START_THINKING|>Two.<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>", thought: "Two.", text: "Four." },
    Sample { name: "Mistral", template: "[THINK][/THINK]", prompt_end: "[/INST]",
        answer: "[THINK]Two.[/THINK]Four.", thought: "Two.", text: "Four." },
    Sample { name: "Seed", template: "<seed:think></seed:think>", prompt_end: "assistant\n",
        answer: "<seed:think>Two.</seed:think>Four.", thought: "Two.", text: "Four." },
    Sample { name: "Apriel", template: "Here are my reasoning steps:\n[BEGIN FINAL RESPONSE]", prompt_end: "<|begin_assistant|>\nHere are my reasoning steps:\n",
        answer: "Two.\n[BEGIN FINAL RESPONSE]\nFour.", thought: "Two.", text: "Four." },
    Sample { name: "Granite", template: "<think></think> and <response></response>", prompt_end: "<|end_of_role|>",
        answer: "<think>Two.</think>\n<response>Four.</response>", thought: "Two.", text: "Four." },
];

fn parse<'a>(sample: &Sample, parts: impl IntoIterator<Item = &'a str>) -> (String, String) {
    let syntax = ReasoningSyntax::detect(sample.template).unwrap_or_else(|| panic!("{} is not known", sample.name));
    assert_eq!(syntax.name(), sample.name);
    let mut parser = ReasoningParser::new(syntax, sample.prompt_end);
    let mut pieces: Vec<Piece> = parts.into_iter().flat_map(|part| parser.push(part)).collect();
    pieces.extend(parser.finish());
    let (mut thought, mut text) = (String::new(), String::new());
    for piece in pieces {
        match piece {
            Piece::Thought(part) => thought.push_str(&part),
            Piece::Text(part) => text.push_str(&part),
        }
    }
    (thought, text)
}

#[test]
fn thoughts_and_words_come_apart_however_they_are_cut() {
    for sample in SAMPLES {
        let wanted = (sample.thought.to_owned(), sample.text.to_owned());
        let answer = sample.answer;
        assert_eq!(parse(&sample, [answer]), wanted, "{answer:?} whole");
        let cuts: Vec<usize> = answer.char_indices().map(|(at, _)| at).chain([answer.len()]).collect();
        let letters = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]);
        assert_eq!(parse(&sample, letters), wanted, "{answer:?} by letters");
        for first in &cuts {
            for second in cuts.iter().filter(|second| *second >= first) {
                let parts = [&answer[..*first], &answer[*first..*second], &answer[*second..]];
                assert_eq!(parse(&sample, parts), wanted, "{parts:?}");
            }
        }
    }
}

#[test]
fn what_is_certain_comes_at_once() {
    let syntax = ReasoningSyntax::detect("</think>").unwrap();
    let mut parser = ReasoningParser::new(syntax, "");
    let thought = |text: &str| vec![Piece::Thought(text.to_owned())];
    assert_eq!(parser.push("<think>One"), thought("One"));
    assert_eq!(parser.push(" two\n"), thought(" two"));
    assert!(parser.is_holding());
    assert_eq!(parser.push("three <"), thought("\nthree"));
    assert_eq!(parser.push("/"), []);
    assert_eq!(parser.push("b"), thought(" </b"));
    assert!(!parser.is_holding());
    assert_eq!(parser.push("</think>\n"), []);
    assert_eq!(parser.push("Four <think>"), [Piece::Text("Four <think>".to_owned())]);
}

#[test]
fn a_template_that_shows_no_thoughts_has_none() {
    assert!(ReasoningSyntax::detect("{{ messages }}<|im_end|>").is_none());
}
