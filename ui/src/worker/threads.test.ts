import { describe, expect, it } from 'vitest';

import { threadsFor } from './threads';

const ISOLATED = {
  crossOriginIsolated: true,
  navigator: { hardwareConcurrency: 6 },
  Worker: {},
  Atomics: { waitAsync: (): void => undefined },
  WebAssembly: { validate: () => true },
};

describe('threadsFor', () => {
  it('takes a thread for each core, within bounds', () => {
    expect(threadsFor(ISOLATED)).toBe(6);
    expect(threadsFor({ ...ISOLATED, navigator: { hardwareConcurrency: 64 } })).toBe(8);
    expect(threadsFor({ ...ISOLATED, navigator: {} })).toBe(1);
  });

  it('takes as many as are wanted, but never more than there are cores', () => {
    expect(threadsFor(ISOLATED, 2)).toBe(2);
    expect(threadsFor(ISOLATED, 1)).toBe(1);
    expect(threadsFor(ISOLATED, 0)).toBe(1);
    expect(threadsFor(ISOLATED, 100)).toBe(6);
  });

  it('takes none where memory cannot be shared, or the module would not load', () => {
    expect(threadsFor({ ...ISOLATED, crossOriginIsolated: false })).toBeUndefined();
    expect(threadsFor({ ...ISOLATED, Worker: undefined })).toBeUndefined();
    expect(threadsFor({ ...ISOLATED, Atomics: {} })).toBeUndefined();
    expect(threadsFor({ ...ISOLATED, WebAssembly: { validate: () => false } })).toBeUndefined();
    expect(threadsFor({})).toBeUndefined();
  });
});
