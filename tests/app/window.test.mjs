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

/** A text that the model continues for as long as it is let. */
const STORY = 'It was a dark night, and the keeper of the lighthouse looked out over the sea.';

/** The words of the last answer, without the buttons below them. */
const ANSWER = `(() => {
  const answers = document.querySelectorAll('[data-testid=message-assistant]');
  if (answers.length === 0) return '';
  const answer = answers[answers.length - 1].cloneNode(true);
  for (const other of answer.querySelectorAll('h2, footer, .activity')) other.remove();
  return answer.textContent.trim();
})`;

/** Notes the answer's length at each change of the page: true when it has grown often enough to call it a stream. */
const STREAMING = `() => {
  const length = ${ANSWER}().length;
  window.lengths ??= [];
  if (length > 0 && window.lengths.at(-1) !== length) window.lengths.push(length);
  return window.lengths.length >= 8;
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
  const answer = () => window.run(ANSWER);
  const state = () => window.run(`() => [...document.querySelectorAll('[data-testid=message-assistant]')].at(-1).dataset.state`);

  /** Sends a question with the keyboard and gives the whole answer that follows. */
  async function ask(question) {
    const before = (await window.texts('message-assistant')).length;
    await window.type('composer', `${question}\n`);
    await window.until(
      'an answer',
      `(before) => document.querySelectorAll('[data-testid=message-assistant]').length > before`,
      before,
    );
    assert.equal(await window.status('ready', 'failed'), 'ready', (await window.texts('failure')).join());
    return answer();
  }

  /** Lets the model continue a story, until the answer streams. */
  async function tell() {
    await window.run('() => { delete window.lengths; }');
    await window.click('mode-text');
    await window.type('composer', STORY);
    await window.click('send');
    await window.until('a stream of words', STREAMING);
    await window.click('mode-chat');
  }

  /** Chooses a route in the panel and waits until the model is there. */
  async function switchTo(wanted) {
    await window.click('status');
    const option = await window.run(
      `(id) => { const o = document.querySelector('[data-testid=' + id + ']'); return { disabled: o.disabled, text: o.innerText }; }`,
      `route-option-${wanted}`,
    );
    if (option.disabled) await window.click('route-close');
    assert.ok(!option.disabled, `the window does not offer it: ${option.text}`);
    await window.click(`route-option-${wanted}`);
    const now = await window.until(
      `the model on its way to ${wanted}`,
      `(wanted) => { const { status, route } = document.querySelector('[data-testid=app]').dataset; return (status === 'loading' || route === wanted) && status; }`,
      wanted,
    );
    if (now === 'loading') await window.picture('loading');
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

  test('answers a question', async () => {
    assert.ok((await ask('I need a table for two tonight.')).length > 0);
    assert.equal(await state(), 'complete');
    assert.match((await window.texts('status-speed')).join(), /\d/);
    assert.match((await window.texts('message-stats')).join(), /tok\/s/);
    await window.picture('answered');
  });

  test('streams, stops at a click, keeps what was written, and answers again', async () => {
    // On a quiet machine the CPU ends a story before anybody can look; a GPU played in software takes its time.
    await switchTo('native-gpu');
    await window.click('new-chat');
    await tell();
    assert.equal(await state(), 'streaming');
    await window.until('a speed', `() => /\\d/.test(document.querySelector('[data-testid=status-speed]').textContent)`);
    await window.picture('streaming');
    await window.click('stop');
    await window.status('ready');
    assert.equal(await state(), 'stopped');
    const kept = await answer();
    assert.ok(kept.length > 20, 'what was written is gone');
    assert.deepEqual(await window.texts('message-user').then((texts) => texts.map((text) => text.endsWith(STORY))), [true]);
    assert.ok((await ask('Thank you.')).length > 0);
    // Nothing of the stopped answer came after it had been stopped.
    assert.ok((await window.texts('message-assistant'))[0].includes(kept));
    assert.equal(await state(), 'complete');
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
    await switchTo('native-gpu');
    await window.click('new-chat');
    await tell();
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
