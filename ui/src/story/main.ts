// Shows the window's states without an engine: for looking at it while working on it.
import { FakeLink, fakeAdapter, fakeReport } from '../link/fake';
import type { FakeEngine } from '../link/fake';
import type { Failure, Request } from '../link/protocol.gen';
import { readAddress } from '../state/address';
import { Store } from '../state/store';
import { mountApp } from '../views/mount.svelte';
import { STORY, TALK } from './texts';

const state = new URLSearchParams(location.search).get('state') ?? 'empty';

const FAILURES: Readonly<Record<string, (request: Request) => Failure | undefined>> = {
  failed: (request) =>
    request.type === 'load'
      ? {
          code: 'out_of_memory',
          message: 'the weights need 2254857830 bytes, but 1610612736 are available',
          hint: 'Close other programs, choose a smaller context or a smaller model, or run on the CPU.',
        }
      : undefined,
  lost: (request) =>
    request.type === 'generate'
      ? {
          code: 'device_lost',
          message: 'the device was lost: the driver was reset',
          hint: 'Try again; if it happens again, choose the CPU route or update the graphics driver.',
        }
      : undefined,
  long: (request) =>
    request.type === 'generate'
      ? {
          code: 'prompt_too_long',
          message: 'the prompt has 1208 tokens, but the context holds 1024',
          hint: 'Shorten the prompt, start a new chat, or load the model with a larger context.',
        }
      : undefined,
};

const DELAYS_MS = { load: 120, prefill: 250, token: 45 } as const;

function engine(side: FakeEngine['side']): FakeEngine {
  const failure = FAILURES[state];
  return {
    side,
    report: fakeReport({
      platform: side === 'webview' ? 'wasm32' : 'linux x86_64',
      adapters: side === 'native' ? [fakeAdapter()] : [],
      no_adapter_reason: side === 'webview' ? 'the browser has no WebGPU' : null,
    }),
    answer: () => STORY,
    pause: (what) =>
      new Promise((resolve) => {
        // A load that never ends, to look at it.
        if (state === 'loading' && what === 'load' && loads++ > 5) return;
        setTimeout(resolve, DELAYS_MS[what]);
      }),
    ...(failure === undefined ? {} : { failure }),
  };
}

let loads = 0;
const kept = new Map<string, string>();
const store = new Store({
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => void kept.set(key, value),
  removeItem: (key) => void kept.delete(key),
});
if (['talk', 'failed', 'long', 'lost'].includes(state)) store.write('conversation', TALK);

const target = document.querySelector('#app');
if (target === null) throw new Error('story.html has no #app');
const links = { webview: new FakeLink('worker', engine('webview')), native: new FakeLink('native', engine('native')) };
const session = mountApp(target, links, store, readAddress(location.search));
void session.start();
