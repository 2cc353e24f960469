// @vitest-environment happy-dom
import { clearMocks, mockIPC } from '@tauri-apps/api/mocks';
import { afterEach, describe, expect, it } from 'vitest';

import { createLinks } from './links';
import { NativeLink } from './native';
import type { Event, EventEnvelope } from './protocol.gen';

interface Told {
  readonly envelope: { readonly id: number; readonly request: { readonly type: string } };
  readonly channel: { readonly id: number };
}

interface TauriWindow {
  isTauri?: boolean;
  __TAURI_INTERNALS__: {
    runCallback: (id: number, message: unknown) => void;
    convertFileSrc: (path: string, protocol: string) => string;
  };
}

const tauri = window as unknown as TauriWindow;

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

afterEach(() => {
  clearMocks();
  delete tauri.isTauri;
});

describe('NativeLink', () => {
  it('hands each request to the one command, with a channel of its own', async () => {
    const told: Told[] = [];
    mockIPC((command, payload) => {
      expect(command).toBe('hearth');
      told.push(payload as unknown as Told);
    });
    const link = new NativeLink();
    await link.open();
    const events = collect(link.send({ type: 'unload' }));
    const more = collect(link.send({ type: 'unload' }));
    expect(told.map(({ envelope }) => envelope)).toEqual([
      { id: 1, request: { type: 'unload' } },
      { id: 2, request: { type: 'unload' } },
    ]);
    expect(told[0]?.channel.id).not.toBe(told[1]?.channel.id);

    const say = (at: number, message: unknown): void => {
      tauri.__TAURI_INTERNALS__.runCallback(told[at]?.channel.id ?? 0, { index: 0, message });
    };
    say(1, { id: 2, event: { type: 'unloaded' } } satisfies EventEnvelope);
    say(0, { nonsense: true });
    expect(await more).toEqual([{ type: 'unloaded' }]);
    expect(await events).toEqual([expect.objectContaining({ type: 'failed', code: 'link' })]);
  });

  it('passes on why the app refused a request', async () => {
    mockIPC(() => {
      // Tauri rejects with a text when a command or its arguments are not allowed.
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw 'hearth not allowed';
    });
    expect(await collect(new NativeLink().send({ type: 'probe' }))).toEqual([
      expect.objectContaining({ type: 'failed', code: 'link', message: 'hearth not allowed' }),
    ]);
  });

  it('tells what is dropped on the window, until it is told to stop', async () => {
    const asked: string[] = [];
    const handlers = new Map<string, number>();
    mockIPC((command, payload) => {
      asked.push(command);
      if (command !== 'plugin:event|listen') return undefined;
      const { event, handler } = payload as { event: string; handler: number };
      handlers.set(event, handler);
      return handlers.size;
    });
    const said: (boolean | readonly string[])[] = [];
    const stop = new NativeLink().onDrop(
      (paths) => said.push(paths),
      (isOver) => said.push(isOver),
    );
    await Promise.resolve();
    const happens = (event: string, payload: unknown): void => {
      tauri.__TAURI_INTERNALS__.runCallback(handlers.get(event) ?? 0, { event, id: 7, payload });
    };
    happens('tauri://drag-enter', { paths: ['/models/a.gguf'], position: { x: 1, y: 2 } });
    happens('tauri://drag-leave', null);
    happens('tauri://drag-enter', { paths: ['/models/a.gguf'], position: { x: 1, y: 2 } });
    happens('tauri://drag-drop', { paths: ['/models/a.gguf'], position: { x: 1, y: 2 } });
    expect(said).toEqual([true, false, true, false, ['/models/a.gguf']]);
    expect(asked).toEqual(['plugin:event|listen', 'plugin:event|listen', 'plugin:event|listen']);
    stop();
  });

  it("opens the system's dialog, and gives the path or nothing", async () => {
    const asked: unknown[] = [];
    const answers: unknown[] = ['/models/a.gguf', null];
    mockIPC((command, payload) => {
      expect(command).toBe('plugin:dialog|open');
      asked.push(payload);
      return answers.shift();
    });
    const link = new NativeLink();
    expect([await link.choosePath('file'), await link.choosePath('folder')]).toEqual(['/models/a.gguf', undefined]);
    expect(asked).toMatchObject([
      { options: { directory: false, multiple: false, filters: [{ extensions: ['gguf', 'safetensors', 'json'] }] } },
      { options: { directory: true, multiple: false, filters: [] } },
    ]);
    mockIPC(() => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw 'dialog.open not allowed';
    });
    await expect(link.choosePath('file')).rejects.toMatchObject({ failure: { code: 'link' } });
  });

  it('gives the paths of the documents that are chosen', async () => {
    const answers: unknown[] = [['/home/me/a.pdf', '/home/me/b.md'], null];
    const asked: unknown[] = [];
    mockIPC((command, payload) => {
      expect(command).toBe('plugin:dialog|open');
      asked.push(payload);
      return answers.shift();
    });
    const link = new NativeLink();
    expect([await link.chooseDocuments(), await link.chooseDocuments()]).toEqual([['/home/me/a.pdf', '/home/me/b.md'], []]);
    expect(asked[0]).toMatchObject({ options: { directory: false, multiple: true } });
  });

  it('fails what is open when it is closed', async () => {
    mockIPC(() => undefined);
    const link = new NativeLink();
    const events = collect(link.send({ type: 'probe' }));
    link.close();
    expect(await events).toEqual([expect.objectContaining({ type: 'failed', code: 'link' })]);
  });
});

describe('createLinks', () => {
  it('takes the app where the page is in one, and a server elsewhere', () => {
    expect(createLinks('http://127.0.0.1:8080/', true).native.kind).toBe('socket');
    mockIPC(() => undefined);
    tauri.isTauri = true;
    tauri.__TAURI_INTERNALS__.convertFileSrc = (path, protocol) => `${protocol}://localhost/${path}`;
    const links = createLinks('tauri://localhost/', true);
    expect(links.native.kind).toBe('native');
    expect(links.webview.kind).toBe('worker');
  });
});
