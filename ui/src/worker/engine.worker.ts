// The engine's worker: carries envelopes between the page and the WebAssembly, and nothing else.
import init, * as single from 'hearth-engine-wasm/hearth_engine.js';
import type { WebEngine } from 'hearth-engine-wasm/hearth_engine.js';
import moduleUrl from 'hearth-engine-wasm/hearth_engine_bg.wasm?url';

import { describe, linkFailure } from '../link/failure';
import type { EventEnvelope, RequestEnvelope } from '../link/protocol.gen';
import { askForSubgroups, describeAdapter } from './adapter';
import type { FromWorker, ToWorker } from './messages';
import { startThreads, threadsFor } from './threads';

const HINT = 'Try again: the engine starts anew. If it happens again, choose another route.';
const TOO_OLD = 'Update the browser or the web view: WebAssembly with SIMD is needed. A native route does without.';

/** The part of a worker's global scope that is used; TypeScript's DOM library describes a window's. */
const scope = globalThis as unknown as {
  postMessage(message: FromWorker): void;
  addEventListener(type: 'message', listener: (message: MessageEvent<ToWorker>) => void): void;
  addEventListener(type: 'unhandledrejection', listener: (rejection: PromiseRejectionEvent) => void): void;
};

type Open = Extract<ToWorker, { kind: 'open' }>;

let engine: Promise<WebEngine> | undefined;

async function start({ allowGpu, modelBase, threads: wanted, without }: Open): Promise<WebEngine> {
  askForSubgroups(globalThis, without);
  const adapter = allowGpu ? describeAdapter(globalThis, without) : undefined;
  const threads = threadsFor(globalThis, wanted);
  const threaded = threads === undefined ? undefined : await startThreads(threads, helperDied, threadsRefused);
  if (threaded === undefined) await init({ module_or_path: moduleUrl });
  return (threaded ?? single).WebEngine.create({ allowGpu, modelBase, adapter: await adapter });
}

/** Why the browser did not start the threads that it should have been able to; one thread does the work then. */
let refusal: string | undefined;

function threadsRefused(thrown: unknown): void {
  refusal = describe(thrown);
}

function helperDied(thrown: unknown): void {
  die('a thread of the engine in this page stopped', thrown);
}

/** After a trap the WebAssembly's memory may be in any state: the page has to start another worker. */
function die(what: string, thrown: unknown): void {
  const hint = thrown instanceof WebAssembly.CompileError ? TOO_OLD : HINT;
  scope.postMessage({ kind: 'died', failure: linkFailure(`${what}: ${describe(thrown)}`, hint) });
}

async function handle(envelope: RequestEnvelope): Promise<void> {
  const started = await engine;
  if (started === undefined) return;
  await started.handle(JSON.stringify(envelope), (event) => {
    scope.postMessage({ kind: 'event', envelope: JSON.parse(event) as EventEnvelope });
  });
}

// A trap in a task that WebAssembly started by itself rejects a promise that nobody holds; the request that waits for
// the task would wait for ever.
scope.addEventListener('unhandledrejection', (rejection) => {
  rejection.preventDefault();
  die('the engine in this page stopped', rejection.reason);
});

scope.addEventListener('message', ({ data }) => {
  if (data.kind === 'request') {
    handle(data.envelope).catch((thrown: unknown) => {
      die('the engine in this page stopped', thrown);
    });
    return;
  }
  if (data.kind === 'files') {
    engine?.then(
      (started) => {
        started.offerFiles(data.key, data.name, [...data.paths], [...data.files]);
      },
      // The page has been told already that the engine did not start.
      () => undefined,
    );
    return;
  }
  engine = start(data);
  engine.then(
    () => {
      scope.postMessage({ kind: 'opened', refusal });
    },
    (thrown: unknown) => {
      die('the engine in this page could not start', thrown);
    },
  );
});
