import type { Done, Event, Failure, KvFormat, Loaded, Loading, LoadStage } from '../link/protocol.gen';
import { SpeedMeter } from './speed';

/** What the engine was doing when it failed: the way out depends on it. */
export type Phase = 'probe' | 'load' | 'generate';

/** What the person wishes of a load beside the model; what is missing is the engine's to choose. */
export interface LoadWish {
  readonly context_tokens?: number;
  readonly kv_cache?: KvFormat;
}

/** Where the engine is, as far as this window knows. */
export type EngineStatus =
  | { readonly name: 'idle' }
  | { readonly name: 'probing' }
  | { readonly name: 'loading'; readonly progress: LoadProgress | undefined }
  | { readonly name: 'ready'; readonly loaded: Loaded; readonly last: Done | undefined }
  | {
      readonly name: 'generating';
      readonly loaded: Loaded;
      readonly tokens: number;
      readonly tokensPerS: number | undefined;
      readonly prefill: Prefill | undefined;
      readonly stopping: boolean;
    }
  | {
      readonly name: 'failed';
      readonly failure: Failure;
      readonly phase: Phase;
      /** The model, if it is still there: then a retry need not load it again. */
      readonly loaded: Loaded | undefined;
    };

export interface LoadProgress {
  readonly stage: LoadStage;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly elapsedMs: number;
  readonly bytesPerS: number;
}

export interface Prefill {
  readonly doneTokens: number;
  readonly promptTokens: number;
}

/** What the window does to the engine's state; the rest are the engine's own events. */
export type Input =
  | { readonly kind: 'probe' }
  | { readonly kind: 'load' }
  | { readonly kind: 'generate' }
  | { readonly kind: 'stop' }
  /** The person has moved on: a failure that left the model in its place is over. */
  | { readonly kind: 'dismiss' }
  | { readonly kind: 'event'; readonly event: Event; readonly nowMs: number };

/** After these the model is gone from the device, or its state can't be trusted. */
const FATAL: ReadonlySet<Failure['code']> = new Set<Failure['code']>([
  'not_loaded',
  'device_lost',
  'device_fault',
  'no_device',
  'link',
]);

function progressOf(loading: Loading): LoadProgress {
  const { stage, done_bytes, total_bytes, elapsed_ms } = loading;
  return {
    stage,
    doneBytes: done_bytes,
    totalBytes: total_bytes,
    elapsedMs: elapsed_ms,
    bytesPerS: elapsed_ms > 0 ? (done_bytes * 1000) / elapsed_ms : 0,
  };
}

/** The model that is loaded in a status, if any. */
export function loadedIn(status: EngineStatus): Loaded | undefined {
  return status.name === 'ready' || status.name === 'generating' || status.name === 'failed'
    ? status.loaded
    : undefined;
}

/** Follows an engine from nothing to an answer. Holds the one thing that has a history: the speed. */
export class EngineMachine {
  readonly #speed = new SpeedMeter();
  status: EngineStatus = { name: 'idle' };

  /** Takes one input and returns the status it leads to. An input that makes no sense now changes nothing. */
  step(input: Input): EngineStatus {
    this.status = this.#next(input);
    return this.status;
  }

  #next(input: Input): EngineStatus {
    const { status } = this;
    switch (input.kind) {
      case 'probe':
        return { name: 'probing' };
      case 'load':
        return { name: 'loading', progress: undefined };
      case 'generate': {
        const loaded = loadedIn(status);
        if (loaded === undefined) return status;
        this.#speed.reset();
        return {
          name: 'generating',
          loaded,
          tokens: 0,
          tokensPerS: undefined,
          prefill: undefined,
          stopping: false,
        };
      }
      case 'stop':
        return status.name === 'generating' ? { ...status, stopping: true } : status;
      case 'dismiss':
        if (status.name !== 'failed' || status.loaded === undefined) return status;
        return { name: 'ready', loaded: status.loaded, last: undefined };
      case 'event':
        return this.#take(input.event, input.nowMs);
    }
  }

  #take(event: Event, nowMs: number): EngineStatus {
    const { status } = this;
    if (event.type === 'failed') return this.#fail(event);
    if (event.type === 'unloaded') return { name: 'idle' };
    if (status.name === 'loading') {
      if (event.type === 'loading') return { name: 'loading', progress: progressOf(event) };
      if (event.type === 'loaded') return { name: 'ready', loaded: event, last: undefined };
    }
    if (status.name === 'generating') {
      if (event.type === 'prefilled') {
        return { ...status, prefill: { doneTokens: event.done_tokens, promptTokens: event.prompt_tokens } };
      }
      if (event.type === 'token') {
        return { ...status, tokens: status.tokens + 1, tokensPerS: this.#speed.tick(nowMs), prefill: undefined };
      }
      if (event.type === 'done') return { name: 'ready', loaded: status.loaded, last: event };
    }
    return status;
  }

  #fail(failure: Failure): EngineStatus {
    const { status } = this;
    const { code, message, hint } = failure;
    if (code === 'cancelled' && status.name === 'generating') {
      return { name: 'ready', loaded: status.loaded, last: undefined };
    }
    const phase: Phase = status.name === 'generating' ? 'generate' : status.name === 'probing' ? 'probe' : 'load';
    const kept = phase === 'generate' && !FATAL.has(code) ? loadedIn(status) : undefined;
    return { name: 'failed', failure: { code, message, hint }, phase, loaded: kept };
  }
}
