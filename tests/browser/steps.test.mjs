// What a token costs in trips between the page and its GPU: one submission, one small read-back, and neither waits for the
// other. Counted in the worker, at the browser's own functions.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openChromium } from './browsers.mjs';
import { generate, lastEvent, startEngine } from './in_page.mjs';
import { Server, ui } from './server.mjs';

const worker = `/assets/${readdirSync(join(ui, 'assets')).find((name) => /^engine\.worker.*\.js$/.test(name))}`;
const TOKENS = 12;
const PROMPT = { kind: 'text', text: 'The king' };
const GREEDY = { repetition_penalty: 1, temperature: 0, top_k: 0, top_p: 1, min_p: 0, seed: null };
const DRAWN = { ...GREEDY, temperature: 0.7, top_k: 40, seed: 1 };

/** Runs in the worker: counts from now on. */
function count() {
  const counts = { submits: 0, dispatches: 0, maps: 0, mapped_bytes: 0, pending: 0, pending_max: 0, subgroups: 0 };
  const wrap = (prototype, name, before) => {
    const own = prototype[name];
    prototype[name] = function (...args) {
      before.call(this, ...args);
      return own.apply(this, args);
    };
  };
  wrap(GPUComputePassEncoder.prototype, 'dispatchWorkgroups', () => (counts.dispatches += 1));
  wrap(GPUQueue.prototype, 'submit', () => {
    counts.submits += 1;
    counts.pending_max = Math.max(counts.pending_max, counts.pending);
  });
  wrap(GPUDevice.prototype, 'createShaderModule', ({ code }) => {
    counts.subgroups += Number(code.startsWith('enable subgroups;'));
  });
  const mapAsync = GPUBuffer.prototype.mapAsync;
  GPUBuffer.prototype.mapAsync = async function (...args) {
    counts.maps += 1;
    counts.mapped_bytes += this.size;
    counts.pending += 1;
    await mapAsync.apply(this, args);
    counts.pending -= 1;
  };
  globalThis.counts = counts;
}

/** Runs in the worker: what was counted since the last time. */
function counted() {
  const before = { ...globalThis.counts };
  for (const name of Object.keys(before)) if (name !== 'pending') globalThis.counts[name] = 0;
  return before;
}

describe('a token in Chromium with WebGPU', () => {
  let server, browser, page, engine;

  before(async () => {
    server = await Server.start();
    browser = await openChromium({ webgpu: true });
    page = await browser.newPage();
    await page.goto(`${server.url}/favicon.svg`);
    await page.evaluate(startEngine, { worker, allowGpu: true, modelBase: '/models' });
    engine = page.workers().find((each) => each.url().includes('engine.worker'));
    await engine.evaluate(count);
    const loaded = await page.evaluate(lastEvent, { type: 'load', model: '', device: 'gpu' });
    assert.equal(loaded.type, 'loaded', loaded.message);
  });

  after(async () => {
    await browser?.close();
    await server?.kill();
  });

  test('is added up by subgroups, where the adapter has them', async () => {
    const { adapters } = await page.evaluate(lastEvent, { type: 'probe' });
    assert.ok(adapters[0].features.includes('subgroups'), JSON.stringify(adapters));
    assert.ok(adapters[0].limits.subgroup_size_min >= 4, JSON.stringify(adapters));
    assert.notEqual(adapters[0].name, 'WebGPU adapter');
    assert.ok((await engine.evaluate(counted)).subgroups > 0);
  });

  for (const [how, sampling] of Object.entries({ 'the likeliest one': GREEDY, 'one drawn from a few': DRAWN })) {
    test(`is one submission and one small read-back: ${how}`, async (t) => {
      await engine.evaluate(counted);
      const { ids, end } = await page.evaluate(generate, { prompt: PROMPT, max_tokens: TOKENS, sampling, stop: [] });
      assert.equal(end.type, 'done', end.message);
      const counts = await engine.evaluate(counted);
      t.diagnostic(`${ids.length} tokens: ${JSON.stringify(counts)}`);
      // The prompt is one more; a text that ends early leaves up to two steps behind that nobody asks for.
      assert.ok(counts.submits <= ids.length + 3, JSON.stringify(counts));
      assert.ok(counts.maps <= ids.length + 3, JSON.stringify(counts));
      assert.ok(counts.mapped_bytes / counts.maps <= (sampling === GREEDY ? 8 : 4096), JSON.stringify(counts));
      // Steps are queued while those before them are still being read.
      if (sampling === GREEDY) assert.ok(counts.pending_max >= 2, JSON.stringify(counts));
    });
  }

  test('needs no subgroups', async () => {
    const bare = await browser.newPage();
    await bare.goto(`${server.url}/favicon.svg`);
    await bare.evaluate(startEngine, { worker, allowGpu: true, modelBase: '/models', without: ['subgroups'] });
    const own = bare.workers().find((each) => each.url().includes('engine.worker'));
    await own.evaluate(count);
    const loaded = await bare.evaluate(lastEvent, { type: 'load', model: '', device: 'gpu' });
    assert.equal(loaded.type, 'loaded', loaded.message);
    assert.equal((await own.evaluate(counted)).subgroups, 0);
    const { ids, end } = await page.evaluate(generate, { prompt: PROMPT, max_tokens: 3, sampling: GREEDY, stop: [] });
    const without = await bare.evaluate(generate, { prompt: PROMPT, max_tokens: 3, sampling: GREEDY, stop: [] });
    assert.equal(end.tokens, 3, end.message);
    assert.deepEqual(without.ids, ids);
  });
});
