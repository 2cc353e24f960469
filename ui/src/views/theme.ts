import type { Theme } from '../state/settings';

/** Keeps the page's colours as the person wants them: as set, or as the system says, also when that changes. */
export class ThemeKeeper {
  readonly #root: HTMLElement;
  readonly #dark: MediaQueryList;
  #theme: Theme = 'system';

  constructor(root: HTMLElement, dark: MediaQueryList) {
    this.#root = root;
    this.#dark = dark;
    dark.addEventListener('change', () => {
      this.#apply();
    });
  }

  set(theme: Theme): void {
    this.#theme = theme;
    this.#apply();
  }

  #apply(): void {
    const system = this.#dark.matches ? 'dark' : 'light';
    this.#root.dataset.theme = this.#theme === 'system' ? system : this.#theme;
  }
}
