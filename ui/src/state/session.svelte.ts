import { isTerminal, linkFailure } from '../link/failure';
import { LinkError } from '../link/link';
import type { Link } from '../link/link';
import type { Links } from '../link/links';
import { PROTOCOL_VERSION } from '../link/protocol.gen';
import type { Event, Failure, GenerateRequest, Loaded, Passage, ProbeReport, Request, Route } from '../link/protocol.gen';
import { SentenceFeed } from '../text/sentences';
import * as talk from './conversation';
import type { Conversation, Mode } from './conversation';
import { EngineMachine, loadedIn } from './engine';
import type { EngineStatus, Input, LoadWish } from './engine';
import { PendingText } from './pending';
import { chooseRoute, deviceOf, nextBest, noRoute, routeOptions, sideOf } from './route';
import type { ProbeOutcome, Probes, RouteChoice, RouteOption } from './route';
import { readSettings, samplingOf } from './settings';
import type { Settings } from './settings';
import { readConversation } from './store';
import type { Store } from './store';

export interface SessionOptions {
  readonly links: Links;
  readonly store: Store;
  /** Empty: the bundled model. */
  readonly model: string;
  /** A route asked for by the page's address: it counts more than the kept one, and is not kept. */
  readonly route: Route | undefined;
  readonly nowMs: () => number;
  /** Calls back before the next picture: text that comes in between is shown at once. */
  readonly onNextFrame: (act: () => void) => void;
}

const NO_NATIVE =
  'There is no native engine to reach: this page is neither in the Hearth app nor served by `hearth serve`';

/** The engines, the conversation and the settings of one window, and all that can be done with them. */
export class Session {
  status = $state.raw<EngineStatus>({ name: 'idle' });
  conversation = $state.raw<Conversation>(talk.EMPTY);
  /** The conversation before this one, while it can still be brought back. */
  previous = $state.raw<Conversation | undefined>();
  settings = $state.raw<Settings>(readSettings(undefined));
  probes = $state.raw<Probes>({ webview: { state: 'pending' }, native: { state: 'pending' } });
  choice = $state.raw<RouteChoice | undefined>();
  /** The model that is asked for; empty: the bundled one. */
  model = $state.raw('');
  /** The model that answered before the one that is being loaded, or could not be. */
  before = $state.raw<Loaded | undefined>();
  /** Whether a question waits for the model to be ready. */
  waiting = $state(false);
  /** Finished sentences of the answer, for screen readers. */
  spoken = $state.raw<readonly string[]>([]);

  readonly options: readonly RouteOption[] = $derived(routeOptions(this.probes));
  /** The route that the page's address asks for, until the person chooses another. */
  #pinned = $state.raw<Route | undefined>();
  /** The route that was asked for; none if the window chooses. */
  readonly asked = $derived(this.#pinned ?? this.settings.route);
  readonly loaded = $derived(loadedIn(this.status));
  readonly canRegenerate = $derived(
    this.loaded !== undefined && this.status.name !== 'generating' && talk.canAnswer(this.conversation),
  );

  readonly #given: SessionOptions;
  readonly #machine = new EngineMachine();
  readonly #feed = new SentenceFeed();
  /** The route that holds a model, or tried to. */
  #active = $state.raw<Route | undefined>();
  /** What was asked for beside the model, now and before. */
  wish = $state.raw<LoadWish>({});
  #wishBefore: LoadWish = {};
  #controller = new AbortController();
  #turn: Promise<void> = Promise.resolve();
  /** Counts conversations: an answer to an earlier one is no longer written down. */
  #epoch = 0;

  constructor(given: SessionOptions) {
    this.#given = given;
    this.#pinned = given.route;
    this.model = given.model;
    this.settings = readSettings(given.store.read('settings'));
    this.conversation = readConversation(given.store.read('conversation'));
  }

  /** Looks at both engines, chooses a route and loads the model. */
  start(): Promise<void> {
    return this.#takeTurn(async (signal) => {
      await this.#probe();
      if (!signal.aborted) await this.#load(signal);
    });
  }

  send(text: string, mode: Mode = this.settings.mode, sources: readonly Passage[] = []): void {
    const content = text.trim();
    if (content === '') return;
    this.previous = undefined;
    this.#converse(talk.ask(this.conversation, content, mode, sources));
    this.#answerWhenReady();
  }

  /** Stops the answer that is being written; what has been written stays. */
  stop(): void {
    if (this.status.name !== 'generating') return;
    this.#step({ kind: 'stop' });
    this.#controller.abort();
  }

  /** Answers the last question again. */
  regenerate(): void {
    if (!talk.canAnswer(this.conversation)) return;
    this.#converse(talk.takeBack(this.conversation));
    this.#answerWhenReady();
  }

  /** Does again what failed. */
  retry(): void {
    if (this.status.name !== 'failed') return;
    if (this.status.phase === 'generate' && talk.canAnswer(this.conversation)) {
      this.regenerate();
      return;
    }
    void (this.#active === undefined ? this.start() : this.#takeTurn((signal) => this.#load(signal)));
  }

  /** Makes room in the context by leaving the oldest turns out, and answers then. */
  forgetAndRetry(): void {
    this.#converse(talk.forgetOldest(talk.takeBack(this.conversation)));
    this.#answerWhenReady();
  }

  newChat(): void {
    this.#leaveConversation();
    if (this.conversation.messages.length > 0) this.previous = this.conversation;
    this.#converse(talk.EMPTY);
  }

  /** Brings the conversation back that `newChat` put away. */
  bringBack(): void {
    if (this.previous === undefined) return;
    this.#leaveConversation();
    this.#converse(this.previous);
    this.previous = undefined;
  }

  /** Moves the model to another route, or back to the window's own choice. The conversation stays. */
  switchRoute(route: Route | undefined): void {
    this.set({ route });
    this.#pinned = undefined;
    const choice = chooseRoute(this.options, route);
    const settled = choice !== undefined && choice.route === this.#active && this.status.name !== 'failed';
    if (settled) {
      this.choice = choice;
      return;
    }
    if (this.status.name === 'generating') this.#step({ kind: 'stop' });
    // A page's engine is stopped with its worker: that works even if it hangs.
    const leaving = this.#active;
    const next = this.#takeTurn((signal) => this.#load(signal));
    if (leaving !== undefined && sideOf(leaving) === 'webview') this.#given.links.webview.close();
    void next;
  }

  /** Takes another model, with the route as it is. The conversation stays. */
  useModel(model: string, wish: LoadWish): void {
    const { loaded } = this;
    if (loaded !== undefined && loaded.model !== model) [this.before, this.#wishBefore] = [loaded, this.wish];
    [this.model, this.wish] = [model, wish];
    if (this.status.name === 'generating') this.#step({ kind: 'stop' });
    void (this.#active === undefined ? this.start() : this.#takeTurn((signal) => this.#load(signal)));
  }

  /** Takes the model again that gave way to the one that could not be loaded. */
  goBack(): void {
    const { before } = this;
    if (before !== undefined) this.useModel(before.model, { ...this.#wishBefore, context_tokens: before.context_tokens });
  }

  /** Stops a load that is under way. */
  stopLoading(): void {
    if (this.status.name === 'loading') this.#controller.abort();
  }

  /** Lends the engine in use to a measurement. The model makes way for it and is loaded again; questions wait. */
  measure(work: (link: Link, signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.status.name === 'generating') this.#step({ kind: 'stop' });
    return this.#takeTurn(async (signal) => {
      if (this.engine === undefined) return;
      this.#step({ kind: 'load' });
      await work(this.engine, signal);
      if (!signal.aborted) await this.#load(signal);
    });
  }

  /** The engine in use; before there is one, none. */
  get engine(): Link | undefined {
    return this.#active === undefined ? undefined : this.#link(this.#active);
  }

  /** Where to go when the route in use has failed. */
  get alternative(): RouteOption | undefined {
    return this.#active === undefined ? undefined : nextBest(this.options, this.#active);
  }

  set(change: Partial<Settings>): void {
    this.settings = { ...this.settings, ...change };
    this.#given.store.write('settings', this.settings);
  }

  /** Writes the conversation down; called when the page may be about to go away. */
  save(): void {
    this.#given.store.write('conversation', this.conversation.messages.length === 0 ? undefined : this.conversation);
  }

  async #probe(): Promise<void> {
    this.#step({ kind: 'probe' });
    const { webview, native } = this.#given.links;
    this.probes = { webview: { state: 'pending' }, native: { state: 'pending' } };
    await Promise.all([
      this.#ask(webview).then((outcome) => {
        this.probes = { ...this.probes, webview: outcome };
      }),
      this.#ask(native).then((outcome) => {
        this.probes = { ...this.probes, native: outcome };
      }),
    ]);
  }

  async #ask(link: Link): Promise<ProbeOutcome> {
    try {
      await link.open();
    } catch (thrown) {
      // Most pages have no server behind them that speaks to engines: that is no failure.
      if (link.kind === 'socket') return { state: 'absent', reason: NO_NATIVE };
      return { state: 'failed', failure: openingFailure(thrown) };
    }
    const last = await lastEvent(link.send({ type: 'probe' }));
    return last?.type === 'probed' ? readReport(last) : { state: 'failed', failure: unexpected(last) };
  }

  async #load(signal: AbortSignal): Promise<void> {
    const choice = chooseRoute(this.options, this.asked, this.#pinned === undefined ? 'you chose it' : "the page's address asks for it");
    await this.#unload(choice?.route);
    this.choice = choice;
    this.#step({ kind: 'load' });
    if (choice === undefined) {
      this.#active = undefined;
      this.#take({ type: 'failed', ...noRoute(this.options) });
      return;
    }
    this.#active = choice.route;
    const link = this.#link(choice.route);
    try {
      await link.open();
    } catch (thrown) {
      this.#take({ type: 'failed', ...openingFailure(thrown) });
      return;
    }
    const request: Request = { type: 'load', model: this.model, device: deviceOf(choice.route), ...this.wish };
    for await (const event of link.send(request, { signal })) this.#take(event);
    if (this.waiting && this.loaded !== undefined && !signal.aborted) await this.#answer(signal);
  }

  /** Frees what another route holds. */
  async #unload(next: Route | undefined): Promise<void> {
    const before = this.#active;
    if (before === undefined || before === next) return;
    const link = this.#link(before);
    // WebAssembly's memory never shrinks: ending the worker is what gives it back.
    if (sideOf(before) === 'webview') link.close();
    else if (this.loaded !== undefined) await lastEvent(link.send({ type: 'unload' }));
  }

  #answerWhenReady(): void {
    if (this.status.name === 'probing' || this.status.name === 'loading') {
      this.waiting = true;
      return;
    }
    if (this.loaded !== undefined) {
      void this.#takeTurn((signal) => this.#answer(signal));
      return;
    }
    this.waiting = true;
    void (this.#active === undefined ? this.start() : this.#takeTurn((signal) => this.#load(signal)));
  }

  async #answer(signal: AbortSignal): Promise<void> {
    if (this.#active === undefined) return;
    const epoch = this.#epoch;
    const request = { type: 'generate', ...this.#generateRequest() } as const;
    this.waiting = false;
    this.spoken = this.#feed.begin();
    this.#step({ kind: 'generate' });
    this.#converse(talk.beginAnswer(this.conversation));
    const pending = new PendingText((text) => {
      if (epoch === this.#epoch) this.#write(text);
    }, this.#given.onNextFrame);
    const thoughts = new PendingText((text) => {
      if (epoch === this.#epoch) this.conversation = talk.think(this.conversation, text);
    }, this.#given.onNextFrame);
    for await (const event of this.#link(this.#active).send(request, { signal })) {
      if (event.type === 'token') {
        thoughts.add(event.reasoning ?? '');
        pending.add(event.text);
      }
      if (isTerminal(event)) {
        thoughts.flush();
        pending.flush();
        if (epoch === this.#epoch) this.#endAnswer(event, signal.aborted);
      }
      this.#take(event);
    }
  }

  #generateRequest(): GenerateRequest {
    const { settings } = this;
    const prompt = talk.promptOf(this.conversation);
    return {
      prompt,
      max_tokens: settings.maxTokens,
      sampling: samplingOf(settings, prompt.kind),
      stop: [],
    };
  }

  #write(text: string): void {
    this.conversation = talk.append(this.conversation, text);
    this.spoken = this.#feed.push(text);
  }

  #endAnswer(event: Event, stopped: boolean): void {
    this.spoken = this.#feed.end();
    if (event.type === 'done') this.#converse(talk.endAnswer(this.conversation, event));
    else if (stopped) this.#converse(talk.stopAnswer(this.conversation));
    else this.#converse(talk.failAnswer(this.conversation));
  }

  #leaveConversation(): void {
    if (this.status.name === 'generating') this.conversation = talk.stopAnswer(this.conversation);
    this.stop();
    this.#step({ kind: 'dismiss' });
    this.waiting = false;
    this.#epoch += 1;
    this.spoken = this.#feed.begin();
  }

  #converse(conversation: Conversation): void {
    this.conversation = conversation;
    this.save();
  }

  #link(route: Route): Link {
    return this.#given.links[sideOf(route)];
  }

  #step(input: Input): void {
    this.status = this.#machine.step(input);
  }

  #take(event: Event): void {
    if (event.type === 'loaded') this.before = undefined;
    this.#step({ kind: 'event', event, nowMs: this.#given.nowMs() });
  }

  /** One thing at a time: what is under way is told to stop, and awaited; what waited behind it is dropped. */
  #takeTurn(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#controller.abort();
    const controller = new AbortController();
    this.#controller = controller;
    this.#turn = this.#turn.then(() => (controller.signal.aborted ? undefined : work(controller.signal)));
    return this.#turn;
  }
}

async function lastEvent(events: AsyncIterable<Event>): Promise<Event | undefined> {
  let last: Event | undefined;
  for await (const event of events) last = event;
  return last;
}

function readReport(report: ProbeReport): ProbeOutcome {
  const theirs = report.protocol_version;
  if (theirs === PROTOCOL_VERSION) return { state: 'ok', report };
  return {
    state: 'failed',
    failure: linkFailure(
      `this window speaks version ${PROTOCOL_VERSION} of the protocol, but the engine speaks version ${theirs}`,
      'Reload the page; if that does not help, update Hearth.',
    ),
  };
}

function openingFailure(thrown: unknown): Failure {
  if (thrown instanceof LinkError) return thrown.failure;
  return linkFailure('the engine could not be reached', 'Try again, or choose another route.');
}

function unexpected(event: Event | undefined): Failure {
  if (event?.type === 'failed') return { code: event.code, message: event.message, hint: event.hint };
  return linkFailure('the engine did not say what it can do', 'Try again, or choose another route.');
}
