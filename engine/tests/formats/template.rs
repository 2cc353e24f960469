//! Chat templates, as transformers would render them.

use hearth_engine::{
    Error,
    file::{GgufArray, GgufMetadata, GgufValue},
    protocol::{ChatMessage, Role},
    text::{ChatTemplate, LocalTime},
};

use crate::tokenizer::bundled;

fn conversation() -> Vec<ChatMessage> {
    [(Role::System, "Be brief."), (Role::User, " Hi \"you\" <b> "), (Role::Assistant, "Hello."), (Role::User, "Bye")]
        .map(|(role, content)| ChatMessage::new(role, content))
        .to_vec()
}

fn render(source: &str) -> Result<String, Error> {
    ChatTemplate::from_source(source, "<s>", "</s>").render(&conversation(), true)
}

#[test]
fn the_bundled_models_template_writes_its_format() {
    let template = ChatTemplate::from_documents(&bundled()).unwrap().unwrap();
    let expected = "<|endoftext|><|system|>Be brief.<|end|><|user|>Hi \"you\" <b><|end|><|assistant|>Hello.<|end|>\
        <|user|>Bye<|end|>";
    assert_eq!(template.render(&conversation(), false).unwrap(), expected);
    assert_eq!(template.render(&conversation(), true).unwrap(), format!("{expected}<|assistant|>"));
}

#[test]
fn what_templates_use_of_python_is_there() {
    for (source, expected) in [
        ("{{ bos_token }}{{ eos_token }}", "<s></s>"),
        ("{% if tools is none and not documents %}y{% endif %}", "y"),
        ("{% if tools is iterable and tools | length > 0 %}n{% else %}y{% endif %}", "y"),
        // Blocks are trimmed: the line of a block leaves nothing behind.
        ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"),
        (
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% break %}{% endfor %}",
            "user",
        ),
        ("{{ messages[1].content.strip().split(' ')[0].upper() }}", "HI"),
        ("{{ messages[1]['content'] | trim | tojson }}", r#""Hi \"you\" <b>""#),
        ("{{ {'b': [1, 2.5, none, true], 'a': 'é'} | tojson }}", r#"{"b": [1, 2.5, null, true], "a": "é"}"#),
        ("{{ {'b': 1, 'a': {}} | tojson(sort_keys=true, ensure_ascii=false) }}", r#"{"a": {}, "b": 1}"#),
        ("{{ {'a': [1]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"),
        ("{{ none }} {{ true }} {{ messages[0].absent }}", "None True "),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "4"),
        ("{{ 'system' in messages | map(attribute='role') | list }}", "True"),
        ("{{ messages[1:] | length }}{{ messages[-1].content }}", "3Bye"),
        ("{% generation %}x{% endgeneration %} {%- generation -%} y {%- endgeneration %}", "xy"),
        ("{% if strftime_now is defined %}now{% else %}never{% endif %}", "never"),
        ("{{ messages[1].content }}", " Hi \"you\" <b> "),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn the_host_says_what_time_it_is() {
    let mut template = ChatTemplate::from_source("{{ strftime_now('%d %b %Y') }}", "", "");
    assert!(template.render(&[], true).is_err());
    template.set_now(Some(LocalTime { year: 2026, month: 11, day: 3, hour: 6, minute: 0, second: 0 }));
    assert_eq!(template.render(&[], true).unwrap(), "03 Nov 2026");
}

#[test]
fn what_goes_wrong_is_said_in_words() {
    for (source, reason) in [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("a\n{% if %}", "(line 2)"),
        ("{{ absent() }}", "absent"),
        ("{{ messages[9].content }}", "(line 1)"),
        ("{% include 'other' %}", "other"),
        ("{% generation", "(line 1)"),
    ] {
        let Err(Error::Template { reason: found }) = render(source) else { panic!("{source}") };
        assert!(found.contains(reason), "{source}: {found}");
    }
}

#[test]
fn a_template_cannot_run_on_and_on() {
    let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}\
        {% endfor %}{% endfor %}";
    let recursive = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    let Err(Error::Template { reason }) = render(nested) else { panic!() };
    assert!(reason.contains("steps"), "{reason}");
    assert!(matches!(render(recursive), Err(Error::Template { .. })));
    assert!(matches!(render(&"{% if a %}".repeat(100_000)), Err(Error::Template { .. })));
    assert!(matches!(render(&format!("{{{{ {} }}}}", "(".repeat(100_000))), Err(Error::Template { .. })));
}

#[test]
fn a_template_comes_from_either_file_or_from_gguf() {
    let config = r#"{"chat_template": "{{ bos_token }}C", "bos_token": "<b>"}"#;
    let text = |template: ChatTemplate| template.render(&[], false).unwrap();
    assert_eq!(text(ChatTemplate::from_hf(Some(config), None).unwrap().unwrap()), "<b>C");
    assert_eq!(text(ChatTemplate::from_hf(Some(config), Some("{{ bos_token }}F")).unwrap().unwrap()), "<b>F");
    assert!(ChatTemplate::from_hf(Some("{}"), None).unwrap().is_none());
    assert!(ChatTemplate::from_hf(None, None).unwrap().is_none());
    let mut metadata = GgufMetadata::default();
    assert!(ChatTemplate::from_gguf(&metadata).unwrap().is_none());
    let tokens = ["<a>", "<b>"].map(str::to_owned).to_vec();
    metadata.insert("tokenizer.ggml.tokens", GgufValue::Array(GgufArray::String(tokens)));
    metadata.insert("tokenizer.ggml.bos_token_id", GgufValue::U32(1));
    metadata.insert("tokenizer.ggml.eos_token_id", GgufValue::U32(9));
    metadata.insert("tokenizer.chat_template", GgufValue::String("{{ bos_token }}{{ eos_token }}G".to_owned()));
    assert_eq!(text(ChatTemplate::from_gguf(&metadata).unwrap().unwrap()), "<b>G");
}
