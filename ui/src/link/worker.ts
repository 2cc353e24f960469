import type { FromWorker, ToWorker } from '../worker/messages';
import { isEventEnvelope, linkFailure } from './failure';
import type { Link, SendOptions } from './link';
import { LinkError } from './link';
import { Multiplexer, unreadable } from './multiplex';
import type { Event, Failure, Request } from './protocol.gen';

/** The part of a Worker that is used, so that tests can stand in for it. */
export type WorkerPort = Pick<Worker, 'postMessage' | 'terminate' | 'addEventListener'>;

export interface WorkerLinkOptions {
  readonly allowGpu: boolean;
  readonly modelBase: string;
  readonly spawn?: () => WorkerPort;
}

const HINT = 'Try again: the engine starts anew. If it happens again, choose another route.';

function spawnEngine(): WorkerPort {
  return new Worker(new URL('../worker/engine.worker.ts', import.meta.url), { type: 'module', name: 'hearth-engine' });
}

/** The engine as WebAssembly in a worker of this page. */
export class WorkerLink implements Link {
  readonly kind = 'worker';
  readonly #options: WorkerLinkOptions;
  readonly #requests = new Multiplexer((envelope) => {
    if (this.#worker === undefined) {
      throw new LinkError(linkFailure('the engine in this page is not running', HINT));
    }
    this.#say({ kind: 'request', envelope });
  });
  #worker: WorkerPort | undefined;
  #opening: Promise<void> | undefined;
  #settle: ((failure?: Failure) => void) | undefined;

  constructor(options: WorkerLinkOptions) {
    this.#options = options;
  }

  open(): Promise<void> {
    this.#opening ??= new Promise((resolve, reject) => {
      this.#settle = (failure) => {
        if (failure === undefined) resolve();
        else reject(new LinkError(failure));
      };
      this.#start();
    });
    return this.#opening;
  }

  close(): void {
    this.#end(linkFailure('the engine in this page was closed', HINT));
  }

  send(request: Request, options?: SendOptions): AsyncIterable<Event> {
    return this.#requests.send(request, options);
  }

  #start(): void {
    const worker = (this.#options.spawn ?? spawnEngine)();
    this.#worker = worker;
    // A worker that was closed may still have messages under way; they belong to no one.
    const ifCurrent = (act: () => void): void => {
      if (this.#worker === worker) act();
    };
    worker.addEventListener('message', (message: MessageEvent<FromWorker>) => {
      ifCurrent(() => {
        this.#receive(message.data);
      });
    });
    worker.addEventListener('error', (error: ErrorEvent) => {
      // The default is one more line in the console; the person gets the words instead.
      error.preventDefault();
      const what = error.message || 'it could not be loaded';
      ifCurrent(() => {
        this.#end(linkFailure(`the engine in this page stopped: ${what}`, HINT));
      });
    });
    worker.addEventListener('messageerror', () => {
      ifCurrent(() => {
        this.#end(unreadable('a message that cannot be cloned'));
      });
    });
    this.#say({ kind: 'open', allowGpu: this.#options.allowGpu, modelBase: this.#options.modelBase });
  }

  #say(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case 'opened':
        this.#settle?.();
        this.#settle = undefined;
        return;
      case 'died':
        this.#end(message.failure);
        return;
      case 'event':
        if (isEventEnvelope(message.envelope)) this.#requests.receive(message.envelope);
        else this.#end(unreadable('an envelope without an event'));
        return;
    }
  }

  #end(failure: Failure): void {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#opening = undefined;
    worker?.terminate();
    this.#settle?.(failure);
    this.#settle = undefined;
    this.#requests.failAll(failure);
  }
}
