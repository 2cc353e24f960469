import type { BenchReport, BenchRequest, Benching, Event, Failure } from '../link/protocol.gen';
import type { Session } from './session.svelte';

/** What is offered to be measured: the model in use, or a known size with random weights. */
export type Subject = 'model' | 'qwen3-0.6b' | 'llama-1b';

/** Where a measurement is. */
export type BenchStatus =
  | { readonly name: 'idle' }
  | { readonly name: 'running'; readonly fraction: number; readonly words: string }
  | { readonly name: 'done'; readonly report: BenchReport }
  | { readonly name: 'failed'; readonly failure: Failure };

/** A person waits for this one: fewer and shorter runs than the command line's. */
export function benchRequest(subject: Subject, model: string, device: BenchRequest['device']): BenchRequest {
  return {
    subject:
      subject === 'model' ? { kind: 'model', model } : { kind: 'shape', shape: subject, format: 'Q4_0' },
    device,
    prefill_tokens: [128, 512],
    depth_tokens: [0, 2048],
    decode_tokens: 32,
    repeats: 3,
    case_ms_max: 8000,
  };
}

const STAGES: Readonly<Record<Benching['stage'], string>> = {
  bandwidth: 'the speed of memory',
  prefill: 'reading',
  decode: 'writing',
  profile: 'each kernel',
};

/** What an event of a measurement makes of its status; undefined if it says nothing about it. */
export function statusOf(event: Event): BenchStatus | undefined {
  switch (event.type) {
    case 'loading': {
      const fraction = event.total_bytes > 0 ? event.done_bytes / event.total_bytes : 0;
      return { name: 'running', fraction, words: 'Putting weights on the device' };
    }
    case 'benching': {
      const behind = event.tokens > 0 ? `, ${event.tokens} tokens` : '';
      return { name: 'running', fraction: event.done / event.total, words: `Measuring ${STAGES[event.stage]}${behind}` };
    }
    case 'benched':
      return { name: 'done', report: event };
    case 'failed':
      return event.code === 'cancelled' ? { name: 'idle' } : { name: 'failed', failure: event };
    default:
      return undefined;
  }
}

/** Measures where the session's model runs. Aborting `stop` ends it; the model comes back either way. */
export async function measure(
  session: Session,
  request: BenchRequest,
  stop: AbortSignal,
  onStatus: (status: BenchStatus) => void,
): Promise<void> {
  const seen = { end: false };
  await session.measure(async (link, signal) => {
    onStatus({ name: 'running', fraction: 0, words: 'Making room' });
    const either = new AbortController();
    const abort = (): void => {
      either.abort();
    };
    for (const source of [stop, signal]) source.addEventListener('abort', abort, { once: true });
    if (stop.aborted) abort();
    for await (const event of link.send({ type: 'bench', ...request }, { signal: either.signal })) {
      const status = statusOf(event);
      if (status === undefined) continue;
      seen.end = status.name === 'done' || status.name === 'failed';
      onStatus(status);
    }
  });
  // Another wish took the turn before it began, or there was no engine.
  if (!seen.end) onStatus({ name: 'idle' });
}
