import { beforeEach, describe, expect, it, vi } from 'vitest';

import { fakeDocument, fakePassage } from '../link/fake_documents';
import type { Failure } from '../link/protocol.gen';
import { DocumentShelf } from './documents.svelte';
import { setUp, turnOver, types } from './session.rig';
import { readConversation } from './store';

type Rig = ReturnType<typeof setUp>;

/** Node has no FileReader; this is what is used of a browser's. */
class Reader extends EventTarget {
  result: string | null = null;

  readAsDataURL(file: File): void {
    void file.arrayBuffer().then((bytes) => {
      this.result = `data:text/plain;base64,${Buffer.from(bytes).toString('base64')}`;
      this.dispatchEvent(new Event('load'));
    });
  }
}

beforeEach(() => {
  vi.stubGlobal('FileReader', Reader);
});

function shelfOf(rig: Rig): DocumentShelf {
  return new DocumentShelf(rig.session, { webview: rig.webview, native: rig.native });
}

async function opened(rig: Rig = setUp()): Promise<DocumentShelf> {
  const shelf = shelfOf(rig);
  await shelf.open();
  return shelf;
}

/** A promise, and what fulfils it. */
function held(): { hold: Promise<void>; release: () => void } {
  let release: () => void = () => undefined;
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { hold, release };
}

describe('DocumentShelf', () => {
  it('asks the engine outside of the page, whichever route the conversation takes', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    rig.native.documents.documents = [fakeDocument()];
    const shelf = await opened(rig);
    expect(shelf.list?.documents.map(({ name }) => name)).toEqual(['tale.md']);
    expect([shelf.model, shelf.strangers]).toEqual(['all-MiniLM-L6-v2', 0]);
    expect(types(rig.webview)).not.toContain('documents');
  });

  it('says where documents are to be had if there is no such engine', async () => {
    const absent: Failure = { code: 'link', message: 'the connection to the server was lost', hint: 'Try again.' };
    const shelf = await opened(setUp({ native: absent }));
    expect(shelf.list).toBeUndefined();
    expect(shelf.failure?.message).toContain('no engine outside');
    expect(shelf.failure?.hint).toContain('hearth serve');
  });

  it('adds files one after another, as bytes, and tells how far it is', async () => {
    const rig = setUp();
    const shelf = await opened(rig);
    const { hold, release } = held();
    rig.native.documents.hold = hold;
    const adding = shelf.addFiles([new File(['The ship'], 'a.txt'), new File(['# B'], 'b.md')]);
    await turnOver();
    await vi.waitFor(() => {
      expect(shelf.adding?.progress?.done_chunks).toBe(2);
    });
    expect(shelf.adding).toMatchObject({ name: 'a.txt', place: 1, count: 2 });
    // What comes meanwhile waits behind them.
    await shelf.addPaths(['/home/me/c.pdf']);
    release();
    await adding;
    expect(shelf.adding).toBeUndefined();
    expect(shelf.list?.documents.map(({ name }) => name)).toEqual(['a.txt', 'b.md', 'c.pdf']);
    expect(shelf.said).toBe('c.pdf can be searched now.');
    const contents = rig.native.requests.flatMap((request) => (request.type === 'add_document' ? [request.content] : []));
    expect(contents).toEqual([
      { kind: 'bytes', name: 'a.txt', base64: 'VGhlIHNoaXA=' },
      { kind: 'bytes', name: 'b.md', base64: 'IyBC' },
      { kind: 'path', path: '/home/me/c.pdf' },
    ]);
  });

  it('stops an addition and drops those that wait', async () => {
    const rig = setUp();
    const shelf = await opened(rig);
    const { hold, release } = held();
    rig.native.documents.hold = hold;
    const adding = shelf.addPaths(['/a.txt', '/b.txt']);
    await turnOver();
    shelf.stopAdding();
    release();
    await adding;
    expect([shelf.adding, shelf.refused, shelf.list?.documents]).toEqual([undefined, [], []]);
    expect(types(rig.native).filter((type) => type === 'add_document')).toHaveLength(1);
  });

  it('keeps what was refused in view, and sends nothing that is too large', async () => {
    const rig = setUp();
    const shelf = await opened(rig);
    await shelf.addFiles([new File(['x'.repeat(1001)], 'large.txt')]);
    expect(shelf.refused[0]?.failure.message).toContain('large.txt has 1001 B, but a page sends at most 1000 B');
    expect(types(rig.native)).not.toContain('add_document');
    rig.native.documents.refusal = { code: 'malformed', message: 'a.pdf cannot be read as PDF', hint: 'Save it anew.' };
    await shelf.addText('Some words');
    expect(shelf.refused.map(({ name }) => name)).toEqual(['Some words.txt']);
    const [refused] = shelf.refused;
    if (refused !== undefined) shelf.dismiss(refused);
    expect(shelf.refused).toEqual([]);
  });

  it('searches, chooses the nearest, and lays them beside the next message', async () => {
    const rig = setUp({ answer: 'It left in the night [1].' });
    await rig.session.start();
    rig.session.set({ mode: 'text' });
    const passages = [1, 2, 3, 4].map((id) => fakePassage({ document_id: id, text: `Passage ${id}` }));
    rig.native.documents.documents = [fakeDocument()];
    rig.native.documents.passages = passages;
    const shelf = await opened(rig);
    await shelf.search('  Where did the ship go? ');
    expect([shelf.asked, shelf.isSearching, shelf.chosen]).toEqual(['Where did the ship go?', false, [0, 1, 2]]);
    shelf.choose(1, false);
    shelf.cite();
    expect(shelf.cited).toEqual([passages[0], passages[2]]);
    expect(rig.session.settings.mode).toBe('chat');
    rig.session.send(shelf.asked, 'chat', shelf.take());
    expect(shelf.cited).toEqual([]);
    await rig.settled();
    const sent = [...rig.webview.requests, ...rig.native.requests].find(({ type }) => type === 'generate');
    const prompt = sent?.type === 'generate' && sent.prompt.kind === 'chat' ? sent.prompt.messages[0]?.content : '';
    expect(prompt).toContain('[1] tale.md, The sea\nPassage 1');
    expect(prompt).toContain('[2] tale.md, The sea\nPassage 3');
    // The conversation shows the question alone, and keeps the passages, also over a reload.
    const kept = readConversation(JSON.parse(rig.kept.get('hearth.v1.conversation') ?? ''));
    for (const { messages } of [rig.session.conversation, kept]) {
      expect(messages[0]).toMatchObject({ content: 'Where did the ship go?', sources: [passages[0], passages[2]] });
    }
  });

  it('forgets stored passages that are none', () => {
    const stored = { messages: [{ role: 'user', content: 'a', sources: [fakePassage(), { text: 'b' }, null] }, { role: 'user', content: 'c', sources: 7 }] };
    const { messages } = readConversation(stored);
    expect(messages.map((message) => (message.role === 'user' ? message.sources : []))).toEqual([[fakePassage()], undefined]);
  });

  it('lets a newer search take the place of one that is under way', async () => {
    const rig = setUp();
    const shelf = await opened(rig);
    const { hold, release } = held();
    rig.native.documents.hold = hold;
    const first = shelf.search('one');
    await turnOver();
    expect(shelf.searching?.stage).toBe('loading_model');
    const second = shelf.search('two');
    release();
    await Promise.all([first, second]);
    expect([shelf.asked, shelf.found?.passages.length, shelf.isSearching]).toEqual(['two', 1, false]);
  });

  it('takes what was found and laid beside the message away with its document', async () => {
    const rig = setUp();
    rig.native.documents.documents = [fakeDocument(), fakeDocument({ id: 2, name: 'b.txt' })];
    const shelf = await opened(rig);
    await shelf.search('Where?');
    shelf.cite();
    await shelf.remove(1);
    expect([shelf.found, shelf.cited, shelf.list?.documents.length]).toEqual([undefined, [], 1]);
  });

  it('names a model only if the person chose one, and tells of documents of another', async () => {
    const rig = setUp();
    rig.native.documents.models = ['all-MiniLM-L6-v2', 'bge-small'];
    rig.native.documents.documents = [fakeDocument()];
    const shelf = await opened(rig);
    await shelf.search('Where?');
    shelf.model = 'bge-small';
    expect([shelf.found, shelf.strangers]).toEqual([undefined, 1]);
    await shelf.search('Where?');
    const models = rig.native.requests.flatMap((request) => (request.type === 'search_documents' ? [request.model] : []));
    expect(models).toEqual([undefined, 'bge-small']);
  });

  it('gives what is there vectors of another model, without the files', async () => {
    const rig = setUp();
    rig.native.documents.models = ['all-MiniLM-L6-v2', 'bge-small'];
    rig.native.documents.documents = [fakeDocument(), fakeDocument({ id: 2, name: 'b.txt' })];
    const shelf = await opened(rig);
    shelf.model = 'bge-small';
    expect(shelf.strangers).toBe(2);
    const renewal = shelf.renew();
    expect(shelf.renewing?.stage).toBe('loading_model');
    await renewal;
    expect([shelf.strangers, shelf.renewing, shelf.renewalFailure]).toEqual([0, undefined, undefined]);
    expect(shelf.said).toContain('bge-small');
    expect(types(rig.native).filter((type) => type === 'add_document')).toEqual([]);
  });

  it('stops in the middle of that, and shows what is done', async () => {
    const rig = setUp();
    rig.native.documents.models = ['all-MiniLM-L6-v2', 'bge-small'];
    rig.native.documents.documents = [fakeDocument(), fakeDocument({ id: 2, name: 'b.txt' })];
    const shelf = await opened(rig);
    shelf.model = 'bge-small';
    let release: () => void = () => undefined;
    rig.native.documents.hold = new Promise((resolve) => {
      release = resolve;
    });
    const renewal = shelf.renew();
    shelf.stopRenewal();
    release();
    await renewal;
    expect([shelf.strangers, shelf.renewing, shelf.renewalFailure]).toEqual([2, undefined, undefined]);
  });
});
