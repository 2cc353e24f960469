import { isEventEnvelope, linkFailure } from './failure';
import type { Link, SendOptions } from './link';
import { LinkError } from './link';
import { Multiplexer, unreadable } from './multiplex';
import type { Event, Failure, Request } from './protocol.gen';

/** The part of a WebSocket that is used, so that tests can stand in for it. */
export type SocketPort = Pick<WebSocket, 'send' | 'close' | 'addEventListener'>;

export interface SocketLinkOptions {
  readonly url: string;
  readonly connect?: (url: string) => SocketPort;
  /** A server that takes the connection and stays silent must not hold the window up. */
  readonly timeoutMs?: number;
}

const HINT = 'Check that `hearth serve` is still running, then try again.';

/** Where `hearth serve` listens, seen from a page that it served. */
export function socketUrl(page: string): string {
  const url = new URL('/v1/link', page);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** The engine in Rust behind `hearth serve`, from which this page came. */
export class SocketLink implements Link {
  readonly kind = 'socket';
  readonly #options: SocketLinkOptions;
  readonly #requests = new Multiplexer((envelope) => {
    if (this.#socket === undefined) throw new LinkError(linkFailure('the connection to the server is closed', HINT));
    this.#socket.send(JSON.stringify(envelope));
  });
  #socket: SocketPort | undefined;
  #opening: Promise<void> | undefined;
  #settle: ((failure?: Failure) => void) | undefined;

  constructor(options: SocketLinkOptions) {
    this.#options = options;
  }

  open(): Promise<void> {
    this.#opening ??= new Promise((resolve, reject) => {
      const timeout = setTimeout(() => {
        this.#end(linkFailure('the server did not answer', HINT));
      }, this.#options.timeoutMs ?? 4000);
      this.#settle = (failure) => {
        clearTimeout(timeout);
        if (failure === undefined) resolve();
        else reject(new LinkError(failure));
      };
      this.#connect();
    });
    return this.#opening;
  }

  close(): void {
    this.#end(linkFailure('the connection to the server was closed', HINT));
  }

  send(request: Request, options?: SendOptions): AsyncIterable<Event> {
    return this.#requests.send(request, options);
  }

  #connect(): void {
    const connect = this.#options.connect ?? ((url): SocketPort => new WebSocket(url));
    const socket = connect(this.#options.url);
    this.#socket = socket;
    const ifCurrent = (act: () => void): void => {
      if (this.#socket === socket) act();
    };
    socket.addEventListener('open', () => {
      ifCurrent(() => {
        this.#settle?.();
        this.#settle = undefined;
      });
    });
    socket.addEventListener('message', (message: MessageEvent<unknown>) => {
      ifCurrent(() => {
        this.#receive(message.data);
      });
    });
    // An error is always followed by a close, which knows as little about the cause.
    socket.addEventListener('close', () => {
      ifCurrent(() => {
        this.#end(linkFailure('the connection to the server was lost', HINT));
      });
    });
  }

  #receive(data: unknown): void {
    const envelope = typeof data === 'string' ? parse(data) : undefined;
    if (isEventEnvelope(envelope)) this.#requests.receive(envelope);
    else this.#end(unreadable('an envelope without an event'));
  }

  #end(failure: Failure): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#opening = undefined;
    socket?.close();
    this.#settle?.(failure);
    this.#settle = undefined;
    this.#requests.failAll(failure);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
