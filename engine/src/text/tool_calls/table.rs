//! How models write calls of functions: what their templates show, as data.

/// One way to write calls.
#[derive(Debug)]
pub(super) struct Syntax {
    pub(super) name: &'static str,
    /// All of these stand in the templates of models that write so.
    pub(super) evidence: &'static [&'static str],
    /// With any of these a call begins.
    pub(super) opens: &'static [&'static str],
    /// What stands around calls and is no text either.
    pub(super) silent: &'static [&'static str],
    pub(super) start: Start,
    pub(super) shape: Shape,
}

/// What an answer may begin with, besides text and `opens`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Text,
    /// A call without any mark.
    Object,
    /// The inside of a call: its mark is the end of the prompt.
    Call,
}

/// What a call is.
#[derive(Debug)]
pub(super) enum Shape {
    /// `{"name": ..., "arguments": ...}`, or a list of such.
    Json { written: Written },
    /// A name, `head`, and the arguments as JSON. `id` stands before or behind the name, cut off by a mark.
    Named { head: &'static str, id: Option<Id>, written: Written },
    /// Names and values between tags, up to `close`.
    Tagged { close: &'static str, tags: Tags, written: WrittenTags },
    /// `head`, a name, and an object whose texts stand between `quote`s and whose keys stand bare, up to `close`.
    Quoted { close: &'static str, head: &'static str, quote: &'static str },
}

#[derive(Debug)]
pub(super) struct Id {
    pub(super) mark: &'static str,
    pub(super) is_first: bool,
}

/// How one call is written whole: before its name, before its arguments, and after them.
#[derive(Debug)]
pub(super) struct Written(pub(super) &'static str, pub(super) &'static str, pub(super) &'static str);

/// What stands before and behind each part.
#[derive(Debug)]
pub(super) struct Tags {
    /// An empty end: the name ends with its line, or where the first key begins.
    pub(super) name: (&'static str, &'static str),
    pub(super) key: (&'static str, &'static str),
    pub(super) value: (&'static str, &'static str),
}

/// How one call is written whole.
#[derive(Debug)]
pub(super) struct WrittenTags {
    pub(super) before_name: &'static str,
    pub(super) after_name: &'static str,
    pub(super) before_key: &'static str,
    /// After the key of a string, and of anything else.
    pub(super) after_key: (&'static str, &'static str),
    pub(super) after_value: &'static str,
    pub(super) end: &'static str,
}

/// `<parameter=key>value</parameter>` in `<function=name>`.
const PARAMETER_TAGS: Tags = Tags { name: ("<function=", ">"), key: ("<parameter=", ">"), value: ("", "</parameter>") };

/// The first whose evidence a template shows is taken, so the special stand before the general.
pub(super) const SYNTAXES: [Syntax; 23] = [
    // The recipient stands before the channel or behind it.
    Syntax {
        name: "gpt-oss",
        evidence: &["<|start|>assistant to=", "<|channel|>commentary"],
        opens: &["<|channel|>commentary to=functions.", " to=functions.", "to=functions."],
        silent: &[],
        start: Start::Text,
        shape: Shape::Named {
            head: "<|message|>",
            id: None,
            written: Written(" to=functions.", "<|channel|>commentary json<|message|>", ""),
        },
    },
    Syntax {
        name: "Gemma 4",
        evidence: &["<|tool_call>call:", "<tool_call|>", "<|\"|>"],
        opens: &["<|tool_call>"],
        silent: &["<|tool_response>"],
        start: Start::Text,
        shape: Shape::Quoted { close: "<tool_call|>", head: "call:", quote: "<|\"|>" },
    },
    Syntax {
        name: "DeepSeek V3.2",
        evidence: &["｜DSML｜", "invoke name="],
        opens: &["<｜DSML｜function_calls>"],
        silent: &["</｜DSML｜function_calls>"],
        start: Start::Text,
        shape: Shape::Tagged {
            close: "</｜DSML｜function_calls>",
            tags: Tags {
                name: ("<｜DSML｜invoke name=\"", "\">"),
                key: ("<｜DSML｜parameter name=\"", "\""),
                value: (">", "</｜DSML｜parameter>"),
            },
            written: WrittenTags {
                before_name: "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"",
                after_name: "\">\n",
                before_key: "<｜DSML｜parameter name=\"",
                after_key: ("\" string=\"true\">", "\" string=\"false\">"),
                after_value: "</｜DSML｜parameter>\n",
                end: "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            },
        },
    },
    Syntax {
        name: "MiniMax",
        evidence: &["minimax:tool_call", "<invoke name="],
        opens: &["<minimax:tool_call>"],
        silent: &["</minimax:tool_call>"],
        start: Start::Text,
        shape: Shape::Tagged {
            close: "</minimax:tool_call>",
            tags: Tags {
                name: ("<invoke name=\"", "\">"),
                key: ("<parameter name=\"", "\">"),
                value: ("", "</parameter>"),
            },
            written: WrittenTags {
                before_name: "<minimax:tool_call>\n<invoke name=\"",
                after_name: "\">\n",
                before_key: "<parameter name=\"",
                after_key: ("\">", "\">"),
                after_value: "</parameter>\n",
                end: "</invoke>\n</minimax:tool_call>",
            },
        },
    },
    Syntax {
        name: "Seed",
        evidence: &["seed:tool_call", "<parameter="],
        opens: &["<seed:tool_call>"],
        silent: &["</seed:tool_call>"],
        start: Start::Text,
        shape: Shape::Tagged {
            close: "</seed:tool_call>",
            tags: PARAMETER_TAGS,
            written: WrittenTags {
                before_name: "<seed:tool_call>\n<function=",
                after_name: ">\n",
                before_key: "<parameter=",
                after_key: (">", ">"),
                after_value: "</parameter>\n",
                end: "</function>\n</seed:tool_call>",
            },
        },
    },
    Syntax {
        name: "GLM",
        evidence: &["<tool_call>", "<arg_key>", "<arg_value>"],
        opens: &["<tool_call>"],
        silent: &["</tool_call>"],
        start: Start::Text,
        shape: Shape::Tagged {
            close: "</tool_call>",
            tags: Tags { name: ("", ""), key: ("<arg_key>", "</arg_key>"), value: ("<arg_value>", "</arg_value>") },
            written: WrittenTags {
                before_name: "<tool_call>",
                after_name: "\n",
                before_key: "<arg_key>",
                after_key: ("</arg_key>\n<arg_value>", "</arg_key>\n<arg_value>"),
                after_value: "</arg_value>\n",
                end: "</tool_call>",
            },
        },
    },
    Syntax {
        name: "Qwen3-Coder",
        evidence: &["<tool_call>", "<function=", "<parameter="],
        opens: &["<tool_call>"],
        silent: &["</tool_call>"],
        start: Start::Text,
        shape: Shape::Tagged {
            close: "</tool_call>",
            tags: PARAMETER_TAGS,
            written: WrittenTags {
                before_name: "<tool_call>\n<function=",
                after_name: ">\n",
                before_key: "<parameter=",
                after_key: (">\n", ">\n"),
                after_value: "\n</parameter>\n",
                end: "</function>\n</tool_call>",
            },
        },
    },
    Syntax {
        name: "DeepSeek R1",
        evidence: &["<｜tool▁call▁begin｜>", "```json"],
        opens: &["<｜tool▁call▁begin｜>"],
        silent: &["<｜tool▁calls▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"],
        start: Start::Text,
        shape: Shape::Named {
            head: "<｜tool▁sep｜>",
            id: None,
            written: Written(
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                "\n```json\n",
                "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            ),
        },
    },
    Syntax {
        name: "DeepSeek V3.1",
        evidence: &["<｜tool▁call▁begin｜>"],
        opens: &["<｜tool▁call▁begin｜>"],
        silent: &["<｜tool▁calls▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"],
        start: Start::Text,
        shape: Shape::Named {
            head: "<｜tool▁sep｜>",
            id: None,
            written: Written(
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
                "<｜tool▁sep｜>",
                "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            ),
        },
    },
    Syntax {
        name: "Kimi K2",
        evidence: &["<|tool_call_begin|>", "<|tool_call_argument_begin|>"],
        opens: &["<|tool_call_begin|>"],
        silent: &["<|tool_calls_section_begin|>", "<|tool_call_end|>", "<|tool_calls_section_end|>"],
        start: Start::Text,
        shape: Shape::Named {
            head: "<|tool_call_argument_begin|>",
            id: None,
            written: Written(
                "<|tool_calls_section_begin|><|tool_call_begin|>functions.",
                ":0<|tool_call_argument_begin|>",
                "<|tool_call_end|><|tool_calls_section_end|>",
            ),
        },
    },
    Syntax {
        name: "Solar",
        evidence: &["<|tool_call:begin|>", "<|tool_call:args|>"],
        opens: &["<|tool_call:begin|>"],
        silent: &["<|tool_call:end|>"],
        start: Start::Text,
        shape: Shape::Named {
            head: "<|tool_call:args|>",
            id: Some(Id { mark: "<|tool_call:name|>", is_first: true }),
            written: Written("<|tool_call:begin|>call0<|tool_call:name|>", "<|tool_call:args|>", "<|tool_call:end|>"),
        },
    },
    Syntax {
        name: "Mistral",
        evidence: &["[TOOL_CALLS]", "[ARGS]"],
        opens: &["[TOOL_CALLS]"],
        silent: &[],
        start: Start::Text,
        shape: Shape::Named {
            head: "[ARGS]",
            id: Some(Id { mark: "[CALL_ID]", is_first: false }),
            written: Written("[TOOL_CALLS]", "[ARGS]", ""),
        },
    },
    Syntax {
        name: "Mistral v3",
        evidence: &["[TOOL_CALLS]"],
        opens: &["[TOOL_CALLS]"],
        silent: &[],
        start: Start::Text,
        shape: Shape::Json { written: Written("[TOOL_CALLS][{\"name\": \"", "\", \"arguments\": ", "}]") },
    },
    Syntax {
        name: "Command R7B",
        evidence: &["<|START_ACTION|>"],
        opens: &["<|START_ACTION|>"],
        silent: &["<|END_ACTION|>"],
        start: Start::Text,
        shape: Shape::Json {
            written: Written(
                "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"",
                "\", \"parameters\": ",
                "}\n]<|END_ACTION|>",
            ),
        },
    },
    Syntax {
        name: "Command R",
        evidence: &["Action:", "tool_name"],
        opens: &["Action:"],
        silent: &[],
        start: Start::Text,
        shape: Shape::Json {
            written: Written(
                "Action:\n```json\n[\n    {\n        \"tool_name\": \"",
                "\",\n        \"parameters\": ",
                "\n    }\n]\n```",
            ),
        },
    },
    Syntax {
        name: "FireFunction",
        evidence: &["functools"],
        opens: &["functools"],
        silent: &[],
        start: Start::Text,
        shape: Shape::Json { written: Written("functools[{\"name\": \"", "\", \"arguments\": ", "}]") },
    },
    Syntax {
        name: "Nemotron",
        evidence: &["<TOOLCALL>"],
        opens: &["<TOOLCALL>"],
        silent: &["</TOOLCALL>"],
        start: Start::Text,
        shape: Shape::Json { written: Written("<TOOLCALL>[{\"name\": \"", "\", \"arguments\": ", "}]</TOOLCALL>") },
    },
    Syntax {
        name: "Apriel",
        evidence: &["<tool_calls>["],
        opens: &["<tool_calls>"],
        silent: &["</tool_calls>"],
        start: Start::Text,
        shape: Shape::Json { written: Written("<tool_calls>[{\"name\": \"", "\", \"arguments\": ", "}]</tool_calls>") },
    },
    Syntax {
        name: "Apertus",
        evidence: &["<|tools_prefix|>"],
        opens: &["<|tools_prefix|>"],
        silent: &["<|tools_suffix|>"],
        start: Start::Text,
        shape: Shape::Json { written: Written("<|tools_prefix|>[{\"", "\": ", "}]<|tools_suffix|>") },
    },
    Syntax {
        name: "Hermes",
        evidence: &["<tool_call>"],
        opens: &["<tool_call>"],
        silent: &["</tool_call>"],
        start: Start::Text,
        shape: Shape::Json { written: Written("<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>") },
    },
    Syntax {
        name: "Granite",
        evidence: &["<|tool_call|>"],
        opens: &["<|tool_call|>"],
        silent: &["<|/tool_call|>"],
        start: Start::Text,
        shape: Shape::Json { written: Written("<|tool_call|>[{\"name\": \"", "\", \"arguments\": ", "}]") },
    },
    Syntax {
        name: "Functionary v3.2",
        evidence: &[">>>", "recipient"],
        opens: &[">>>"],
        silent: &[],
        start: Start::Call,
        shape: Shape::Named { head: "\n", id: None, written: Written("", "\n", "") },
    },
    Syntax {
        name: "Functionary v3.1",
        evidence: &["<function=", "</function>"],
        opens: &["<function="],
        silent: &["</function>"],
        start: Start::Text,
        shape: Shape::Named { head: ">", id: None, written: Written("<function=", ">", "</function>") },
    },
];

/// Llama 3's, which has no mark of its own in every template: a bare object, or one behind the mark for code.
pub(super) const LLAMA: Syntax = Syntax {
    name: "Llama 3",
    evidence: &["{\"name\": ", "\"parameters\": ", "tools"],
    opens: &["<|python_tag|>"],
    silent: &[],
    start: Start::Object,
    shape: Shape::Json { written: Written("{\"name\": \"", "\", \"parameters\": ", "}") },
};
