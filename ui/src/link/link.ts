import type { Event, Failure, Request } from './protocol.gen';

/** How a link reaches an engine: a worker of this page, Tauri's commands, or a WebSocket to `hearth serve`. */
export type LinkKind = 'worker' | 'native' | 'socket';

/** A file that a person chose, and where it lies in what was chosen: `folder/name`, or its name alone. */
export interface ChosenFile {
  readonly path: string;
  readonly file: File;
}

export interface SendOptions {
  /** Aborting asks the engine to stop; the events go on until the engine has said how it ended. */
  readonly signal?: AbortSignal;
}

/** One engine, wherever it is. The rest of the window knows engines only through this. */
export interface Link {
  readonly kind: LinkKind;
  /** Makes the engine reachable; a second call joins the first. Rejects with a {@link LinkError}. */
  open(): Promise<void>;
  /** Lets the engine go and fails what is still open; `open` may be called again. */
  close(): void;
  /**
   * Sends a request. The events end with a terminal one and never throw: whatever goes wrong arrives as `failed`.
   * Leaving the loop early cancels the request.
   */
  send(request: Request, options?: SendOptions): AsyncIterable<Event>;
  /** Hands chosen files to an engine in this page; `add_model` with the path that comes back lists them. */
  offer?(files: readonly ChosenFile[]): string;
  /** Opens the system's own dialog and gives the path of what was chosen; nothing if it was closed. */
  choosePath?(what: 'file' | 'folder'): Promise<string | undefined>;
  /** The same for documents, of which several may be chosen; none if it was closed. */
  chooseDocuments?(): Promise<readonly string[]>;
  /**
   * Calls back with the paths of what is dropped on the app's window, and with whether something is held over it, until
   * the function that comes back is called.
   */
  onDrop?(onPaths: (paths: readonly string[]) => void, onHover?: (isOver: boolean) => void): () => void;
}

/** Why a link could not be opened. */
export class LinkError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.name = 'LinkError';
    this.failure = failure;
  }
}
