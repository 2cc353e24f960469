import { describe, expect, it } from 'vitest';

import type { Links } from '../link/links';
import { fakeModel } from '../link/fake_models';
import { fitText, obstacle } from '../text/model';
import { ModelShelf } from './models.svelte';
import { setUp, turnOver, types } from './session.rig';

function shelfOf(rig: ReturnType<typeof setUp>): ModelShelf {
  const links: Links = { webview: rig.webview, native: rig.native };
  return new ModelShelf(rig.session, links);
}

describe('ModelShelf', () => {
  it('looks at the model in use', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    await shelf.open();
    expect([shelf.selected, shelf.isLoaded, shelf.way]).toEqual(['hearth-tiny', true, 'files']);
    expect(shelf.outlook?.memory.context_tokens).toBe(1024);
    await shelf.plan(1500);
    expect([shelf.outlook?.memory.context_tokens, shelf.isLoaded]).toEqual([1500, false]);
    shelf.load();
    await turnOver();
    await rig.settled();
    expect(rig.webview.requests.at(-1)).toEqual({
      type: 'load',
      model: 'hearth-tiny',
      device: 'cpu',
      context_tokens: 1500,
    });
    await shelf.plan(undefined);
    await shelf.planCache('int4');
    expect(shelf.isLoaded).toBe(false);
    shelf.load();
    await turnOver();
    await rig.settled();
    expect(rig.webview.requests.at(-1)).toMatchObject({ type: 'load', kv_cache: 'int4' });
    expect([rig.session.wish.kv_cache, shelf.isLoaded]).toEqual(['int4', true]);
  });

  it('takes files in where the model runs in the page, and none where a server runs it', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    const files = [{ path: 'a.gguf', file: new File(['GGUF'], 'a.gguf') }];
    await shelf.addFiles(files);
    expect(rig.webview.offered).toEqual([files]);
    expect([shelf.selected, shelf.isAdded]).toEqual(['1', true]);
    await shelf.remove();
    expect([shelf.selected, shelf.isAdded]).toEqual(['hearth-tiny', false]);
    rig.session.switchRoute('native-cpu');
    await turnOver();
    await rig.settled();
    expect(shelf.way).toBe('server');
  });

  it('says what went wrong, and goes on', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    await shelf.open();
    rig.failures.set('inspect', { code: 'malformed', message: 'it is damaged', hint: 'Fetch it again.' });
    await shelf.plan(512);
    expect(shelf.failure).toEqual({ code: 'malformed', message: 'it is damaged', hint: 'Fetch it again.' });
    expect([shelf.busy, shelf.report?.context_tokens]).toEqual(['', 1024]);
    rig.failures.clear();
    await shelf.plan(512);
    expect([shelf.failure, shelf.report?.context_tokens]).toEqual([undefined, 512]);
    expect(types(rig.webview).filter((type) => type === 'load')).toHaveLength(1);
  });

  it('keeps nothing on the list that cannot be read, and says why', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    await shelf.open();
    const broken = { code: 'truncated', message: 'it is cut short', hint: 'Fetch it again.' } as const;
    rig.broken.set('1', broken);
    await shelf.addFiles([{ path: 'cut.gguf', file: new File(['GGUF'], 'cut.gguf') }]);
    expect([shelf.selected, shelf.failure, shelf.refusal]).toEqual(['hearth-tiny', undefined, broken]);
    expect(shelf.list?.models.map(({ name }) => name)).toEqual(['hearth-tiny']);
    expect([shelf.report?.model, shelf.isLoaded]).toEqual(['hearth-tiny', true]);
    rig.broken.clear();
    await shelf.addFiles(Promise.resolve([{ path: 'whole.gguf', file: new File(['GGUF'], 'whole.gguf') }]));
    expect([shelf.selected, shelf.refusal]).toEqual(['2', undefined]);
    await shelf.addFiles(Promise.reject(new Error('the folder went away')));
    expect([shelf.refusal?.message, shelf.busy, shelf.selected]).toEqual(['the folder went away', '', '2']);
  });

  it('refuses files that the engine cannot reach', async () => {
    const rig = setUp({ route: 'native-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    await shelf.addFiles([{ path: 'a.gguf', file: new File(['GGUF'], 'a.gguf') }]);
    expect([shelf.refusal?.code, rig.native.offered, rig.webview.offered]).toEqual(['not_allowed', [], []]);
  });

  it('takes the model in use off the list, and lets it answer on', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    await shelf.addFiles([{ path: 'a.gguf', file: new File(['GGUF'], 'a.gguf') }]);
    shelf.load();
    await turnOver();
    await rig.settled();
    expect(rig.session.loaded?.model).toBe('1');
    await shelf.remove();
    expect(shelf.said).toContain('It answers until another is loaded.');
    expect([rig.session.loaded?.model, rig.session.model]).toEqual(['1', '']);
  });

  it('shows the answer to the last question only', async () => {
    const rig = setUp({ route: 'webview-cpu' });
    await rig.session.start();
    const shelf = shelfOf(rig);
    await shelf.open();
    await Promise.all([shelf.plan(300), shelf.plan(400)]);
    expect(shelf.report?.context_tokens).toBe(400);
  });
});

describe('words about a model', () => {
  it('say what is needed, what is free and what would fit', () => {
    const words = (available: number): string => {
      const report = fakeModel({ context_tokens: 4096 }, available);
      const [outlook] = report.outlooks;
      return outlook === undefined ? '' : fitText(outlook.cpu, report);
    };
    expect(words(30e6)).toBe('22.5 MiB are needed, and 28.6 MiB are free.');
    expect(words(21e6)).toBe('22.5 MiB are needed, but 20.0 MiB are free. Up to 1\u202f500 tokens of context would fit.');
    expect(words(9e6)).toContain('choose a smaller model');
    expect(words(0)).toBe('22.5 MiB are needed. How much is free is not told here.');
  });

  it('count what the model in use frees', () => {
    const report = fakeModel({ context_tokens: 4096 }, 30e6);
    const cpu = report.outlooks[0]?.cpu;
    const words = cpu === undefined ? '' : fitText({ ...cpu, freed_bytes: 5e6 }, report);
    expect(words).toBe('22.5 MiB are needed, and 28.6 MiB are free once the model in use has made room.');
  });

  it('say why a model cannot hold a conversation', () => {
    expect(obstacle(fakeModel({}))).toBe('');
    expect(obstacle({ ...fakeModel({}), tasks: ['embed'] })).toContain('vectors');
    const unsupported = { code: 'unknown_architecture', message: 'mamba is not known', hint: 'Choose another.' } as const;
    expect(obstacle({ ...fakeModel({}), tasks: [], unsupported })).toBe('Mamba is not known. Choose another.');
  });
});
