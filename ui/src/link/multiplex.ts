import { failureOf, isTerminal, linkFailure } from './failure';
import type { SendOptions } from './link';
import type { Event, EventEnvelope, Failure, Request, RequestEnvelope } from './protocol.gen';

/** Puts one envelope on its way; throwing or rejecting fails that request alone. */
export type Post = (envelope: RequestEnvelope) => void | Promise<void>;

const HINT = 'Try again; if it happens again, reload the page or choose another route.';

/** The events of one request: pushed by the transport, pulled by whoever asked. */
class EventStream implements AsyncIterableIterator<Event, undefined> {
  readonly #waiting: Event[] = [];
  #wake: ((result: IteratorResult<Event, undefined>) => void) | undefined;
  #ended = false;
  readonly #onAbandon: () => void;

  constructor(onAbandon: () => void) {
    this.#onAbandon = onAbandon;
  }

  push(event: Event): void {
    if (this.#ended) return;
    this.#ended = isTerminal(event);
    if (this.#wake === undefined) {
      this.#waiting.push(event);
      return;
    }
    this.#wake({ done: false, value: event });
    this.#wake = undefined;
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const event = this.#waiting.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    if (!this.#ended) {
      this.#ended = true;
      this.#onAbandon();
    }
    this.#waiting.length = 0;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Carries many requests over one transport: numbers them, and sorts the events back to whoever asked. */
export class Multiplexer {
  readonly #post: Post;
  readonly #open = new Map<number, EventStream>();
  #nextId = 1;

  constructor(post: Post) {
    this.#post = post;
  }

  /** How many requests have not ended yet. */
  get openCount(): number {
    return this.#open.size;
  }

  send(request: Request, options: SendOptions = {}): AsyncIterable<Event> {
    const id = this.#take();
    const { signal } = options;
    const cancel = (): void => {
      if (this.#open.has(id)) this.#cancel(id);
    };
    const stream = new EventStream(() => {
      cancel();
      this.#open.delete(id);
    });
    this.#open.set(id, stream);
    this.#deliver({ id, request });
    if (signal?.aborted === true) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
    return stream;
  }

  /** Takes in what the engine said. An event nobody waits for is dropped: its request was abandoned. */
  receive({ id, event }: EventEnvelope): void {
    const stream = this.#open.get(id);
    if (isTerminal(event)) this.#open.delete(id);
    stream?.push(event);
  }

  /** Ends one request with a failure. */
  fail(id: number, failure: Failure): void {
    this.receive({ id, event: { type: 'failed', ...failure } });
  }

  /** Ends every open request with the same failure: the transport is gone. */
  failAll(failure: Failure): void {
    for (const id of [...this.#open.keys()]) this.fail(id, failure);
  }

  #take(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  #cancel(target: number): void {
    this.#deliver({ id: this.#take(), request: { type: 'cancel', target } });
  }

  #deliver(envelope: RequestEnvelope): void {
    const refuse = (thrown: unknown): void => {
      this.fail(envelope.id, failureOf(thrown, HINT));
    };
    try {
      Promise.resolve(this.#post(envelope)).catch(refuse);
    } catch (thrown) {
      refuse(thrown);
    }
  }
}

/** The failure of a message that no engine should send. */
export function unreadable(what: string): Failure {
  return linkFailure(`the engine sent something this window cannot read: ${what}`, HINT);
}
