//! Renders chat templates for a program: a JSON object a line in, a JSON object a line out.
//!
//! In: `{"template": "...", "bos_token": "...", "eos_token": "...", "now": [2026, 3, 5, 9, 7, 0], "messages": [...],
//! "tools": [...], "documents": [...], "add_generation_prompt": true, "continue_final_message": false,
//! "variables": {...}}`. Out: `{"text": "..."}` or `{"error": "..."}`.

use std::io::{self, BufRead, Write};

use hearth_engine::{
    Result,
    text::{ChatInput, ChatTemplate, LocalTime},
};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = match render(&serde_json::from_str(&line?)?) {
            Ok(text) => json!({ "text": text }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn render(request: &Value) -> Result<String> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let config = json!({
        "bos_token": request["bos_token"], "eos_token": request["eos_token"], "chat_template": request["template"],
    });
    let Some(mut template) = ChatTemplate::from_hf(Some(&config.to_string()), None)? else {
        return Ok(text("template").to_owned());
    };
    let number = |index: usize| request["now"][index].as_u64().unwrap_or_default() as u8;
    template.set_now(request["now"].is_array().then(|| LocalTime {
        year: request["now"][0].as_i64().unwrap_or_default() as i32,
        month: number(1),
        day: number(2),
        hour: number(3),
        minute: number(4),
        second: number(5),
    }));
    template.render_input(&ChatInput {
        messages: request["messages"].as_array().cloned().unwrap_or_default(),
        tools: request["tools"].as_array().cloned(),
        documents: request["documents"].as_array().cloned(),
        template: None,
        add_generation_prompt: request["add_generation_prompt"] == true,
        continue_final_message: request["continue_final_message"] == true,
        variables: request["variables"].as_object().cloned().unwrap_or_default(),
    })
}
