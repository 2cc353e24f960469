// The interface in a plain browser, served by `hearth serve`, used as a person would.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { openChromium } from './browsers.mjs';
import { Server } from './server.mjs';
import { Page, byId } from './window.mjs';

const STORY = 'It was a dark night, and the keeper of the lighthouse looked out over the sea.';
/** Tokens of an answer whose end is waited for, and of one that shall still be on its way when it is stopped. */
const [SHORT, ENDLESS] = [200, 1900];
const WEIGHTS = '**/models/**/model.safetensors';

let server, browser;

before(async () => {
  server = await Server.start();
  browser = await openChromium();
});

after(async () => {
  await browser?.close();
  await server?.kill();
});

describe('a conversation', () => {
  let page;

  before(async () => {
    page = await Page.open(browser, server.url, {
      query: '?route=webview-cpu',
      prepare: (context) => context.grantPermissions(['clipboard-read', 'clipboard-write']),
    });
  });

  after(() => page?.close());

  test('begins with an empty page that says where the model runs', async () => {
    await page.ready('webview-cpu');
    assert.equal(await page.find('status-route').textContent(), 'webview-cpu');
    assert.ok((await page.find('example').count()) >= 2);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('empty');
  });

  test('streams an answer and says how fast it came', async () => {
    await page.limit(SHORT);
    await page.tell(STORY);
    const answer = await page.answer();
    const early = (await answer.textContent()).length;
    await page.picture('streaming');
    const whole = await page.ended();
    assert.ok(whole.length > early, `${early} characters came first, ${whole.length} in all`);
    assert.deepEqual(await page.questions(), [STORY]);
    assert.match(await page.find('message-stats').textContent(), /\d/);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('answered');
  });

  test('gives another answer on request', async () => {
    const first = await page.answerText();
    await page.find('regenerate').click();
    await page.answer();
    assert.notEqual(await page.ended(), first, 'at this temperature no two long answers are alike');
    assert.equal(await page.find('message-assistant').count(), 1);
    assert.equal(await page.find('message-user').count(), 1);
  });

  test('stops at a click and keeps what was written', async () => {
    await page.limit(ENDLESS);
    await page.tell(STORY);
    await page.answer();
    await page.find('stop').click();
    await page.status('ready');
    const last = page.find('message-assistant').last();
    assert.equal(await last.getAttribute('data-state'), 'stopped');
    assert.ok((await page.answerText()).length > 0);
  });

  test('copies an answer', async () => {
    const answer = page.find('message-assistant').first();
    await answer.locator(byId('copy')).click();
    await answer.getByText('Copied').waitFor();
    const copied = await page.tab.evaluate(() => navigator.clipboard.readText());
    const words = (text) => text.split(/\s+/).filter((word) => /^\w+$/.test(word));
    const shown = words(await answer.locator('p').first().textContent());
    assert.ok(shown.length > 0);
    assert.deepEqual(words(copied).slice(0, shown.length), shown);
  });

  test('survives a reload', async () => {
    const said = await page.questions();
    await page.tab.reload();
    await page.ready('webview-cpu');
    assert.deepEqual(await page.questions(), said);
  });

  test('moves to the native engine and back, and stays as it is', async () => {
    const said = await page.questions();
    await page.limit(SHORT);
    await page.find('mode-chat').click();
    for (const route of ['native-cpu', 'webview-cpu']) {
      await page.find('status').click();
      await page.find(`route-option-${route}`).click();
      await page.ready(route);
      assert.deepEqual(await page.questions(), said);
      await page.say('Thank you.');
      await page.ended();
      said.push('Thank you.');
    }
  });

  test('shows the routes with their reasons', async () => {
    await page.find('status').click();
    const option = page.find('route-option-webview-gpu');
    assert.ok(await option.isDisabled(), 'this browser has no WebGPU');
    assert.match(await option.textContent(), /WebGPU/);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('routes');
    await page.find('route-close').click();
  });

  test('makes way for a new one', async () => {
    await page.find('new-chat').click();
    await page.find('empty').waitFor();
    assert.equal(await page.find('message-user').count(), 0);
  });

  test('broke no rule of the policy', () => {
    assert.deepEqual(page.violations, []);
  });
});

test('the policy is in force, and its breach is noticed', async () => {
  const page = await Page.open(browser, server.url, { query: '?route=native-cpu' });
  try {
    await page.ready('native-cpu');
    await page.tab.evaluate(() => {
      const image = document.createElement('img');
      const refused = new Promise((resolve) => image.addEventListener('error', resolve));
      image.src = 'https://example.org/pixel.png';
      document.body.append(image);
      return refused;
    });
    assert.deepEqual(page.violations, ['img-src: https://example.org/pixel.png']);
  } finally {
    await page.close();
  }
});

test('a load on its way shows how far it is', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const page = await Page.open(browser, server.url, {
    query: '?route=webview-cpu',
    scheme: 'dark',
    prepare: (context) =>
      context.route(WEIGHTS, async (route) => {
        // The first pieces come at once, the others wait.
        const from = Number(/bytes=(\d+)-/.exec(route.request().headers()['range'] ?? '')?.[1]);
        if (from > 6_000_000) await held;
        await route.continue();
      }),
  });
  try {
    await page.status('loading');
    await page.find('load-progress').waitFor();
    await page.find('load-figures').waitFor();
    assert.match(await page.find('load-figures').textContent(), /M(i)?B/);
    await page.picture('loading');
    assert.deepEqual(await page.barriers(), []);
    // What is said meanwhile waits for the model.
    await page.say('Hello!');
    release();
    await page.ended();
    assert.equal(await page.find('message-assistant').count(), 1);
  } finally {
    release();
    await page.close();
  }
});

test('weights that cannot be fetched are a failure with a way out', async () => {
  let broken = true;
  const page = await Page.open(browser, server.url, {
    query: '?route=webview-cpu',
    prepare: (context) => context.route(WEIGHTS, (route) => (broken ? route.abort() : route.continue())),
  });
  try {
    await page.status('failed');
    assert.ok((await page.find('failure-message').textContent()).length > 10);
    assert.ok((await page.find('failure-hint').textContent()).length > 10);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('failed');
    broken = false;
    await page.find('failure-retry').click();
    await page.ready('webview-cpu');
    assert.equal(await page.find('failure').count(), 0);
  } finally {
    await page.close();
  }
});

test('a server that dies in mid-answer is a failure, and another takes over', async () => {
  let own = await Server.start();
  const page = await Page.open(browser, own.url, { query: '?route=native-cpu' });
  try {
    await page.ready('native-cpu');
    await page.limit(ENDLESS);
    await page.tell(STORY);
    await page.answer();
    await own.kill();
    await page.status('failed');
    assert.equal(await page.find('failure').getAttribute('data-code'), 'link');
    assert.ok((await page.answerText()).length > 0, 'what was written stays');
    own = await Server.start({ port: own.port });
    await page.find('failure-retry').click();
    // The model is loaded anew, and the question answered.
    await page.answer();
    await page.find('stop').click();
    await page.ready('native-cpu');
  } finally {
    await page.close();
    await own.kill();
  }
});

test('everything can be done with the keyboard alone', async () => {
  const page = await Page.open(browser, server.url, { query: '?route=native-cpu' });
  const keys = page.tab.keyboard;
  const focused = () => page.tab.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.className);
  /** Presses Tab until the focus is there. */
  const tabTo = async (id) => {
    for (let presses = 0; presses < 40 && (await focused()) !== id; presses += 1) await keys.press('Tab');
    assert.equal(await focused(), id);
  };
  try {
    await page.ready('native-cpu');
    assert.equal(await focused(), 'composer');
    await tabTo('settings');
    await keys.press('Enter');
    await tabTo('setting-max-tokens');
    await keys.type(String(ENDLESS));
    await tabTo('mode-text');
    await keys.press('Space');
    await tabTo('composer');
    await keys.type(STORY);
    await keys.press('Enter');
    await page.answer();
    await keys.press('Escape');
    await page.status('ready');
    assert.equal(await page.find('message-assistant').getAttribute('data-state'), 'stopped');
    await tabTo('status');
    await keys.press('Enter');
    await page.find('route-panel').locator('h2').waitFor();
    await keys.press('Escape');
    await page.find('route-panel').waitFor({ state: 'hidden' });
    assert.equal(await focused(), 'status', 'the focus returns to where it came from');
    await tabTo('regenerate');
    await keys.press('Enter');
    await page.answer();
    await keys.press('Escape');
    await page.status('ready');
    await keys.press('Control+k');
    await page.find('empty').waitFor();
    assert.equal(await focused(), 'composer');
  } finally {
    await page.close();
  }
});
