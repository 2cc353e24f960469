import { describe, expect, it } from 'vitest';

import { fakeDone } from '../link/fake';
import { formatBytes, formatCount, formatDuration, formatSpeed } from './format';
import { SentenceFeed } from './sentences';
import { progressText, sentence, stageText, statsText } from './words';

describe('SentenceFeed', () => {
  it('gives whole sentences only, until the end', () => {
    const feed = new SentenceFeed();
    feed.begin();
    expect(feed.push('It was dark')).toEqual([]);
    expect(feed.push('. The')).toEqual(['It was dark.']);
    expect(feed.push(' rain fell! "Who')).toEqual(['It was dark.', 'The rain fell!']);
    expect(feed.push(' is there?" he')).toEqual(['It was dark.', 'The rain fell!', '"Who is there?"']);
    expect(feed.end()).toEqual(['It was dark.', 'The rain fell!', '"Who is there?"', 'he']);
  });

  it('does not cut numbers, and cuts lines', () => {
    const feed = new SentenceFeed();
    feed.begin();
    feed.push('It is 3.14 wide\n- an item\n');
    expect(feed.end()).toEqual(['It is 3.14 wide', '- an item']);
  });

  it("leaves markdown's marks out, and starts anew", () => {
    const feed = new SentenceFeed();
    feed.push('old. ');
    feed.begin();
    feed.push('# The **old** `house`.\n');
    expect(feed.end()).toEqual(['The old house.']);
  });

  it('does not depend on how the text was cut into tokens', () => {
    const text = 'One. Two? "Three!" Four… five\nsix.';
    const whole = new SentenceFeed();
    whole.push(text);
    const pieces = new SentenceFeed();
    for (const letter of text) pieces.push(letter);
    expect(pieces.end()).toEqual(whole.end());
  });
});

describe('figures', () => {
  it('carry their units', () => {
    expect([0, 1023, 1024, 18_800_000, 2_254_857_830, 152e9].map(formatBytes)).toEqual([
      ...['0 B', '1023 B', '1.0 KiB', '17.9 MiB', '2.1 GiB', '141.6 GiB'],
    ]);
    expect([0, 412, 2400, 65_000].map(formatDuration)).toEqual(['0 ms', '412 ms', '2.4 s', '1 min 5 s']);
    expect([0.4, 41.83, 212.4].map(formatSpeed)).toEqual(['0.4 tok/s', '41.8 tok/s', '212 tok/s']);
    expect([950, 96_576, 9_400_000, 1.2e9].map(formatCount)).toEqual(['950', '96\u202f576', '9.4 million', '1.2 billion']);
  });

  it('tell how a load goes', () => {
    const progress = { stage: 'weights', doneBytes: 9.4e6, totalBytes: 18.8e6, elapsedMs: 400, bytesPerS: 23.5e6 } as const;
    expect(progressText(progress)).toBe('9.0 MiB of 17.9 MiB · 22.4 MiB/s · 400 ms');
    expect(progressText({ ...progress, totalBytes: 0 })).toBe('');
    expect(stageText(undefined)).toBe('Starting the engine');
  });

  it('tell how an answer went', () => {
    const done = fakeDone('native-cpu');
    expect(statsText(done)).toBe('3 tokens · 41.8 tok/s · first after 84 ms · native-cpu');
    expect(statsText({ ...done, tokens: 1, decode_tokens_per_s: 0, stop_reason: 'cancelled' })).toBe('1 token · first after 84 ms · native-cpu · stopped');
    expect(statsText({ ...done, tokens: 0, decode_tokens_per_s: 0 })).toBe('0 tokens · native-cpu');
  });

  it("make sentences out of an engine's words", () => {
    expect(sentence('no model is loaded')).toBe('No model is loaded.');
    expect(sentence('Try again. ')).toBe('Try again.');
    expect(sentence("the model's files")).toBe("The model's files.");
    expect(sentence('config.json is missing')).toBe('config.json is missing.');
    expect(sentence('max_tokens must be positive')).toBe('max_tokens must be positive.');
    expect(sentence('webview-gpu is gone')).toBe('webview-gpu is gone.');
    expect(sentence('')).toBe('');
  });
});
