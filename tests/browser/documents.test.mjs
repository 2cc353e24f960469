// Search in documents, in a page that `hearth serve` sent: added, searched, cited and removed, as a person would.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openChromium } from './browsers.mjs';
import { Server, repository } from './server.mjs';
import { Page, byId } from './window.mjs';

/** Other words may be chosen to look at it with a real model: HEARTH_EMBEDDER is its folder. */
const embedder = process.env.HEARTH_EMBEDDER ?? join(repository, 'tests/fixtures/tiny-bert');

const TALE = `# The lighthouse

## The night of the storm

The wind had risen since noon, and by dusk the sea came over the lower rocks. Martha Quill carried the oil up herself,
two hundred and four steps, because the boy was ill and the lamp would not wait for him.

## The ship

A little before midnight she saw the lights of a ship that had left the harbour against all advice. It turned once,
twice, and then the lights were gone.

## The morning

They found the captain on the northern beach, alive, with the ship's bell in his arms. He asked for bread, and for
somebody to write a letter.
`;

const RECIPE = 'Knead the dough for ten minutes, let it rise in a warm place until it has doubled, and bake it for half an hour.';

/** A page of Helvetica, as small as a PDF may be. */
function pdf(words) {
  const stream = `BT /F1 12 Tf 72 720 Td (${words}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>',
  ];
  let text = '%PDF-1.4\n';
  const places = objects.map((object, at) => {
    const place = text.length;
    text += `${at + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(place).padStart(10, '0')} 00000 n \n`;
  });
  const table = text.length;
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.join('')}`;
  return Buffer.from(`${text}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`);
}

const FILES = [
  { name: 'lighthouse.md', mimeType: 'text/markdown', buffer: Buffer.from(TALE) },
  { name: 'bread.txt', mimeType: 'text/plain', buffer: Buffer.from(RECIPE) },
  { name: 'rent.pdf', mimeType: 'application/pdf', buffer: pdf('The rent is due on the first day of each month.') },
];

let browser;

before(async () => {
  browser = await openChromium();
});

after(() => browser?.close());

for (const scheme of ['light', 'dark']) {
  describe(`the documents, ${scheme}`, () => {
    let server, page;

    before(async () => {
      server = await Server.start({ models: { [embedder.split('/').at(-1)]: embedder } });
      page = await Page.open(browser, server.url, { query: '?route=native-cpu', scheme });
      await page.ready('native-cpu');
    });

    after(async () => {
      await page?.close();
      await server?.kill();
    });

    const names = () => page.find('document').locator('.name').allTextContents();

    test('are none at first', async () => {
      await page.find('documents').click();
      await page.find('document-none').waitFor();
      assert.ok(await page.find('document-question').isDisabled());
      assert.deepEqual(await page.barriers(), []);
      await page.picture(`documents-none-${scheme}`);
    });

    test('are added from files and listed with their size', async () => {
      await page.find('document-files-input').setInputFiles(FILES);
      await page.find('document').nth(2).waitFor();
      assert.deepEqual(await names(), FILES.map(({ name }) => name));
      assert.match(await page.find('document').nth(2).textContent(), /PDF · 50 characters · 1 passage/);
      assert.deepEqual(await page.barriers(), []);
    });

    test('are refused with a reason, and the others stay', async () => {
      await page.find('document-files-input').setInputFiles({ name: 'scan.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4 nothing') });
      await page.find('document-refused').waitFor();
      assert.match(await page.find('document-refused').textContent(), /scan\.pdf cannot be read as PDF/);
      assert.deepEqual(await page.barriers(), []);
      await page.picture(`documents-refused-${scheme}`);
      await page.find('document-refused').locator('button').click();
      assert.equal((await names()).length, 3);
    });

    test('are searched with the keyboard alone', async () => {
      await page.find('document-question').focus();
      await page.tab.keyboard.type('What happened to the ship?');
      await page.tab.keyboard.press('Enter');
      await page.find('passage').first().waitFor();
      const places = await page.find('passage-place').allTextContents();
      assert.ok(places.some((place) => /^lighthouse\.md · The lighthouse › The ship · characters \d+ to \d+$/.test(place)), places.join('\n'));
      assert.ok(places.some((place) => place.startsWith('rent.pdf · page 1 · ')), places.join('\n'));
      const scores = (await page.find('passage').locator('.score').allTextContents()).map((text) => Number(/-?\d\.\d+/.exec(text)?.[0]));
      assert.deepEqual(scores, scores.toSorted((a, b) => b - a));
      assert.ok((await page.find('passage-text').locator('mark').count()) > 0);
      assert.deepEqual(await page.barriers(), []);
      await page.picture(`documents-${scheme}`);
    });

    test('answer a question, with the passages beneath the answer', async () => {
      const first = await page.find('passage-place').first().textContent();
      await page.find('document-ask').click();
      await page.find('document-panel').waitFor({ state: 'hidden' });
      assert.equal(await page.find('composer').inputValue(), 'What happened to the ship?');
      assert.match(await page.find('cited').textContent(), /With 3 passages from/);
      await page.limit(24);
      await page.find('composer').press('Enter');
      await page.ended();
      assert.deepEqual(await page.questions(), ['What happened to the ship?']);
      const sources = await page.find('source').locator('summary').allTextContents();
      assert.equal(sources.length, 3);
      assert.equal(sources[0], `[1] ${first}`);
      await page.find('source').first().locator('summary').click();
      assert.deepEqual(await page.barriers(), []);
      await page.picture(`documents-answer-${scheme}`);
      await page.tab.reload();
      await page.ready('native-cpu');
      assert.deepEqual(await page.find('source').locator('summary').allTextContents(), sources);
    });

    test('are removed', async () => {
      await page.find('documents').click();
      await page.find('document').first().locator(byId('document-remove')).click();
      await page.tab.locator(byId('document')).nth(2).waitFor({ state: 'detached' });
      assert.deepEqual(await names(), ['bread.txt', 'rent.pdf']);
    });

    test('broke no rule of the policy', () => {
      assert.deepEqual(page.violations, []);
    });
  });
}

test('documents of one model are prepared for another without their files', async () => {
  const folders = ['tiny-bert', 'tiny-roberta'].map((name) => [name, join(repository, 'tests/fixtures', name)]);
  const server = await Server.start({ models: Object.fromEntries(folders) });
  const page = await Page.open(browser, server.url, { query: '?route=native-cpu' });
  try {
    await page.ready('native-cpu');
    await page.find('documents').click();
    await page.find('document-files-input').setInputFiles(FILES);
    await page.find('document').nth(2).waitFor();
    const models = page.find('document-model');
    const other = (await models.inputValue()) === 'tiny-bert' ? 'tiny-roberta' : 'tiny-bert';
    await models.selectOption(other);
    await page.find('document-strangers').waitFor();
    assert.match(await page.find('document-strangers').textContent(), /3 of 3 documents have vectors of another model/);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('documents-strangers');
    await page.find('document-renew').click();
    await page.find('document-strangers').waitFor({ state: 'detached' });
    await page.find('document-question').fill('What happened to the ship?');
    await page.find('document-search').click();
    await page.find('passage').first().waitFor();
    assert.match(await page.find('document-summary').textContent(), new RegExp(`by ${other} `));
    assert.deepEqual(page.violations, []);
  } finally {
    await page.close();
    await server.kill();
  }
});

test('a host without an embedding model says how it gets one', async () => {
  const server = await Server.start();
  const page = await Page.open(browser, server.url, { query: '?route=native-cpu' });
  try {
    await page.ready('native-cpu');
    await page.find('documents').click();
    await page.find('document-no-model').waitFor();
    assert.match(await page.find('document-no-model').textContent(), /hearth models add/);
    assert.deepEqual(await page.barriers(), []);
    await page.picture('documents-no-model');
    await page.tab.keyboard.press('Escape');
    await page.find('document-panel').waitFor({ state: 'hidden' });
  } finally {
    await page.close();
    await server.kill();
  }
});
