// Models that a person brings into the page: chosen or dropped, good and bad. The engine in the page reads them.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { badFiles, folderModel, ggufModel, hugeModel, splitModel, twoModels } from '../brought_models.mjs';
import { openChromium } from './browsers.mjs';
import { Server } from './server.mjs';
import { Page, byId } from './window.mjs';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 860 };

let server, browser, place;

before(async () => {
  place = await mkdtemp(join(tmpdir(), 'hearth-brought-'));
  server = await Server.start();
  browser = await openChromium();
});

after(async () => {
  await browser?.close();
  await server?.kill();
  await rm(place, { recursive: true, force: true });
});

/** What a person does in the model view. */
class Models {
  constructor(page) {
    this.page = page;
  }

  async open() {
    await this.page.find('models').click();
    await this.page.find('model-report').waitFor();
  }

  close() {
    return this.page.find('model-close').click();
  }

  /** Files go into the one field, a folder into the other. */
  choose(files) {
    return this.page.find('model-files-input').setInputFiles(files);
  }

  chooseFolder(folder) {
    return this.page.find('model-folder-input').setInputFiles(folder);
  }

  /** Lets go of files or folders of the disk over the page, as the browser does for a person's hand. */
  async drop(files) {
    const session = await this.page.context.newCDPSession(this.page.tab);
    const data = { items: [], files, dragOperationsMask: 1 };
    const say = (type) => session.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    await say('dragEnter');
    await say('dragOver');
    await this.page.find('drop-hint').waitFor();
    await this.page.picture('models-drop');
    await say('drop');
    await this.page.find('drop-hint').waitFor({ state: 'detached' });
    await session.detach();
  }

  /** Chooses a model of the list. */
  pick(name) {
    return this.page.tab.locator(`${byId('model-option')}[data-model="${name}"]`).click();
  }

  /** The same, and waits for its report. */
  async look(name) {
    await this.pick(name);
    await this.report(name);
  }

  /** Waits for the report of a model, and gives its words. */
  async report(name) {
    const report = this.page.find('model-report');
    await report.locator('h3', { hasText: name }).waitFor();
    return report.innerText();
  }

  /** Waits until something was refused, and gives the words. */
  async refusal(words) {
    const refusal = this.page.find('model-refusal').filter({ hasText: words });
    await refusal.waitFor();
    return refusal.innerText();
  }

  /** Waits until what was done is said. */
  async said(words) {
    await this.page.find('model-said').filter({ hasText: words }).waitFor();
  }

  names() {
    return this.page.find('model-option').evaluateAll((options) => options.map((option) => option.dataset.model));
  }

  /** Loads what is looked at, and waits until it is there. */
  async load(name) {
    await this.page.find('model-load').click();
    await this.page.tab.locator(byId('model-name'), { hasText: name }).waitFor();
    await this.page.ready('webview-cpu');
  }
}

describe('models of a person’s own, in the page', () => {
  let page, models;

  before(async () => {
    page = await Page.open(browser, server.url, { query: '?route=webview-cpu' });
    models = new Models(page);
    await page.ready('webview-cpu');
  });

  after(() => page?.close());

  /** The names that are listed before a person has brought any, and those since. */
  const own = ['hearth-tiny'];

  test('a folder is looked at before it loads', async () => {
    await models.open();
    await models.chooseFolder(await folderModel(place, 'My model (1)'));
    const words = await models.report('My model (1)');
    own.push('My model (1)');
    assert.match(words, /Architecture\s+llama/);
    assert.match(words, /16\.00 bits each/);
    assert.match(words, /BF16\s+110\s+11\.5 million\s+22\.0 MiB/);
    assert.match(words, /Chat template\s+yes/);
    const total = await page.find('model-total').textContent();
    assert.match(total, /^\d+\.\d MiB$/);
    const fit = page.find('model-fit');
    // A browser does not tell how much memory is free.
    assert.equal(await fit.getAttribute('data-fit'), 'unknown');
    assert.ok((await fit.textContent()).includes(`${total} are needed`));
    assert.deepEqual(await models.names(), own);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('models');
  });

  test('what it could be made into is shown, with losses of another model named so', async () => {
    const advice = page.find('recipe-advice');
    // Nobody knows how much memory a browser has left, until the person says it.
    assert.match(await advice.textContent(), /say how much the model may take/);
    assert.equal(await advice.getAttribute('data-recommended'), '');
    assert.match(await page.find('recipe-note').textContent(), /those of hearth-tiny, not of this model/);
    const recommended = async (gib, name) => {
      await page.find('recipe-memory').fill(gib);
      await page.find('recipe-memory').press('Enter');
      await page.tab.locator(`${byId('recipe-advice')}[data-recommended="${name}"]`).waitFor();
    };
    await recommended('1', 'as it is');
    assert.equal(await page.find('recipe-command').count(), 0);
    await recommended('0.02', '6 bits');
    const command = () => page.find('recipe-command').textContent();
    assert.match(await command(), /^hearth quantize \S.* --bits 6 --calibrate TEXT\.txt -o '?My model \(1\)-6bit'?$/);
    // With the keyboard alone.
    await page.tab.locator(`${byId('recipe-option')}[data-recipe="3.5 bits"]`).focus();
    await page.tab.keyboard.press('Enter');
    assert.match(await command(), /--target-bpw 3\.5/);
    assert.ok((await page.find('frontier-chart').locator('circle').count()) >= 4);
    assert.deepEqual(await page.barriers(), []);
    await page.find('recipes').scrollIntoViewIfNeeded();
    await page.picture('models-recipes');
    await page.find('recipe-memory').fill('');
    await page.find('recipe-memory').blur();
    await page.tab.locator(`${byId('recipe-advice')}[data-recommended=""]`).waitFor();
  });

  test('a shorter context needs less, and four bits for keys and values less again', async () => {
    const needed = async () => Number.parseFloat(await page.find('model-total').textContent());
    const lessThan = (before) =>
      page.tab.waitForFunction(
        ([id, before]) => Number.parseFloat(document.querySelector(id).textContent) < before,
        [byId('model-total'), before],
      );
    const whole = await needed();
    await page.find('model-context').fill('512');
    await page.find('model-context').blur();
    await lessThan(whole);
    const short = await needed();
    await page.find('model-cache').selectOption('int4');
    await lessThan(short);
    assert.ok((await needed()) < short);
  });

  test('it loads, and answers', async () => {
    await models.load('My model (1)');
    await page.say('Good evening! What can you help me with?');
    const answer = await page.ended();
    assert.match(answer, /\w+ \w+/, 'the folder holds the bundled model, which answers in words');
    assert.equal(await page.find('message-assistant').getAttribute('data-state'), 'complete');
  });

  test('a GGUF file that is dropped on the page is looked at, loads, and answers', async () => {
    await models.drop([await ggufModel(place, 'dropped.gguf')]);
    const words = await models.report('dropped');
    own.push('dropped');
    assert.match(words, /8\.58 bits each/);
    assert.match(words, /Q8_0\s+16/);
    await models.load('dropped');
    await page.tell('The fire in the');
    assert.ok((await page.ended()).length > 0);
    assert.equal(await page.questions().then((questions) => questions.length), 2, 'the conversation stays');
  });

  test('all parts of a split GGUF are one model', async () => {
    await models.open();
    await models.choose(await splitModel(place));
    assert.match(await models.report('tiny-llama-split'), /3 GGUF files/);
    own.push('tiny-llama-split');
    await models.load('tiny-llama-split');
  });

  test('a folder that is dropped is read as one', async () => {
    await page.find('new-chat').click();
    await models.drop([await folderModel(place, 'dropped folder')]);
    await models.report('dropped folder');
    own.push('dropped folder');
    await models.load('dropped folder');
    await page.find('mode-chat').click();
    await page.say('Hello!');
    assert.match(await page.ended(), /\w/);
    await models.open();
  });

  test('what is no model, or not whole, is refused in words, and stays off the list', async () => {
    const bad = await badFiles(place);
    for (const [file, words] of [
      [bad.text, /A \.gguf file, or a config\.json with its weights, is missing/],
      [bad.cut, /cut\.gguf is cut short: byte \d+ is needed, but it has \d+ bytes/],
      [bad.empty, /empty\.gguf is cut short: byte \d+ is needed, but it has 0 bytes/],
      [bad.renamed, /renamed\.gguf is damaged or not what its name says/],
    ]) {
      await models.choose(file);
      assert.match(await models.refusal(words), /\. *\n+.*\./, 'a refusal has a cure');
      await models.report('dropped folder');
      assert.deepEqual(await models.names(), own);
    }
    assert.deepEqual(await page.barriers(), []);
    await page.picture('models-refused');
    await models.chooseFolder(await twoModels(place, 'two'));
    await models.refusal(/choose one of their files instead: one\.gguf, two\.gguf/);
    await models.drop([bad.cut]);
    await models.refusal(/cut\.gguf is cut short/);
    assert.deepEqual(await models.names(), own);
  });

  test('after a refusal the model in use still answers', async () => {
    await models.close();
    await page.say('Thank you.');
    assert.match(await page.ended(), /\w/);
  });

  test('a model that is far too large says so before it loads, and there is a way back', async () => {
    await models.open();
    await models.chooseFolder(await hugeModel(place, 'huge'));
    await models.report('huge');
    own.push('huge');
    const fit = page.find('model-fit');
    assert.equal(await fit.getAttribute('data-fit'), 'too_large');
    assert.match(await fit.textContent(), /Does not fit\. 130\.\d GiB are needed, but WebAssembly holds at most 4 GiB/);
    await page.picture('models-too-large');
    assert.equal((await page.find('model-load').textContent()).trim(), 'Load all the same');
    await page.find('model-load').click();
    await page.status('failed');
    assert.equal(await page.find('failure').getAttribute('data-code'), 'out_of_memory');
    assert.match(await page.find('failure-message').textContent(), /needs 128\.\d GiB, but 4\.0 GiB are free/);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('models-did-not-fit');
    await page.find('failure-back').click();
    await page.ready('webview-cpu');
    assert.equal(await page.find('model-name').textContent(), 'dropped folder');
  });

  test('the model in use may be taken off the list, and answers on', async () => {
    await models.open();
    await models.look('dropped folder');
    await page.find('model-remove').click();
    await models.said(/no longer on the list\. It answers until another is loaded/);
    own.splice(own.indexOf('dropped folder'), 1);
    assert.deepEqual(await models.names(), own);
    await models.close();
    await page.say('Goodbye.');
    assert.match(await page.ended(), /\w/);
  });

  test('a file that goes away after it was added is a failure, and can be taken off the list', async () => {
    await rm(join(place, 'dropped.gguf'));
    await models.open();
    await models.pick('dropped');
    await page.find('model-failure').waitFor();
    assert.equal(await page.find('model-failure').getAttribute('data-code'), 'io');
    await page.find('model-remove').click();
    await models.said(/dropped is no longer on the list/);
    own.splice(own.indexOf('dropped'), 1);
    assert.deepEqual(await models.names(), own);
  });

  test('an engine that starts anew still knows what was chosen', async () => {
    await models.close();
    await page.find('status').click();
    await page.find('route-option-native-cpu').click();
    await page.ready('native-cpu');
    await models.open();
    assert.equal(await page.find('model-bring').getAttribute('data-way'), 'server');
    await models.drop([join(place, 'tiny-llama-split-00001-of-00003.gguf')]);
    await models.refusal(/outside of this page/);
    await page.find('model-in-page').click();
    await page.ready('webview-cpu');
    await models.open();
    assert.deepEqual(await models.names(), own);
    await models.look('tiny-llama-split');
    await models.load('tiny-llama-split');
  });

  test('broke no rule of the policy', () => {
    assert.deepEqual(page.violations, []);
  });
});

for (const [scheme, size, name] of [
  ['dark', DESKTOP, 'models-dark'],
  ['light', PHONE, 'models-phone'],
  ['dark', PHONE, 'models-phone-dark'],
]) {
  test(`the model view keeps nobody out: ${scheme}, ${size.width} wide`, async () => {
    const page = await Page.open(browser, server.url, { query: '?route=webview-cpu', scheme });
    try {
      await page.tab.setViewportSize(size);
      await page.ready('webview-cpu');
      const models = new Models(page);
      await models.open();
      await models.choose(await badFiles(place).then(({ cut }) => cut));
      await models.refusal(/cut short/);
      assert.deepEqual(await page.barriers(), []);
      await page.picture(name);
      const overflow = await page.find('model-panel').evaluate((panel) => panel.scrollWidth - panel.clientWidth);
      assert.equal(overflow, 0, 'nothing is wider than the panel');
      await page.tab.keyboard.press('Escape');
      await page.find('model-panel').waitFor({ state: 'hidden' });
    } finally {
      await page.close();
    }
  });
}

test('a load may be stopped, and the model before comes back', async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const page = await Page.open(browser, server.url, { query: '?route=webview-cpu' });
  const models = new Models(page);
  try {
    await page.ready('webview-cpu');
    await models.open();
    await models.choose(await ggufModel(place, 'first.gguf'));
    await models.report('first');
    await models.load('first');
    // The bundled model's headers come at once, and most of its weights not before they are let go.
    await page.context.route('**/models/**/model.safetensors', async (route) => {
      const from = Number(/bytes=(\d+)-/.exec(route.request().headers()['range'] ?? '')?.[1]);
      if (from > 6_000_000) await held;
      await route.continue();
    });
    await models.open();
    await models.look('hearth-tiny');
    await page.find('model-load').click();
    await page.find('load-figures').filter({ hasText: 'MiB' }).waitFor();
    assert.deepEqual(await page.barriers(), []);
    await page.picture('load-may-be-stopped');
    await page.find('load-stop').click();
    release();
    await page.status('failed');
    assert.equal(await page.find('failure').getAttribute('data-code'), 'cancelled');
    await page.picture('load-stopped');
    await page.find('failure-back').click();
    await page.ready('webview-cpu');
    assert.equal(await page.find('model-name').textContent(), 'first');
  } finally {
    release();
    await page.close();
  }
});
