import type { Done, Passage } from '../link/protocol.gen';
import type { AnswerState, Conversation, Message } from './conversation';
import { EMPTY } from './conversation';

/** The part of localStorage that is used. It may be full, or forbidden: then nothing is kept, and nothing breaks. */
export type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem' | 'removeItem'>;

const PREFIX = 'hearth.v1.';

export class Store {
  readonly #storage: Storage | undefined;

  constructor(storage: Storage | undefined) {
    this.#storage = storage;
  }

  /** This page's own storage, if it may be used. */
  static ofPage(): Store {
    try {
      return new Store(globalThis.localStorage);
    } catch {
      return new Store(undefined);
    }
  }

  read(key: string): unknown {
    try {
      const text = this.#storage?.getItem(PREFIX + key) ?? null;
      return text === null ? undefined : JSON.parse(text);
    } catch {
      return undefined;
    }
  }

  write(key: string, value: unknown): void {
    try {
      if (value === undefined) this.#storage?.removeItem(PREFIX + key);
      else this.#storage?.setItem(PREFIX + key, JSON.stringify(value));
    } catch {
      // A full or forbidden store costs the memory of this visit, not the visit.
    }
  }
}

function isPassage(stored: unknown): stored is Passage {
  if (typeof stored !== 'object' || stored === null) return false;
  const { document, heading, text, characters, score, document_id } = stored as Record<string, unknown>;
  const range = (typeof characters === 'object' && characters !== null ? characters : {}) as Record<string, unknown>;
  const texts = [document, heading, text];
  const numbers = [score, document_id, range.start, range.end];
  return texts.every((value) => typeof value === 'string') && numbers.every((value) => typeof value === 'number');
}

function readMessage(stored: unknown, id: number): Message | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const { role, content, mode, state, stats, sources, reasoning } = stored as Record<string, unknown>;
  if (typeof content !== 'string') return undefined;
  if (role === 'user') {
    const kept = Array.isArray(sources) ? sources.filter(isPassage) : [];
    return { id, role, content, mode: mode === 'text' ? 'text' : 'chat', ...(kept.length === 0 ? {} : { sources: kept }) };
  }
  if (role !== 'assistant') return undefined;
  // What was still being written when the page went away was cut off there.
  const ended: AnswerState = state === 'complete' || state === 'failed' ? state : 'stopped';
  const thoughts = typeof reasoning === 'string' ? { reasoning } : {};
  const message = { id, role, content, state: ended, ...thoughts } as const;
  return typeof stats === 'object' && stats !== null ? { ...message, stats: stats as Done } : message;
}

/** A conversation out of anything that was stored; what cannot be read is left out. */
export function readConversation(stored: unknown): Conversation {
  if (typeof stored !== 'object' || stored === null) return EMPTY;
  const { messages, contextStart } = stored as Record<string, unknown>;
  if (!Array.isArray(messages)) return EMPTY;
  const read = messages.flatMap((message: unknown, at) => readMessage(message, at + 1) ?? []);
  const start = typeof contextStart === 'number' && Number.isInteger(contextStart) ? contextStart : 0;
  return { messages: read, contextStart: start >= 0 && start < read.length ? start : 0 };
}
