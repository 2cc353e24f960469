// Measures the bundled model in Chromium's WebGPU and prints one JSON object: `node bench.mjs [TOKENS] [REPEATS]`.
// HEARTH_CHROMIUM and HEARTH_CHROMIUM_GPU_FLAGS name the browser and its flags, HEARTH_CLI the built `hearth`.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { openChromium } from './browsers.mjs';
import { generate, lastEvent, startEngine } from './in_page.mjs';
import { Server, ui } from './server.mjs';

const [tokens = 256, repeats = 5] = process.argv.slice(2).map(Number);
const assets = readdirSync(join(ui, 'assets'));
const worker = `/assets/${assets.find((name) => /^engine\.worker.*\.js$/.test(name))}`;
const GREEDY = { repetition_penalty: 1, temperature: 0, top_k: 0, top_p: 1, min_p: 0, seed: null };
// Prose that the model does not end by itself, and each time another beginning, so that nothing comes from the cache.
const prompt = (round) => ({ kind: 'text', text: `${'I'.repeat(round + 1)}. ${'The wind went over the hill. '.repeat(18)}` });

const middle = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const server = await Server.start();
const browser = await openChromium({ webgpu: true });
try {
  const page = await browser.newPage();
  await page.goto(`${server.url}/favicon.svg`);
  await page.evaluate(startEngine, { worker, allowGpu: true, modelBase: '/models' });
  const { adapters } = await page.evaluate(lastEvent, { type: 'probe' });
  const loaded = await page.evaluate(lastEvent, { type: 'load', model: '', device: 'gpu' });
  if (loaded.type !== 'loaded') throw new Error(`${loaded.message} (${loaded.hint})`);
  const runs = [];
  for (let round = 0; round <= repeats; round += 1) {
    const request = { prompt: prompt(round), max_tokens: tokens, sampling: GREEDY, stop: [] };
    const { end } = await page.evaluate(generate, request);
    if (end.type !== 'done') throw new Error(end.message);
    runs.push(end);
  }
  const [first, ...warm] = runs;
  const speed = warm.map((run) => run.decode_tokens_per_s);
  console.log(
    JSON.stringify({
      browser: browser.version(),
      adapter: adapters[0],
      load_ms: loaded.load_ms,
      prompt_tokens: first.prompt_tokens,
      tokens: first.tokens,
      first_token_ms_cold: first.first_token_ms,
      first_token_ms: middle(warm.map((run) => run.first_token_ms)),
      decode_tokens_per_s: middle(speed),
      decode_tokens_per_s_min: Math.min(...speed),
      decode_tokens_per_s_max: Math.max(...speed),
      runs: warm.length,
    }),
  );
} finally {
  await browser.close();
  await server.kill();
}
