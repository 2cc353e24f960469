//! Chat templates of the main styles, against what transformers' own Jinja environment makes of them
//! (`tests/golden/templates.py`).

use hearth_engine::text::{ChatInput, ChatTemplate, LocalTime};
use serde_json::Value;

use crate::files::repository_text;

fn list(value: &Value) -> Option<Vec<Value>> {
    value.as_array().cloned()
}

#[test]
fn every_style_is_written_as_transformers_writes_it() {
    let golden: Value = serde_json::from_str(&repository_text("tests/golden/templates.json")).unwrap();
    let now = |at: usize| golden["now"][at].as_u64().unwrap() as u8;
    let day = LocalTime {
        year: golden["now"][0].as_i64().unwrap() as i32,
        month: now(1),
        day: now(2),
        hour: now(3),
        minute: now(4),
        second: now(5),
    };
    let (mut written, mut refused) = (0, 0);
    for (style, texts) in golden["rendered"].as_object().unwrap() {
        let mut config = golden["tokens"].clone();
        config["chat_template"] = repository_text(&format!("tests/fixtures/chat/{style}/chat_template.jinja")).into();
        let mut template = ChatTemplate::from_hf(Some(&config.to_string()), None).unwrap().unwrap();
        template.set_now(Some(day));
        for (name, text) in texts.as_object().unwrap() {
            let given = &golden["conversations"][name.trim_end_matches(" +")];
            let found = template.render_input(&ChatInput {
                messages: list(&given["messages"]).unwrap(),
                tools: list(&given["tools"]),
                documents: list(&given["documents"]),
                add_generation_prompt: name.ends_with(" +"),
                continue_final_message: given["continue_final_message"] == true,
                variables: given["variables"].as_object().cloned().unwrap_or_default(),
                ..ChatInput::default()
            });
            match text.as_str() {
                Some(text) => assert_eq!(found.as_deref(), Ok(text), "{style}: {name}"),
                None => assert!(found.is_err(), "{style}: {name}: {found:?}"),
            }
            (written, refused) = (written + u32::from(text.is_string()), refused + u32::from(text.is_null()));
        }
    }
    assert!(written > 300 && refused > 20, "{written} {refused}");
}
