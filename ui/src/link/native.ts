// The only file that knows how Tauri is spoken to.
import { Channel, convertFileSrc, invoke, isTauri } from '@tauri-apps/api/core';
import { TauriEvent, listen } from '@tauri-apps/api/event';

import { isEventEnvelope, linkFailure } from './failure';
import type { Link, SendOptions } from './link';
import { Multiplexer, unreadable } from './multiplex';
import type { Event, EventEnvelope, Request } from './protocol.gen';

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

  onDrop(listener: (paths: readonly string[]) => void): () => void {
    const stop = listen<{ readonly paths: readonly string[] }>(TauriEvent.DRAG_DROP, ({ payload }) => {
      listener(payload.paths);
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
}

/** Where the app serves its models to this page: a scheme of its own, which answers ranges. */
export function nativeModelBase(): string {
  return convertFileSrc('', 'hearth-model').replace(/\/$/, '');
}
