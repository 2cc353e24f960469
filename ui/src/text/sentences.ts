/** Where a sentence ends: its mark, what closes it, and the space that proves it; or the end of a line. */
const SENTENCE_END = /[.!?…]["'”’)\]*_]*\s|\n/g;

/** Markdown's marks, which nobody wants read out. */
const MARKS = /[*_`#>|]+/g;

/** Cuts a stream of text into sentences, so that a screen reader speaks once a sentence and not once a token. */
export class SentenceFeed {
  #rest = '';
  #sentences: readonly string[] = [];

  begin(): readonly string[] {
    this.#rest = '';
    this.#sentences = [];
    return this.#sentences;
  }

  push(text: string): readonly string[] {
    this.#rest += text;
    let start = 0;
    for (const match of this.#rest.matchAll(SENTENCE_END)) {
      const end = match.index + match[0].length;
      this.#keep(this.#rest.slice(start, end));
      start = end;
    }
    this.#rest = this.#rest.slice(start);
    return this.#sentences;
  }

  /** Nothing more comes: what is left counts as a sentence. */
  end(): readonly string[] {
    this.#keep(this.#rest);
    this.#rest = '';
    return this.#sentences;
  }

  #keep(text: string): void {
    const sentence = text.replace(MARKS, '').trim();
    if (sentence !== '') this.#sentences = [...this.#sentences, sentence];
  }
}
