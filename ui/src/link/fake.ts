// A scripted engine for tests and for the story page. Nothing that is shipped imports this file.
import { fakeBench } from './fake_bench';
import { FakeDocuments } from './fake_documents';
import { FakeShelf } from './fake_models';
import { isTerminal } from './failure';
import type { ChosenFile, Link, LinkKind, SendOptions } from './link';
import { LinkError } from './link';
import { PROTOCOL_VERSION } from './protocol.gen';
import type {
  AdapterReport,
  BenchRequest,
  Done,
  Event,
  Failure,
  GenerateRequest,
  Loaded,
  LoadRequest,
  ProbeReport,
  Request,
  Route,
} from './protocol.gen';

export function fakeAdapter(change: Partial<AdapterReport> = {}): AdapterReport {
  return {
    name: 'Example Graphics 9000',
    backend: 'Vulkan',
    kind: 'DiscreteGpu',
    driver: 'example 1.2.3',
    is_software: false,
    features: ['shader-f16', 'subgroup'],
    limits: {
      max_buffer_bytes: 1 << 30,
      max_storage_binding_bytes: 1 << 27,
      max_workgroup_storage_bytes: 16384,
      max_workgroup_invocations: 256,
      subgroup_size_min: 32,
      subgroup_size_max: 32,
    },
    ...change,
  };
}

export function fakeReport(change: Partial<ProbeReport> = {}): ProbeReport {
  return {
    protocol_version: PROTOCOL_VERSION,
    engine_version: '0.1.0',
    platform: 'linux x86_64',
    adapters: [],
    no_adapter_reason: null,
    cpu: { name: 'Example CPU', simd: 'avx2', cores: 8, threads: 8 },
    memory: { total_bytes: 16e9, available_bytes: 9e9 },
    recommended: { device: 'cpu', reason: 'no GPU was found' },
    ...change,
  };
}

export function fakeLoaded(route: Route, change: Partial<Loaded> = {}): Loaded {
  return {
    model: 'hearth-tiny',
    architecture: 'LlamaForCausalLM',
    parameters: 9_400_000,
    weights_bytes: 18_800_000,
    context_tokens: 1024,
    tasks: ['generate'],
    has_chat_template: true,
    notice: null,
    route,
    adapter: route.endsWith('gpu') ? 'Example Graphics 9000' : 'avx2',
    reason: 'as asked',
    load_ms: 412,
    ...change,
  };
}

export function fakeDone(route: Route, change: Partial<Done> = {}): Done {
  return {
    route,
    adapter: 'avx2',
    prompt_tokens: 12,
    cached_tokens: 0,
    tokens: 3,
    first_token_ms: 84,
    decode_tokens_per_s: 41.8,
    stop_reason: 'end_of_turn',
    ...change,
  };
}

export interface FakeEngine {
  readonly report: ProbeReport;
  /** Whether the engine is in the page or outside of it: it names the routes. */
  readonly side: 'webview' | 'native';
  /** What is answered to a request to generate. */
  readonly answer: (request: GenerateRequest) => string;
  /** What is thought before. */
  readonly thoughts?: string;
  /** What is said of the model when it is loaded. */
  readonly notice?: string;
  /** Awaited before each event that takes time in a real engine. */
  readonly pause: (what: 'load' | 'prefill' | 'token') => Promise<void>;
  /** Instead of what would have come: the request fails. */
  readonly failure?: (request: Request) => Failure | undefined;
}

function* tokensOf(text: string): Generator<string> {
  for (const match of text.matchAll(/\s*\S+|\s+$/g)) yield match[0];
}

async function* load(engine: FakeEngine, request: LoadRequest, signal: AbortSignal): AsyncGenerator<Event> {
  const total_bytes = 18_800_000;
  yield { type: 'loading', stage: 'opening', done_bytes: 0, total_bytes: 0, elapsed_ms: 4 };
  for (let step = 1; step <= 10; step += 1) {
    await engine.pause('load');
    if (signal.aborted) {
      yield { type: 'failed', code: 'cancelled', message: 'stopped on request', hint: 'Ask again when you like.' };
      return;
    }
    const done_bytes = (total_bytes * step) / 10;
    yield { type: 'loading', stage: 'weights', done_bytes, total_bytes, elapsed_ms: step * 40 };
  }
  const route: Route = `${engine.side}-${request.device === 'gpu' ? 'gpu' : 'cpu'}`;
  const notice = engine.notice ?? null;
  yield { type: 'loaded', ...fakeLoaded(route, request.model === '' ? { notice } : { notice, model: request.model }) };
}

async function* generate(
  engine: FakeEngine,
  request: GenerateRequest,
  route: Route,
  signal: AbortSignal,
): AsyncGenerator<Event> {
  await engine.pause('prefill');
  yield { type: 'prefilled', done_tokens: 12, prompt_tokens: 12 };
  let tokens = 0;
  for (const reasoning of tokensOf(engine.thoughts ?? '')) {
    await engine.pause('token');
    tokens += 1;
    yield { type: 'token', id: tokens, text: '', reasoning };
  }
  for (const text of tokensOf(engine.answer(request))) {
    await engine.pause('token');
    if (signal.aborted) break;
    tokens += 1;
    yield { type: 'token', id: tokens, text };
  }
  yield { type: 'done', ...fakeDone(route, { tokens, stop_reason: signal.aborted ? 'cancelled' : 'end_of_turn' }) };
}

async function* bench(engine: FakeEngine, request: BenchRequest, route: Route, signal: AbortSignal): AsyncGenerator<Event> {
  for (let done = 0; done < 3; done += 1) {
    await engine.pause('token');
    if (signal.aborted) {
      yield { type: 'failed', code: 'cancelled', message: 'stopped on request', hint: 'Ask again when you like.' };
      return;
    }
    const stage = done === 0 ? 'bandwidth' : 'decode';
    yield { type: 'benching', stage, tokens: 0, repeat: done, repeats: 3, done, total: 3, elapsed_ms: done * 50 };
  }
  yield { type: 'benched', ...fakeBench(request, route) };
}

/** A link to an engine that follows a script. */
export class FakeLink implements Link {
  readonly kind: LinkKind;
  readonly #engine: FakeEngine | Failure;
  /** What has been asked, in order. */
  readonly requests: Request[] = [];
  readonly shelf = new FakeShelf();
  readonly documents = new FakeDocuments();
  /** What was chosen in the page. */
  readonly offered: (readonly ChosenFile[])[] = [];
  /** What the person chooses in the system's dialog: nothing if it is closed. */
  chosenPath: string | undefined;
  /** What the dialog was opened for, in order. */
  readonly dialogs: ('file' | 'folder')[] = [];
  /** Who wants to know of what is dropped on the app's window. */
  dropped: ((paths: readonly string[]) => void) | undefined;
  /** What is chosen when documents are. */
  documentPaths: readonly string[] = [];
  /** How often the link was closed. */
  closed = 0;
  #route: Route = 'native-cpu';

  constructor(kind: LinkKind, engine: FakeEngine | Failure) {
    this.kind = kind;
    this.#engine = engine;
  }

  open(): Promise<void> {
    return 'code' in this.#engine ? Promise.reject(new LinkError(this.#engine)) : Promise.resolve();
  }

  close(): void {
    this.closed += 1;
  }

  offer(files: readonly ChosenFile[]): string {
    this.offered.push(files);
    return `chosen/${this.offered.length}`;
  }

  chooseDocuments(): Promise<readonly string[]> {
    return Promise.resolve(this.documentPaths);
  }

  choosePath(what: 'file' | 'folder'): Promise<string | undefined> {
    this.dialogs.push(what);
    return Promise.resolve(this.chosenPath);
  }

  onDrop(listener: (paths: readonly string[]) => void): () => void {
    this.dropped = listener;
    return () => {
      this.dropped = undefined;
    };
  }

  async *send(request: Request, options: SendOptions = {}): AsyncGenerator<Event> {
    const engine = this.#engine;
    if ('code' in engine) return;
    const signal = options.signal ?? new AbortController().signal;
    this.requests.push(request);
    const failure = engine.failure?.(request);
    if (failure !== undefined) {
      yield { type: 'failed', ...failure };
      return;
    }
    const isHost = this.kind !== 'worker';
    for await (const event of this.documents.answer(request, signal, isHost)) {
      yield event;
      if (isTerminal(event)) return;
    }
    const answer = this.shelf.answer(request);
    if (answer !== undefined) {
      yield answer;
      return;
    }
    switch (request.type) {
      case 'probe':
        yield { type: 'probed', ...engine.report };
        return;
      case 'load':
        for await (const event of load(engine, request, signal)) {
          if (event.type === 'loaded') this.#route = event.route;
          yield event;
        }
        return;
      case 'generate':
        yield* generate(engine, request, this.#route, signal);
        return;
      case 'bench':
        yield* bench(engine, request, this.#route, signal);
        return;
      case 'embed':
        yield { type: 'failed', code: 'wrong_task', message: 'it writes text', hint: 'Load an encoder.' };
        return;
      case 'cancel':
        yield { type: 'cancelling' };
        return;
      case 'unload':
        yield { type: 'unloaded' };
    }
  }
}
