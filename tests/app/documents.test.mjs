// Search in documents in the real window: a file is chosen, its passages are found, and a question is asked with them.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Window } from './webdriver.mjs';

const app = process.env.HEARTH_APP;
assert.ok(app, 'HEARTH_APP must name the app');
const encoder = fileURLToPath(new URL('../fixtures/tiny-bert', import.meta.url));
const TALE = '# The sea\n\nThe ship had left the harbour in the night.\n\n# The hill\n\nA small fire kept the room warm.\n';

describe('the documents of the window', () => {
  let window, folder;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hearth-documents-'));
    window = await Window.open(app, [], { 'tiny-bert': encoder });
  });

  after(async () => {
    await window?.close();
    await rm(folder, { recursive: true });
  });

  const shown = (testid, count = 1) =>
    window.until(
      testid,
      `(id, count) => document.querySelectorAll('[data-testid="' + id + '"]').length >= count`,
      testid,
      count,
    );

  test('are added, found and cited, and stay over a reload', async () => {
    assert.equal(await window.status('ready', 'failed'), 'ready', (await window.texts('failure')).join());
    const file = join(folder, 'tale.md');
    await writeFile(file, TALE);
    await window.click('documents');
    await shown('document-zone');
    await window.type('document-files-input', file);
    await shown('document');
    assert.match((await window.texts('document'))[0], /tale\.md.*2 passages/s);
    await window.type('document-question', 'Where did the ship go?\n');
    await shown('passage', 2);
    assert.match((await window.texts('passage-place')).join('\n'), /tale\.md · The sea · characters 11 to 54/);
    await window.picture('documents');
    await window.click('document-ask');
    await window.type('composer', '\n');
    await shown('source', 2);
    assert.equal(await window.status('ready', 'failed'), 'ready', (await window.texts('failure')).join());
    assert.match((await window.texts('source'))[0], /^\[1\] tale\.md · The/);
    await window.reload();
    assert.equal(await window.status('ready', 'failed'), 'ready');
    await window.click('documents');
    await shown('document');
  });
});
