//! Chat templates: a program that comes with a model.
#![no_main]

use hearth_engine::{
    protocol::{ChatMessage, Role},
    text::ChatTemplate,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let say = |role, content: &str| ChatMessage::new(role, content);
    let messages = [
        say(Role::System, "Be brief."),
        say(Role::User, "Hello!\n{{ messages }}"),
        say(Role::Assistant, "Good evening."),
        say(Role::User, "Tell me more."),
    ];
    let _ = ChatTemplate::from_source(data, "<s>", "</s>").render(&messages, true);
});
