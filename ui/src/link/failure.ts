import { LinkError } from './link';
import type { Event, EventEnvelope, Failure } from './protocol.gen';

/** A failure of the transport itself. */
export function linkFailure(message: string, hint: string): Failure {
  return { code: 'link', message, hint };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Whether a value that crossed a boundary is a failure in the protocol's words. */
export function isFailure(value: unknown): value is Failure {
  return (
    isRecord(value) &&
    typeof value.code === 'string' &&
    typeof value.message === 'string' &&
    typeof value.hint === 'string'
  );
}

/** Whether a value that crossed a boundary carries an event. */
export function isEventEnvelope(value: unknown): value is EventEnvelope {
  return (
    isRecord(value) &&
    typeof value.id === 'number' &&
    isRecord(value.event) &&
    typeof value.event.type === 'string'
  );
}

/** What was thrown, in words. */
export function describe(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : JSON.stringify(thrown);
}

/** What was thrown, as a failure: its own if it has one, otherwise the transport's with the given cure. */
export function failureOf(thrown: unknown, hint: string): Failure {
  if (thrown instanceof LinkError) return thrown.failure;
  return isFailure(thrown) ? thrown : linkFailure(describe(thrown), hint);
}

/** Whether nothing more follows for the same request. */
export function isTerminal(event: Event): boolean {
  return !['loading', 'prefilled', 'token', 'tool_call', 'embedding', 'benching', 'document_progress'].includes(event.type);
}
