import { describe, expect, it } from 'vitest';

import type { Event } from '../link/protocol.gen';
import { benchRequest, measure, statusOf } from './bench';
import type { BenchStatus } from './bench';
import { setUp } from './session.rig';

async function started(): Promise<ReturnType<typeof setUp>> {
  const rig = setUp();
  await rig.session.start();
  return rig;
}

describe('a measurement', () => {
  it('frees the model, measures where it ran, and loads it again', async () => {
    const { session, native } = await started();
    const names: string[] = [];
    const before = session.loaded?.route;
    await measure(session, benchRequest('llama-1b', '', 'cpu'), new AbortController().signal, (status) => {
      names.push(status.name);
      if (status.name === 'running') expect(session.loaded).toBeUndefined();
    });
    expect(names.at(0)).toBe('running');
    expect(names.at(-1)).toBe('done');
    expect(native.requests.map((request) => request.type).slice(-2)).toEqual(['bench', 'load']);
    expect(session.loaded?.route).toBe(before);
  });

  it('stops when it is told to, and the model comes back', async () => {
    const { session } = await started();
    const stopper = new AbortController();
    let last: BenchStatus | undefined;
    await measure(session, benchRequest('model', '', 'cpu'), stopper.signal, (status) => {
      last = status;
      stopper.abort();
    });
    expect(last).toEqual({ name: 'idle' });
    expect(session.loaded).toBeDefined();
  });

  it('lets a question wait until the model is back', async () => {
    const { session, native } = await started();
    let asked = false;
    await measure(session, benchRequest('model', '', 'cpu'), new AbortController().signal, () => {
      if (asked) return;
      asked = true;
      session.send('Is it warm?');
    });
    expect(native.requests.map((request) => request.type).slice(-3)).toEqual(['bench', 'load', 'generate']);
    expect(session.conversation.messages.length).toBe(2);
  });

  it('shows a failure in its own words', () => {
    const failed: Event = { type: 'failed', code: 'out_of_memory', message: 'too large', hint: 'Take a smaller one.' };
    expect(statusOf(failed)).toEqual({ name: 'failed', failure: failed });
    expect(statusOf({ ...failed, code: 'cancelled' })).toEqual({ name: 'idle' });
    expect(statusOf({ type: 'unloaded' })).toBeUndefined();
  });
});
