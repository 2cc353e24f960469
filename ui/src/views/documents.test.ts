// @vitest-environment happy-dom
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { FakeLink, fakeReport } from '../link/fake';
import { fakeDocument, fakePassage } from '../link/fake_documents';
import type { Failure } from '../link/protocol.gen';
import { Session } from '../state/session.svelte';
import { Store } from '../state/store';
import App from './App.svelte';

let links: { webview: FakeLink; native: FakeLink };
let app: ReturnType<typeof mount>;

function find(testid: string): HTMLElement {
  const element = document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (element === null) throw new Error(`there is no ${testid} in ${document.body.innerHTML}`);
  return element;
}

const all = (testid: string): HTMLElement[] => [...document.querySelectorAll<HTMLElement>(`[data-testid="${testid}"]`)];

async function settle(): Promise<void> {
  for (let at = 0; at < 12; at += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  flushSync();
}

async function start(native?: Failure): Promise<void> {
  const engine = {
    side: 'native' as const,
    report: fakeReport(),
    answer: () => 'It left in the night [1].',
    pause: () => Promise.resolve(),
  };
  links = { webview: new FakeLink('worker', { ...engine, side: 'webview' }), native: new FakeLink('native', native ?? engine) };
  const session = new Session({
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
}

async function show(): Promise<void> {
  find('documents').click();
  await settle();
}

async function search(question: string): Promise<void> {
  const field = find('document-question');
  if (!(field instanceof HTMLInputElement)) throw new Error('the question is no field');
  field.value = question;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
  field.closest('form')?.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await settle();
}

beforeEach(() => start());

afterEach(async () => {
  await unmount(app);
  document.body.replaceChildren();
});

describe('the documents', () => {
  it('are dropped on the window, listed with their size, and removed', async () => {
    links.native.dropped?.(['/home/me/tale.md', '/home/me/report.pdf']);
    await settle();
    expect(document.querySelector<HTMLDialogElement>('dialog[data-testid="document-panel"]')?.open).toBe(true);
    expect(all('document').map((one) => one.querySelector('.name')?.textContent)).toEqual(['tale.md', 'report.pdf']);
    expect(find('document').textContent).toContain('12\u202f400 characters · 3 passages');
    expect(find('document-said').textContent).toBe('report.pdf can be searched now.');
    find('document-remove').click();
    await settle();
    expect(all('document')).toHaveLength(1);
  });

  it('are chosen in the dialog of the app, which gives their paths', async () => {
    links.native.documentPaths = ['/home/me/a.txt', '/home/me/b.pdf'];
    await show();
    find('document-files').click();
    await settle();
    expect(all('document').map((one) => one.querySelector('.name')?.textContent)).toEqual(['a.txt', 'b.pdf']);
    const contents = links.native.requests.flatMap((request) => (request.type === 'add_document' ? [request.content] : []));
    expect(contents[1]).toEqual({ kind: 'path', path: '/home/me/b.pdf' });
  });

  it('leave the files of a model to the models', async () => {
    links.native.dropped?.(['/models/other']);
    await settle();
    expect(document.querySelector<HTMLDialogElement>('dialog[data-testid="document-panel"]')?.open).toBe(false);
    expect(find('model-said').textContent).toContain('other is on the list now');
  });

  it('are searched, and an answer stands above the passages that it was given', async () => {
    links.native.documents.documents = [fakeDocument()];
    links.native.documents.passages = [fakePassage(), fakePassage({ heading: 'page 2', text: 'It was <b>dark</b>.' })];
    await show();
    await search('Where did the ship go?');
    expect(all('passage-place').map((place) => place.textContent)).toEqual([
      'tale.md · The sea · characters 11 to 1\u202f060',
      'tale.md · page 2 · characters 11 to 1\u202f060',
    ]);
    expect(find('passage-text').querySelector('mark')?.textContent).toBe('ship');
    // What a document holds is drawn as text.
    expect(all('passage-text')[1]?.textContent).toBe('It was <b>dark</b>.');
    expect(find('document-ask').textContent.trim()).toBe('Ask with these 2 passages');
    all('passage-choose')[1]?.click();
    flushSync();
    expect(find('document-ask').textContent.trim()).toBe('Ask with this passage');
    find('document-ask').click();
    await settle();
    expect(find('cited').textContent).toContain('With 1 passage from tale.md');
    const composer = find('composer');
    expect(composer instanceof HTMLTextAreaElement && composer.value).toBe('Where did the ship go?');
    find('send').click();
    await settle();
    expect(find('message-user').querySelector('p')?.textContent).toBe('Where did the ship go?');
    expect(find('message-with').textContent).toBe('with 1 passage from tale.md');
    expect(find('message-assistant').textContent).toContain('It left in the night [1].');
    expect(all('source').map((one) => one.querySelector('summary')?.textContent)).toEqual([
      '[1] tale.md · The sea · characters 11 to 1\u202f060',
    ]);
    expect(all('cited')).toHaveLength(0);
  });

  it('offer to prepare what another model made vectors of', async () => {
    links.native.documents.models = ['all-MiniLM-L6-v2'];
    links.native.documents.documents = [fakeDocument({ model: 'bge-small' })];
    await show();
    expect(find('document-strangers').textContent).toContain('the files are not needed again');
    expect(find('document-renew').textContent.trim()).toBe('Prepare them for all-MiniLM-L6-v2');
    find('document-renew').click();
    await settle();
    expect(all('document-strangers')).toHaveLength(0);
    expect(links.native.documents.documents[0]?.model).toBe('all-MiniLM-L6-v2');
  });

  it('say what to do while there is no embedding model', async () => {
    links.native.documents.models = [];
    await show();
    expect(find('document-no-model').textContent).toContain('all-MiniLM-L6-v2');
    expect(find('document-question').hasAttribute('disabled')).toBe(true);
    find('document-models').click();
    await settle();
    expect(document.querySelector<HTMLDialogElement>('dialog[data-testid="document-panel"]')?.open).toBe(false);
    expect(document.querySelector<HTMLDialogElement>('dialog[data-testid="model-panel"]')?.open).toBe(true);
  });

  it('say why one was not taken in', async () => {
    links.native.documents.refusal = { code: 'malformed', message: 'a.pdf cannot be read as PDF: it is locked', hint: 'Save it anew.' };
    links.native.dropped?.(['/a.pdf']);
    await settle();
    expect(find('document-refused').getAttribute('role')).toBe('alert');
    expect(find('document-refused').textContent).toContain('a.pdf cannot be read as PDF: it is locked. Save it anew.');
  });
});

it('a page with no engine outside of it says where documents are searched', async () => {
  await unmount(app);
  document.body.replaceChildren();
  await start({ code: 'link', message: 'the connection was lost', hint: 'Try again.' });
  await show();
  expect(find('document-failure').textContent).toContain('hearth serve');
  expect(all('document-zone')).toHaveLength(0);
});
