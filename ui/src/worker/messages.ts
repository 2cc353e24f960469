import type { EventEnvelope, Failure, RequestEnvelope } from '../link/protocol.gen';

/** What the page says to the engine's worker: first `open`, then requests. */
export type ToWorker =
  | { readonly kind: 'open'; readonly allowGpu: boolean; readonly modelBase: string }
  | { readonly kind: 'request'; readonly envelope: RequestEnvelope };

/** What the worker says to the page. After `died` it says nothing more and must be replaced. */
export type FromWorker =
  | { readonly kind: 'opened' }
  | { readonly kind: 'event'; readonly envelope: EventEnvelope }
  | { readonly kind: 'died'; readonly failure: Failure };
