// The real window, driven as a person would: load, type, watch the answer stream, stop it, switch the route, reload.
// `./hearth test app` runs this; HEARTH_APP names the app's binary, HEARTH_SCREENSHOTS a folder for pictures.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Window } from './webdriver.mjs';

const app = process.env.HEARTH_APP;
assert.ok(app, 'HEARTH_APP must name the app');

const LONG = 'Tell me a long story about a lighthouse keeper and the sea.';

/** Lengths of the last answer's text as it grows, until it has ended. */
const GROWTH = `() => {
  const answers = document.querySelectorAll('[data-testid=message-assistant]');
  const answer = answers[answers.length - 1];
  if (answer === undefined) return undefined;
  window.growth ??= [];
  const length = answer.textContent.length;
  if (window.growth.at(-1) !== length) window.growth.push(length);
  return answer.dataset.state !== 'streaming' && window.growth;
}`;

const WRITING = `() => {
  const answers = document.querySelectorAll('[data-testid=message-assistant][data-state=streaming]');
  return answers.length > 0 && answers[answers.length - 1].textContent.trim().length > 20;
}`;

describe('the window', () => {
  let window;

  before(async () => {
    window = await Window.open(app);
  });

  after(async () => {
    await window?.close();
  });

  const route = () => window.run(`() => document.querySelector('[data-testid=app]').dataset.route`);

  /** Sends a question with the keyboard and gives the answer that follows. */
  async function ask(question) {
    const before = (await window.texts('message-assistant')).length;
    await window.type('composer', `${question}\n`);
    await window.until('an answer', `(before) => document.querySelectorAll('[data-testid=message-assistant]').length > before`, before);
    await window.status('ready', 'failed');
    return (await window.texts('message-assistant')).at(-1);
  }

  /** Chooses a route in the panel and waits until the model is there. */
  async function switchTo(wanted) {
    await window.click('status');
    await window.click(`route-option-${wanted}`);
    await window.until(
      `the route ${wanted}`,
      `(wanted) => { const { status, route } = document.querySelector('[data-testid=app]').dataset; return status === 'ready' && route === wanted; }`,
      wanted,
    );
  }

  test('loads the bundled model and says where it runs', async () => {
    assert.equal(await window.status('ready', 'failed'), 'ready', (await window.texts('failure')).join());
    assert.equal(await window.run('() => document.title'), 'Hearth');
    // WebKitGTK has no WebGPU, and this machine's GPU may be a program: whichever engine in Rust is best is taken.
    assert.match(await route(), /^native-(cpu|gpu)$/);
    assert.deepEqual(await window.texts('status-route'), [await route()]);
    await window.picture('empty');
  });

  test('streams an answer, piece by piece, with its speed', async () => {
    await window.type('composer', LONG);
    await window.click('send');
    await window.until('the first words', WRITING);
    await window.picture('streaming');
    const growth = await window.until('the end of the answer', GROWTH);
    assert.ok(growth.length >= 3, `the answer came in ${growth.length} pieces`);
    await window.status('ready');
    assert.deepEqual(await window.texts('message-user'), [LONG]);
    assert.match((await window.texts('status-speed')).join(), /\d/);
    await window.picture('answered');
  });

  test('stops at a click, keeps what was written, and answers again', async () => {
    await window.click('new-chat');
    await window.type('composer', `${LONG}\n`);
    await window.until('the first words', WRITING);
    await window.click('stop');
    await window.status('ready');
    const stopped = await window.run(`() => [...document.querySelectorAll('[data-testid=message-assistant]')].at(-1).dataset.state`);
    assert.equal(stopped, 'stopped');
    const [kept] = await window.texts('message-assistant');
    assert.ok(kept.length > 20, 'what was written is gone');
    assert.ok((await ask('Thank you.')).length > 0);
    // Nothing of the stopped answer came after it had been stopped.
    assert.equal((await window.texts('message-assistant'))[0], kept);
  });

  for (const wanted of ['webview-cpu', 'native-gpu', 'native-cpu']) {
    test(`moves the model to ${wanted} and answers there`, async () => {
      const questions = (await window.texts('message-user')).length;
      await switchTo(wanted);
      assert.equal((await window.texts('message-user')).length, questions, 'the conversation did not stay');
      await window.click('new-chat');
      assert.ok((await ask('Hello!')).length > 0);
      assert.equal(await route(), wanted);
      assert.deepEqual(await window.texts('failure'), []);
      if (wanted === 'webview-cpu') await window.picture('webview');
    });
  }

  test('offers no route that cannot run here, and says why', async () => {
    await window.click('status');
    const option = await window.run(
      `() => { const o = document.querySelector('[data-testid=route-option-webview-gpu]'); return { disabled: o.disabled, text: o.textContent }; }`,
    );
    assert.ok(option.disabled, 'WebKitGTK has no WebGPU');
    assert.match(option.text, /WebGPU/);
    await window.picture('routes');
    await window.click('route-close');
  });

  test('comes back after a reload with its conversation and its route, and answers', async () => {
    const said = await window.texts('message-user');
    await window.reload();
    assert.equal(await window.status('ready', 'failed'), 'ready');
    assert.deepEqual(await window.texts('message-user'), said);
    assert.equal(await route(), 'native-cpu');
    assert.ok((await ask('And now?')).length > 0);
  });

  test('may be reloaded in the middle of an answer', async () => {
    await window.click('new-chat');
    await window.type('composer', `${LONG}\n`);
    await window.until('the first words', WRITING);
    await window.reload();
    assert.equal(await window.status('ready', 'failed'), 'ready');
    assert.ok((await ask('Hello again!')).length > 0);
  });

  test('refuses what the policy forbids', async () => {
    const refused = await window.run(`() => {
      try { return new Function('return "ran"')(); } catch (error) { return error.name; }
    }`);
    assert.equal(refused, 'EvalError');
  });
});

describe('a window without a usable model', () => {
  test('says what is wrong, what to do, and tries again at a click', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hearth-empty-model-'));
    const window = await Window.open(app, ['--model', folder]);
    try {
      await window.status('failed');
      const [message] = await window.texts('failure-message');
      const [hint] = await window.texts('failure-hint');
      assert.match(message, /missing/);
      assert.ok(hint.length > 10, 'the hint is empty');
      await window.picture('failed');
      await window.click('failure-retry');
      await window.status('failed');
    } finally {
      await window.close();
      await rm(folder, { recursive: true });
    }
  });
});
