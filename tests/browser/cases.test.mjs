// The cases that every device runs, in real browsers: the bundled model gives the very tokens that the reference gave,
// on WebGPU and on WebAssembly.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openChromium, openFirefox } from './browsers.mjs';
import { generate, lastEvent, startEngine } from './in_page.mjs';
import { Server, repository, ui } from './server.mjs';

const cases = JSON.parse(readFileSync(join(repository, 'tests/cases/hearth-tiny.json'), 'utf8'));
const assets = readdirSync(join(ui, 'assets'));
const worker = `/assets/${assets.find((name) => /^engine\.worker.*\.js$/.test(name))}`;

const GREEDY = { repetition_penalty: 1, temperature: 0, top_k: 0, top_p: 1, min_p: 0, seed: null };

const BROWSERS = [
  { name: 'Chromium with WebGPU', open: () => openChromium({ webgpu: true }), device: 'gpu', route: 'webview-gpu' },
  { name: 'Firefox with WebGPU', open: openFirefox, device: 'gpu', route: 'webview-gpu' },
  { name: 'Chromium without WebGPU', open: () => openChromium(), device: 'cpu', route: 'webview-cpu' },
];

for (const { name, open, device, route } of BROWSERS) {
  describe(name, () => {
    let server, browser, page;

    before(async () => {
      server = await Server.start();
      browser = await open();
      page = await browser.newPage();
      // Any page of the server will do that does not start the interface: it would load the model a second time.
      await page.goto(`${server.url}/favicon.svg`);
      await page.evaluate(startEngine, { worker, allowGpu: device === 'gpu', modelBase: '/models' });
    });

    after(async () => {
      await browser?.close();
      await server?.kill();
    });

    test('finds what it may use', async () => {
      const { adapters, no_adapter_reason, cpu, recommended } = await page.evaluate(lastEvent, { type: 'probe' });
      assert.equal(adapters.length, device === 'gpu' ? 1 : 0, no_adapter_reason);
      assert.equal(no_adapter_reason === null, device === 'gpu');
      assert.match(cpu.simd, /^simd128/);
      assert.ok(recommended.reason.length > 0);
    });

    test('loads the bundled model', async () => {
      const loaded = await page.evaluate(lastEvent, { type: 'load', model: '', device });
      assert.equal(loaded.type, 'loaded', loaded.message);
      assert.equal(loaded.route, route);
      assert.ok(loaded.adapter.length > 0);
    });

    for (const { name, prompt, ids, greedy, ends, text } of cases.cases) {
      test(`continues ${name} as the reference does`, async () => {
        const request = { prompt, max_tokens: cases.max_tokens, sampling: GREEDY, stop: [] };
        const answer = await page.evaluate(generate, request);
        assert.equal(answer.end.type, 'done', answer.end.message);
        assert.equal(answer.end.prompt_tokens, ids.length);
        assert.deepEqual(answer.ids, greedy);
        assert.equal(answer.text.trim(), text.trim());
        assert.equal(answer.end.stop_reason, ends ? 'end_of_turn' : 'max_tokens');
        assert.equal(answer.end.route, route);
      });
    }
  });
}
