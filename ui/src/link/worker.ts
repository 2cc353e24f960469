import type { FromWorker, ToWorker } from '../worker/messages';
import { isEventEnvelope, linkFailure } from './failure';
import type { ChosenFile, Link, SendOptions } from './link';
import { LinkError } from './link';
import { Multiplexer, unreadable } from './multiplex';
import type { Event, EventEnvelope, Failure, Request } from './protocol.gen';

/** The part of a Worker that is used, so that tests can stand in for it. */
export type WorkerPort = Pick<Worker, 'postMessage' | 'terminate' | 'addEventListener'>;

export interface WorkerLinkOptions {
  readonly allowGpu: boolean;
  readonly modelBase: string;
  /** For CPU work: as many as the browser has cores for, if it is not said. */
  readonly threads?: number;
  readonly spawn?: () => WorkerPort;
}

/** Files that were chosen, and the name under which the engine lists them, once it does. */
interface Offer {
  readonly files: readonly ChosenFile[];
  name: string | undefined;
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
    if (envelope.request.type === 'add_model') this.#adding.set(envelope.id, envelope.request.path);
    this.#say({ kind: 'request', envelope });
  });
  /** What was chosen so far: an engine that starts anew is told again. */
  readonly #offers = new Map<string, Offer>();
  /** Which offers the requests to list one are about. */
  readonly #adding = new Map<number, string>();
  #offered = 0;
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

  offer(files: readonly ChosenFile[]): string {
    this.#offered += 1;
    // The engine lists what was chosen in the order of these.
    const key = `chosen/${String(this.#offered).padStart(6, '0')}`;
    const offer = { files, name: undefined };
    this.#offers.set(key, offer);
    this.#sayFiles(key, offer);
    return key;
  }

  #sayFiles(key: string, { files: chosen, name }: Offer): void {
    const paths = chosen.map(({ path }) => path);
    this.#say({ kind: 'files', key, name, paths, files: chosen.map(({ file }) => file) });
  }

  /** Keeps up with what the engine lists. */
  #note({ id, event }: EventEnvelope): void {
    const key = this.#adding.get(id);
    if (key !== undefined) {
      this.#adding.delete(id);
      const offer = this.#offers.get(key);
      if (event.type === 'model_added' && offer !== undefined) offer.name = event.model;
      else this.#offers.delete(key);
    }
    if (event.type !== 'model_removed') return;
    for (const [other, { name }] of this.#offers) if (name === event.model) this.#offers.delete(other);
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
    const { allowGpu, modelBase, threads } = this.#options;
    this.#say({ kind: 'open', allowGpu, modelBase, ...(threads === undefined ? {} : { threads }) });
    for (const [key, offer] of this.#offers) this.#sayFiles(key, offer);
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
        if (isEventEnvelope(message.envelope)) {
          this.#note(message.envelope);
          this.#requests.receive(message.envelope);
        } else this.#end(unreadable('an envelope without an event'));
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
