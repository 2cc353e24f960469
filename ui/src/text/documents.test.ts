import { describe, expect, it } from 'vitest';

import { fakeDocument, fakePassage } from '../link/fake_documents';
import { areDocuments, documentText, flowing, nameOf, parts, placeText, progressText, sourcesText, withPassages } from './documents';

const marked = (text: string, question: string): string =>
  parts(text, question)
    .map((part) => (part.isHit ? `<${part.text}>` : part.text))
    .join('');

describe('parts', () => {
  it('marks the words that were asked for, in every form of letters and number', () => {
    expect(marked('Ships lay in the harbour; one ship left.', 'Where did the ships go from the harbour?')).toBe(
      '<Ships> lay in the <harbour>; one <ship> left.',
    );
    expect(marked('Über den Hügeln, über dem Meer', 'Was liegt über den Hügeln?')).toBe('<Über> den <Hügeln>, <über> dem Meer');
  });

  it('leaves words that stand everywhere, and short ones unless they are names or figures', () => {
    expect(marked('What is it that they have there?', 'What have they that is there?')).toBe('What is it that they have there?');
    expect(marked('The GPU of 1998 and a cat', 'Was a GPU in the cat of 1998?')).toBe('The <GPU> of <1998> and a cat');
  });

  it('loses nothing of the text', () => {
    const text = '  火と水。\n\n* ship, *ships*!\t';
    expect(parts(text, 'ships').map((part) => part.text).join('')).toBe(text);
    expect(parts('', 'ships')).toEqual([]);
  });
});

describe('flowing', () => {
  it('joins lines of prose, and no others', () => {
    expect(flowing('It turned once,\ntwice, and\r\nthen “it”\n“went”.')).toBe('It turned once, twice, and then “it” “went”.');
    expect(flowing('1. One,\n   two\n2. Three')).toBe('1. One, two\n2. Three');
    for (const text of ['f() {\n  return 1;\n}', 'One.\n\nTwo.', 'a:\n- b\n- c', 'a:\n1. b\n12) c', '| a |\n| b |', 'if:\n    code()', '> a\n> b', 'a\n# b']) {
      expect(flowing(text)).toBe(text);
    }
  });
});

describe('the words about documents', () => {
  it('say where a passage stands, with what is known of it', () => {
    expect(placeText(fakePassage())).toBe('tale.md · The sea · characters 11 to 1\u202f060');
    expect(placeText(fakePassage({ heading: '' }))).toBe('tale.md · characters 11 to 1\u202f060');
    expect(documentText(fakeDocument())).toBe('Markdown · 12\u202f400 characters · 3 passages');
    expect(documentText(fakeDocument({ kind: 'pdf', characters: 1, chunks: 1 }))).toBe('PDF · 1 character · 1 passage');
    expect(sourcesText([fakePassage()])).toBe('1 passage from tale.md');
    expect(sourcesText([fakePassage(), fakePassage({ document: 'b.txt' })])).toBe('2 passages from 2 documents');
  });

  it('say how far an addition is', () => {
    expect(progressText(undefined)).toBe('Sending');
    expect(progressText({ stage: 'embedding', done_chunks: 2, total_chunks: 30 })).toBe('2 of 30 passages');
    expect(progressText({ stage: 'embedding', done_chunks: 0, total_chunks: 0 })).toBe('Comparing');
  });

  it('tell documents from the files of a model', () => {
    expect(areDocuments(['a.txt', 'B.MD', 'c.pdf'])).toBe(true);
    for (const names of [[], ['model.gguf'], ['README.md', 'model.safetensors'], ['folder']]) expect(areDocuments(names)).toBe(false);
  });

  it('name a text by its first words', () => {
    expect(nameOf('  The ship had\nleft the harbour in the night')).toBe('The ship had left the harbour.txt');
    expect(nameOf('https://example.org/' + 'x'.repeat(99)).length).toBeLessThan(60);
  });
});

describe('withPassages', () => {
  it('numbers them before the question, and leaves a question alone as it is', () => {
    expect(withPassages('Where?', [])).toBe('Where?');
    const text = withPassages('Where?', [fakePassage(), fakePassage({ heading: '', text: 'It was dark.' })]);
    expect(text).toContain('[1] tale.md, The sea\nThe ship had left');
    expect(text).toContain('[2] tale.md\nIt was dark.');
    expect(text.endsWith('Question: Where?')).toBe(true);
  });
});
