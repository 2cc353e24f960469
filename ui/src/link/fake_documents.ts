// A library of documents for the scripted engine of tests. Nothing that is shipped imports this file.
import type { Document, DocumentContent, DocumentStage, Event, Failure, Passage, Request } from './protocol.gen';

export function fakeDocument(change: Partial<Document> = {}): Document {
  return {
    id: 1,
    name: 'tale.md',
    kind: 'markdown',
    characters: 12_400,
    chunks: 3,
    added_at: '2026-11-23T12:00:00Z',
    model: 'all-MiniLM-L6-v2',
    dimensions: 384,
    ...change,
  };
}

export function fakePassage(change: Partial<Passage> = {}): Passage {
  return {
    score: 0.71,
    document_id: 1,
    document: 'tale.md',
    heading: 'The sea',
    characters: { start: 11, end: 1060 },
    text: 'The ship had left the harbour in the night.',
    ...change,
  };
}

const NO_LIBRARY: Failure = {
  code: 'no_library',
  message: 'this engine keeps no documents',
  hint: 'Documents are kept on a disk: search them in the app.',
};

const CANCELLED: Failure = { code: 'cancelled', message: 'stopped on request; nothing was added', hint: 'Add it again.' };

function progress(stage: DocumentStage, done_chunks = 0, total_chunks = 0): Event {
  return { type: 'document_progress', stage, done_chunks, total_chunks };
}

function nameOf(content: DocumentContent): string {
  return content.kind === 'path' ? (content.path.split('/').at(-1) ?? '') : content.name;
}

/** Documents by name, and passages that every search finds. */
export class FakeDocuments {
  documents: Document[] = [];
  models = ['all-MiniLM-L6-v2'];
  passages: Passage[] = [fakePassage()];
  content_bytes_max = 1000;
  /** Awaited in the middle of each addition and each search. */
  hold: Promise<void> = Promise.resolve();
  /** Instead of an addition. */
  refusal: Failure | undefined;
  #id = 0;

  /** Answers what is asked about documents; nothing if it is about something else. */
  async *answer(request: Request, signal: AbortSignal, isHost: boolean): AsyncGenerator<Event> {
    switch (request.type) {
      case 'documents':
      case 'add_document':
      case 'remove_document':
      case 'refresh_documents':
      case 'search_documents':
        if (isHost) yield* this.#answer(request, signal);
        else yield { type: 'failed', ...NO_LIBRARY };
        return;
      default:
    }
  }

  async *#answer(request: Request, signal: AbortSignal): AsyncGenerator<Event> {
    const newest = this.documents.at(-1)?.model;
    const model = newest !== undefined && this.models.includes(newest) ? newest : (this.models[0] ?? null);
    switch (request.type) {
      case 'documents': {
        const { documents, models, content_bytes_max } = this;
        yield { type: 'documents', documents: [...documents], models: [...models], model, allows_paths: true, content_bytes_max };
        return;
      }
      case 'add_document':
        yield* this.#add(request.content, request.model ?? model ?? '', signal);
        return;
      case 'remove_document': {
        const document = this.documents.find(({ id }) => id === request.document) ?? fakeDocument();
        this.documents = this.documents.filter(({ id }) => id !== request.document);
        yield { type: 'document_removed', document };
        return;
      }
      case 'refresh_documents':
        yield* this.#refresh(request.model ?? model ?? '', signal);
        return;
      case 'search_documents':
        yield progress('loading_model');
        await this.hold;
        yield progress('embedding');
        yield { type: 'passages', passages: this.passages.slice(0, request.results), model: model ?? '', elapsed_ms: 12 };
        return;
      default:
    }
  }

  /** One after the other; a stop leaves those behind as they are. */
  async *#refresh(model: string, signal: AbortSignal): AsyncGenerator<Event> {
    yield progress('loading_model');
    const total = this.documents.length;
    for (const [place, document] of this.documents.entries()) {
      yield progress('embedding', place, total);
      await this.hold;
      if (signal.aborted) {
        yield { type: 'failed', ...CANCELLED };
        return;
      }
      this.documents = this.documents.map((one) => (one.id === document.id ? { ...one, model } : one));
    }
    yield* this.#answer({ type: 'documents' }, signal);
  }

  async *#add(content: DocumentContent, model: string, signal: AbortSignal): AsyncGenerator<Event> {
    yield progress('reading');
    if (this.refusal !== undefined) {
      yield { type: 'failed', ...this.refusal };
      return;
    }
    yield progress('embedding', 0, 3);
    yield progress('embedding', 2, 3);
    await this.hold;
    if (signal.aborted) {
      yield { type: 'failed', ...CANCELLED };
      return;
    }
    this.#id += 1;
    const document = fakeDocument({ id: this.#id, name: nameOf(content), model });
    this.documents = [...this.documents, document];
    yield { type: 'document_added', is_new: true, document };
  }
}
