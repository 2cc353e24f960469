//! What is said of a model before anything of it is loaded, and that a load takes what was said.

use std::sync::Arc;

use hearth_engine::{
    decode::{Session, SessionOptions},
    device::{CPU_PREFILL_TOKENS, CpuDevice, Device, Serial, cpu::activation_bytes},
    file::{GgufMetadata, GgufTensor, GgufValue, MemoryFolder, write_gguf},
    memory::{Planner, plan_context},
    model::{EmbedderConfig, Model, ModelConfig, Recording},
    plan::{Program, Slots, TensorKind},
    protocol::{
        DeviceChoice, Event, FailureCode, Fit, InspectRequest, Layout, MemoryPlan, ModelReport, ModelTask, Outlook,
        Request,
    },
    tensor::{Format, KvFormat},
    text::Tokenizer,
};
use hearth_tests::{
    files::{model, read},
    platform::{Host, last},
    sessions::{greedy, open},
};

const TINY: &str = "tests/fixtures/tiny-llama";
const GGUF: &str = "tests/fixtures/tiny-llama-q8_0.gguf";
const GGUF_NAME: &str = "tiny-llama-q8_0.gguf";

fn inspect_with(host: &Host, model: &str, context_tokens: Option<u32>) -> Event {
    let request = InspectRequest { model: model.into(), context_tokens, tensors: true, kv_cache: KvFormat::Int8 };
    last(host.ask(Request::Inspect(request)))
}

fn report(event: Event) -> ModelReport {
    match event {
        Event::Inspected(report) => *report,
        other => panic!("{other:?}"),
    }
}

/// A host with one model of the repository and so much free memory.
fn host_with(path: &str, available_bytes: u64) -> Host {
    let host = Host::default();
    let (folder, file) = model(path);
    host.platform.add(path, folder, file.as_deref());
    host.platform.available_bytes.set(available_bytes);
    host
}

fn inspect(path: &str) -> ModelReport {
    report(inspect_with(&host_with(path, 0), path, None))
}

fn inspect_folder(folder: MemoryFolder, file: Option<&str>) -> Event {
    let host = Host::default();
    host.platform.add("model", folder, file);
    inspect_with(&host, "model", None)
}

/// The plan for that length of context.
fn plan(report: &ModelReport, context_tokens: u32) -> &Outlook {
    report.outlooks.iter().find(|outlook| outlook.memory.context_tokens == context_tokens).expect("it is planned for")
}

#[test]
fn a_folder_and_a_file_say_the_same_of_one_model() {
    let (folder, file) = (inspect(TINY), inspect("tests/fixtures/tiny-llama-f32.gguf"));
    assert_eq!((folder.layout, file.layout), (Layout::Safetensors, Layout::Gguf));
    for report in [&folder, &file] {
        assert_eq!((report.architecture.as_str(), report.unsupported.as_ref()), ("llama", None));
        assert_eq!(report.tokenizer.kind.split(',').next(), Some("byte-level BPE"));
        assert_eq!(report.context_tokens, Some(192), "it was made for no more");
        let tensors: u64 = report.tensors.iter().map(|tensor| tensor.bytes).sum();
        assert_eq!(report.weights_bytes, tensors);
    }
    assert_eq!(folder.shape, file.shape);
    assert_eq!(folder.tokenizer.tokens, file.tokenizer.tokens);
    assert_eq!(folder.parameters, file.parameters);
    let shape = folder.shape;
    assert_eq!((shape.layers, shape.kv_heads, shape.head_dim), (Some(2), Some(2), Some(16)));
    assert!(inspect("models/hearth-tiny").template.is_some_and(|template| template.has_system));
}

#[test]
fn formats_add_up_to_the_whole() {
    let report = inspect(GGUF);
    let sum = |part: fn(&hearth_engine::protocol::FormatReport) -> u64| report.formats.iter().map(part).sum::<u64>();
    assert_eq!(sum(|format| format.bytes), report.weights_bytes);
    assert_eq!(sum(|format| format.parameters), report.parameters);
    assert_eq!(sum(|format| format.tensors), report.tensors.len() as u64);
    assert_eq!((report.formats[0].format.as_str(), report.formats[0].is_supported), ("Q8_0", true));
    // 34 bytes for 32 weights, and a few norms in F32.
    assert!((8.5..9.0).contains(&report.bits_per_weight), "{}", report.bits_per_weight);
    // Linear layers alone are Q8_0 and nothing else.
    assert!((report.linear_bits_per_weight - 8.5).abs() < 1e-9, "{}", report.linear_bits_per_weight);
}

/// Bytes of everything that a program keeps on a device.
fn program_bytes(program: &Program) -> u64 {
    let kept = program.tensors.iter().filter(|tensor| tensor.kind != TensorKind::Scratch);
    kept.map(|tensor| tensor.bytes()).sum::<u64>() + Slots::assign(program).bytes()
}

#[test]
fn a_plan_is_what_the_recorded_program_takes() {
    for path in [TINY, GGUF, "models/hearth-tiny"] {
        let report = inspect(path);
        let opened = open(path);
        for outlook in &report.outlooks {
            let config = ModelConfig::read(&opened.documents).unwrap();
            let MemoryPlan { context_tokens, weights_bytes, cache_bytes, total_bytes, .. } = outlook.memory;
            // There is no GPU here that would be taken.
            let batch = CPU_PREFILL_TOKENS;
            let wishes = Recording { context_tokens, scoring: false, batch_tokens: batch, kv_cache: KvFormat::Int8 };
            let model = Model::record_as(config, &opened.catalog, wishes).unwrap();
            let sum = |wanted: fn(&str, TensorKind) -> bool| {
                let tensors = model.program.tensors.iter().filter(|tensor| wanted(&tensor.label, tensor.kind));
                tensors.map(|tensor| tensor.bytes()).sum::<u64>()
            };
            assert_eq!(weights_bytes, sum(|_, kind| matches!(kind, TensorKind::Weight(_))));
            assert_eq!(cache_bytes, sum(|label, _| label.contains(" cache ")), "{path}, {context_tokens}");
            assert_eq!(cache_bytes, Model::cache_bytes(&model.config, context_tokens, KvFormat::Int8));
            let on_device = program_bytes(&model.program);
            assert!(total_bytes >= on_device && total_bytes < on_device + on_device / 4, "{total_bytes} {on_device}");
        }
    }
}

#[test]
fn a_cpu_takes_what_was_said_and_no_more_once_it_runs() {
    for path in [GGUF, "tests/fixtures/tiny-llama-q4_0.gguf", "tests/fixtures/tiny-llama-bf16.gguf"] {
        let opened = open(path);
        let config = ModelConfig::read(&opened.documents).unwrap();
        // What is said before a device is chosen is the most that any device takes, which is a GPU with larger batches.
        let most = plan(&inspect(path), 192).memory;
        let memory = Planner::new(&config, &opened.catalog, false).with_batches(CPU_PREFILL_TOKENS).plan(192).unwrap();
        assert!(memory.total_bytes <= most.total_bytes, "{path}");
        let wishes = Recording {
            context_tokens: 192,
            scoring: false,
            batch_tokens: CPU_PREFILL_TOKENS,
            kv_cache: KvFormat::Int8,
        };
        let model = Model::record_as(config, &opened.catalog, wishes).unwrap();
        let program = model.program;
        let activations_bytes = activation_bytes(&program);
        assert_eq!(activations_bytes > 0, !path.contains("bf16"), "{path}");
        assert_eq!(memory.scratch_bytes, Slots::assign(&program).bytes() + activations_bytes, "{path}");
        let device = Device::Cpu(CpuDevice::new(Arc::new(Serial)));
        let options = SessionOptions { context_tokens: 192, scoring: false, kv_cache: KvFormat::Int8 };
        let mut session = pollster::block_on(Session::load(device, &opened, options, &mut |_| Ok(()))).unwrap();
        let before = session.device().allocated_bytes();
        // Rows are padded to groups of sixteen, and tensors to cache lines; what is read back lies outside.
        assert!(before.abs_diff(memory.total_bytes) <= memory.total_bytes / 20, "{path}: {before}, {memory:?}");
        let ids: Vec<u32> = (0..150).map(|id| id % 100).collect();
        let tokenizer = Tokenizer::from_documents(&opened.documents).unwrap();
        greedy(&mut session, &tokenizer, &ids, 8).unwrap();
        assert_eq!(session.device().allocated_bytes(), before, "{path}");
    }
}

#[test]
fn what_makes_vectors_is_described_and_planned_for_like_what_writes() {
    for path in [
        "tests/fixtures/tiny-bert",
        "tests/fixtures/tiny-roberta",
        "tests/fixtures/tiny-qwen3-embedding",
        "tests/fixtures/tiny-qwen3-embedding.gguf",
        "tests/fixtures/tiny-gte-qwen2",
    ] {
        let found = inspect(path);
        assert_eq!((found.tasks.as_slice(), &found.unsupported), ([ModelTask::Embed].as_slice(), &None), "{path}");
        let opened = open(path);
        let config = EmbedderConfig::find(&opened).unwrap().expect("it makes vectors");
        assert!(!found.outlooks.is_empty());
        for Outlook { memory, .. } in &found.outlooks {
            let model = config.record(&opened.catalog, memory.context_tokens).unwrap();
            let on_device = model.device_bytes();
            let read_back = u64::from(model.hidden) * u64::from(memory.context_tokens) * 4;
            assert_eq!((memory.total_bytes, memory.cache_bytes), (on_device + read_back, 0), "{path}");
        }
        let context = found.context_tokens.unwrap();
        let needed = plan(&found, context).memory.total_bytes;
        let host = host_with(path, needed - 1);
        assert_eq!(plan(&report(inspect_with(&host, path, Some(context))), context).cpu.fit, Fit::TooLarge);
        let refused = host.load(path, DeviceChoice::Cpu, Some(context));
        assert!(matches!(refused, Event::Failed(failure) if failure.code == FailureCode::OutOfMemory), "{path}");
        host.platform.available_bytes.set(needed);
        assert!(
            matches!(host.load(path, DeviceChoice::Cpu, Some(context)), Event::Loaded(loaded) if loaded.tasks == found.tasks)
        );
    }
}

/// A machine that can hold one model, but not two, can hold another in place of the one.
#[test]
fn the_model_in_use_makes_room_for_the_one_that_is_looked_at() {
    let host = host_with(TINY, 0);
    let (folder, file) = model(GGUF);
    host.platform.add(GGUF, folder, file.as_deref());
    let needed = plan(&report(inspect_with(&host, GGUF, Some(64))), 64).memory.total_bytes;
    let Event::Loaded(loaded) = host.load(TINY, DeviceChoice::Cpu, Some(64)) else { panic!("it is sound") };
    let free = needed - 1;
    host.platform.available_bytes.set(free);
    let found = report(inspect_with(&host, GGUF, Some(64)));
    let cpu = &plan(&found, 64).cpu;
    assert_eq!((cpu.fit, cpu.freed_bytes), (Fit::Fits, loaded.weights_bytes));
    assert_eq!(cpu.available_bytes, free + loaded.weights_bytes);
    assert!(cpu.reason.contains("once the model in use has made room"), "{}", cpu.reason);
    assert!(matches!(host.ask(Request::Unload).last(), Some(Event::Unloaded)));
    let found = report(inspect_with(&host, GGUF, Some(64)));
    let cpu = &plan(&found, 64).cpu;
    assert_eq!((cpu.fit, cpu.freed_bytes, cpu.available_bytes), (Fit::TooLarge, 0, free));
    assert!(!cpu.reason.contains("made room"), "{}", cpu.reason);
}

#[test]
fn longer_contexts_than_are_recorded_are_drawn_out() {
    let mut config = ModelConfig::read(&open(TINY).documents).unwrap();
    config.context_tokens = 1 << 24;
    let catalog = open(TINY).catalog;
    let mut planner = Planner::new(&config, &catalog, false).with_kv_cache(KvFormat::F32);
    // Two layers, keys and values, 2 heads of 16 numbers of 4 bytes.
    let per_token = 2 * 2 * 2 * 16 * 4;
    for context in [256, 32_768, 32_769, 1 << 24] {
        let plan = planner.plan(context).unwrap();
        assert_eq!(plan.cache_bytes, per_token * u64::from(context));
        assert_eq!(plan.cache_bytes_per_token, per_token);
    }
    for available_bytes in [2 << 20, 20 << 20, 200 << 20] {
        let context = planner.context_that_fits(available_bytes).unwrap().unwrap();
        assert!(planner.plan(context).unwrap().total_bytes <= available_bytes);
        assert!(planner.plan(context + 64).unwrap().total_bytes > available_bytes, "{context}");
    }
    assert_eq!(planner.context_that_fits(100_000), Ok(None));
}

#[test]
fn the_default_steps_down_and_a_wish_is_kept_or_refused() {
    let mut config = ModelConfig::read(&open(TINY).documents).unwrap();
    config.context_tokens = 100_000;
    let catalog = open(TINY).catalog;
    let batch = CPU_PREFILL_TOKENS;
    let choose =
        |wanted, available_bytes| plan_context(batch, &config, &catalog, false, KvFormat::F32, wanted, available_bytes);
    assert_eq!(choose(None, 0), Ok(8192));
    assert_eq!(choose(Some(100_000), 0), Ok(100_000));
    let planner = || Planner::new(&config, &catalog, false).with_batches(batch).with_kv_cache(KvFormat::F32);
    let needed = planner().plan(2048).unwrap().total_bytes;
    assert_eq!(choose(None, needed), Ok(2048));
    assert_eq!(choose(None, needed - 1), Ok(1024));
    assert_eq!(choose(Some(2048), needed), Ok(2048));
    let error = choose(Some(2048), needed - 1).unwrap_err();
    assert_eq!(error.code(), FailureCode::OutOfMemory);
    assert!(error.to_string().contains("2048 tokens of context (20"), "it names what would fit: {error}");
    let matrices = catalog.tensors.values().filter(|tensor| tensor.shape.len() == 2);
    let weights_kib = matrices.map(|tensor| tensor.len_bytes).sum::<u64>() as f64 / 1024.0;
    let error = choose(None, 1000).unwrap_err().to_string();
    assert!(error.contains(&format!("the weights alone take {weights_kib:.1} KiB")), "{error}");
    assert!(choose(Some(100_001), 0).is_err() && choose(Some(0), 0).is_err());
    // All logits of a batch take more than one row of them.
    assert!(plan_context(batch, &config, &catalog, true, KvFormat::F32, Some(2048), needed).is_err());
}

#[test]
fn what_does_not_fit_is_said_and_then_refused() {
    let needed = plan(&inspect(TINY), 192).memory.total_bytes;
    let host = host_with(TINY, needed - 1);
    let found = report(inspect_with(&host, TINY, Some(192)));
    assert_eq!(plan(&found, 192).cpu.fit, Fit::TooLarge);
    assert!(
        matches!(host.load(TINY, DeviceChoice::Cpu, Some(192)), Event::Failed(failure) if failure.code == FailureCode::OutOfMemory)
    );
    host.platform.available_bytes.set(needed);
    let found = report(inspect_with(&host, TINY, Some(192)));
    assert_eq!((plan(&found, 192).cpu.fit, found.context_tokens_max), (Fit::Fits, Some(192)));
    assert!(matches!(host.load(TINY, DeviceChoice::Cpu, Some(192)), Event::Loaded(_)));
    host.platform.available_bytes.set(0);
    assert_eq!(plan(&report(inspect_with(&host, TINY, None)), 192).cpu.fit, Fit::Unknown);
    let refused = inspect_with(&host, TINY, Some(193));
    assert!(matches!(refused, Event::Failed(failure) if failure.code == FailureCode::InvalidRequest));
}

#[test]
fn a_gpu_is_described_as_far_as_it_tells() {
    let adapters = hearth_tests::devices::adapters();
    let outlook = plan(&inspect(TINY), 192).clone();
    match adapters.first() {
        None => assert_eq!(outlook.gpu.fit, Fit::NoDevice),
        Some(_) => assert!(matches!(outlook.gpu.fit, Fit::Unknown) && !outlook.gpu.device.is_empty()),
    }
    assert!(!outlook.gpu.reason.is_empty());
}

#[test]
fn what_keeps_a_model_from_running_is_part_of_the_report() {
    let with_config = |field: &str, value: serde_json::Value| {
        let mut config: serde_json::Value = serde_json::from_slice(&read(&format!("{TINY}/config.json"))).unwrap();
        config[field] = value;
        model(TINY).0.with("config.json", config.to_string())
    };
    let reason = |folder| report(inspect_folder(folder, None)).unsupported.map(|failure| failure.code);
    assert_eq!(reason(with_config("model_type", "mamba".into())), Some(FailureCode::UnknownArchitecture));
    assert_eq!(reason(with_config("hidden_size", 60.into())), Some(FailureCode::WrongShape));
    assert_eq!(reason(with_config("num_hidden_layers", 1.into())), Some(FailureCode::UnexpectedTensor));
    assert_eq!(reason(model(TINY).0.with("tokenizer.json", "{}")), Some(FailureCode::Tokenizer));
    assert_eq!(reason(model(TINY).0), None);
    let missing = inspect_folder(model(TINY).0.without("config.json"), None);
    assert!(matches!(missing, Event::Failed(failure) if failure.code == FailureCode::MissingFile));
}

#[test]
fn what_a_gguf_says_of_itself_is_told() {
    let mut metadata = GgufMetadata::default();
    for (key, value) in [
        ("general.architecture", "hyena"),
        ("general.name", "Small Hyena"),
        ("general.license", "apache-2.0"),
        ("general.organization", "A Den"),
        ("general.base_model.0.name", "Hyena"),
        ("tokenizer.ggml.model", "bert"),
    ] {
        metadata.insert(key, GgufValue::String(value.to_owned()));
    }
    metadata.insert("hyena.block_count", GgufValue::U32(7));
    metadata.insert("hyena.context_length", GgufValue::U32(4096));
    let tensors = [GgufTensor { name: "t".into(), shape: vec![4], format: Format::F32, bytes: vec![0; 16] }];
    let folder = MemoryFolder::new("gguf").with("hyena.gguf", write_gguf(&metadata, &tensors));
    let report = report(inspect_folder(folder, Some("hyena.gguf")));
    let about = report.about;
    assert_eq!((about.name.as_deref(), about.license.as_deref()), (Some("Small Hyena"), Some("apache-2.0")));
    assert_eq!((about.author.as_deref(), about.base_model.as_deref()), (Some("A Den"), Some("Hyena")));
    assert_eq!((report.shape.layers, report.shape.context_tokens), (Some(7), Some(4096)));
    assert_eq!((report.tokenizer.kind.as_str(), report.tokenizer.tokens), ("WordPiece", None));
    assert_eq!(report.unsupported.map(|failure| failure.code), Some(FailureCode::UnknownArchitecture));
    assert!((report.bits_per_weight - 32.0).abs() < 1e-9 && report.outlooks.is_empty());
}

#[test]
fn the_parts_of_a_split_model_run_like_the_whole() {
    let part = |number: u32| format!("tiny-llama-split-{number:05}-of-00003.gguf");
    let parts = (1..=3).fold(MemoryFolder::new("split"), |folder, number| {
        folder.with(&part(number), read(&format!("tests/fixtures/{}", part(number))))
    });
    let whole = MemoryFolder::new("whole").with(GGUF_NAME, read(GGUF));
    let answer = |folder: MemoryFolder, file: &str| {
        let host = Host::default();
        host.platform.add("model", folder, Some(file));
        assert!(matches!(host.load("model", DeviceChoice::Cpu, None), Event::Loaded(_)));
        let case = &hearth_tests::files::fixture_cases()["tiny-llama-q8_0"]["short"];
        let greedy = hearth_engine::protocol::Sampling::greedy();
        hearth_tests::platform::ids(&host.complete(&case.text, Some(case.greedy.len() as u32), greedy))
    };
    let ids = answer(parts, &part(2));
    assert!(ids.len() > 1);
    assert_eq!(ids, answer(whole, GGUF_NAME));
}

#[test]
fn where_nothing_can_be_added_that_is_said() {
    let host = Host::default();
    for request in [Request::AddModel { path: "/".into() }, Request::RemoveModel { model: "x".into() }] {
        let refused = last(host.ask(request));
        assert!(matches!(refused, Event::Failed(failure) if failure.code == FailureCode::NotAllowed));
    }
    assert!(matches!(last(host.ask(Request::Models)), Event::Models(list) if !list.can_add));
}
