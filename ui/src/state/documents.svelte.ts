import { failureOf, linkFailure } from '../link/failure';
import type { Link } from '../link/link';
import type { Links } from '../link/links';
import type {
  DocumentContent,
  DocumentList,
  DocumentProgress,
  Event,
  Failure,
  FoundPassages,
  Passage,
  Request,
} from '../link/protocol.gen';
import { nameOf } from '../text/documents';
import { formatBytes } from '../text/format';
import type { Session } from './session.svelte';

/** Passages that a search brings, and how many of them are chosen for a question at first. */
const [RESULTS, CHOSEN] = [8, 3];

/** A document on its way. */
export interface Adding {
  readonly name: string;
  /** Which of how many that were dropped together. */
  readonly place: number;
  readonly count: number;
  readonly progress: DocumentProgress | undefined;
}

/** A document that was not taken in. */
export interface Refused {
  readonly name: string;
  readonly failure: Failure;
}

/** Something to take in: what it is called, and how its content is come by. */
interface Wanted {
  readonly name: string;
  readonly content: () => Promise<DocumentContent | Failure>;
}

/** The documents of this machine, what was found in them, and what goes with the next message. */
export class DocumentShelf {
  list = $state.raw<DocumentList | undefined>();
  /** Why there are no documents here: no engine that keeps some, or a list that cannot be read. */
  failure = $state.raw<Failure | undefined>();
  reading = $state(false);
  adding = $state.raw<Adding | undefined>();
  refused = $state.raw<readonly Refused[]>([]);
  searching = $state.raw<DocumentProgress | undefined>();
  /** What was asked, and what was found for it. */
  asked = $state('');
  found = $state.raw<FoundPassages | undefined>();
  searchFailure = $state.raw<Failure | undefined>();
  /** How far it is with giving all documents vectors of the model that is taken. */
  renewing = $state.raw<DocumentProgress | undefined>();
  renewalFailure = $state.raw<Failure | undefined>();
  /** Places in `found` of what shall go with the question. */
  chosen = $state.raw<readonly number[]>([]);
  /** What goes with the next message. */
  cited = $state.raw<readonly Passage[]>([]);
  /** What was done last, for screen readers. */
  said = $state('');

  readonly #session: Session;
  readonly #link: Link;
  #model = $state<string | undefined>();
  #waiting: Wanted[] = [];
  #addition = new AbortController();
  #search = new AbortController();
  #renewal = new AbortController();

  constructor(session: Session, links: Links) {
    this.#session = session;
    // A page's own engine has no disk, whichever route the conversation takes.
    this.#link = links.native;
  }

  /** The embedding model that is taken; none if there is none. */
  get model(): string | undefined {
    const { models = [], model = null } = this.list ?? {};
    return this.#model !== undefined && models.includes(this.#model) ? this.#model : (model ?? undefined);
  }

  set model(model: string | undefined) {
    this.#model = model;
    this.found = undefined;
    this.searchFailure = undefined;
    this.renewalFailure = undefined;
  }

  /** Whether the person sits in the app, where files have paths and models are dropped on the window. */
  get isInApp(): boolean {
    return this.#link.kind === 'native';
  }

  get isSearching(): boolean {
    return this.searching !== undefined;
  }

  /** How many documents have vectors that the model in use cannot be compared with. */
  get strangers(): number {
    return this.list?.documents.filter(({ model }) => model !== this.model).length ?? 0;
  }

  /** Reads the list. */
  async open(): Promise<void> {
    this.reading = true;
    const last = await this.#last({ type: 'documents' });
    this.reading = false;
    if (last.type === 'documents') {
      this.failure = undefined;
      this.list = last;
    } else if (last.type === 'failed') this.failure = failureIn(last);
  }

  addFiles(files: readonly File[]): Promise<void> {
    return this.#add(files.map((file) => ({ name: file.name, content: () => this.#contentOf(file) })));
  }

  /** Files that the app's window was given: the engine reads them itself. */
  addPaths(paths: readonly string[]): Promise<void> {
    const name = (path: string): string => path.split(/[/\\]/).at(-1) ?? path;
    return this.#add(paths.map((path) => ({ name: name(path), content: () => Promise.resolve({ kind: 'path', path }) })));
  }

  /** Opens the app's own dialog, which gives paths: what lies on the disk need not pass through the page. */
  async chooseFiles(): Promise<void> {
    try {
      await this.addPaths((await this.#link.chooseDocuments?.()) ?? []);
    } catch (thrown) {
      this.failure = failureOf(thrown, 'Drop the files on the window instead.');
    }
  }

  async addText(text: string): Promise<void> {
    if (text.trim() === '') return;
    const name = nameOf(text);
    await this.#add([{ name, content: () => Promise.resolve({ kind: 'text', name, text }) }]);
  }

  /** Stops the addition under way, and those that wait. */
  stopAdding(): void {
    this.#waiting = [];
    this.#addition.abort();
  }

  dismiss(refused: Refused): void {
    this.refused = this.refused.filter((one) => one !== refused);
  }

  async remove(id: number): Promise<void> {
    const last = await this.#last({ type: 'remove_document', document: id });
    if (last.type === 'failed') this.failure = failureIn(last);
    if (last.type !== 'document_removed') return;
    this.cited = this.cited.filter(({ document_id }) => document_id !== id);
    if (this.found?.passages.some(({ document_id }) => document_id === id) === true) this.found = undefined;
    await this.open();
    this.said = `${last.document.name} is no longer searched. The file itself is where it was.`;
  }

  async search(question: string): Promise<void> {
    this.stopSearch();
    if (question.trim() === '') return;
    const controller = new AbortController();
    this.#search = controller;
    this.asked = question.trim();
    this.searchFailure = undefined;
    this.searching = { stage: 'embedding', done_chunks: 0, total_chunks: 0 };
    const request: Request = { type: 'search_documents', question: this.asked, results: RESULTS, ...this.#wish };
    const last = await this.#last(request, controller.signal, (progress) => {
      if (!controller.signal.aborted) this.searching = progress;
    });
    // Another search, or the person, has taken its place.
    if (controller.signal.aborted) return;
    this.searching = undefined;
    this.found = last.type === 'passages' ? last : undefined;
    if (last.type === 'failed') this.searchFailure = failureIn(last);
    if (last.type !== 'passages') return;
    this.chosen = [...last.passages.keys()].slice(0, CHOSEN);
    this.said = `${last.passages.length} passages were found.`;
  }

  stopSearch(): void {
    this.#search.abort();
    this.searching = undefined;
  }

  /** Gives all documents vectors of the model that is taken, from the texts that are kept. */
  async renew(): Promise<void> {
    const { model } = this;
    if (model === undefined || this.renewing !== undefined) return;
    const controller = new AbortController();
    this.#renewal = controller;
    this.renewalFailure = undefined;
    this.renewing = { stage: 'loading_model', done_chunks: 0, total_chunks: 0 };
    const last = await this.#last({ type: 'refresh_documents', model }, controller.signal, (progress) => {
      this.renewing = progress;
    });
    this.renewing = undefined;
    // What was done before a stop or a failure stays done.
    await this.open();
    if (last.type === 'failed' && !controller.signal.aborted) this.renewalFailure = failureIn(last);
    if (last.type !== 'documents') return;
    this.searchFailure = undefined;
    this.said = `All documents can be searched with ${model} now.`;
  }

  stopRenewal(): void {
    this.#renewal.abort();
  }

  choose(place: number, wanted: boolean): void {
    const others = this.chosen.filter((one) => one !== place);
    this.chosen = wanted ? [...others, place] : others;
  }

  /** Lays the chosen passages beside the next message, the nearest first. */
  cite(): void {
    this.cited = this.found?.passages.filter((_, place) => this.chosen.includes(place)) ?? [];
    // A text that is continued takes no question.
    if (this.cited.length > 0) this.#session.set({ mode: 'chat' });
  }

  /** What goes with the message that is sent now. */
  take(): readonly Passage[] {
    const { cited } = this;
    if (this.#session.settings.mode === 'text') return [];
    this.cited = [];
    return cited;
  }

  get #wish(): { model?: string } {
    return this.#model !== undefined && this.model === this.#model ? { model: this.#model } : {};
  }

  /** One after another; what comes while one is on its way waits behind it. */
  async #add(wanted: readonly Wanted[]): Promise<void> {
    this.#waiting.push(...wanted);
    if (this.adding !== undefined || wanted.length === 0) return;
    this.refused = [];
    let place = 0;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      place += 1;
      await this.#addOne(next, place);
    }
    this.adding = undefined;
    await this.open();
  }

  async #addOne({ name, content }: Wanted, place: number): Promise<void> {
    const controller = new AbortController();
    this.#addition = controller;
    const tell = (progress: DocumentProgress | undefined): void => {
      this.adding = { name, place, count: place + this.#waiting.length, progress };
    };
    tell(undefined);
    let last: Event;
    try {
      const given = await content();
      last =
        'code' in given
          ? { type: 'failed', ...given }
          : await this.#last({ type: 'add_document', content: given, ...this.#wish }, controller.signal, tell);
    } catch (thrown) {
      last = { type: 'failed', ...failureOf(thrown, 'Check that the file is still there, then try again.') };
    }
    if (last.type === 'failed' && !controller.signal.aborted) {
      this.refused = [...this.refused, { name, failure: failureIn(last) }];
    }
    if (last.type !== 'document_added') return;
    const { document, is_new } = last;
    this.said = is_new ? `${document.name} can be searched now.` : `${document.name} was there already.`;
  }

  async #contentOf(file: File): Promise<DocumentContent | Failure> {
    if (this.list === undefined) await this.open();
    const most = this.list?.content_bytes_max ?? 0;
    if (file.size > most && this.list !== undefined) {
      const hint = this.isInApp
        ? 'Drop it on the window: then it is read where it is. Or add it with `hearth documents add`.'
        : 'Add it with `hearth documents add` at the terminal, or split it.';
      const message = `${file.name} has ${formatBytes(file.size)}, but a page sends at most ${formatBytes(most)}`;
      return { code: 'invalid_request', message, hint };
    }
    return { kind: 'bytes', name: file.name, base64: await base64Of(file) };
  }

  /** Asks, and gives the last event; an engine that cannot be reached is a failure like any other. */
  async #last(request: Request, signal?: AbortSignal, onProgress?: (progress: DocumentProgress) => void): Promise<Event> {
    let last: Event | undefined;
    try {
      await this.#link.open();
      for await (const event of this.#link.send(request, signal === undefined ? {} : { signal })) {
        if (event.type === 'document_progress') onProgress?.(event);
        last = event;
      }
    } catch (thrown) {
      const lost = failureOf(thrown, 'Try again; if it happens again, reload the page.');
      return { type: 'failed', ...(this.list === undefined ? NO_HOST : lost) };
    }
    return last ?? { type: 'failed', ...NO_HOST };
  }
}

const NO_HOST: Failure = linkFailure(
  'documents are kept on a disk, and this page has no engine outside of it that could do so',
  'Search documents in the Hearth app, in a page that `hearth serve` sends, or with `hearth documents` at the terminal.',
);

function failureIn({ code, message, hint }: Failure): Failure {
  return { code, message, hint };
}

/** A file's bytes in Base64, which the browser writes much faster than a script. */
function base64Of(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener('load', () => {
      // "data:text/plain;base64,…"; of an empty file some browsers give no comma.
      const url = typeof reader.result === 'string' ? reader.result : '';
      resolve(url.slice(url.indexOf(',') + 1 || url.length));
    });
    reader.addEventListener('error', () => {
      reject(reader.error ?? new Error(`${file.name} cannot be read`));
    });
    reader.readAsDataURL(file);
  });
}
