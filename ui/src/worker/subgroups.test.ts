import { describe, expect, it } from 'vitest';

import { askForSubgroups } from './subgroups';

interface Descriptor {
  requiredFeatures?: Iterable<string>;
  label?: string;
}

/** A scope with an adapter that notes how its devices were asked for. */
function scopeWith(...features: string[]): { asked: Descriptor[]; request: (descriptor?: Descriptor) => Promise<unknown> } {
  const asked: Descriptor[] = [];
  class GPUAdapter {
    readonly features = new Set(features);

    requestDevice(descriptor?: Descriptor): Promise<string> {
      asked.push(descriptor ?? {});
      return Promise.resolve('a device');
    }
  }
  askForSubgroups({ GPUAdapter });
  const adapter = new GPUAdapter();
  return { asked, request: (descriptor) => adapter.requestDevice(descriptor) };
}

describe('askForSubgroups', () => {
  it('adds what the adapter has, and keeps the rest of the wish', async () => {
    const { asked, request } = scopeWith('subgroups', 'timestamp-query');
    expect(await request({ label: 'engine', requiredFeatures: ['timestamp-query'] })).toBe('a device');
    expect(asked).toEqual([{ label: 'engine', requiredFeatures: ['timestamp-query', 'subgroups'] }]);
  });

  it('asks for nothing that the adapter lacks, and for nothing twice', async () => {
    const bare = scopeWith();
    await bare.request();
    expect(bare.asked).toEqual([{ requiredFeatures: [] }]);
    const twice = scopeWith('subgroups', 'chromium-experimental-subgroup-matrix');
    await twice.request({ requiredFeatures: ['subgroups'] });
    expect(twice.asked).toEqual([{ requiredFeatures: ['subgroups', 'chromium-experimental-subgroup-matrix'] }]);
  });

  it('does nothing where there is no WebGPU', () => {
    const scope = {};
    askForSubgroups(scope);
    expect(scope).toEqual({});
  });
});
