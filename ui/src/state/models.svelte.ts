import { linkFailure } from '../link/failure';
import { LinkError } from '../link/link';
import type { Link } from '../link/link';
import type { Links } from '../link/links';
import type { Event, Failure, ModelList, ModelReport, Outlook, Request } from '../link/protocol.gen';
import type { Session } from './session.svelte';

/** How a person can bring a model here: as files, as a path, or not at all, since a server has the models. */
export type Way = 'files' | 'paths' | 'server';

/** The models there are, and what is known of the one that is looked at. */
export class ModelShelf {
  list = $state.raw<ModelList | undefined>();
  /** The model that is looked at. */
  selected = $state('');
  report = $state.raw<ModelReport | undefined>();
  failure = $state.raw<Failure | undefined>();
  /** What is being waited for, in words; empty if nothing is. */
  busy = $state('');
  /** What was done last, for screen readers. */
  said = $state('');
  /** Tokens of context that the person wishes; none: what is usual and fits. */
  contextTokens = $state<number | undefined>();

  readonly #session: Session;
  readonly #links: Links;
  /** Counts what was asked: an answer to an earlier question is no longer shown. */
  #asked = 0;

  constructor(session: Session, links: Links) {
    this.#session = session;
    this.#links = links;
  }

  /** Models are brought to the app from its disk, whichever route is taken: its page reads them through the app. */
  get way(): Way {
    if (this.#links.native.kind === 'native') return 'paths';
    return this.#engine.kind === 'worker' ? 'files' : 'server';
  }

  /** What is needed at the context that a load would take. */
  get outlook(): Outlook | undefined {
    return this.report?.outlooks.find(({ memory }) => memory.context_tokens === this.report?.context_tokens);
  }

  /** Whether the model that is looked at is the one that answers. */
  get isLoaded(): boolean {
    const { loaded } = this.#session;
    const sameContext = this.contextTokens === undefined || this.contextTokens === loaded?.context_tokens;
    return loaded !== undefined && loaded.model === this.report?.model && sameContext;
  }

  get isAdded(): boolean {
    return this.list?.models.find(({ name }) => name === this.selected)?.is_added ?? false;
  }

  /** Reads the list, and looks at the model in use. */
  async open(): Promise<void> {
    this.failure = undefined;
    if (!(await this.#relist())) return;
    const names = this.list?.models.map(({ name }) => name) ?? [];
    const inUse = this.#session.loaded?.model ?? this.#session.model;
    const wanted = [this.selected, inUse, this.list?.bundled ?? ''].find((name) => names.includes(name)) ?? names[0];
    if (wanted !== undefined) await this.select(wanted);
  }

  async select(name: string): Promise<void> {
    if (name !== this.selected) this.report = undefined;
    this.selected = name;
    this.contextTokens = undefined;
    await this.#inspect();
  }

  /** Plans for another length of context. */
  async plan(contextTokens: number | undefined): Promise<void> {
    this.contextTokens = contextTokens;
    await this.#inspect();
  }

  async addFiles(files: readonly File[]): Promise<void> {
    if (files.length === 0) return;
    const link = this.#engine;
    const opened = await this.#open(link);
    if (!opened) return;
    const path = link.offer?.(files);
    if (path !== undefined) await this.#add(link, path);
  }

  async addPath(path: string): Promise<void> {
    if (path.trim() !== '') await this.#add(this.#keeper, path.trim());
  }

  async remove(): Promise<void> {
    const event = await this.#ask(this.#keeper, { type: 'remove_model', model: this.selected }, 'Removing');
    if (event?.type !== 'model_removed') return;
    this.selected = '';
    this.report = undefined;
    await this.open();
    this.said = `${event.model} is no longer on the list. Its files are where they were.`;
  }

  /** Makes the model answer from now on. */
  load(): void {
    this.#session.useModel(this.selected, this.contextTokens);
  }

  /** The engine in use; before there is one, the one in this page. */
  get #engine(): Link {
    return this.#session.engine ?? this.#links.webview;
  }

  /** Who keeps the list. */
  get #keeper(): Link {
    return this.way === 'paths' ? this.#links.native : this.#engine;
  }

  async #relist(): Promise<boolean> {
    const event = await this.#ask(this.#keeper, { type: 'models' }, 'Reading the list');
    if (event?.type !== 'models') return false;
    this.list = event;
    return true;
  }

  async #add(link: Link, path: string): Promise<void> {
    const event = await this.#ask(link, { type: 'add_model', path }, 'Looking at the files');
    if (event?.type !== 'model_added' || !(await this.#relist())) return;
    await this.select(event.model);
    this.said = `${event.model} is on the list now.`;
  }

  async #inspect(): Promise<void> {
    const wish = this.contextTokens === undefined ? {} : { context_tokens: this.contextTokens };
    const request: Request = { type: 'inspect', model: this.selected, tensors: false, ...wish };
    const event = await this.#ask(this.#engine, request, 'Reading the headers');
    if (event?.type === 'inspected') this.report = event;
  }

  async #open(link: Link): Promise<boolean> {
    try {
      await link.open();
      return true;
    } catch (thrown) {
      const words = 'the engine could not be reached';
      this.failure = thrown instanceof LinkError ? thrown.failure : linkFailure(words, 'Choose another route.');
      return false;
    }
  }

  /** Asks, and gives the last event; nothing if it is a failure, or if something else was asked meanwhile. */
  async #ask(link: Link, request: Request, busy: string): Promise<Event | undefined> {
    this.#asked += 1;
    const asked = this.#asked;
    this.busy = busy;
    this.failure = undefined;
    let last: Event | undefined;
    if (await this.#open(link)) for await (const event of link.send(request)) last = event;
    if (asked !== this.#asked) return undefined;
    this.busy = '';
    if (last?.type !== 'failed') return last;
    this.failure = { code: last.code, message: last.message, hint: last.hint };
    return undefined;
  }
}
