import { describe, expect, it } from 'vitest';

import { fakeDone, fakeLoaded } from '../link/fake';
import type { Event, Failure, FailureCode } from '../link/protocol.gen';
import { EngineMachine, loadedIn } from './engine';

const loaded = fakeLoaded('native-cpu');
const done = fakeDone('native-cpu');

function failure(code: FailureCode): Failure {
  return { code, message: 'it failed', hint: 'do this' };
}

class Run {
  readonly machine = new EngineMachine();
  nowMs = 0;

  event(event: Event): this {
    this.machine.step({ kind: 'event', event, nowMs: this.nowMs });
    return this;
  }

  load(): this {
    this.machine.step({ kind: 'load' });
    return this.event({ type: 'loaded', ...loaded });
  }

  generate(): this {
    this.machine.step({ kind: 'generate' });
    return this;
  }
}

describe('EngineMachine', () => {
  it('goes from idle over probing and loading to ready', () => {
    const { machine } = new Run();
    expect(machine.status.name).toBe('idle');
    machine.step({ kind: 'probe' });
    expect(machine.status.name).toBe('probing');
    machine.step({ kind: 'load' });
    expect(machine.status).toEqual({ name: 'loading', progress: undefined });
    const event: Event = { type: 'loading', stage: 'weights', done_bytes: 500, total_bytes: 2000, elapsed_ms: 250 };
    machine.step({ kind: 'event', event, nowMs: 0 });
    expect(machine.status).toEqual({
      name: 'loading',
      progress: { stage: 'weights', doneBytes: 500, totalBytes: 2000, elapsedMs: 250, bytesPerS: 2000 },
    });
    machine.step({ kind: 'event', event: { type: 'loaded', ...loaded }, nowMs: 0 });
    expect(machine.status).toMatchObject({ name: 'ready', loaded, last: undefined });
  });

  it('counts tokens and tells their rate while generating', () => {
    const run = new Run().load().generate().event({ type: 'prefilled', done_tokens: 4, prompt_tokens: 9 });
    expect(run.machine.status).toMatchObject({ prefill: { doneTokens: 4, promptTokens: 9 }, tokensPerS: undefined });
    for (let at = 0; at < 5; at += 1) {
      run.nowMs = 1000 + at * 50;
      run.event({ type: 'token', id: at, text: 'x' });
    }
    expect(run.machine.status).toMatchObject({ name: 'generating', tokens: 5, tokensPerS: 20, prefill: undefined });
    run.event({ type: 'done', ...done });
    expect(run.machine.status).toMatchObject({ name: 'ready', last: done });
  });

  it('measures each answer by itself', () => {
    const run = new Run().load().generate().event({ type: 'token', id: 1, text: 'a' });
    run.event({ type: 'done', ...done }).generate();
    run.nowMs = 60_000;
    run.event({ type: 'token', id: 1, text: 'a' });
    expect(run.machine.status).toMatchObject({ tokens: 1, tokensPerS: undefined });
  });

  it('notes that it is being stopped', () => {
    const { machine } = new Run().load().generate();
    machine.step({ kind: 'stop' });
    expect(machine.status).toMatchObject({ name: 'generating', stopping: true });
  });

  it('takes a cancelled answer for an end and not for a failure', () => {
    const run = new Run().load().generate().event({ type: 'failed', ...failure('cancelled') });
    expect(run.machine.status).toMatchObject({ name: 'ready', loaded });
  });

  it.each(['prompt_too_long', 'busy', 'invalid_request', 'template'] as const)('keeps the model after %s', (code) => {
    const run = new Run().load().generate().event({ type: 'failed', ...failure(code) });
    expect(run.machine.status).toEqual({ name: 'failed', failure: failure(code), phase: 'generate', loaded: { type: 'loaded', ...loaded } });
    expect(loadedIn(run.machine.status)).toBeDefined();
  });

  it.each(['device_lost', 'device_fault', 'not_loaded', 'link'] as const)('counts the model as gone after %s', (code) => {
    const run = new Run().load().generate().event({ type: 'failed', ...failure(code) });
    expect(run.machine.status).toMatchObject({ name: 'failed', phase: 'generate', loaded: undefined });
  });

  it('knows in what it failed', () => {
    const run = new Run();
    run.machine.step({ kind: 'load' });
    run.event({ type: 'failed', ...failure('io') });
    expect(run.machine.status).toMatchObject({ name: 'failed', phase: 'load', loaded: undefined });
  });

  it('lets a failure go that left the model in its place, and no other', () => {
    const kept = new Run().load().generate().event({ type: 'failed', ...failure('prompt_too_long') });
    expect(kept.machine.step({ kind: 'dismiss' })).toMatchObject({ name: 'ready', loaded });
    const lost = new Run().load().generate().event({ type: 'failed', ...failure('device_lost') });
    expect(lost.machine.step({ kind: 'dismiss' }).name).toBe('failed');
    expect(new Run().machine.step({ kind: 'dismiss' }).name).toBe('idle');
  });

  it('goes on from a failure', () => {
    const run = new Run().load().generate().event({ type: 'failed', ...failure('prompt_too_long') }).generate();
    expect(run.machine.status.name).toBe('generating');
  });

  it('ignores what makes no sense now', () => {
    const run = new Run();
    expect(run.generate().machine.status.name).toBe('idle');
    run.event({ type: 'token', id: 1, text: 'a' }).event({ type: 'done', ...done });
    expect(run.machine.status.name).toBe('idle');
    run.load().event({ type: 'loading', stage: 'weights', done_bytes: 1, total_bytes: 2, elapsed_ms: 3 });
    expect(run.machine.status.name).toBe('ready');
  });
});
