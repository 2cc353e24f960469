// `hearth bench` inside a headless browser: the same engine, the same request, one JSON object to standard output.
//   node bench.mjs [--shape llama-1b --format Q4_0 | --model NAME] [--device gpu|cpu] [--browser chromium|firefox]
//                  [--prefill 128,512] [--depth 0,2048] [--decode 64] [--repeat 5] [--warm-start]
//                  [--threads N] [--without subgroups]
// HEARTH_CHROMIUM and HEARTH_CHROMIUM_GPU_FLAGS name the browser and its flags, HEARTH_CLI the built `hearth`, and
// HEARTH_UI the built interface.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { openChromium, openFirefox } from './browsers.mjs';
import { lastEvent, startEngine } from './in_page.mjs';
import { Server, ui } from './server.mjs';

const text = { type: 'string' };
const { values: asked } = parseArgs({
  options: {
    shape: text,
    format: { ...text, default: 'Q4_0' },
    model: { ...text, default: '' },
    device: { ...text, default: 'gpu' },
    browser: { ...text, default: 'chromium' },
    prefill: text,
    depth: text,
    decode: text,
    repeat: text,
    threads: text,
    without: { ...text, multiple: true, default: [] },
    'warm-start': { type: 'boolean', default: false },
  },
});
const lengths = (words) => (words === undefined ? undefined : words === 'none' ? [] : words.split(',').map(Number));
const number = (words) => (words === undefined ? undefined : Number(words));
const request = {
  type: 'bench',
  subject:
    asked.shape === undefined
      ? { kind: 'model', model: asked.model }
      : { kind: 'shape', shape: asked.shape, format: asked.format },
  device: asked.device,
  prefill_tokens: lengths(asked.prefill),
  depth_tokens: lengths(asked.depth),
  decode_tokens: number(asked.decode),
  repeats: number(asked.repeat),
  warm_start: asked['warm-start'],
};

const worker = `/assets/${readdirSync(join(ui, 'assets')).find((name) => /^engine\.worker.*\.js$/.test(name))}`;
const server = await Server.start();
const webgpu = asked.device === 'gpu';
const browser = asked.browser === 'firefox' ? await openFirefox() : await openChromium({ webgpu });
try {
  const page = await browser.newPage();
  await page.goto(`${server.url}/favicon.svg`);
  const threads = number(asked.threads);
  await page.evaluate(startEngine, { worker, allowGpu: webgpu, modelBase: '/models', threads, without: asked.without });
  const report = await page.evaluate(lastEvent, request);
  if (report.type !== 'benched') throw new Error(`${report.message} (${report.hint})`);
  console.log(JSON.stringify({ browser: `${asked.browser} ${await browser.version()}`, ...report }));
} finally {
  await browser.close();
  await server.kill();
}
