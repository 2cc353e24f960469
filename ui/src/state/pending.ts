/** Text on its way to the view, handed over once a picture. */
export class PendingText {
  #text = '';
  readonly #write: (text: string) => void;
  readonly #onNextFrame: (act: () => void) => void;

  constructor(write: (text: string) => void, onNextFrame: (act: () => void) => void) {
    this.#write = write;
    this.#onNextFrame = onNextFrame;
  }

  add(text: string): void {
    const first = this.#text === '';
    this.#text += text;
    if (first && text !== '') {
      this.#onNextFrame(() => {
        this.flush();
      });
    }
  }

  flush(): void {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    this.#write(text);
  }
}
