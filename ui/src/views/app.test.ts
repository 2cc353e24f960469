// @vitest-environment happy-dom
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { FakeLink, fakeReport } from '../link/fake';
import type { Failure, Request } from '../link/protocol.gen';
import { Session } from '../state/session.svelte';
import { Store } from '../state/store';
import App from './App.svelte';

let session: Session;
let links: { webview: FakeLink; native: FakeLink };
let app: ReturnType<typeof mount>;
let answer = 'Good evening.';
let failure: Failure | undefined;
let held: Promise<void> = Promise.resolve();

function find(testid: string): HTMLElement {
  const element = document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (element === null) throw new Error(`there is no ${testid} in ${document.body.innerHTML}`);
  return element;
}

function field(): HTMLTextAreaElement {
  const element = find('composer');
  if (!(element instanceof HTMLTextAreaElement)) throw new Error('the composer is no text field');
  return element;
}

const has = (testid: string): boolean => document.querySelector(`[data-testid="${testid}"]`) !== null;

async function settle(): Promise<void> {
  for (let at = 0; at < 8; at += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  flushSync();
}

function press(key: string, more: KeyboardEventInit = {}, target: EventTarget = find('composer')): KeyboardEvent {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  flushSync();
  return event;
}

function type(text: string): void {
  field().value = text;
  field().dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

beforeEach(async () => {
  answer = 'Good evening.';
  failure = undefined;
  held = Promise.resolve();
  const engine = {
    side: 'native' as const,
    report: fakeReport(),
    answer: () => answer,
    thoughts: 'Both are two.',
    notice: 'It brings no template.',
    pause: () => held,
    failure: (request: Request) => (request.type === 'generate' ? failure : undefined),
  };
  links = {
      webview: new FakeLink('worker', { ...engine, side: 'webview', report: fakeReport({ no_adapter_reason: 'the browser has no WebGPU' }) }),
      native: new FakeLink('native', engine),
  };
  session = new Session({
    links,
    store: new Store(undefined),
    model: '',
    route: undefined,
    nowMs: () => performance.now(),
    onNextFrame: (act) => {
      queueMicrotask(act);
    },
  });
  app = mount(App, { target: document.body, props: { session, links } });
  await session.start();
  await settle();
});

afterEach(async () => {
  await unmount(app);
  document.body.replaceChildren();
});

describe('what a model says besides its answer', () => {
  it('is folded away: its thoughts', async () => {
    type('Two and two?');
    press('Enter');
    await settle();
    const thoughts = find('message-reasoning');
    expect(thoughts instanceof HTMLDetailsElement && !thoughts.open).toBe(true);
    expect(thoughts.querySelector('summary')?.textContent).toBe('Thoughts');
    expect(thoughts.querySelector('p')?.textContent).toBe('Both are two.');
    expect(find('message-assistant').textContent).toContain('Good evening.');
    type('Sure?');
    press('Enter');
    await settle();
    const asked = links.native.requests.at(-1);
    const prompt = asked?.type === 'generate' ? asked.prompt : undefined;
    expect(prompt).toMatchObject({ messages: [{}, { content: 'Good evening.', reasoning: 'Both are two.' }, {}] });
  });

  it('stands above the talk: that it was not made for it', () => {
    expect(find('model-notice').textContent).toBe('It brings no template.');
  });
});

describe('the models', () => {
  const dialog = (): HTMLDialogElement | null => document.querySelector<HTMLDialogElement>('dialog[data-testid="model-panel"]');

  async function show(): Promise<void> {
    find('models').click();
    await settle();
  }

  it('are opened from the header, which names the one in use', async () => {
    expect(find('model-name').textContent).toBe('hearth-tiny');
    await show();
    expect(dialog()?.open).toBe(true);
    expect(find('model-report').textContent).toContain('apache-2.0');
    expect(find('model-report').textContent).toContain('16.00 bits each');
    expect(find('model-total').textContent).toBe('19.6 MiB');
    expect(find('model-fit').dataset.fit).toBe('fits');
    expect(find('model-load').textContent.trim()).toBe('In use');
    expect(find('model-load').hasAttribute('disabled')).toBe(true);
  });

  it('tell what another context needs, and that it does not fit', async () => {
    await show();
    const context = document.querySelector<HTMLInputElement>('[data-testid="model-context"]');
    if (context === null) throw new Error('there is no field for the context');
    context.value = '4096';
    context.dispatchEvent(new Event('change', { bubbles: true }));
    await settle();
    expect(find('model-total').textContent).toBe('22.5 MiB');
    expect(find('model-fit').dataset.fit).toBe('too_large');
    expect(find('model-fit').textContent).toContain('1\u202f500 tokens of context would fit');
    expect(find('model-load').hasAttribute('disabled')).toBe(false);
  });

  it('are brought by a path that is dropped on the window, loaded and removed, and the conversation stays', async () => {
    type('Hello!');
    press('Enter');
    await settle();
    links.native.dropped?.(['/models/other']);
    await settle();
    expect(dialog()?.open).toBe(true);
    expect(find('model-said').textContent).toContain('other is on the list now');
    find('model-load').click();
    await settle();
    expect(dialog()?.open).toBe(false);
    expect(links.native.requests.at(-1)).toEqual({ type: 'load', model: 'other', device: 'cpu' });
    expect(find('model-name').textContent).toBe('other');
    expect(find('message-user').textContent).toContain('Hello!');
    await show();
    find('model-remove').click();
    await settle();
    expect(document.querySelector('[data-model="other"]')).toBeNull();
  });
});

describe('the window', () => {
  it('says where it runs', () => {
    expect(find('app').dataset.status).toBe('ready');
    expect(find('status-route').textContent).toBe('native-cpu');
    expect(find('status-speed').textContent).toBe('– tok/s');
  });

  it('sends with Enter, and starts a line with Shift and Enter', async () => {
    type('Hello!');
    expect(press('Enter', { shiftKey: true }).defaultPrevented).toBe(false);
    expect(press('Enter', { isComposing: true }).defaultPrevented).toBe(false);
    expect(has('message-user')).toBe(false);
    expect(press('Enter').defaultPrevented).toBe(true);
    await settle();
    expect(find('message-user').textContent).toContain('Hello!');
    expect(find('message-assistant').textContent).toContain('Good evening.');
    expect(find('status-speed').textContent).toBe('41.8 tok/s');
    expect(field().value).toBe('');
  });

  it('stops with Escape, and shows the button for it only then', async () => {
    let release: () => void = () => undefined;
    held = new Promise((resolve) => {
      release = resolve;
    });
    type('Hello!');
    press('Enter');
    await settle();
    expect(has('stop')).toBe(true);
    expect(has('send')).toBe(false);
    press('Escape');
    release();
    await settle();
    expect(has('stop')).toBe(false);
    expect(session.status.name).toBe('ready');
    expect(find('message-assistant').dataset.state).toBe('stopped');
  });

  it('starts a new chat with Ctrl and K, and brings the old one back', async () => {
    type('Hello!');
    press('Enter');
    await settle();
    expect(press('k', { ctrlKey: true }).defaultPrevented).toBe(true);
    expect(has('empty')).toBe(true);
    find('bring-back').click();
    flushSync();
    expect(find('message-user').textContent).toContain('Hello!');
  });

  it('shows a failure in words, with a way out', async () => {
    failure = { code: 'device_lost', message: 'the device was lost: reset', hint: 'Try again.' };
    type('Hello!');
    press('Enter');
    await settle();
    expect(find('failure').getAttribute('role')).toBe('alert');
    expect(find('failure').textContent).toContain('The device was lost: reset.');
    expect(find('failure-hint').textContent).toBe('Try again.');
    failure = undefined;
    find('failure-retry').click();
    await settle();
    expect(has('failure')).toBe(false);
    expect(find('message-assistant').textContent).toContain('Good evening.');
  });

  it('lists the four routes, and why one cannot be taken', () => {
    const gpu = find('route-option-webview-gpu');
    expect(gpu.hasAttribute('disabled')).toBe(true);
    expect(gpu.textContent).toContain('the browser has no WebGPU');
    expect(find('route-option-native-gpu').dataset.verdict).toBe('impossible');
    expect(find('route-option-native-cpu').dataset.running).toBe('true');
    expect(find('route-option-webview-cpu').hasAttribute('disabled')).toBe(false);
  });

  it('moves to the route that is chosen', async () => {
    find('route-option-webview-cpu').click();
    await settle();
    expect(find('status-route').textContent).toBe('webview-cpu');
  });

  it('speaks sentences to screen readers, not tokens', async () => {
    answer = 'It was dark. The rain fell';
    type('Go on.');
    press('Enter');
    await settle();
    const spoken = [...find('spoken').querySelectorAll('p')].map((line) => line.textContent);
    expect(spoken).toEqual(['It was dark.', 'The rain fell']);
  });

  it('draws what a model writes as text, whatever it writes', async () => {
    answer = [
      '<script>window.hit = 1</script>',
      '<img src=x onerror="window.hit = 1">',
      '[a](javascript:window.hit=1) **bold <b onclick=window.hit=1>b</b>**',
      '| <i>a</i> |\n|---|\n| <svg onload=window.hit=1> |',
      '```html\n<style>body{display:none}</style>\n```',
      '# <iframe src="https://example.org"></iframe>',
    ].join('\n\n');
    type('Attack!');
    press('Enter');
    await settle();
    const message = find('message-assistant');
    expect(message.querySelectorAll('script, img, iframe, style, b, i, a, [onclick], [onerror], [onload]')).toHaveLength(0);
    expect(message.querySelectorAll('svg[onload]')).toHaveLength(0);
    expect(message.textContent).toContain('<script>window.hit = 1</script>');
    expect(message.querySelector('strong')?.textContent).toBe('bold <b onclick=window.hit=1>b</b>');
    expect(message.querySelector('pre')?.textContent).toBe('<style>body{display:none}</style>');
  });

  it('opens links outside and without a trace', async () => {
    answer = 'See [the place](https://example.org/).';
    type('Where?');
    press('Enter');
    await settle();
    const link = find('message-assistant').querySelector('a');
    expect(link?.getAttribute('href')).toBe('https://example.org/');
    expect(link?.target).toBe('_blank');
    expect(link?.rel).toContain('noopener');
    expect(link?.rel).toContain('noreferrer');
  });

  it('writes no style attribute into its markup', () => {
    for (const element of document.body.querySelectorAll('[style]')) expect(element.tagName).toBe('TEXTAREA');
  });
});
