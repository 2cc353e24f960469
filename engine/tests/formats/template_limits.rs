//! Templates that want to run on and on, or to fill all memory.

use hearth_engine::{
    Error,
    protocol::{ChatMessage, Role},
    text::{ChatTemplate, LocalTime},
};

use crate::allocation::peak_bytes;

/// The text that a template's budget pays for is 128 MiB; lists hold values beside their texts.
const PEAK_BYTES_MAX: u64 = 256 << 20;

#[rustfmt::skip]
const HOSTILE: [(&str, &str); 40] = [
    ("a loop in loops", "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"),
    ("a loop that recurses", "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
    ("a macro that calls itself", "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}"),
    ("two macros that call each other", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}"),
    ("a caller that calls", "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}"),
    ("a text that doubles", "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}"),
    ("a text that doubles by plus", "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}"),
    ("a list that doubles", "{% set ns = namespace(s=[1, 2]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | list | length }}"),
    ("a block that doubles", "{% set s = 'ab' %}{% for i in range(99) %}{% set s %}{{ s }}{{ s }}{% endset %}{% for j in range(99999) %}{{ s * 99999 }}{% endfor %}{% endfor %}"),
    ("a text times a number", "{{ 'ab' * 99999999 }}{{ 'ab' * 99999999 }}{{ 'ab' * 99999999 }}"),
    ("a list times a number", "{{ ([1] * 99999999) | list | length }}"),
    ("a tuple times a number", "{{ ((1, 2) * 99999999) | length }}"),
    ("lists times numbers", "{{ ([[1] * 999999] * 999999) | map('list') | list | length }}"),
    ("a range that is a list", "{{ range(999999999) | list | length }}"),
    ("a replacement of nothing", "{% set ns = namespace(s='abababab') %}{% for i in range(99) %}{% set ns.s = ns.s | replace('', ns.s) %}{% endfor %}"),
    ("a replacement by the method", "{% set ns = namespace(s='aa') %}{% for i in range(99) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}"),
    ("a join", "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s.join([ns.s, ns.s, ns.s]) %}{% endfor %}"),
    ("texts cut and joined", "{% set s = 'a ' * 4000000 %}{% for i in range(9999) %}{{ s.split(' ') | join('') | length }}{% endfor %}"),
    ("a wide field", "{% for i in range(99999) %}{{ 'a'.center(999999999) }}{% endfor %}"),
    ("a field of zeros", "{% for i in range(99999) %}{{ 'a'.zfill(999999999) }}{% endfor %}"),
    ("a wide number", "{{ '%999999999d' | format(1) }}{% for i in range(999999999) %}{{ '%9999d' | format(1) }}{% endfor %}"),
    ("JSON over and over", "{% set ns = namespace(s='\"') %}{% for i in range(99) %}{% set ns.s = ns.s | tojson %}{% endfor %}"),
    ("escapes over and over", "{% set ns = namespace(s='&&&&') %}{% for i in range(9999999) %}{% set ns.s = ns.s | e %}{% endfor %}"),
    ("a date that is asked for often", "{% set p = '%A %B ' * 999999 %}{% for i in range(9999) %}{{ strftime_now(p) | length }}{% endfor %}"),
    ("a list that doubles by itself", "{% set ns = namespace(s=[1, 2]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"),
    ("a list that doubles in lists", "{% set ns = namespace(s=[1, 2]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}"),
    ("a list that doubles in a macro", "{% macro m(a, n) %}{% if n < 45 %}{{ m(a + a, n + 1) }}{% endif %}{% endmacro %}{{ m([1], 0) }}"),
    ("a list that doubles in a loop", "{% for a in [[1]] recursive %}{{ loop([a + a]) }}{% endfor %}"),
    ("a list that doubles in new namespaces", "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = dict(a=ns.s + ns.s).a %}{% endfor %}"),
    ("a list that is chained", "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s | chain(ns.s) %}{% endfor %}"),
    ("a list in a list in a list", "{% set ns = namespace(s=[]) %}{% for i in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}"),
    ("a dictionary in a dictionary", "{% set ns = namespace(s=1) %}{% for i in range(99999) %}{% set ns.s = {'a': ns.s} %}{% endfor %}"),
    ("a namespace in a namespace", "{% set ns = namespace(s=1) %}{% for i in range(99999) %}{% set ns.s = namespace(s=ns.s) %}{% endfor %}"),
    ("a namespace in itself", "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}"),
    ("a namespace in a list in itself", "{% set ns = namespace() %}{% set ns.ns = [ns] %}{{ ns }}"),
    ("a macro in a namespace", "{% macro m() %}{% endmacro %}{% set ns = namespace(a=m) %}{{ ns }}"),
    ("a macro that holds a macro", "{% set ns = namespace(s=1) %}{% for i in range(99999) %}{% set p = ns.s %}{% macro m() %}{{ p }}{% endmacro %}{% set ns.s = [m] %}{% endfor %}"),
    ("a cycle in a cycle", "{% set ns = namespace(s=1) %}{% for i in range(99999) %}{% set ns.s = cycler(ns.s) %}{% endfor %}"),
    ("a piece of a piece", "{% set ns = namespace(s=range(999999)) %}{% for i in range(99999) %}{% set ns.s = ns.s[0:] %}{% endfor %}"),
    ("a list many times a list", "{% set ns = namespace(s=[1]) %}{% for i in range(999999) %}{% set ns.s = ns.s * 2 %}{% endfor %}"),
];

#[test]
fn a_hostile_template_is_stopped_with_little_memory_used() {
    let mut wrong = Vec::new();
    for (name, source) in HOSTILE {
        let mut template = ChatTemplate::from_source(source, "<s>", "</s>");
        template.set_now(Some(LocalTime { year: 2026, month: 9, day: 30, hour: 6, minute: 0, second: 0 }));
        let (rendered, peak) = peak_bytes(|| template.render(&[ChatMessage::new(Role::User, "Hello.")], true));
        let rendered = rendered.map(|text| text.len());
        if !matches!(rendered, Err(Error::Template { .. })) || peak > PEAK_BYTES_MAX {
            wrong.push(format!("{name}: {} MiB, {rendered:?}", peak >> 20));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_template_that_is_nothing_but_brackets_is_refused() {
    for piece in [
        "{% if a %}",
        "{% for a in b %}",
        "{{ (",
        "{{ [",
        "{{ {'a':",
        "{{ not ",
        "{{ -",
        "{{ a[",
        "{{ a | e(",
        "{#",
        "{% raw %}",
    ] {
        let source = piece.repeat(50_000);
        let template = ChatTemplate::from_source(&source, "", "");
        let (rendered, peak) = peak_bytes(|| template.render(&[], true));
        assert!(matches!(rendered, Err(Error::Template { .. })), "{piece}: {:?}", rendered.map(|text| text.len()));
        assert!(peak <= PEAK_BYTES_MAX, "{piece} took {} MiB", peak >> 20);
    }
}

/// The template engine counts the first in 16 bits, and goes down a level for each of the others.
#[test]
fn lines_tags_and_choices_that_are_longer_than_any_are_refused() {
    let arguments = |count: usize| format!("{{{{ namespace({}) }}}}", "1,\n".repeat(count));
    for (source, reason) in [
        (format!("{}{{{{ ( }}}}", "x".repeat(70_000)), "line 1 has more than 65534 characters"),
        (format!("\n{}", "é".repeat(65_535)), "line 2 has more"),
        (arguments(66_000), "a tag of more than 2048 characters"),
        (format!("{{{{ 1{} }}}}", "+1".repeat(30_000)), "a tag of more than 2048 characters"),
        (format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(4000)), "4000 times elif"),
    ] {
        let error = ChatTemplate::from_source(&source, "", "").render(&[], true).unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    let long = "x".repeat(65_534);
    assert_eq!(ChatTemplate::from_source(&long, "", "").render(&[], true), Ok(long));
    let text = format!("{{{{ '{}' }}}}", "x".repeat(60_000));
    assert!(ChatTemplate::from_source(&text, "", "").render(&[], true).is_ok());
}

#[test]
fn the_longest_that_may_be_is_rendered() {
    for source in [
        format!("{{{{ 1{} }}}}", "+1".repeat(1000)),
        format!("{{{{ ('a'{}) | length }}}}", "~'b'".repeat(1000)),
        format!("{{% set a = [1]{} %}}{{{{ a | length }}}}", "[0:]".repeat(480)),
        format!("{{% set a = [1]{} %}}{{{{ a | length }}}}", "*1".repeat(900)),
        format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(500)),
        "{% set a = {1: a} %}".repeat(190),
    ] {
        let rendered = ChatTemplate::from_source(&source, "", "").render(&[], true);
        assert!(rendered.is_ok(), "{}: {rendered:?}", &source[..30]);
    }
}

#[test]
fn a_conversation_as_long_as_a_book_is_within_the_budget() {
    let source = crate::files::repository_text("tests/fixtures/chat/thinking/chat_template.jinja");
    let turns = [(Role::User, "Go on."), (Role::Assistant, "And so they went over the hill. ")];
    let messages: Vec<_> =
        (0..2000).map(|turn| ChatMessage::new(turns[turn % 2].0, turns[turn % 2].1.repeat(30))).collect();
    let text = ChatTemplate::from_source(&source, "", "").render(&messages, true).unwrap();
    assert!(text.len() > 1_000_000, "{}", text.len());
}
