//! Keeps the picture of the house true: which room may use which, what must never stand where, how long things may be.
//! The tables are the rules; a rule that could not fail would be none, so each is tried on a line that breaks it.

use hearth_tests::tidy::{Finding, Limit, Never, Order, SourceFile, functions, source_files};

/// The engine's rooms, from the ground up.
#[rustfmt::skip]
const ENGINE: Order = Order {
    root: "engine/src",
    rooms: &[
        "tensor", "protocol", "error", "quant", "file", "text", "telemetry", "kernel", "plan", "profile", "device",
        "model", "memory", "decode", "bench", "runtime", "web",
    ],
    siblings: &[("device", "model")],
};

const RUST: &[&str] = &[".rs"];
const SHADERS: &[&str] = &[".wgsl"];
const UI: &[&str] = &[".ts", ".svelte"];

/// What must never stand where.
const NEVER: &[Never] = &[
    Never {
        within: &["engine/src/", "quantizer/src/"],
        except: &[],
        endings: RUST,
        pattern: r"\bstd::(fs|net|time|process|env)\b|\bstd::thread\b|\bthread::(spawn|sleep)\b|\be?print(ln)?!|\btauri\b",
        because: "the engine and the quantizer are pure: files, sockets, clocks, threads and printing belong to the host",
        broken: "use std::{fs, sync::Arc};",
        right: "use std::{fmt, sync::Arc};",
    },
    Never {
        within: &["engine/src/"],
        except: &["engine/src/web"],
        endings: RUST,
        pattern: r"\b(wasm_bindgen|wasm_bindgen_futures|js_sys|web_sys)\b",
        because: "engine/src/web.rs is the only place that knows JavaScript",
        broken: "use wasm_bindgen::prelude::*;",
        right: "// wasm_bindgen lives elsewhere",
    },
    Never {
        within: &["engine/src/"],
        except: &["engine/src/device/gpu/"],
        endings: RUST,
        pattern: r"\bwgpu\b",
        because: "only engine/src/device/gpu speaks to a GPU",
        broken: "let buffer: wgpu::Buffer;",
        right: "let buffer: gpu::Buffer;",
    },
    Never {
        within: &["engine/src/model/"],
        except: &[],
        endings: RUST,
        pattern: r"\b(decode_row|encode_row|repack|read_rows)\b|\bcrate::device\b",
        because: "a model records a plan; it touches neither devices nor the bytes of weights",
        broken: "let bytes = catalog.read_rows(tensor, 0..1).await?;",
        right: "let tensor = catalog.tensor(name)?;",
    },
    Never {
        within: &["engine/src/device/"],
        except: &[],
        endings: RUST,
        pattern: r"(?i)\b\w*(layers?|vocab|logit|tokenizer|llama|qwen|gemma)(_\w*)?\b",
        because: "a device runs commands; what they mean is the model's affair",
        broken: "for layer_index in 0..program.plans.len() {",
        right: "let layout = device.create_bind_group_layout(&entries);",
    },
    Never {
        within: &["engine/src/protocol/"],
        except: &[],
        endings: RUST,
        pattern: r"\b(if|match|while|loop)\b.*\{|\bfor\s+\w+\s+in\b",
        because: "the protocol is types and nothing else",
        broken: "match self { Self::Done(_) => true, _ => false }",
        right: "impl Default for Prompt {",
    },
    Never {
        within: &["shaders/"],
        except: &["shaders/formats/"],
        endings: SHADERS,
        pattern: r"0x[0-9a-fA-F]+|&\s*(15|255|65535)u|\bunpack\w+|\bnibbles?\b|\bscales\b\[",
        because: "how a quantization packs its bits stands in shaders/formats/ alone",
        broken: "let quant = (word >> 4u) & 15u;",
        right: "let lane = thread & 7u;",
    },
    Never {
        within: &["engine/src/", "host/", "src-tauri/", "shaders/", "ui/src/"],
        except: &["engine/src/profile/", ".test.ts"],
        endings: &[".rs", ".wgsl", ".ts", ".svelte"],
        pattern: r"(?i)\b(nvidia|amd|radeon|geforce|intel|adreno|mali|powervr|qualcomm|llvmpipe|lavapipe|swiftshader)\b",
        because: "what a vendor's hardware needs is decided in engine/src/profile/ alone",
        broken: r#"if adapter.name.contains("NVIDIA") {"#,
        right: r#"if profile.prefers_wide_rows {"#,
    },
    Never {
        within: &["src-tauri/"],
        except: &[],
        endings: RUST,
        pattern: r"\bwgpu\b|\b(struct|enum)\s+(Request|Event|Failure)\b|\bhearth_engine::(kernel|quant|plan|tensor)\b",
        because: "the shell carries messages; it neither computes nor defines its own",
        broken: "use hearth_engine::quant::decode_row;",
        right: "use hearth_engine::protocol::Request;",
    },
    Never {
        within: &["ui/src/"],
        except: &["ui/src/link/"],
        endings: UI,
        pattern: r"\binvoke\b|@tauri-apps/|\b__TAURI",
        because: "only ui/src/link reaches the native side",
        broken: "import { invoke } from '@tauri-apps/api/core';",
        right: "import { createLinks } from '../link/links';",
    },
    Never {
        within: &["ui/src/"],
        except: &[],
        endings: UI,
        pattern: r"@(compute|group|binding|workgroup_size)\b",
        because: "shaders are the engine's",
        broken: "const shader = `@compute @workgroup_size(64) fn main() {}`;",
        right: "const group = groups[0];",
    },
    Never {
        within: &["ui/", "tests/"],
        except: &[],
        endings: &["package-lock.json"],
        pattern: r#""resolved":"#,
        because: "a lock file names versions and checksums, not the host they were fetched from",
        broken: r#"      "resolved": "https://example.org/a.tgz","#,
        right: r#"      "version": "1.0.0","#,
    },
    Never {
        within: &[""],
        except: &["tests/tests/tidy.rs"],
        endings: RUST,
        pattern: r"\b(todo|unimplemented|dbg)!|#\[ignore",
        because: "what is not done is not pretended",
        broken: "todo!()",
        right: "done()",
    },
];

/// How long a file may be.
const LIMITS: &[Limit] = &[
    Limit { ending: ".wgsl", lines_max: 250 },
    Limit { ending: ".rs", lines_max: 400 },
    Limit { ending: ".ts", lines_max: 400 },
    Limit { ending: ".svelte", lines_max: 400 },
    Limit { ending: ".py", lines_max: 400 },
];

/// Files that a program writes.
const GENERATED: &[&str] = &["ui/src/link/protocol.gen.ts", "gen/"];

/// How many lines a function may take.
const FUNCTION_LINES_MAX: usize = 70;

fn assert_none(findings: &[Finding]) {
    let list: String = findings.iter().map(|finding| format!("\n{finding}")).collect();
    assert!(findings.is_empty(), "{} findings:{list}", findings.len());
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn the_walk_finds_every_room() {
    let files = source_files();
    for room in ENGINE.rooms {
        let folder = format!("{}/{room}/", ENGINE.root);
        let single = format!("{}/{room}.rs", ENGINE.root);
        let is_later = ["telemetry", "memory", "profile"].contains(room);
        assert!(
            is_later || files.iter().any(|file| file.path.starts_with(&folder) || file.path == single),
            "{room} is in the table, but not in the tree"
        );
    }
    for rule in NEVER {
        for within in rule.within {
            assert!(files.iter().any(|file| file.path.starts_with(within)), "{within} is in the table alone");
        }
    }
}

#[test]
fn rooms_use_only_what_comes_before_them() {
    let findings: Vec<_> = source_files().iter().flat_map(|file| ENGINE.check(file)).collect();
    assert_none(&findings);
}

#[test]
fn nothing_stands_where_it_never_may() {
    let files = source_files();
    let findings: Vec<_> = NEVER.iter().flat_map(|rule| rule.check(&files)).collect();
    assert_none(&findings);
}

#[test]
fn files_and_functions_are_short() {
    let mut findings = Vec::new();
    for file in source_files() {
        if GENERATED.iter().any(|generated| file.path.starts_with(generated)) {
            continue;
        }
        findings.extend(LIMITS.iter().filter_map(|limit| limit.check(&file)));
        if !file.path.ends_with(".rs") {
            continue;
        }
        for function in functions(&file.text).iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            let what = format!("{} takes {} lines; at most {FUNCTION_LINES_MAX}", function.name, function.lines);
            findings.push(Finding { path: file.path.clone(), line: function.line, what });
        }
    }
    assert_none(&findings);
}

#[test]
fn each_rule_catches_a_line_that_breaks_it() {
    for rule in NEVER {
        let path = format!("{}tried{}", rule.within[0], rule.endings[0]);
        let broken = rule.check(&[file(&path, &format!("\n{}\n", rule.broken))]);
        assert_eq!(broken.len(), 1, "{:?} was not caught by `{}`: {broken:?}", rule.broken, rule.pattern);
        assert_eq!(broken[0].line, 2);
        let right = rule.check(&[file(&path, rule.right)]);
        assert!(right.is_empty(), "{:?} was caught: {right:?}", rule.right);
    }
}

#[test]
fn the_order_catches_uses_that_run_against_it() {
    let broken = [
        ("engine/src/kernel/rope.rs", "use crate::{Error, plan::Program};"),
        ("engine/src/plan/mod.rs", "use super::device::Device;"),
        ("engine/src/quant/q8_0.rs", "fn f() { super::super::decode::Session::new(); }"),
        ("engine/src/model/record.rs", "use crate::device::Device;"),
        ("engine/src/device/mod.rs", "use crate::model::record;"),
    ];
    for (path, line) in broken {
        assert_eq!(ENGINE.check(&file(path, &format!("//! Text.\n{line}"))).first().map(|f| f.line), Some(2), "{line}");
    }
    let right =
        file("engine/src/plan/mod.rs", "// use crate::device::Device;\nuse crate::kernel::Embed;\nuse super::x;");
    assert_eq!(ENGINE.check(&right), []);
}

#[test]
fn the_limits_catch_what_is_too_long() {
    let long = "line\n".repeat(401);
    assert!(LIMITS.iter().any(|limit| limit.check(&file("a.rs", &long)).is_some()));
    assert!(LIMITS.iter().all(|limit| limit.check(&file("a.rs", &long[5..])).is_none()));
}
