import { describe, expect, it } from 'vitest';

import { fakeReport } from '../link/fake';
import { linkFailure } from '../link/failure';
import { contents, firstToken, setUp, turnOver, types } from './session.rig';

describe('starting', () => {
  it('probes both engines, chooses a route and loads the model', async () => {
    const { session, webview, native } = setUp();
    await session.start();
    expect(session.status).toMatchObject({ name: 'ready', loaded: { route: 'native-gpu' } });
    expect(session.choice?.route).toBe('native-gpu');
    expect(types(webview)).toEqual(['probe']);
    expect(native.requests).toEqual([{ type: 'probe' }, { type: 'load', model: '', device: 'gpu' }]);
  });

  it('does without a native engine', async () => {
    const { session } = setUp({ native: linkFailure('closed', '') });
    await session.start();
    expect(session.loaded?.route).toBe('webview-cpu');
    expect(session.options.find(({ route }) => route === 'native-cpu')?.why).toContain('no native engine');
  });

  it('refuses an engine that speaks another version', async () => {
    const { session } = setUp({ native: fakeReport({ protocol_version: 99 }) });
    await session.start();
    expect(session.loaded?.route).toBe('webview-cpu');
    expect(session.options.find(({ route }) => route === 'native-cpu')?.why).toContain('version 99');
  });

  it('takes the route that the address asks for, without keeping it', async () => {
    const { session, kept } = setUp({ route: 'webview-cpu' });
    await session.start();
    expect(session.loaded?.route).toBe('webview-cpu');
    expect(session.asked).toBe('webview-cpu');
    expect(session.choice?.reason).toContain('address');
    expect(kept.has('hearth.v1.settings')).toBe(false);
  });

  it('says that nothing can run, and tries again from the start', async () => {
    const dead = linkFailure('no SIMD', 'update');
    const { session, native } = setUp({ webview: dead, native: dead });
    await session.start();
    expect(session.status).toMatchObject({ name: 'failed', failure: { code: 'no_device' } });
    expect(session.status.name === 'failed' && session.status.failure.message).toContain('no SIMD');
    session.retry();
    expect(session.status.name).toBe('failed');
    await turnOver();
    expect(session.status.name).toBe('failed');
    expect(native.requests).toEqual([]);
  });

  it('loads again when loading failed', async () => {
    const { session, failures, settled } = setUp();
    failures.set('load', { code: 'io', message: 'reading failed', hint: 'try again' });
    await session.start();
    expect(session.status).toMatchObject({ name: 'failed', phase: 'load' });
    failures.clear();
    session.retry();
    await turnOver();
    await settled();
    expect(session.status.name).toBe('ready');
  });
});

describe('talking', () => {
  it('streams an answer into the conversation, and keeps it', async () => {
    const { session, kept, gates } = setUp();
    await session.start();
    gates.token.close();
    session.send('  Hello!  ');
    await gates.token.reached;
    expect(session.status.name).toBe('generating');
    expect(session.conversation.messages[1]).toMatchObject({ role: 'assistant', state: 'streaming' });
    gates.token.open();
    await turnOver();
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
    expect(session.conversation.messages[1]).toMatchObject({ state: 'complete', stats: { tokens: 5 } });
    expect(session.spoken).toEqual(['Good evening.', 'How are you?']);
    expect(kept.get('hearth.v1.conversation')).toContain('How are you?');
  });

  it('sends nothing for nothing', async () => {
    const { session } = setUp();
    await session.start();
    session.send(' \n ');
    expect(session.conversation.messages).toEqual([]);
  });

  it('answers a question that came while the model was loading', async () => {
    const { session, gates } = setUp();
    gates.load.close();
    const started = session.start();
    await gates.load.reached;
    session.send('Hello!');
    expect(session.waiting).toBe(true);
    gates.load.open();
    await started;
    expect(session.waiting).toBe(false);
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
  });

  it('stops, and keeps what was written', async () => {
    const { session, gates } = setUp();
    await session.start();
    gates.token.close();
    session.send('Hello!');
    await gates.token.reached;
    session.stop();
    expect(session.status).toMatchObject({ name: 'generating', stopping: true });
    gates.token.open();
    await turnOver();
    expect(session.status.name).toBe('ready');
    expect(session.conversation.messages[1]).toMatchObject({ state: 'stopped' });
  });

  it('regenerates the last answer', async () => {
    const { session, native } = setUp();
    await session.start();
    session.send('Hello!');
    await turnOver();
    session.regenerate();
    await turnOver();
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
    const asked = native.requests.filter((request) => request.type === 'generate');
    expect(asked).toHaveLength(2);
    expect(asked[1]).toEqual(asked[0]);
  });

  it('sends the settings along', async () => {
    const { session, native } = setUp();
    await session.start();
    session.set({ greedy: true, maxTokens: 64, mode: 'text' });
    session.send('It was dark');
    await turnOver();
    expect(native.requests.at(-1)).toMatchObject({
      type: 'generate',
      prompt: { kind: 'text', text: 'It was dark' },
      max_tokens: 64,
      sampling: { temperature: 0 },
    });
  });

  it('says why an answer failed, and gives another', async () => {
    const { session, failures } = setUp();
    await session.start();
    failures.set('generate', { code: 'device_lost', message: 'the device was lost', hint: 'try again' });
    session.send('Hello!');
    await turnOver();
    expect(session.status).toMatchObject({ name: 'failed', phase: 'generate', loaded: undefined });
    expect(contents(session)).toEqual(['Hello!']);
    failures.clear();
    session.retry();
    await turnOver();
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
  });

  it('makes room when the conversation no longer fits', async () => {
    const { session, failures, native } = setUp();
    await session.start();
    for (const question of ['One?', 'Two?', 'Three?']) {
      session.send(question);
      await turnOver();
    }
    failures.set('generate', { code: 'prompt_too_long', message: 'too long', hint: 'shorten it' });
    session.send('Four?');
    await turnOver();
    expect(session.status).toMatchObject({ name: 'failed', loaded: { route: 'native-gpu' } });
    failures.clear();
    session.forgetAndRetry();
    await turnOver();
    const last = native.requests.at(-1);
    const prompt = last?.type === 'generate' ? last.prompt : undefined;
    expect(prompt?.kind === 'chat' && prompt.messages[0]?.content).toBe('Three?');
    expect(contents(session)[0]).toBe('One?');
    expect(session.status.name).toBe('ready');
  });
});

describe('a new chat', () => {
  it('leaves a failure behind, or loads the model again if that is gone', async () => {
    const { session, failures } = setUp();
    await session.start();
    failures.set('generate', { code: 'prompt_too_long', message: 'too long', hint: 'shorten it' });
    session.send('Hello!');
    await turnOver();
    session.newChat();
    expect(session.status.name).toBe('ready');

    failures.set('generate', { code: 'device_lost', message: 'lost', hint: 'try again' });
    session.send('Hello!');
    await turnOver();
    session.newChat();
    expect(session.status.name).toBe('failed');
    session.retry();
    await turnOver();
    expect(session.status.name).toBe('ready');
    expect(session.conversation.messages).toEqual([]);
  });

  it('starts empty and can be taken back', async () => {
    const { session, kept } = setUp();
    await session.start();
    session.send('Hello!');
    await turnOver();
    session.newChat();
    expect(session.conversation.messages).toEqual([]);
    expect(kept.has('hearth.v1.conversation')).toBe(false);
    session.bringBack();
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
    expect(session.previous).toBeUndefined();
  });

  it('leaves the answer to the old one behind', async () => {
    const frames: (() => void)[] = [];
    const { session, gates } = setUp({ frames });
    await session.start();
    await firstToken(session, gates.token);
    // The first words wait for their picture, and the rest for the engine, when the person has had enough.
    expect(frames).toHaveLength(1);
    session.newChat();
    session.bringBack();
    expect(session.conversation.messages[1]).toMatchObject({ role: 'assistant', state: 'stopped' });
    const before = session.conversation;
    for (const draw of frames) draw();
    gates.token.open();
    await turnOver();
    expect(session.status.name).toBe('ready');
    expect(session.conversation).toBe(before);
    expect(session.spoken).toEqual([]);
  });

  it('can be asked at once', async () => {
    const { session, gates } = setUp();
    await session.start();
    gates.token.close();
    session.send('Hello!');
    await gates.token.reached;
    session.newChat();
    session.send('And now?');
    gates.token.open();
    await turnOver();
    expect(contents(session)).toEqual(['And now?', 'Good evening. How are you?']);
    expect(session.conversation.messages[1]).toMatchObject({ state: 'complete' });
  });
});

describe('switching the route', () => {
  it('moves the model and keeps the conversation', async () => {
    const { session, webview, native, settled, kept } = setUp();
    await session.start();
    session.send('Hello!');
    await turnOver();
    session.switchRoute('webview-cpu');
    await turnOver();
    await settled();
    expect(session.loaded?.route).toBe('webview-cpu');
    expect(session.choice).toEqual({ route: 'webview-cpu', reason: 'you chose it' });
    expect(types(native).at(-1)).toBe('unload');
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
    expect(kept.get('hearth.v1.settings')).toContain('webview-cpu');

    session.switchRoute(undefined);
    await turnOver();
    expect(session.loaded?.route).toBe('native-gpu');
    expect(webview.closed).toBeGreaterThan(0);
  });

  it('stops an answer on the way, and keeps what was written', async () => {
    const { session, gates } = setUp();
    await session.start();
    gates.token.close();
    session.send('Hello!');
    await gates.token.reached;
    session.switchRoute('native-cpu');
    gates.token.open();
    await turnOver();
    expect(session.loaded?.route).toBe('native-cpu');
    expect(session.conversation.messages[1]).toMatchObject({ role: 'assistant', state: 'stopped' });
  });

  it('does nothing when the model is already there', async () => {
    const { session, native } = setUp();
    await session.start();
    const before = native.requests.length;
    session.switchRoute('native-gpu');
    await turnOver();
    expect(native.requests).toHaveLength(before);
    expect(session.choice?.reason).toBe('you chose it');
  });

  it('offers another route when one fails', async () => {
    const { session, failures } = setUp();
    failures.set('load', { code: 'out_of_memory', message: 'too big', hint: 'use the CPU' });
    await session.start();
    expect(session.alternative?.route).toBe('native-cpu');
    failures.clear();
    session.switchRoute('native-cpu');
    await turnOver();
    expect(session.loaded?.route).toBe('native-cpu');
  });

  it('counts more than the address from then on', async () => {
    const { session } = setUp({ route: 'webview-cpu' });
    await session.start();
    session.switchRoute('native-cpu');
    await turnOver();
    expect(session.loaded?.route).toBe('native-cpu');
  });
});

describe('a reload', () => {
  it('brings the conversation and the settings back', async () => {
    const first = setUp();
    await first.session.start();
    first.session.set({ temperature: 1.2, theme: 'dark' });
    first.session.send('Hello!');
    await turnOver();
    const second = setUp({ kept: first.kept });
    expect(contents(second.session)).toEqual(['Hello!', 'Good evening. How are you?']);
    expect(second.session.settings).toMatchObject({ temperature: 1.2, theme: 'dark' });
  });

  it('brings the half of an answer back that was there', async () => {
    const { session, gates, kept } = setUp({ answer: 'Good evening to you all.' });
    await session.start();
    await firstToken(session, gates.token);
    session.save();
    gates.token.open();
    expect(setUp({ kept }).session.conversation.messages.at(-1)).toMatchObject({ content: 'Good', state: 'stopped' });
  });
});

describe('another model', () => {
  it('may be stopped on its way, and gives way to the one before', async () => {
    const { session, gates, settled, native } = setUp();
    await session.start();
    gates.load.close();
    session.useModel('large', { context_tokens: 512, kv_cache: 'int4' });
    await gates.load.reached;
    session.stopLoading();
    gates.load.open();
    await settled();
    expect(session.status).toMatchObject({ name: 'failed', phase: 'load', failure: { code: 'cancelled' } });
    expect(session.before?.model).toBe('hearth-tiny');
    session.goBack();
    await turnOver();
    await settled();
    expect(native.requests.at(-1)).toMatchObject({ type: 'load', model: 'hearth-tiny', context_tokens: 1024 });
    expect([session.loaded?.model, session.before]).toEqual(['hearth-tiny', undefined]);
  });

  it('is not stopped once it is there', async () => {
    const { session } = setUp();
    await session.start();
    session.stopLoading();
    session.send('Hello!');
    await turnOver();
    expect(contents(session)).toEqual(['Hello!', 'Good evening. How are you?']);
  });
});
