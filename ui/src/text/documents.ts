import type { Document, DocumentProgress, Passage } from '../link/protocol.gen';
import { formatNumber } from './format';

/** "tale.md · The sea · characters 10 to 220": where a passage stands. */
export function placeText(passage: Passage): string {
  const { start, end } = passage.characters;
  const heading = passage.heading === '' ? [] : [passage.heading];
  return [passage.document, ...heading, `characters ${formatNumber(start)} to ${formatNumber(end)}`].join(' · ');
}

function counted(count: number, one: string): string {
  return `${formatNumber(count)} ${one}${count === 1 ? '' : 's'}`;
}

const KINDS = { text: 'Text', markdown: 'Markdown', pdf: 'PDF' } as const;

/** "PDF · 12 400 characters · 31 passages". */
export function documentText({ kind, characters, chunks }: Document): string {
  return [KINDS[kind], counted(characters, 'character'), counted(chunks, 'passage')].join(' · ');
}

/** "3 passages from tale.md", "3 passages from 2 documents". */
export function sourcesText(passages: readonly Passage[]): string {
  const names = new Set(passages.map(({ document }) => document));
  const [first = ''] = names;
  return `${counted(passages.length, 'passage')} from ${names.size === 1 ? first : counted(names.size, 'document')}`;
}

/** What an addition or a search is at. */
export function progressText(progress: DocumentProgress | undefined): string {
  switch (progress?.stage) {
    case undefined:
      return 'Sending';
    case 'reading':
      return 'Reading the text';
    case 'loading_model':
      return 'Loading the embedding model';
    case 'embedding':
      if (progress.total_chunks === 0) return 'Comparing';
      return `${formatNumber(progress.done_chunks)} of ${counted(progress.total_chunks, 'passage')}`;
  }
}

/** A passage as it is shown: lines that were broken for their width flow again; lists, tables and code stay as they are. */
export function flowing(text: string): string {
  const joined = text.replaceAll(/(?<=\S)[ \t]*\r?\n(?=[\p{L}\p{N}"'“‘(](?!\p{N}*[.)] ))/gu, ' ');
  // The same within a list, whose lines are indented; a statement of a program ends with a sign.
  return joined.replaceAll(/(?<=[\p{L}\p{N},])\r?\n {1,3}(?=\p{L})/gu, ' ');
}

/** A part of a text, and whether it is one of the words that were asked for. */
export interface Part {
  readonly text: string;
  readonly isHit: boolean;
}

/** Words that stand in every question and every text. */
const COMMON = new Set(
  ('about after also been before between both could does from have here into just many more most much must only other ' +
    'over said same shall should some such than that their them then there these they this those very were what when ' +
    'where which while will with would your').split(' '),
);
/** Shorter words join others; those with a capital or a figure in them may still be names. */
const WORD_CHARS_MIN = 4;

function stem(word: string): string {
  const lower = word.toLowerCase();
  return lower.length > WORD_CHARS_MIN ? lower.replace(/(?:es|s)$/u, '') : lower;
}

/** A passage in parts, with the question's own words apart. The search itself goes by meaning, not by words. */
export function parts(text: string, question: string): Part[] {
  const words = question.match(/[\p{L}\p{N}]+/gu) ?? [];
  const isTelling = (word: string, at: number): boolean =>
    /\p{N}/u.test(word) || (at > 0 && /\p{Lu}/u.test(word)) || (word.length >= WORD_CHARS_MIN && !COMMON.has(word.toLowerCase()));
  const wanted = new Set(words.filter(isTelling).map(stem));
  const found: Part[] = [];
  let plain = '';
  for (const [piece] of text.matchAll(/[\p{L}\p{N}]+|[^\p{L}\p{N}]+/gu)) {
    if (!wanted.has(stem(piece))) {
      plain += piece;
      continue;
    }
    if (plain !== '') found.push({ text: plain, isHit: false });
    found.push({ text: piece, isHit: true });
    plain = '';
  }
  if (plain !== '') found.push({ text: plain, isHit: false });
  return found;
}

/** A question with the passages that shall answer it, numbered as they are shown beneath the answer. */
export function withPassages(question: string, passages: readonly Passage[]): string {
  if (passages.length === 0) return question;
  const numbered = passages.map((passage, at) => {
    const heading = passage.heading === '' ? '' : `, ${passage.heading}`;
    return `[${at + 1}] ${passage.document}${heading}\n${passage.text}`;
  });
  return [
    'Answer the question from these passages, and name the number of each one that you use, as in [1]. If they do not hold the answer, say so.',
    ...numbered,
    `Question: ${question}`,
  ].join('\n\n');
}

const ENDINGS = /\.(?:txt|text|md|markdown|pdf)$/i;

/** Whether files of these names are for reading: a model's come with others. */
export function areDocuments(names: readonly string[]): boolean {
  return names.length > 0 && names.every((name) => ENDINGS.test(name));
}

/** A name for a text that came without one: its first words. */
export function nameOf(text: string): string {
  const words = text.trim().split(/\s+/).slice(0, 6).join(' ');
  const short = words.length > 48 ? `${words.slice(0, 48)}…` : words;
  return `${short.replaceAll(/[/\\:]/g, ' ')}.txt`;
}
