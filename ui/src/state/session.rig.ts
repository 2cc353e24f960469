// A session between two scripted engines, for tests.
import { FakeLink, fakeAdapter, fakeReport } from '../link/fake';
import type { FakeEngine } from '../link/fake';
import type { Failure, Request, Route } from '../link/protocol.gen';
import { Session } from './session.svelte';
import { Store } from './store';

/** Lets a test hold an engine at a point and see what the session makes of it. */
export class Gate {
  #opened: () => void = () => undefined;
  #reached: () => void = () => undefined;
  #open = Promise.resolve();
  reached = Promise.resolve();

  close(): void {
    this.#open = new Promise((resolve) => {
      this.#opened = resolve;
    });
    this.reached = new Promise((resolve) => {
      this.#reached = resolve;
    });
  }

  open(): void {
    this.#opened();
  }

  pass(): Promise<void> {
    this.#reached();
    return this.#open;
  }
}

export interface Rig {
  session: Session;
  webview: FakeLink;
  native: FakeLink;
  gates: Record<'load' | 'prefill' | 'token', Gate>;
  kept: Map<string, string>;
  failures: Map<Request['type'], Failure>;
  /** Models whose files cannot be read, and why. */
  broken: Map<string, Failure>;
  settled: () => Promise<void>;
}

export interface Wishes {
  route?: Route;
  native?: FakeEngine['report'] | Failure;
  webview?: FakeEngine['report'] | Failure;
  kept?: Map<string, string>;
  answer?: string;
  /** Pictures that have been asked for and are not drawn before the test draws them. */
  frames?: (() => void)[];
}

export function setUp(wishes: Wishes = {}): Rig {
  const gates = { load: new Gate(), prefill: new Gate(), token: new Gate() };
  const failures = new Map<Request['type'], Failure>();
  const broken = new Map<string, Failure>();
  const kept = wishes.kept ?? new Map<string, string>();
  const engine = (side: FakeEngine['side'], given: FakeEngine['report'] | Failure): FakeEngine | Failure =>
    'code' in given
      ? given
      : {
          side,
          report: given,
          answer: () => wishes.answer ?? 'Good evening. How are you?',
          pause: (what) => gates[what].pass(),
          failure: (request) =>
            (request.type === 'inspect' ? broken.get(request.model) : undefined) ?? failures.get(request.type),
        };
  const webview = new FakeLink('worker', engine('webview', wishes.webview ?? fakeReport()));
  const native = new FakeLink('socket', engine('native', wishes.native ?? fakeReport({ adapters: [fakeAdapter()] })));
  const session = new Session({
    links: { webview, native },
    store: new Store({
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    }),
    model: '',
    route: wishes.route,
    nowMs: () => 0,
    onNextFrame: (act) => {
      if (wishes.frames === undefined) queueMicrotask(act);
      else wishes.frames.push(act);
    },
  });
  return { session, webview, native, gates, kept, failures, broken, settled: () => settle(session) };
}

/** Waits until the session rests: everything the scripted engines had to say has been said. */
async function settle(session: Session): Promise<void> {
  while (!['ready', 'failed'].includes(session.status.name) || session.waiting) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets everything happen that needs nobody's consent. */
export async function turnOver(): Promise<void> {
  for (let at = 0; at < 5; at += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Asks something, and returns when the answer's first token is out and the second is held back. */
export async function firstToken(session: Session, gate: Gate): Promise<void> {
  gate.close();
  session.send('Hello!');
  await gate.reached;
  gate.open();
  gate.close();
  await gate.reached;
}

export const types = (link: FakeLink): string[] => link.requests.map(({ type }) => type);
export const contents = (session: Session): string[] => session.conversation.messages.map(({ content }) => content);
