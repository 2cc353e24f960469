import { failureOf } from '../link/failure';
import { LinkError } from '../link/link';
import type { ChosenFile, Link } from '../link/link';
import type { Links } from '../link/links';
import type { Event, Failure, KvFormat, ModelList, ModelReport, Outlook, Request } from '../link/protocol.gen';
import type { LoadWish } from './engine';
import type { Session } from './session.svelte';

/** How a person can bring a model here: as files, as a path, or not at all, since a server has the models. */
export type Way = 'files' | 'paths' | 'server';

/** What the engine takes if nobody wishes anything else. */
export const USUAL_CACHE: KvFormat = 'int8';

/** The models there are, and what is known of the one that is looked at. */
export class ModelShelf {
  list = $state.raw<ModelList | undefined>();
  /** The model that is looked at. */
  selected = $state('');
  report = $state.raw<ModelReport | undefined>();
  failure = $state.raw<Failure | undefined>();
  /** Why what was brought last is not on the list. */
  refusal = $state.raw<Failure | undefined>();
  /** What is being waited for, in words; empty if nothing is. */
  busy = $state('');
  /** What was done last, in words. */
  said = $state('');
  /** Tokens of context that the person wishes; none: what is usual and fits. */
  contextTokens = $state<number | undefined>();
  /** How the person wishes keys and values to be cached; none: as is usual. */
  kvCache = $state<KvFormat | undefined>();
  /** Bytes of memory that the person wishes a recipe for; none: what is free. */
  memoryBytes = $state<number | undefined>();

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
    const { loaded, wish } = this.#session;
    const sameContext = this.contextTokens === undefined || this.contextTokens === loaded?.context_tokens;
    const sameCache = this.kvCache === undefined || this.kvCache === (wish.kv_cache ?? USUAL_CACHE);
    return loaded !== undefined && loaded.model === this.report?.model && sameContext && sameCache;
  }

  get isAdded(): boolean {
    return this.list?.models.find(({ name }) => name === this.selected)?.is_added ?? false;
  }

  /** Reads the list, and looks at the model in use. */
  async open(): Promise<void> {
    this.said = '';
    this.refusal = undefined;
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
    this.kvCache = undefined;
    this.memoryBytes = undefined;
    await this.#inspect();
  }

  /** Looks for a recipe for another amount of memory. */
  async planMemory(memoryBytes: number | undefined): Promise<void> {
    this.memoryBytes = memoryBytes;
    await this.#inspect();
  }

  /** Plans for another length of context. */
  async plan(contextTokens: number | undefined): Promise<void> {
    this.contextTokens = contextTokens;
    await this.#inspect();
  }

  /** Plans for another way to cache keys and values. */
  async planCache(kvCache: KvFormat): Promise<void> {
    this.kvCache = kvCache;
    await this.#inspect();
  }

  /** What a load of the model that is looked at takes. */
  get #wish(): LoadWish {
    return {
      ...(this.contextTokens === undefined ? {} : { context_tokens: this.contextTokens }),
      ...(this.kvCache === undefined ? {} : { kv_cache: this.kvCache }),
    };
  }

  /** Brings files that were chosen in the page, or are being gathered from what was dropped on it. */
  async addFiles(chosen: readonly ChosenFile[] | Promise<readonly ChosenFile[]>): Promise<void> {
    this.refusal = undefined;
    this.said = '';
    this.busy = 'Gathering the files';
    const link = this.#engine;
    let key: string | undefined;
    try {
      const files = await chosen;
      if (files.length > 0 && this.way === 'server') throw new LinkError(OUT_OF_REACH);
      if (files.length > 0) await link.open();
      key = files.length > 0 ? link.offer?.(files) : undefined;
    } catch (thrown) {
      this.refusal = failureOf(thrown, 'Choose the files again.');
    }
    this.busy = '';
    if (key !== undefined) await this.#add(link, key);
  }

  async addPath(path: string): Promise<void> {
    if (path.trim() !== '') await this.#add(this.#keeper, path.trim());
  }

  /** Lets the person choose in the system's own dialog. */
  async choosePath(what: 'file' | 'folder'): Promise<void> {
    try {
      const path = await this.#keeper.choosePath?.(what);
      if (path !== undefined) await this.addPath(path);
    } catch (thrown) {
      this.refusal = failureOf(thrown, 'Type the path instead.');
    }
  }

  async remove(): Promise<void> {
    const model = this.selected;
    const event = await this.#ask(this.#keeper, { type: 'remove_model', model }, 'Removing');
    this.failure = failureIn(event);
    if (event?.type !== 'model_removed') return;
    const inUse = this.#session.loaded?.model === model;
    // What is loaded next must not be what nobody can find any more.
    if (this.#session.model === model) this.#session.model = '';
    this.selected = '';
    this.report = undefined;
    await this.open();
    const use = inUse ? ' It answers until another is loaded.' : '';
    this.said = `${model} is no longer on the list.${use} Its files are where they were.`;
  }

  /** Makes the model answer from now on. */
  load(): void {
    this.#session.useModel(this.selected, this.#wish);
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
    if (event !== undefined) this.failure = failureIn(event);
    if (event?.type !== 'models') return false;
    this.list = event;
    return true;
  }

  /** Puts a model on the list. One that cannot even be looked at does not stay there. */
  async #add(link: Link, path: string): Promise<void> {
    this.refusal = undefined;
    this.said = '';
    const before = this.selected;
    const known = this.list?.models.map(({ name }) => name) ?? [];
    const event = await this.#ask(link, { type: 'add_model', path }, 'Looking at the files');
    this.refusal = failureIn(event);
    if (event?.type !== 'model_added' || !(await this.#relist())) return;
    const { model } = event;
    await this.select(model);
    const { failure } = this;
    if (this.selected !== model) return;
    if (failure === undefined || known.includes(model)) {
      this.said = known.includes(model) ? `${model} was on the list already.` : `${model} is on the list now.`;
      return;
    }
    await this.#ask(link, { type: 'remove_model', model }, 'Putting things back');
    await this.#relist();
    if (before !== '') await this.select(before);
    this.refusal = failure;
  }

  async #inspect(): Promise<void> {
    const memory = this.memoryBytes === undefined ? {} : { memory_bytes: this.memoryBytes };
    const request: Request = { type: 'inspect', model: this.selected, tensors: false, ...this.#wish, ...memory };
    const event = await this.#ask(this.#engine, request, 'Reading the headers');
    if (event === undefined) return;
    this.failure = failureIn(event);
    if (event.type === 'inspected') this.report = event;
  }

  /** Asks, and gives the last event; nothing if something else was asked meanwhile. */
  async #ask(link: Link, request: Request, busy: string): Promise<Event | undefined> {
    this.#asked += 1;
    const asked = this.#asked;
    this.busy = busy;
    this.failure = undefined;
    const last = await lastEvent(link, request);
    if (asked !== this.#asked) return undefined;
    this.busy = '';
    return last;
  }
}

/** A link that cannot be opened is a failure like any other. */
async function lastEvent(link: Link, request: Request): Promise<Event | undefined> {
  let last: Event | undefined;
  try {
    await link.open();
    for await (const event of link.send(request)) last = event;
  } catch (thrown) {
    last = { type: 'failed', ...failureOf(thrown, 'Choose another route.') };
  }
  return last;
}

function failureIn(event: Event | undefined): Failure | undefined {
  if (event?.type !== 'failed') return undefined;
  const { code, message, hint } = event;
  return { code, message, hint };
}

/** Files of a page are read by the engine in that page alone. */
const OUT_OF_REACH: Failure = {
  code: 'not_allowed',
  message: 'the model runs outside of this page, where its files cannot be read',
  hint: 'Let the model run in this page, then bring the files again.',
};
