import { afterEach, describe, expect, it, vi } from 'vitest';

import type { Event } from './protocol.gen';
import { SocketLink, socketUrl } from './socket';
import type { SocketPort } from './socket';

class PuppetSocket {
  readonly heard: string[] = [];
  readonly target = new EventTarget();
  closed = false;

  readonly port: SocketPort = {
    send: (text) => {
      if (typeof text === 'string') this.heard.push(text);
    },
    close: () => {
      this.closed = true;
    },
    addEventListener: this.target.addEventListener.bind(this.target),
  };

  dispatch(type: 'open' | 'close'): void {
    this.target.dispatchEvent(new globalThis.Event(type));
  }

  say(data: string): void {
    this.target.dispatchEvent(new MessageEvent('message', { data }));
  }
}

function linkTo(socket: PuppetSocket): SocketLink {
  return new SocketLink({ url: 'ws://127.0.0.1:8080/v1/link', connect: () => socket.port, timeoutMs: 1000 });
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = [];
  for await (const event of events) all.push(event);
  return all;
}

afterEach(() => {
  vi.useRealTimers();
});

describe('SocketLink', () => {
  it('speaks JSON envelopes both ways', async () => {
    const socket = new PuppetSocket();
    const link = linkTo(socket);
    const opening = link.open();
    socket.dispatch('open');
    await opening;
    const events = collect(link.send({ type: 'unload' }));
    expect(socket.heard).toEqual(['{"id":1,"request":{"type":"unload"}}']);
    socket.say('{"id":1,"event":{"type":"unloaded"}}');
    expect(await events).toEqual([{ type: 'unloaded' }]);
  });

  it('fails to open where nobody answers', async () => {
    const socket = new PuppetSocket();
    const opening = linkTo(socket).open();
    socket.dispatch('close');
    await expect(opening).rejects.toMatchObject({ failure: { code: 'link' } });
  });

  it('gives up on a server that stays silent', async () => {
    vi.useFakeTimers();
    const socket = new PuppetSocket();
    const opening = linkTo(socket).open();
    const outcome = expect(opening).rejects.toMatchObject({ failure: { message: 'the server did not answer' } });
    await vi.advanceTimersByTimeAsync(1000);
    await outcome;
    expect(socket.closed).toBe(true);
  });

  it.each(['no json', '{"id":"1"}', '{"id":1,"event":{}}', 'null'])('fails everything on %s', async (data) => {
    const socket = new PuppetSocket();
    const link = linkTo(socket);
    const opening = link.open();
    socket.dispatch('open');
    await opening;
    const events = collect(link.send({ type: 'probe' }));
    socket.say(data);
    expect(await events).toEqual([expect.objectContaining({ type: 'failed', code: 'link' })]);
    expect(socket.closed).toBe(true);
  });

  it('fails what is open when the connection is lost', async () => {
    const socket = new PuppetSocket();
    const link = linkTo(socket);
    const opening = link.open();
    socket.dispatch('open');
    await opening;
    const events = collect(link.send({ type: 'probe' }));
    socket.dispatch('close');
    expect(await events).toEqual([
      expect.objectContaining({ type: 'failed', code: 'link', message: 'the connection to the server was lost' }),
    ]);
  });
});

describe('socketUrl', () => {
  it('follows the page', () => {
    expect(socketUrl('http://127.0.0.1:8080/chat/?route=native-cpu')).toBe('ws://127.0.0.1:8080/v1/link');
    expect(socketUrl('https://example.org/')).toBe('wss://example.org/v1/link');
  });
});
