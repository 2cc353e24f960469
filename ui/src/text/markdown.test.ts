import { describe, expect, it } from 'vitest';

import { GrowingMarkdown, parse, safeHref } from './markdown';

const DOCUMENT = `# The hearth

It was *late*, and the **fire** had burned low; \`embers\` glowed.
A second line of the same paragraph, with [a link](https://example.org/a?b=c).

- one
- two
  - inner, with ~~struck~~ words

  still of two
- [x] three

1. first
2. second

> Quoted, and
> quoted again.

\`\`\`rust
fn main() { println!("<b>&amp;</b>"); }

// an empty line above
\`\`\`

| dish | price |
|:-----|------:|
| soup | 3 |
| stew | **5** |

---

Title
=====

    indented code

<div onclick="alert(1)">raw</div>

The end &amp; more &lt;b&gt; — &#233; &unknown;.
`;

describe('parse', () => {
  it('knows every kind of block that a model writes', () => {
    expect(parse(DOCUMENT).map((block) => block.type)).toEqual([
      'heading',
      'paragraph',
      'list',
      'list',
      'quote',
      'code',
      'table',
      'rule',
      'heading',
      'code',
      'paragraph',
      'paragraph',
    ]);
  });

  it('reads entities once, and leaves code as it is', () => {
    const found = parse(DOCUMENT);
    expect(found.at(-1)).toEqual({
      type: 'paragraph',
      content: [{ type: 'text', text: 'The end & more <b> — é &unknown;.' }],
    });
    expect(found[5]).toMatchObject({ type: 'code', language: 'rust' });
    expect(JSON.stringify(found[5])).toContain('&amp;');
  });

  it('keeps the boxes of tasks', () => {
    const list = parse('- [x] done\n- [ ] open\n- plain\n')[0];
    expect(list?.type === 'list' && list.items.map((item) => item.ticked)).toEqual([true, false, undefined]);
    expect(JSON.stringify(list)).not.toContain('[x]');
  });

  it('shows a code block while its fence is still open', () => {
    expect(parse('```js\nlet a = 1;')).toEqual([{ type: 'code', language: 'js', text: 'let a = 1;' }]);
  });
});

describe('what a model writes is never trusted', () => {
  const words = (text: string): string => JSON.stringify(parse(text));

  it.each([
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt:alert(1))',
    '[x](  javascript:alert(1))',
    '[x](&#106;avascript:alert(1))',
    '[x](data:text/html,<script>alert(1)</script>)',
    '[x](vbscript:x)',
    '[x](file:///etc/passwd)',
    '[x](tauri://localhost/)',
    '![x](javascript:alert(1))',
    '<javascript:alert(1)>',
    '[x]: javascript:alert(1)\n\n[x]',
    '[x](/relative)',
  ])('makes no link of %s', (text) => {
    expect(words(text)).not.toContain('"link"');
  });

  it.each([
    '<script>alert(1)</script>',
    'a <img src=x onerror=alert(1)> b',
    '<svg/onload=alert(1)>',
    '<style>*{display:none}</style>',
    '<!-- comment --> after',
  ])('keeps %s as text', (text) => {
    const types = new Set(parse(text).flatMap((block) => (block.type === 'paragraph' ? block.content : [])).map((part) => part.type));
    expect([...types]).toEqual(['text']);
  });

  it('shows a picture as a link, and fetches nothing', () => {
    expect(parse('![a cat](https://example.org/cat.png)')).toEqual([
      {
        type: 'paragraph',
        content: [{ type: 'link', href: 'https://example.org/cat.png', content: [{ type: 'text', text: 'a cat' }] }],
      },
    ]);
  });

  it('follows the web and mail only', () => {
    expect(safeHref('https://example.org')).toBe('https://example.org/');
    expect(safeHref('mailto:a@example.org')).toBe('mailto:a@example.org');
    expect(safeHref('ipc://localhost')).toBeUndefined();
    expect(safeHref('java\nscript:alert(1)')).toBeUndefined();
  });
});

describe('GrowingMarkdown', () => {
  it('agrees with the whole at every length', () => {
    const growing = new GrowingMarkdown();
    for (let length = 1; length <= DOCUMENT.length; length += 1) {
      const text = DOCUMENT.slice(0, length);
      expect(growing.update(text), JSON.stringify(text.slice(-40))).toEqual(parse(text));
    }
  });

  it('keeps finished blocks the same objects', () => {
    const growing = new GrowingMarkdown();
    const before = growing.update('First.\n\nSecond.\n\nThi');
    const after = growing.update('First.\n\nSecond.\n\nThird, longer.');
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toBe(before[1]);
    expect(after[2]).not.toEqual(before[2]);
  });

  it('starts anew when the text is another one', () => {
    const growing = new GrowingMarkdown();
    growing.update('One.\n\nTwo.\n\nThree.');
    expect(growing.update('Four.')).toEqual(parse('Four.'));
  });

  it('survives carriage returns and tabs', () => {
    const growing = new GrowingMarkdown();
    const text = 'One.\r\n\r\n\tcode\r\n\r\n- a\r\n\t- b\r\n\r\nEnd.\r\n';
    for (let length = 1; length <= text.length; length += 1) growing.update(text.slice(0, length));
    expect(growing.update(text)).toEqual(parse(text));
  });
});
