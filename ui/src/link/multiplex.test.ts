import { describe, expect, it } from 'vitest';

import { fakeDone } from './fake';
import { linkFailure } from './failure';
import { Multiplexer } from './multiplex';
import type { Event, Failure, Request, RequestEnvelope } from './protocol.gen';

const PROBE: Request = { type: 'probe' };
const DONE: Event = { type: 'done', ...fakeDone('native-cpu') };
const FAILURE: Failure = linkFailure('gone', 'try again');

const token = (text: string): Event => ({ type: 'token', id: 7, text });

function multiplexer(): { requests: Multiplexer; posted: RequestEnvelope[] } {
  const posted: RequestEnvelope[] = [];
  const requests = new Multiplexer((envelope) => {
    posted.push(envelope);
  });
  return { requests, posted };
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('Multiplexer', () => {
  it('sorts the events of requests that run at the same time', async () => {
    const { requests, posted } = multiplexer();
    const first = collect(requests.send(PROBE));
    const second = collect(requests.send(PROBE));
    expect(posted.map(({ id }) => id)).toEqual([1, 2]);

    requests.receive({ id: 2, event: token('b') });
    requests.receive({ id: 1, event: token('a') });
    requests.receive({ id: 2, event: DONE });
    requests.receive({ id: 1, event: DONE });

    expect(await first).toEqual([token('a'), DONE]);
    expect(await second).toEqual([token('b'), DONE]);
    expect(requests.openCount).toBe(0);
  });

  it('keeps what comes before anyone listens', async () => {
    const { requests } = multiplexer();
    const events = requests.send(PROBE);
    requests.receive({ id: 1, event: token('a') });
    requests.receive({ id: 1, event: DONE });
    requests.receive({ id: 1, event: token('after the end') });
    expect(await collect(events)).toEqual([token('a'), DONE]);
  });

  it('cancels on abort, and hears the answer out', async () => {
    const { requests, posted } = multiplexer();
    const controller = new AbortController();
    const events = collect(requests.send(PROBE, { signal: controller.signal }));
    controller.abort();
    expect(posted[1]).toEqual({ id: 2, request: { type: 'cancel', target: 1 } });

    requests.receive({ id: 2, event: { type: 'cancelling' } });
    requests.receive({ id: 1, event: DONE });
    expect(await events).toEqual([DONE]);
    expect(requests.openCount).toBe(0);
  });

  it('cancels a request that was aborted before it was sent', () => {
    const { requests, posted } = multiplexer();
    requests.send(PROBE, { signal: AbortSignal.abort() });
    expect(posted.map(({ request }) => request.type)).toEqual(['probe', 'cancel']);
  });

  it('asks for nothing when a request is aborted after its end', async () => {
    const { requests, posted } = multiplexer();
    const controller = new AbortController();
    const events = collect(requests.send(PROBE, { signal: controller.signal }));
    requests.receive({ id: 1, event: DONE });
    await events;
    controller.abort();
    expect(posted).toHaveLength(1);
  });

  it('cancels when the reader leaves early', async () => {
    const { requests, posted } = multiplexer();
    requests.send(PROBE);
    const events = requests.send(PROBE);
    requests.receive({ id: 2, event: token('a') });
    for await (const event of events) {
      expect(event).toEqual(token('a'));
      break;
    }
    expect(posted.at(-1)).toEqual({ id: 3, request: { type: 'cancel', target: 2 } });
    expect(requests.openCount).toBe(1);
  });

  it('fails every open request when the transport is gone', async () => {
    const { requests } = multiplexer();
    const first = collect(requests.send(PROBE));
    const second = collect(requests.send(PROBE));
    requests.failAll(FAILURE);
    const failed = [{ type: 'failed', ...FAILURE }];
    expect(await first).toEqual(failed);
    expect(await second).toEqual(failed);
  });

  it.each([
    ['throws', (): void => { throw new Error('no way'); }],
    ['rejects', (): Promise<void> => Promise.reject(new Error('no way'))],
  ])('fails a request whose delivery %s', async (_, post) => {
    const events = await collect(new Multiplexer(post).send(PROBE));
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: 'failed', code: 'link', message: 'no way' });
  });

  it("passes an engine's own failure on when it refuses a request", async () => {
    const refusal: Failure = { code: 'busy', message: 'another answer is being written', hint: 'Wait.' };
    // Tauri rejects with what Rust returned, which is no Error.
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
    const requests = new Multiplexer(() => Promise.reject(refusal));
    expect(await collect(requests.send(PROBE))).toEqual([{ type: 'failed', ...refusal }]);
  });
});
