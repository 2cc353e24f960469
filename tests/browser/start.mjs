// How long a browser takes from an empty worker to the first token: cold in a new profile, warm in the same one.
//   node start.mjs [--model NAME] [--device gpu|cpu] [--rounds 3] [--threads N] [--without subgroups]
// HEARTH_CHROMIUM, HEARTH_CHROMIUM_GPU_FLAGS, HEARTH_CLI and HEARTH_UI as in bench.mjs. One JSON object a start goes to
// standard output; times in milliseconds.
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { openChromium } from './browsers.mjs';
import { generate, lastEvent, startEngine } from './in_page.mjs';
import { Server, ui } from './server.mjs';

const text = { type: 'string' };
const { values: asked } = parseArgs({
  options: {
    model: { ...text, default: '' },
    device: { ...text, default: 'gpu' },
    rounds: { ...text, default: '3' },
    threads: text,
    without: { ...text, multiple: true, default: [] },
  },
});
const threads = asked.threads === undefined ? undefined : Number(asked.threads);
const allowGpu = asked.device === 'gpu';
const worker = `/assets/${readdirSync(join(ui, 'assets')).find((name) => /^engine\.worker.*\.js$/.test(name))}`;
const prompt = { kind: 'text', text: 'Once there was a king who had three daughters' };
const sampling = { repetition_penalty: 1, temperature: 0, top_k: 0, top_p: 1, min_p: 0, seed: null };

/** Runs in the worker: how long the GPU's process takes for what it was told, and how many pipelines that are. */
function watch() {
  const seen = { pipelines: 0, scopes_ms: [] };
  const create = GPUDevice.prototype.createComputePipeline;
  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    seen.pipelines += 1;
    return create.call(this, descriptor);
  };
  const pop = GPUDevice.prototype.popErrorScope;
  GPUDevice.prototype.popErrorScope = async function () {
    const before = performance.now();
    const error = await pop.call(this);
    seen.scopes_ms.push(Math.round((performance.now() - before) * 10) / 10);
    return error;
  };
  globalThis.seen = seen;
}

async function start(server, profile, round) {
  const browser = await openChromium({ webgpu: allowGpu, profile });
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}/favicon.svg`);
    const began = Date.now();
    await page.evaluate(startEngine, { worker, allowGpu, modelBase: '/models', threads, without: asked.without });
    const opened_ms = Date.now() - began;
    const engine = page.workers().find((each) => each.url().includes('engine.worker'));
    if (allowGpu) await engine.evaluate(watch);
    const loaded = await page.evaluate(lastEvent, { type: 'load', model: asked.model, device: asked.device });
    if (loaded.type !== 'loaded') throw new Error(`${loaded.message} (${loaded.hint})`);
    const seen = allowGpu ? await engine.evaluate(() => globalThis.seen) : {};
    const run = async () => (await page.evaluate(generate, { prompt, max_tokens: 8, sampling, stop: [] })).end;
    const [first, second] = [await run(), await run()];
    const { adapter, load_ms } = loaded;
    const times = { opened_ms, load_ms, first_token_ms: first.first_token_ms, again_ms: second.first_token_ms };
    console.log(JSON.stringify({ start: round === 0 ? 'cold' : 'warm', adapter, ...times, ...seen }));
  } finally {
    await browser.close();
  }
}

const server = await Server.start();
const profile = await mkdtemp(join(tmpdir(), 'hearth-profile-'));
try {
  for (let round = 0; round < Number(asked.rounds); round += 1) await start(server, profile, round);
} finally {
  await server.kill();
  await rm(profile, { recursive: true, force: true });
}
