import { describe, expect, it } from 'vitest';

import type { FromWorker, ToWorker } from '../worker/messages';
import { fakeReport } from './fake';
import { linkFailure } from './failure';
import type { Event } from './protocol.gen';
import { WorkerLink } from './worker';
import type { WorkerPort } from './worker';

/** Stands in for the worker: notes what it is told, and says what the test wants. */
class PuppetWorker {
  readonly heard: ToWorker[] = [];
  readonly target = new EventTarget();
  terminated = false;

  readonly port: WorkerPort = {
    postMessage: (message: ToWorker) => {
      this.heard.push(message);
    },
    terminate: () => {
      this.terminated = true;
    },
    addEventListener: this.target.addEventListener.bind(this.target),
  };

  say(message: FromWorker): void {
    this.target.dispatchEvent(new MessageEvent('message', { data: message }));
  }

  crash(message: string): void {
    this.target.dispatchEvent(Object.assign(new globalThis.Event('error', { cancelable: true }), { message }));
  }
}

function linkTo(...workers: PuppetWorker[]): WorkerLink {
  const left = [...workers];
  return new WorkerLink({
    allowGpu: true,
    modelBase: 'https://example.org/models',
    spawn: () => {
      const next = left.shift();
      if (next === undefined) throw new Error('no worker is left');
      return next.port;
    },
  });
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('WorkerLink', () => {
  it('passes the wish for threads on', () => {
    const worker = new PuppetWorker();
    const link = new WorkerLink({ allowGpu: false, modelBase: '/models', threads: 2, spawn: () => worker.port });
    void link.open();
    expect(worker.heard).toEqual([{ kind: 'open', allowGpu: false, modelBase: '/models', threads: 2 }]);
  });

  it('opens once, and carries requests and events', async () => {
    const worker = new PuppetWorker();
    const link = linkTo(worker);
    const opening = link.open();
    expect(link.open()).toBe(opening);
    expect(worker.heard).toEqual([{ kind: 'open', allowGpu: true, modelBase: 'https://example.org/models' }]);
    worker.say({ kind: 'opened' });
    await opening;

    const events = collect(link.send({ type: 'probe' }));
    expect(worker.heard[1]).toEqual({ kind: 'request', envelope: { id: 1, request: { type: 'probe' } } });
    const probed: Event = { type: 'probed', ...fakeReport() };
    worker.say({ kind: 'event', envelope: { id: 1, event: probed } });
    expect(await events).toEqual([probed]);
  });

  it('says why it could not start', async () => {
    const worker = new PuppetWorker();
    const opening = linkTo(worker).open();
    const failure = linkFailure('the engine in this page could not start: no SIMD', 'Update the browser.');
    worker.say({ kind: 'died', failure });
    await expect(opening).rejects.toMatchObject({ failure });
    expect(worker.terminated).toBe(true);
  });

  it('fails what is open when the worker dies, and starts another', async () => {
    const [first, second] = [new PuppetWorker(), new PuppetWorker()];
    const link = linkTo(first, second);
    const opening = link.open();
    first.say({ kind: 'opened' });
    await opening;
    const events = collect(link.send({ type: 'unload' }));
    first.crash('unreachable');
    expect(await events).toEqual([
      expect.objectContaining({ type: 'failed', code: 'link', message: 'the engine in this page stopped: unreachable' }),
    ]);
    expect(first.terminated).toBe(true);

    const again = link.open();
    second.say({ kind: 'opened' });
    await again;
    const unloaded = collect(link.send({ type: 'unload' }));
    // What the first worker still had to say belongs to no one.
    first.say({ kind: 'event', envelope: { id: 2, event: { type: 'cancelling' } } });
    second.say({ kind: 'event', envelope: { id: 2, event: { type: 'unloaded' } } });
    expect(await unloaded).toEqual([{ type: 'unloaded' }]);
  });

  it('hands over chosen files as they are, and again to the next worker while they are listed', async () => {
    const workers = [new PuppetWorker(), new PuppetWorker(), new PuppetWorker()] as const;
    const link = linkTo(...workers);
    const [config, weights] = [new File(['{}'], 'config.json'), new File(['w'], 'model.safetensors')];
    link.open().catch(() => undefined);
    const path = link.offer([
      { path: 'config.json', file: config },
      { path: 'model.safetensors', file: weights },
    ]);
    const files = { kind: 'files', key: path, paths: ['config.json', 'model.safetensors'], files: [config, weights] };
    expect(workers[0].heard[1]).toEqual({ ...files, name: undefined });
    const adding = collect(link.send({ type: 'add_model', path }));
    workers[0].say({ kind: 'event', envelope: { id: 1, event: { type: 'model_added', model: 'chosen-files' } } });
    await adding;

    link.close();
    link.open().catch(() => undefined);
    expect(workers[1].heard.slice(1)).toEqual([{ ...files, name: 'chosen-files' }]);
    const removing = collect(link.send({ type: 'remove_model', model: 'chosen-files' }));
    workers[1].say({ kind: 'event', envelope: { id: 2, event: { type: 'model_removed', model: 'chosen-files' } } });
    await removing;

    link.close();
    link.open().catch(() => undefined);
    expect(workers[2].heard).toHaveLength(1);
  });

  it('fails a request while nothing runs', async () => {
    expect(await collect(linkTo().send({ type: 'probe' }))).toEqual([
      expect.objectContaining({ type: 'failed', code: 'link' }),
    ]);
  });
});
