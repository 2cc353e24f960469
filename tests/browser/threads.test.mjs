// The engine on several threads in real browsers: only where the page is isolated, and with the very tokens of one thread.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openChromium, openFirefox } from './browsers.mjs';
import { generate, lastEvent, startEngine } from './in_page.mjs';
import { Server, ui } from './server.mjs';

const assets = readdirSync(join(ui, 'assets'));
const worker = `/assets/${assets.find((name) => /^engine\.worker.*\.js$/.test(name))}`;
const request = {
  prompt: { kind: 'text', text: 'Once there was a king who had three daughters' },
  max_tokens: 24,
  sampling: { repetition_penalty: 1, temperature: 0, top_k: 0, top_p: 1, min_p: 0, seed: null },
  stop: [],
};

/** Opens the engine in a page and loads the bundled model on the CPU: what it runs on, and what it writes. */
async function write(page, threads) {
  const refusal = await page.evaluate(startEngine, { worker, allowGpu: false, modelBase: '/models', threads });
  const { cpu } = await page.evaluate(lastEvent, { type: 'probe' });
  const loaded = await page.evaluate(lastEvent, { type: 'load', model: '', device: 'cpu' });
  assert.equal(loaded.type, 'loaded', loaded.message);
  const { ids, end } = await page.evaluate(generate, request);
  assert.equal(end.type, 'done', end.message);
  assert.ok(loaded.adapter.endsWith(`, ${cpu.threads} thread${cpu.threads === 1 ? '' : 's'}`), loaded.adapter);
  // Its memory is free for the next.
  await page.close();
  return { threads: cpu.threads, refusal, ids };
}

/** A machine without the source of the standard library builds the module for one thread only. */
const isThreaded = assets.filter((name) => /^hearth_engine_bg.*\.wasm$/.test(name)).length === 2;

for (const [name, open] of Object.entries({ Chromium: () => openChromium(), Firefox: openFirefox })) {
  describe(`threads in ${name}`, () => {
    let server, browser;

    before(async () => {
      server = await Server.start();
      browser = await open();
    });

    after(async () => {
      await browser?.close();
      await server?.kill();
    });

    const visit = async () => {
      const page = await browser.newPage();
      await page.goto(`${server.url}/favicon.svg`);
      return page;
    };

    test('are as many as are asked for, and write what one writes', async () => {
      const page = await visit();
      assert.equal(await page.evaluate(() => crossOriginIsolated), true);
      const cores = await page.evaluate(() => navigator.hardwareConcurrency);
      const [several, one] = [await write(page, 4), await write(await visit(), 1)];
      assert.equal(one.threads, 1);
      assert.equal(several.threads, isThreaded ? Math.min(4, cores) : 1, several.refusal);
      assert.equal(one.ids.length, request.max_tokens);
      assert.deepEqual(several.ids, one.ids);
    });

    // Only Chromium's driver can take the headers away.
    if (name !== 'Chromium') return;

    test('are not there in a page that others may look into', async () => {
      const page = await browser.newPage();
      await page.route('**/favicon.svg', async (route) => {
        const response = await route.fetch();
        const headers = Object.entries(response.headers()).filter(([key]) => !key.startsWith('cross-origin-'));
        await route.fulfill({ response, headers: Object.fromEntries(headers) });
      });
      await page.goto(`${server.url}/favicon.svg`);
      assert.equal(await page.evaluate(() => crossOriginIsolated), false);
      assert.equal((await write(page, 4)).threads, 1);
    });
  });
}
