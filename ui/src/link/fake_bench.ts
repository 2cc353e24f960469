// What the scripted engine says to a request to measure.
import type { BenchReport, BenchRequest, Route, Spread } from './protocol.gen';

function spread(median: number): Spread {
  return { median, min: median * 0.95, max: median * 1.02, deviation: median * 0.01, samples: [median] };
}

export function fakeBench(request: BenchRequest, route: Route, change: Partial<BenchReport> = {}): BenchReport {
  const { subject } = request;
  return {
    name: subject.kind === 'shape' ? `${subject.shape} ${subject.format}, random weights` : 'hearth-tiny',
    architecture: 'llama',
    parameters: 1_235_814_400,
    weights_bytes: 695_000_000,
    context_tokens: 512,
    route,
    adapter: route.endsWith('gpu') ? 'Example Graphics 9000' : 'avx2',
    reason: 'as asked',
    machine: {
      engine_version: '0.1.0',
      platform: 'linux x86_64',
      cpu: { name: 'Example CPU', simd: 'avx2', cores: 8, threads: 8 },
      gpu: null,
    },
    starts: [{ open_ms: 3, prepare_ms: 40, weights_ms: 900, first_inference_ms: 60, first_token_ms: 1003 }],
    cold_first_token_ms: 1003,
    warm_first_token_ms: null,
    prefill: [{ prompt_tokens: 128, tokens_per_s: spread(310) }],
    decode: [
      {
        depth_tokens: 0,
        decode_tokens: 32,
        tokens_per_s: spread(41.8),
        bytes_per_token: 695_000_000,
        roofline_fraction: 0.72,
      },
    ],
    skipped: [{ stage: 'decode', tokens: 2048, reason: 'it needs 2080 tokens of context: the model was made for 1024' }],
    prefill_tokens_per_s: 310,
    decode_tokens_per_s: 41.8,
    copy_bytes_per_s: 38e9,
    read_bytes_per_s: 40.3e9,
    roofline_fraction: 0.72,
    peak_device_bytes: 760_000_000,
    peak_process_bytes: null,
    memory: {
      context_tokens: 512,
      weights_bytes: 695_000_000,
      cache_bytes: 33_000_000,
      scratch_bytes: 20_000_000,
      other_bytes: 12_000_000,
      total_bytes: 760_000_000,
      largest_buffer_bytes: 148_000_000,
      cache_bytes_per_token: 65_536,
    },
    profile: [
      {
        stage: 'decode',
        depth_tokens: 0,
        tokens: 1,
        total_ms: 23.1,
        kernels: [
          { kernel: 'matvec', count: 113, ms: 21.4, fraction: 0.926 },
          { kernel: 'attention', count: 16, ms: 1.7, fraction: 0.074 },
        ],
      },
    ],
    profile_absence: null,
    elapsed_ms: 9_000,
    ...change,
  };
}
