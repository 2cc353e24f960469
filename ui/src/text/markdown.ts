// Markdown as data. A model's words never become markup: the view builds elements out of these nodes, so there is no
// HTML to sanitise. What marked makes of the text is translated into the few kinds of node that the view knows.
import { Lexer } from 'marked';
import type { MarkedToken, Token, Tokens } from 'marked';

export type Inline =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'code'; readonly text: string }
  | { readonly type: 'strong' | 'em' | 'del'; readonly content: readonly Inline[] }
  | { readonly type: 'link'; readonly href: string; readonly content: readonly Inline[] }
  | { readonly type: 'break' };

export type Block =
  | { readonly type: 'paragraph'; readonly content: readonly Inline[] }
  | { readonly type: 'heading'; readonly depth: number; readonly content: readonly Inline[] }
  | { readonly type: 'code'; readonly language: string; readonly text: string }
  | { readonly type: 'quote'; readonly blocks: readonly Block[] }
  | { readonly type: 'list'; readonly start: number | undefined; readonly items: readonly ListItem[] }
  | { readonly type: 'table'; readonly header: readonly Cell[]; readonly rows: readonly (readonly Cell[])[] }
  | { readonly type: 'rule' };

export interface ListItem {
  /** Whether the box of a task is ticked; none if it is no task. */
  readonly ticked: boolean | undefined;
  readonly blocks: readonly Block[];
}

export interface Cell {
  readonly align: 'left' | 'center' | 'right' | undefined;
  readonly content: readonly Inline[];
}

const SAFE_SCHEME = /^(?:https?|mailto):/i;

/** The address of a link if following it is harmless: the web and mail, nothing that runs or reads files. */
export function safeHref(href: string): string | undefined {
  try {
    const url = new URL(href);
    return SAFE_SCHEME.test(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

/** Markdown lets a character be written as an HTML entity; the few common ones are read, the others stay as they are. */
function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-z]{2,5}));/g, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return NAMED[name] ?? whole;
    const code = typeof decimal === 'string' ? parseInt(decimal, 10) : parseInt(String(hex), 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  });
}

// marked's union ends in a token of any shape, for extensions; there are none here.
function known(token: Token): MarkedToken {
  return token as MarkedToken;
}

function inlines(tokens: readonly Token[] | undefined): Inline[] {
  return (tokens ?? []).flatMap((token) => inline(known(token)));
}

function inline(token: MarkedToken): Inline | Inline[] {
  switch (token.type) {
    case 'strong':
    case 'em':
    case 'del':
      return { type: token.type, content: inlines(token.tokens) };
    case 'codespan':
      return { type: 'code', text: token.text };
    case 'br':
      return { type: 'break' };
    case 'link': {
      const href = safeHref(token.href);
      return href === undefined ? { type: 'text', text: token.raw } : { type: 'link', href, content: inlines(token.tokens) };
    }
    case 'image': {
      // Nothing is fetched because a model says so: a picture is shown as a link to it.
      const href = safeHref(token.href);
      const content: Inline[] = [{ type: 'text', text: token.text || token.href }];
      return href === undefined ? { type: 'text', text: token.raw } : { type: 'link', href, content };
    }
    case 'text':
      return token.tokens === undefined ? { type: 'text', text: decodeEntities(token.text) } : inlines(token.tokens);
    case 'escape':
      return { type: 'text', text: token.text };
    case 'checkbox':
      return [];
    default:
      // HTML among it: shown as it was written.
      return { type: 'text', text: token.raw };
  }
}

function cell(token: Tokens.TableCell): Cell {
  return { align: token.align ?? undefined, content: inlines(token.tokens) };
}

function listItem(token: Tokens.ListItem): ListItem {
  return { ticked: token.task ? token.checked === true : undefined, blocks: blocks(token.tokens) };
}

function blocks(tokens: readonly Token[]): Block[] {
  return tokens.flatMap((token) => block(known(token)));
}

function block(token: MarkedToken): Block | Block[] {
  switch (token.type) {
    case 'space':
    case 'def':
    case 'checkbox':
      return [];
    case 'heading':
      return { type: 'heading', depth: token.depth, content: inlines(token.tokens) };
    case 'code':
      return { type: 'code', language: /^\S*/.exec(token.lang ?? '')?.[0] ?? '', text: token.text };
    case 'blockquote':
      return { type: 'quote', blocks: blocks(token.tokens) };
    case 'list': {
      const start = token.ordered && typeof token.start === 'number' ? token.start : undefined;
      return { type: 'list', start, items: token.items.map(listItem) };
    }
    case 'table':
      return { type: 'table', header: token.header.map(cell), rows: token.rows.map((row) => row.map(cell)) };
    case 'hr':
      return { type: 'rule' };
    case 'paragraph':
      return { type: 'paragraph', content: inlines(token.tokens) };
    default: {
      const content = 'tokens' in token ? inlines(token.tokens) : [{ type: 'text', text: token.raw.trim() } as const];
      return { type: 'paragraph', content };
    }
  }
}

function lex(text: string): Token[] {
  return new Lexer({ gfm: true, breaks: true }).lex(text);
}

/** A text's blocks. */
export function parse(text: string): Block[] {
  return blocks(lex(text));
}

/**
 * The blocks of a text that grows. A block that is finished keeps its identity, so that a view need not touch it
 * again; only the tail, from the last block on, is read anew.
 */
export class GrowingMarkdown {
  #frozenText = '';
  #frozen: readonly Block[] = [];

  update(text: string): readonly Block[] {
    if (!text.startsWith(this.#frozenText)) {
      this.#frozenText = '';
      this.#frozen = [];
    }
    const tail = lex(text.slice(this.#frozenText.length));
    // The last block may still grow: a list may get another item, a line may turn out to be a table's first.
    const open = tail.findLastIndex((token) => token.type !== 'space');
    const closed = tail.slice(0, Math.max(open, 0));
    const openRaw = tail.slice(Math.max(open, 0));
    const raw = closed.map((token) => token.raw).join('');
    // marked normalises some characters (tabs, carriage returns): then its text is not ours, and nothing is frozen.
    if (closed.length > 0 && text.startsWith(raw, this.#frozenText.length)) {
      this.#frozenText += raw;
      this.#frozen = [...this.#frozen, ...blocks(closed)];
      return [...this.#frozen, ...blocks(openRaw)];
    }
    return [...this.#frozen, ...blocks(tail)];
  }
}
