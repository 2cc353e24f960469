//! The bench, from the request to the report: on every kind of device, stopped in the middle, and where not all of what
//! is asked for fits.

use std::cell::Cell;

use hearth_engine::{
    bench::{Cases, open_shape},
    device::{GpuDevice, GpuOptions, Traffic, cpu::pattern},
    file::Catalog,
    kernel::ReadSum,
    protocol::{
        BenchReport, BenchRequest, BenchShape, BenchStage, BenchSubject, DeviceChoice, Event, FailureCode, LoadRequest,
        Request, Route,
    },
    tensor::Format,
};
use hearth_tests::{
    devices::Candidate,
    files,
    platform::{Host, last},
};
use serde_json::Value;

fn tiny(device: DeviceChoice) -> BenchRequest {
    BenchRequest {
        subject: BenchSubject::Shape { shape: BenchShape::Tiny, format: Format::Q4_0 },
        device,
        prefill_tokens: Some(vec![16, 200]),
        depth_tokens: Some(vec![0, 40]),
        decode_tokens: Some(4),
        repeats: Some(2),
        ..BenchRequest::default()
    }
}

fn report(event: Event) -> BenchReport {
    match event {
        Event::Benched(report) => *report,
        other => panic!("{other:?}"),
    }
}

fn code(event: &Event) -> FailureCode {
    match event {
        Event::Failed(failure) => failure.code,
        other => panic!("{other:?}"),
    }
}

fn catalog(shape: BenchShape, format: Format) -> Catalog {
    open_shape(shape, format, 1).unwrap().catalog
}

/// As the models' cards and their files on Hugging Face count them: a tied embedding once.
#[test]
fn shapes_have_as_many_weights_as_the_models_that_they_are_named_after() {
    for (shape, parameters) in [
        (BenchShape::Llama1b, 1_235_814_400),
        (BenchShape::Llama2_7b, 6_738_415_616),
        (BenchShape::Llama8b, 8_030_261_248),
        (BenchShape::Qwen3_0_6b, 596_049_920),
    ] {
        assert_eq!(catalog(shape, Format::F16).parameters(), parameters, "{shape:?}");
    }
    let bytes = |format| catalog(BenchShape::Llama8b, format).weights_bytes();
    // 18 bytes for 32 weights, but for 65 norms of 4096 that are F32.
    let norms = 65 * 4096;
    assert_eq!(bytes(Format::Q4_0), (8_030_261_248 - norms) / 32 * 18 + norms * 4);
    assert_eq!(bytes(Format::F32), 8_030_261_248 * 4);
}

fn check(report: &BenchReport, route: Route) {
    assert_eq!((report.route, report.name.as_str()), (route, "tiny Q4_0, random weights"));
    assert_eq!(report.prefill.iter().map(|result| result.prompt_tokens).collect::<Vec<_>>(), [16, 200]);
    assert_eq!(report.decode.iter().map(|result| result.depth_tokens).collect::<Vec<_>>(), [0, 40]);
    for spread in report.prefill.iter().map(|result| &result.tokens_per_s) {
        assert!(spread.samples.len() == 2 && spread.min > 0.0 && spread.min <= spread.max, "{spread:?}");
    }
    for result in &report.decode {
        let moved = result.bytes_per_token as f64 * result.tokens_per_s.median;
        let bandwidth = report.copy_bytes_per_s.max(report.read_bytes_per_s);
        assert!((result.roofline_fraction - moved / bandwidth).abs() <= 1e-9 * result.roofline_fraction, "{result:?}");
    }
    // 40 positions more of 2 layers' keys and values: 2 heads of 64 numbers in 8 bits, and two bytes for every 32 of them.
    let [shallow, deep] = [&report.decode[0], &report.decode[1]];
    assert_eq!(deep.bytes_per_token - shallow.bytes_per_token, 40 * 2 * 2 * 2 * (64 + 2 * 2));
    assert_eq!(report.prefill_tokens_per_s, Some(report.prefill[1].tokens_per_s.median));
    assert_eq!(report.decode_tokens_per_s, Some(shallow.tokens_per_s.median));
    assert_eq!(report.roofline_fraction, Some(shallow.roofline_fraction));
    let (peak, planned) = (report.peak_device_bytes as f64, report.memory.total_bytes as f64);
    assert!((peak / planned - 1.0).abs() < 0.05, "{peak} bytes taken, {planned} planned");
    assert!(report.skipped.is_empty() && report.starts.len() == 1 && report.cold_first_token_ms > 0.0);
    assert_eq!(report.context_tokens, 200);
}

#[test]
fn a_shape_is_measured_on_the_cpu() {
    let report = report(last(Host::default().ask(Request::Bench(tiny(DeviceChoice::Cpu)))));
    check(&report, Route::NativeCpu);
    let profiled: Vec<_> = report.profile.iter().map(|plan| (plan.stage, plan.depth_tokens, plan.tokens)).collect();
    let expected = [(BenchStage::Prefill, 0, 128), (BenchStage::Decode, 0, 1), (BenchStage::Decode, 40, 1)];
    assert_eq!(profiled, expected);
    for plan in &report.profile {
        let fractions: f64 = plan.kernels.iter().map(|kernel| kernel.fraction).sum();
        assert!((fractions - 1.0).abs() < 1e-9 && plan.total_ms > 0.0, "{plan:?}");
        assert!(plan.kernels.iter().any(|kernel| kernel.kernel == "attention" && kernel.count == 2), "{plan:?}");
    }
    assert_eq!(report.profile_absence, None);
}

#[test]
fn a_shape_is_measured_on_the_gpu() {
    let adapters = hearth_tests::devices::adapters();
    let Some(adapter) = adapters.first() else { return };
    let request = BenchRequest { warm_start: Some(true), ..tiny(DeviceChoice::Gpu) };
    let mut report = report(last(Host::default().ask(Request::Bench(request))));
    assert!(report.starts.len() == 2 && report.warm_first_token_ms == Some(report.starts[1].first_token_ms));
    report.starts.truncate(1);
    check(&report, Route::NativeGpu);
    assert!(report.machine.gpu.is_some());
    let has_clock = adapter.features.iter().any(|feature| feature == "timestamp-query");
    assert_eq!((report.profile.len(), report.profile_absence.is_some()), (if has_clock { 3 } else { 0 }, !has_clock));
    for plan in &report.profile {
        // Of one token, fused with what comes before it; of a batch, in one of its kernels.
        let name = if plan.stage == BenchStage::Decode { "attend" } else { "attention" };
        assert!(plan.kernels.iter().any(|kernel| kernel.kernel.starts_with(name) && kernel.count == 2), "{plan:?}");
        assert!(plan.total_ms > 0.0, "a step takes time: {plan:?}");
    }
}

#[test]
fn a_models_own_files_are_measured_too_and_nothing_stays_loaded() {
    let host = Host::with_model("tests/fixtures/tiny-llama", DeviceChoice::Cpu, None);
    let subject = BenchSubject::Model { model: "tests/fixtures/tiny-llama".into() };
    let lengths = |tokens| BenchRequest { prefill_tokens: Some(vec![tokens]), ..tiny(DeviceChoice::Cpu) };
    let request = BenchRequest { subject, profile: Some(false), ..lengths(12) };
    let report = report(last(host.ask(Request::Bench(request))));
    assert_eq!((report.architecture.as_str(), report.parameters), ("llama", 2 * 272 * 64 + 2 * 30_848 + 64));
    assert_eq!((report.profile.len(), report.profile_absence.as_deref()), (0, Some("it was not asked for")));
    let refused = last(host.complete("The fire", None, hearth_engine::protocol::Sampling::greedy()));
    assert_eq!(code(&refused), FailureCode::NotLoaded);
}

/// What programs read: these names are in the documentation, and stay.
#[test]
fn the_report_is_json_with_the_documented_figures() {
    let event = last(Host::default().ask(Request::Bench(tiny(DeviceChoice::Cpu))));
    let json: Value = serde_json::to_value(&event).unwrap();
    assert_eq!(json["type"], "benched");
    let figures =
        ["prefill_tokens_per_s", "decode_tokens_per_s", "copy_bytes_per_s", "roofline_fraction", "peak_device_bytes"];
    for figure in figures {
        assert!(json[figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {json}");
    }
    for (list, keys) in [
        ("prefill", &["prompt_tokens", "tokens_per_s"][..]),
        ("decode", &["depth_tokens", "decode_tokens", "tokens_per_s", "bytes_per_token", "roofline_fraction"]),
        ("profile", &["stage", "depth_tokens", "tokens", "total_ms", "kernels"]),
        ("starts", &["open_ms", "prepare_ms", "weights_ms", "first_inference_ms", "first_token_ms"]),
    ] {
        let found: Vec<&str> = json[list][0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(found, keys, "{list}");
    }
    let spread: Vec<&str> = json["decode"][0]["tokens_per_s"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(spread, ["median", "min", "max", "deviation", "samples"]);
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event, "nothing is lost on the way");
}

#[test]
fn a_request_to_stop_ends_it_whatever_it_is_at() {
    for (device, stage) in [
        (DeviceChoice::Cpu, None),
        (DeviceChoice::Gpu, None),
        (DeviceChoice::Cpu, Some(BenchStage::Bandwidth)),
        (DeviceChoice::Cpu, Some(BenchStage::Prefill)),
        (DeviceChoice::Cpu, Some(BenchStage::Decode)),
        (DeviceChoice::Gpu, Some(BenchStage::Decode)),
        (DeviceChoice::Cpu, Some(BenchStage::Profile)),
    ] {
        let host = Host::default();
        let after = Cell::new(0);
        let request = BenchRequest { prefill_tokens: Some(vec![16]), repeats: Some(1), ..tiny(device) };
        let events = host.ask_while(Request::Bench(request), |event| {
            let is_there = match event {
                Event::Loading(_) => stage.is_none(),
                Event::Benching(benching) => Some(benching.stage) == stage,
                _ => false,
            };
            if is_there {
                after.set(after.get() + 1);
                host.runtime.cancellations().request(1);
            }
            true
        });
        assert_eq!(code(&last(events)), FailureCode::Cancelled, "{stage:?}");
        assert_eq!(after.get(), 1, "{stage:?}: nothing more is begun");
        // Its number may be used again.
        assert!(matches!(last(host.ask(Request::Probe)), Event::Probed(_)));
        assert_eq!(last(host.ask(Request::Unload)), Event::Unloaded);
    }
}

#[test]
fn a_listener_that_leaves_stops_it() {
    let events = Host::default()
        .ask_while(Request::Bench(tiny(DeviceChoice::Cpu)), |event| !matches!(event, Event::Benching(_)));
    assert_eq!(code(&last(events)), FailureCode::Cancelled);
}

#[test]
fn lengths_beyond_the_models_context_are_skipped_and_say_so() {
    let lengths = |prefill: &[u32], depth: &[u32]| BenchRequest {
        prefill_tokens: Some(prefill.to_vec()),
        depth_tokens: Some(depth.to_vec()),
        profile: Some(false),
        repeats: Some(1),
        ..tiny(DeviceChoice::Cpu)
    };
    let host = Host::default();
    let measured = report(last(host.ask(Request::Bench(lengths(&[16, 2048], &[0, 1021])))));
    assert_eq!((measured.prefill.len(), measured.decode.len()), (1, 1));
    let skipped: Vec<_> = measured.skipped.iter().map(|case| (case.stage, case.tokens)).collect();
    assert_eq!(skipped, [(BenchStage::Prefill, 2048), (BenchStage::Decode, 1021)]);
    let reason = &measured.skipped[1].reason;
    assert!(reason.contains("1025") && reason.contains("1024"), "{reason}");
    let nothing = last(host.ask(Request::Bench(lengths(&[2048], &[4096]))));
    assert_eq!(code(&nothing), FailureCode::InvalidRequest);
}

#[test]
fn lengths_beyond_the_memory_are_skipped_and_say_so() {
    let request = BenchRequest { depth_tokens: Some(vec![0, 900]), profile: Some(false), ..tiny(DeviceChoice::Cpu) };
    let host = Host::default();
    let whole = report(last(host.ask(Request::Bench(request.clone())))).memory.total_bytes;
    host.platform.available_bytes.set(whole - 1);
    let report = report(last(host.ask(Request::Bench(request.clone()))));
    assert_eq!(report.decode.iter().map(|result| result.depth_tokens).collect::<Vec<_>>(), [0]);
    assert_eq!((report.skipped.len(), report.skipped[0].tokens, report.context_tokens), (1, 900, 200));
    assert!(report.skipped[0].reason.contains("free"), "{}", report.skipped[0].reason);
    host.platform.available_bytes.set(1000);
    assert_eq!(code(&last(host.ask(Request::Bench(request)))), FailureCode::OutOfMemory);
}

#[test]
fn an_encoder_and_an_impossible_request_are_refused() {
    let host = Host::default();
    let (folder, file) = files::model("tests/fixtures/tiny-bert");
    host.platform.add("encoder", folder, file.as_deref());
    let subject = BenchSubject::Model { model: "encoder".into() };
    let refused = last(host.ask(Request::Bench(BenchRequest { subject, ..tiny(DeviceChoice::Cpu) })));
    assert_eq!(code(&refused), FailureCode::WrongTask);
    let refused = last(host.ask(Request::Bench(BenchRequest { repeats: Some(0), ..tiny(DeviceChoice::Cpu) })));
    assert_eq!(code(&refused), FailureCode::InvalidRequest);
    let loaded = last(host.ask(Request::Load(LoadRequest { model: "encoder".into(), ..LoadRequest::default() })));
    assert!(matches!(loaded, Event::Loaded(_)), "a refusal leaves the engine as it should be: {loaded:?}");
}

/// A clock that runs a millisecond each time it is asked: after the first repeat the time is up.
#[test]
fn no_repeat_begins_when_the_time_is_up() {
    let request = BenchRequest { case_ms_max: Some(1.0), repeats: Some(50), ..tiny(DeviceChoice::Cpu) };
    assert_eq!(Cases::of(&request).unwrap().repeats, 50);
    let report = report(last(Host::default().ask(Request::Bench(request))));
    assert!(report.prefill.iter().all(|result| result.tokens_per_s.samples.len() == 1), "{:?}", report.prefill);
}

#[test]
fn memory_is_really_read_on_every_cpu_and_gpu() {
    const BYTES: u64 = 3 << 20;
    // A GPU's probe repeats its first MiB.
    let words = |first: u32| (0..(BYTES / 4) as u32).map(move |place| pattern(place % first)).collect::<Vec<u32>>();
    let twin = |words: &[u32]| {
        let kernel = ReadSum::new(words.len() as u32 / 4);
        let mut sums = vec![7; kernel.groups()[0] as usize];
        kernel.twin(words, &mut sums);
        sums.into_iter().fold(0, u32::wrapping_add)
    };
    let plain = |words: &[u32]| words.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word));
    for candidate in Candidate::all() {
        let words = words(if candidate.is_gpu() { 1 << 18 } else { u32::MAX });
        assert_eq!(twin(&words), plain(&words));
        let mut device = candidate.open_limited(None);
        let mut probe = pollster::block_on(device.memory_probe(BYTES)).unwrap();
        assert_eq!(probe.bytes(), BYTES, "{candidate}");
        assert_eq!(pollster::block_on(probe.run(Traffic::Copy, 2)), Ok(None));
        for rounds in [1, 3] {
            let sum = pollster::block_on(probe.run(Traffic::Read, rounds));
            assert_eq!(sum, Ok(Some(plain(&words))), "{candidate}");
        }
    }
}

/// Only Vulkan's drivers give out what they compiled; elsewhere there is nothing to be seen.
#[test]
fn what_a_gpu_compiled_is_kept_for_the_next_start() {
    let adapters = hearth_tests::devices::adapters();
    if !adapters.first().is_some_and(|adapter| adapter.features.iter().any(|feature| feature == "pipeline-cache")) {
        return;
    }
    let host = Host::with_model("tests/fixtures/tiny-llama", DeviceChoice::Gpu, None);
    let kept = host.platform.kept.borrow().clone();
    assert_eq!(kept.len(), 1);
    let (name, bytes) = kept.iter().next().unwrap();
    assert!(name.starts_with("wgpu_pipeline_cache_vulkan_") && bytes.len() > 100, "{name}: {} bytes", bytes.len());
    let open = || pollster::block_on(GpuDevice::open(&GpuOptions::default())).unwrap();
    assert!(open().take_pipelines(Some(bytes)));
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(!open().take_pipelines(Some(&damaged)) && !open().take_pipelines(Some(b"foreign")));
    // A damaged file is passed over, and replaced by a good one.
    host.platform.kept.borrow_mut().insert(name.clone(), damaged.clone());
    assert!(matches!(host.load("tests/fixtures/tiny-llama", DeviceChoice::Gpu, None), Event::Loaded(_)));
    assert_ne!(host.platform.kept.borrow()[name], damaged);
}
