// The bench runs in real browsers as it runs natively: a shape that needs no files, measured and stopped.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openChromium } from './browsers.mjs';
import { lastEvent, startEngine } from './in_page.mjs';
import { Server, ui } from './server.mjs';

const worker = `/assets/${readdirSync(join(ui, 'assets')).find((name) => /^engine\.worker.*\.js$/.test(name))}`;

const request = (device) => ({
  type: 'bench',
  subject: { kind: 'shape', shape: 'tiny', format: 'Q4_0' },
  device,
  prefill_tokens: [16, 4096],
  depth_tokens: [0, 40],
  decode_tokens: 4,
  repeats: 2,
});

/** Asks for a bench and for its end as soon as it has begun to measure. */
async function stopped(request) {
  const begun = new Promise((resolve) => {
    window.engine.watch = (event) => event.type === 'benching' && resolve();
  });
  const answer = window.engine.ask(request);
  const target = window.engine.number;
  await begun;
  await window.engine.ask({ type: 'cancel', target });
  return (await answer).at(-1);
}

for (const { name, webgpu, device, route } of [
  { name: 'Chromium with WebGPU', webgpu: true, device: 'gpu', route: 'webview-gpu' },
  { name: 'Chromium without WebGPU', webgpu: false, device: 'cpu', route: 'webview-cpu' },
]) {
  describe(`the bench in ${name}`, () => {
    let server, browser, page;

    before(async () => {
      server = await Server.start();
      browser = await openChromium({ webgpu });
      page = await browser.newPage();
      await page.goto(`${server.url}/favicon.svg`);
      await page.evaluate(startEngine, { worker, allowGpu: webgpu, modelBase: '/models' });
    });

    after(async () => {
      await browser?.close();
      await server?.kill();
    });

    test('measures a shape', async () => {
      const report = await page.evaluate(lastEvent, request(device));
      assert.equal(report.type, 'benched', report.message);
      assert.equal(report.route, route);
      assert.deepEqual(report.prefill.map((result) => result.prompt_tokens), [16]);
      assert.deepEqual(report.decode.map((result) => result.depth_tokens), [0, 40]);
      assert.deepEqual(report.skipped.map((skipped) => skipped.tokens), [4096]);
      for (const figure of ['prefill_tokens_per_s', 'decode_tokens_per_s', 'copy_bytes_per_s', 'peak_device_bytes']) {
        assert.ok(report[figure] > 0, `${figure}: ${JSON.stringify(report)}`);
      }
      assert.ok(Math.abs(report.peak_device_bytes / report.memory.total_bytes - 1) < 0.05);
      // A GPU tells the time of its kernels only if it has a clock; the CPU has the page's.
      assert.equal(report.profile.length === 3, report.profile_absence === null, report.profile_absence);
      assert.ok(device === 'gpu' || report.profile.length === 3);
    });

    test('stops when it is told to', async () => {
      const end = await page.evaluate(stopped, { ...request(device), repeats: 1000 });
      assert.equal(end.code, 'cancelled', JSON.stringify(end));
    });
  });
}
