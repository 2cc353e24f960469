// The only file that knows how Tauri is spoken to.
import { Channel, convertFileSrc, invoke, isTauri } from '@tauri-apps/api/core';
import { TauriEvent, listen } from '@tauri-apps/api/event';

import { describe, isEventEnvelope, linkFailure } from './failure';
import { LinkError } from './link';
import type { Link, SendOptions } from './link';
import { Multiplexer, unreadable } from './multiplex';
import type { Event, EventEnvelope, Request } from './protocol.gen';

/** What the dialog shows when a file is to be chosen: any other file of a model stands for its folder. */
const MODEL_FILES = { name: 'Models', extensions: ['gguf', 'safetensors', 'json'] };
const DOCUMENT_FILES = { name: 'Text, Markdown and PDF', extensions: ['txt', 'text', 'md', 'markdown', 'pdf'] };

/** The engine in Rust, in the process that owns this window. */
export class NativeLink implements Link {
  readonly kind = 'native';
  readonly #requests = new Multiplexer(async (envelope) => {
    // One channel a request: Tauri frees it when Rust lets go of its end.
    const channel = new Channel<EventEnvelope>();
    channel.onmessage = (message) => {
      if (isEventEnvelope(message)) this.#requests.receive(message);
      else this.#requests.fail(envelope.id, unreadable('an envelope without an event'));
    };
    await invoke('hearth', { envelope, channel });
  });

  /** Whether this window belongs to a Tauri app. */
  static available(): boolean {
    return isTauri();
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#requests.failAll(linkFailure('the link to the app was closed', 'Try again.'));
  }

  send(request: Request, options?: SendOptions): AsyncIterable<Event> {
    return this.#requests.send(request, options);
  }

  async choosePath(what: 'file' | 'folder'): Promise<string | undefined> {
    const title = what === 'file' ? 'Choose a model’s file' : 'Choose a model’s folder';
    const filters = what === 'file' ? [MODEL_FILES] : [];
    const options = { title, filters, directory: what === 'folder', multiple: false };
    const chosen = await openDialog(options, 'Type the path instead.');
    return typeof chosen === 'string' ? chosen : undefined;
  }

  async chooseDocuments(): Promise<readonly string[]> {
    const options = { title: 'Choose documents', filters: [DOCUMENT_FILES], directory: false, multiple: true };
    const chosen = await openDialog(options, 'Drop the files on the window instead.');
    return Array.isArray(chosen) ? chosen.filter((path) => typeof path === 'string') : [];
  }

  onDrop(onPaths: (paths: readonly string[]) => void, onHover: (isOver: boolean) => void = () => undefined): () => void {
    const stops = [
      onWindow(TauriEvent.DRAG_DROP, ({ paths }) => {
        onHover(false);
        onPaths(paths);
      }),
      onWindow(TauriEvent.DRAG_ENTER, () => {
        onHover(true);
      }),
      onWindow(TauriEvent.DRAG_LEAVE, () => {
        onHover(false);
      }),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }
}

/** The one command of Tauri's dialog plugin that the window may call (src-tauri/capabilities/window.json). */
async function openDialog(options: object, hint: string): Promise<unknown> {
  try {
    return await invoke('plugin:dialog|open', { options });
  } catch (thrown) {
    throw new LinkError(linkFailure(`the dialog could not be opened: ${describe(thrown)}`, hint));
  }
}

/** What is known of what is held over the window, or dropped on it. */
interface Drag {
  readonly paths: readonly string[];
}

/** Calls back at each event of the window, until the function that comes back is called. */
function onWindow(name: TauriEvent, listener: (drag: Drag) => void): () => void {
  const stop = listen<Partial<Drag> | undefined>(name, ({ payload }) => {
    listener({ paths: payload?.paths ?? [] });
  });
  // Where the window may not listen nothing can be dropped; a path can still be typed.
  stop.catch(() => undefined);
  return () => {
    stop.then(
      (unlisten) => {
        unlisten();
      },
      () => undefined,
    );
  };
}

/** Where the app serves its models to this page: a scheme of its own, which answers ranges. */
export function nativeModelBase(): string {
  return convertFileSrc('', 'hearth-model').replace(/\/$/, '');
}
