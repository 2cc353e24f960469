// Models that a person brings to the real window by their path: looked at, loaded, answered by, and taken off again.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { badFiles, folderModel, ggufModel, hugeModel, splitModel, twoModels } from '../brought_models.mjs';
import { Window } from './webdriver.mjs';

const app = process.env.HEARTH_APP;
assert.ok(app, 'HEARTH_APP must name the app');

describe('models of a person’s own, in the window', () => {
  let window, place;

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'hearth-brought-'));
    window = await Window.open(app);
    assert.equal(await window.status('ready', 'failed'), 'ready', (await window.texts('failure')).join());
  });

  after(async () => {
    await window?.close();
    await rm(place, { recursive: true, force: true });
  });

  const names = () => window.run(`() => [...document.querySelectorAll('[data-testid=model-option]')].map((o) => o.dataset.model)`);
  const text = (testid) => window.texts(testid).then((texts) => texts.join());
  const route = () => window.run(`() => document.querySelector('[data-testid=app]').dataset.route`);

  /** Opens the model view and waits for a report. */
  async function open() {
    await window.click('models');
    await window.until('a report', `() => document.querySelector('[data-testid=model-report]')`);
  }

  /** Types where a model lies, and waits for the report that follows. */
  async function add(path, name) {
    await window.type('model-path', `${path}\n`);
    await report(name);
  }

  function report(name) {
    return window.until(
      `the report of ${name}`,
      `(name) => document.querySelector('[data-testid=model-report] h3')?.textContent === name`,
      name,
    );
  }

  /** Types where something lies that is no model, and gives the words of the refusal. */
  async function refused(path, part) {
    await window.type('model-path', `${path}\n`);
    return window.until(
      `a refusal that says ${part}`,
      `(part) => { const words = document.querySelector('[data-testid=model-refusal]')?.textContent ?? ''; return words.includes(part) && words; }`,
      part,
    );
  }

  const pick = (name) =>
    window.run(`(name) => document.querySelector('[data-testid=model-option][data-model="' + name + '"]').click()`, name);

  async function load(name) {
    await window.click('model-load');
    await window.until(
      `${name} to be there`,
      `(name) => document.querySelector('[data-testid=model-name]').textContent === name
        && ['ready', 'failed'].includes(document.querySelector('[data-testid=app]').dataset.status)`,
      name,
    );
    assert.deepEqual(await window.texts('failure'), []);
  }

  /** Sends a question with the keyboard, and waits until it is answered. */
  async function ask(question) {
    const before = (await window.texts('message-assistant')).length;
    await window.type('composer', `${question}\n`);
    await window.until(
      'an answer',
      `(before) => { const all = document.querySelectorAll('[data-testid=message-assistant]');
        return all.length > before && all[all.length - 1].dataset.state !== 'streaming'; }`,
      before,
    );
    assert.deepEqual(await window.texts('failure'), []);
    return (await window.texts('message-assistant')).at(-1);
  }

  async function switchTo(wanted) {
    await window.click('status');
    await window.click(`route-option-${wanted}`);
    await window.until(
      `the route ${wanted}`,
      `(wanted) => { const { status, route } = document.querySelector('[data-testid=app]').dataset;
        return (status === 'ready' && route === wanted) || status === 'failed'; }`,
      wanted,
    );
    assert.deepEqual(await window.texts('failure'), []);
  }

  test('a folder that is added by its path is looked at, and fits', async () => {
    await switchTo('native-cpu');
    await open();
    assert.equal(await window.run(`() => document.querySelector('[data-testid=model-bring]').dataset.way`), 'paths');
    await add(await folderModel(place, 'My model (1)'), 'My-model--1');
    assert.deepEqual(await names(), ['hearth-tiny', 'My-model--1']);
    const words = await text('model-report');
    assert.match(words, /Architecture\s*llama/);
    assert.match(words, /16\.00 bits each/);
    const fit = await window.run(`() => document.querySelector('[data-testid=model-fit]').dataset.fit`);
    assert.equal(fit, 'fits');
    // Both figures, before anything is loaded: what is needed holds the weights and some beside, a scratch for each
    // thread of this machine. The bundled model is in use, and would make room.
    const [, needed] = (await text('model-fit')).match(/Fits\.\s+(\d+\.\d) MiB are needed, and \d+\.\d GiB are free once/);
    assert.ok(needed > 28 && needed < 50, `${needed} MiB`);
    await window.picture('models');
  });

  test('it loads on native-cpu, and answers', async () => {
    await load('My-model--1');
    assert.equal(await route(), 'native-cpu');
    assert.match(await ask('I need a table for two tonight.'), /\w+ \w+/);
  });

  test('the page runs it too: its files come through the app', async () => {
    await switchTo('webview-cpu');
    assert.equal(await text('model-name'), 'My-model--1');
    assert.match(await ask('Hello!'), /\w/);
    await switchTo('native-cpu');
  });

  test('any part of a split GGUF stands for all, and it runs', async () => {
    const parts = await splitModel(place);
    await open();
    await add(parts[1], 'tiny-llama-split');
    assert.match(await text('model-report'), /3 GGUF files/);
    await load('tiny-llama-split');
    await window.click('mode-text');
    await ask('The fire in the');
    await window.click('mode-chat');
  });

  test('what is no model, or not whole, is refused in words, and stays off the list', async () => {
    await open();
    const before = await names();
    const bad = await badFiles(place);
    assert.match(await refused(bad.text, 'notes.txt'), /a model is a folder, a \.gguf file/);
    assert.match(await refused(bad.cut, 'cut.gguf'), /cut short: byte \d+ is needed, but it has \d+ bytes/);
    assert.match(await refused(bad.empty, 'empty.gguf'), /it has 0 bytes/);
    assert.match(await refused(bad.renamed, 'renamed.gguf'), /not what its name says/);
    assert.match(await refused(join(place, 'absent.gguf'), 'absent.gguf'), /no file or folder there/);
    assert.match(await refused(await twoModels(place, 'two'), 'one.gguf, two.gguf'), /choose one of their files/);
    await mkdir(join(place, 'nothing'));
    assert.match(await refused(join(place, 'nothing'), 'nothing'), /config\.json is missing/);
    assert.deepEqual(await names(), before);
    await window.picture('models-refused');
  });

  test('a model that is too large says so, with both figures, before it loads; and there is a way back', async () => {
    await add(await hugeModel(place, 'huge'), 'huge');
    assert.match(await text('model-fit'), /Does not fit\.\s+1\d\d\.\d GiB are needed, but \d+\.\d GiB are free once/);
    await window.picture('models-too-large');
    await window.click('model-load');
    await window.status('failed');
    assert.match(await text('failure-message'), /needs 1\d\d\.\d GiB, but \d+\.\d GiB are free/);
    await window.click('failure-back');
    await window.status('ready');
    assert.equal(await text('model-name'), 'tiny-llama-split');
    await open();
    await pick('huge');
    await report('huge');
    await window.click('model-remove');
    await window.until('the removal', `() => document.querySelector('[data-testid=model-said]').textContent.includes('huge is no longer')`);
  });

  test('the model in use may be taken off the list, and answers on', async () => {
    await pick('My-model--1');
    await report('My-model--1');
    await load('My-model--1');
    await open();
    await pick('My-model--1');
    await report('My-model--1');
    await window.click('model-remove');
    await window.until(
      'the removal',
      `() => document.querySelector('[data-testid=model-said]').textContent.includes('It answers until another is loaded')`,
    );
    assert.deepEqual(await names(), ['hearth-tiny', 'tiny-llama-split']);
    await window.click('model-close');
    assert.match(await ask('Thank you.'), /\w/);
  });

  test('a model whose files are gone is marked, and can be taken off', async () => {
    await open();
    const file = await ggufModel(place, 'stick.gguf');
    await add(file, 'stick');
    await rm(file);
    await window.reload();
    await window.status('ready');
    await open();
    assert.deepEqual(await names(), ['hearth-tiny', 'tiny-llama-split', 'stick'], 'what was added outlives the page');
    assert.match(
      await window.run(`() => document.querySelector('[data-testid=model-option][data-model=stick]').textContent`),
      /no longer where they were: .*stick\.gguf/,
    );
    await pick('stick');
    await window.until('the failure', `() => document.querySelector('[data-testid=model-failure]')`);
    await window.picture('models-gone');
    await window.click('model-remove');
    await window.until('the removal', `() => document.querySelector('[data-testid=model-said]').textContent.includes('stick is no longer')`);
    assert.deepEqual(await names(), ['hearth-tiny', 'tiny-llama-split']);
  });
});
