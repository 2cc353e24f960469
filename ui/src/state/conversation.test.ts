import { describe, expect, it } from 'vitest';

import { fakeDone } from '../link/fake';
import * as talk from './conversation';
import type { Conversation } from './conversation';
import { readAddress } from './address';
import { DEFAULTS, readSettings, samplingOf } from './settings';
import { Store, readConversation } from './store';

const done = fakeDone('native-cpu');

function exchange(conversation: Conversation, question: string, answer: string): Conversation {
  const asked = talk.beginAnswer(talk.ask(conversation, question));
  return talk.endAnswer(talk.append(asked, answer), done);
}

const TWO = exchange(exchange(talk.EMPTY, 'one?', 'One.'), 'two?', 'Two.');

describe('conversation', () => {
  it('grows an answer and ends it', () => {
    let conversation = talk.beginAnswer(talk.ask(talk.EMPTY, 'hello'));
    conversation = talk.append(talk.append(conversation, 'Good '), 'evening.');
    expect(conversation.messages[1]).toMatchObject({ content: 'Good evening.', state: 'streaming' });
    expect(talk.endAnswer(conversation, done).messages[1]).toMatchObject({ state: 'complete', stats: done });
    expect(talk.endAnswer(conversation, { ...done, stop_reason: 'cancelled' }).messages[1]).toMatchObject({ state: 'stopped' });
    expect(talk.stopAnswer(conversation).messages[1]).toMatchObject({ state: 'stopped', content: 'Good evening.' });
  });

  it('keeps half an answer that failed, and drops an empty one', () => {
    const begun = talk.beginAnswer(talk.ask(talk.EMPTY, 'hello'));
    expect(talk.failAnswer(begun).messages).toHaveLength(1);
    expect(talk.failAnswer(talk.append(begun, 'Good')).messages[1]).toMatchObject({ state: 'failed', content: 'Good' });
  });

  it('takes the last answer back, but no question', () => {
    const back = talk.takeBack(TWO);
    expect(back.messages.map(({ content }) => content)).toEqual(['one?', 'One.', 'two?']);
    expect(talk.takeBack(back)).toBe(back);
    expect(talk.canAnswer(back)).toBe(true);
    expect(talk.canAnswer(talk.EMPTY)).toBe(false);
  });

  it('gives every message its own number', () => {
    const again = talk.beginAnswer(talk.takeBack(TWO));
    const ids = again.messages.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('keeps thoughts apart from the answer, and gives them back to the model', () => {
    let conversation = talk.beginAnswer(talk.ask(talk.EMPTY, 'two and two?'));
    conversation = talk.append(talk.think(talk.think(conversation, 'Both '), 'are two.'), 'Four.');
    expect(conversation.messages[1]).toMatchObject({ content: 'Four.', reasoning: 'Both are two.' });
    expect(talk.promptOf(talk.ask(conversation, 'sure?'))).toMatchObject({
      messages: [{}, { role: 'assistant', content: 'Four.', reasoning: 'Both are two.' }, { role: 'user', content: 'sure?' }],
    });
    const kept = readConversation(JSON.parse(JSON.stringify(talk.endAnswer(conversation, done))));
    expect(kept.messages[1]).toMatchObject({ content: 'Four.', reasoning: 'Both are two.' });
    const thoughtOnly = talk.failAnswer(talk.think(talk.beginAnswer(talk.ask(talk.EMPTY, 'a?')), 'Hm.'));
    expect(thoughtOnly.messages[1]).toMatchObject({ state: 'failed', reasoning: 'Hm.' });
  });

  it('gives the model the turns of the chat', () => {
    expect(talk.promptOf(talk.ask(TWO, 'three?'))).toEqual({
      kind: 'chat',
      messages: [
        { role: 'user', content: 'one?' },
        { role: 'assistant', content: 'One.' },
        { role: 'user', content: 'two?' },
        { role: 'assistant', content: 'Two.' },
        { role: 'user', content: 'three?' },
      ],
    });
  });

  it('gives the model a text to continue as it is, and keeps it out of the chat', () => {
    const story = talk.ask(TWO, 'It was dark', 'text');
    expect(talk.promptOf(story)).toEqual({ kind: 'text', text: 'It was dark' });
    const answered = talk.endAnswer(talk.append(talk.beginAnswer(story), ' and cold.'), done);
    const prompt = talk.promptOf(talk.ask(answered, 'three?'));
    expect(prompt.kind === 'chat' && prompt.messages.map(({ content }) => content)).toEqual(['one?', 'One.', 'two?', 'Two.', 'three?']);
  });

  it('forgets the oldest half until nothing can be forgotten', () => {
    let conversation = talk.ask(exchange(TWO, 'three?', 'Three.'), 'four?');
    const lengths: number[] = [];
    while (talk.canForget(conversation)) {
      conversation = talk.forgetOldest(conversation);
      const prompt = talk.promptOf(conversation);
      if (prompt.kind !== 'chat') throw new Error('a chat was expected');
      expect(prompt.messages[0]?.role).toBe('user');
      lengths.push(prompt.messages.length);
    }
    expect(lengths).toEqual([3, 1]);
    expect(talk.forgetOldest(conversation)).toBe(conversation);
    expect(conversation.messages).toHaveLength(7);
  });
});

describe('Store', () => {
  function memory(): { store: Store; kept: Map<string, string> } {
    const kept = new Map<string, string>();
    const store = new Store({
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    });
    return { store, kept };
  }

  it('brings a conversation back as it was', () => {
    const { store } = memory();
    const conversation = talk.ask(talk.forgetOldest(TWO), 'a story', 'text');
    store.write('conversation', conversation);
    expect(readConversation(store.read('conversation'))).toEqual(conversation);
  });

  it('takes an answer that was still being written for a stopped one', () => {
    const streaming = talk.append(talk.beginAnswer(talk.ask(talk.EMPTY, 'hello')), 'Good');
    expect(readConversation(JSON.parse(JSON.stringify(streaming))).messages[1]).toMatchObject({ state: 'stopped', content: 'Good' });
  });

  it.each([undefined, null, 7, 'text', [], {}, { messages: 3 }, { messages: [null, 4, { role: 'wizard', content: 'x' }, { role: 'user' }] }])(
    'reads nothing out of %j',
    (stored) => {
      expect(readConversation(stored)).toEqual(talk.EMPTY);
    },
  );

  it('keeps the start of the context within the messages', () => {
    expect(readConversation({ ...TWO, contextStart: 99 }).contextStart).toBe(0);
    expect(readConversation({ ...TWO, contextStart: -1 }).contextStart).toBe(0);
  });

  it('survives a storage that refuses, and one that is damaged', () => {
    const refusing = new Store({
      getItem: () => {
        throw new Error('forbidden');
      },
      setItem: () => {
        throw new Error('full');
      },
      removeItem: () => undefined,
    });
    refusing.write('settings', DEFAULTS);
    expect(refusing.read('settings')).toBeUndefined();
    const { store, kept } = memory();
    kept.set('hearth.v1.settings', '{broken');
    expect(store.read('settings')).toBeUndefined();
  });
});

describe('settings', () => {
  it('fall back to their defaults one by one', () => {
    expect(readSettings(undefined)).toEqual(DEFAULTS);
    expect(readSettings({ temperature: 'hot', route: 'moon', theme: 'pink', seed: 1.4 })).toEqual({ ...DEFAULTS, seed: 1 });
    expect(readSettings({ temperature: 9, maxTokens: -5, seed: -1 })).toEqual({ ...DEFAULTS, temperature: 2, maxTokens: 1, seed: 0 });
  });

  it('survive the way through the store', () => {
    const settings = { ...DEFAULTS, route: 'native-cpu', greedy: true, seed: 7, theme: 'dark', mode: 'text' } as const;
    expect(readSettings(JSON.parse(JSON.stringify(settings)))).toEqual(settings);
  });

  it("become the engine's words", () => {
    expect(samplingOf(DEFAULTS, 'chat')).toMatchObject({ temperature: 0.7, repetition_penalty: 1, seed: null });
    expect(samplingOf(DEFAULTS, 'text').repetition_penalty).toBe(1.1);
    expect(samplingOf({ ...DEFAULTS, greedy: true, seed: 3 }, 'text')).toMatchObject({ temperature: 0, repetition_penalty: 1, seed: 3 });
  });
});

describe('readAddress', () => {
  it('reads what a page may be asked for', () => {
    expect(readAddress('')).toEqual({ model: '', route: undefined, allowGpu: true, threads: undefined });
    const all = readAddress('?route=webview-cpu&model=tiny&webgpu=off&threads=2');
    expect(all).toEqual({ model: 'tiny', route: 'webview-cpu', allowGpu: false, threads: 2 });
    for (const none of ['', '0', '-1', '1.5', 'many']) expect(readAddress(`?threads=${none}`).threads).toBeUndefined();
    expect(readAddress('?route=elsewhere').route).toBeUndefined();
  });
});
