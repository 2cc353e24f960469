import type { EventEnvelope, Failure, RequestEnvelope } from '../link/protocol.gen';

/** What the page says to the engine's worker: first `open`, then files and requests. */
export type ToWorker =
  | {
      readonly kind: 'open';
      readonly allowGpu: boolean;
      readonly modelBase: string;
      /** As many threads as the browser has cores for, if it is not said. */
      readonly threads?: number;
      /** Features of WebGPU that shall not be used, for comparisons. */
      readonly without?: readonly string[];
    }
  | {
      /** Files that a person chose: they cross as handles, not as bytes. */
      readonly kind: 'files';
      readonly key: string;
      /** The name under which they are listed already, if they were before this worker began. */
      readonly name: string | undefined;
      readonly paths: readonly string[];
      readonly files: readonly File[];
    }
  | { readonly kind: 'request'; readonly envelope: RequestEnvelope };

/** What the worker says to the page. After `died` it says nothing more and must be replaced. */
export type FromWorker =
  | { readonly kind: 'opened'; readonly refusal?: string | undefined }
  | { readonly kind: 'event'; readonly envelope: EventEnvelope }
  | { readonly kind: 'died'; readonly failure: Failure };

/** What the engine's worker says to each of its helpers, once. */
export interface ToHelper {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** What a helper says to the engine's worker. */
export type FromHelper = { readonly kind: 'at work' } | { readonly kind: 'died'; readonly words: string };
