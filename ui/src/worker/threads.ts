// The engine on several threads: workers that run one module in one memory. Only a page that is isolated from others
// may share memory (`crossOriginIsolated`); any other takes the module without.
import type { FromHelper, ToHelper } from './messages';

type Engine = typeof import('hearth-engine-wasm/hearth_engine.js');

/** Empty where the module with threads was not built. */
const modules = import.meta.glob<Engine>('./wasm/threads/hearth_engine.js');
const addresses = import.meta.glob<string>('./wasm/threads/hearth_engine_bg.wasm', { query: '?url', import: 'default' });

/** More do not help where memory is what limits, and some browsers name many. */
const THREADS_MAX = 8;

/** The part of a worker's global scope that decides. */
export interface ThreadScope {
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
  readonly Worker?: unknown;
  readonly Atomics?: object;
  readonly WebAssembly?: { validate(bytes: BufferSource): boolean };
}

/** A function of one relaxed instruction: the module with threads uses such. */
const RELAXED = new Uint8Array([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  // One type, () -> v128, and one function of it.
  ...[1, 5, 1, 0x60, 0, 1, 0x7b],
  ...[3, 2, 1, 0],
  // i32.const 1, i8x16.splat, i32.const 2, i8x16.splat, i8x16.relaxed_swizzle, end.
  ...[10, 15, 1, 13, 0, 0x41, 1, 0xfd, 15, 0x41, 2, 0xfd, 15, 0xfd, 0x80, 2, 11],
]);

/** How many threads the engine gets in shared memory; undefined where there is none, or the module would not load. */
export function threadsFor(scope: ThreadScope, wanted?: number): number | undefined {
  const cores = scope.navigator?.hardwareConcurrency ?? 1;
  const can =
    scope.crossOriginIsolated === true &&
    scope.Worker !== undefined &&
    // wasm-bindgen waits with it; what it does without is against the page's policy.
    'waitAsync' in (scope.Atomics ?? {}) &&
    scope.WebAssembly?.validate(RELAXED) === true;
  return can ? Math.max(1, Math.min(wanted ?? cores, THREADS_MAX, cores)) : undefined;
}

/** The module with threads. It is not loaded before somebody asks. */
export async function loadThreaded(): Promise<{ engine: Engine; address: string } | undefined> {
  const [load, locate] = [Object.values(modules)[0], Object.values(addresses)[0]];
  if (load === undefined || locate === undefined) return undefined;
  const [engine, address] = await Promise.all([load(), locate()]);
  return { engine, address };
}

/**
 * Starts the engine's module with so many threads, this worker's among them. Undefined, and nothing left behind, where
 * that cannot be done; `refused` then hears why. `died` hears of a thread that is gone.
 */
export async function startThreads(
  count: number,
  died: (thrown: unknown) => void,
  refused: (thrown: unknown) => void,
): Promise<Engine | undefined> {
  const helpers: Worker[] = [];
  try {
    const threaded = await loadThreaded();
    if (threaded === undefined) return undefined;
    const { engine, address } = threaded;
    const module = await WebAssembly.compileStreaming(fetch(address));
    await engine.default({ module_or_path: module });
    const memory = engine.shareMemory(count);
    const started = Array.from({ length: count - 1 }, () => {
      const helper = new Worker(new URL('./helper.worker.ts', import.meta.url), { type: 'module', name: 'hearth-helper' });
      helpers.push(helper);
      return begin(helper, { module, memory }, died);
    });
    await Promise.all(started);
    return engine;
  } catch (thrown) {
    // Memory that cannot be reserved, workers that cannot start others: one thread needs neither.
    for (const helper of helpers) helper.terminate();
    refused(thrown);
    return undefined;
  }
}

/** Resolves when a helper is at work. */
function begin(helper: Worker, message: ToHelper, died: (thrown: unknown) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let isAtWork = false;
    const fail = (thrown: unknown): void => {
      if (isAtWork) died(thrown);
      else reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
    };
    helper.addEventListener('message', ({ data }: MessageEvent<FromHelper>) => {
      if (data.kind === 'died') {
        fail(data.words);
        return;
      }
      isAtWork = true;
      resolve();
    });
    helper.addEventListener('error', (error) => {
      fail(error.message);
    });
    helper.postMessage(message);
  });
}
