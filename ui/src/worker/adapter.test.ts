import { describe, expect, it } from 'vitest';

import { askForSubgroups, describeAdapter } from './adapter';

interface Descriptor {
  requiredFeatures?: Iterable<string>;
  label?: string;
}

const HALVES = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };

/** A scope with an adapter that notes how its devices were asked for. */
function scopeWith(
  features: string[],
  without: string[] = [],
): { asked: Descriptor[]; request: (descriptor?: Descriptor) => Promise<unknown> } {
  const asked: Descriptor[] = [];
  class GPUAdapter {
    readonly features = new Set(features);
    readonly info = { subgroupMatrixConfigs: [{ ...HALVES, componentType: 'i8', K: 32 }, HALVES] };

    requestDevice(descriptor?: Descriptor): Promise<string> {
      asked.push(descriptor ?? {});
      return Promise.resolve('a device');
    }
  }
  askForSubgroups({ GPUAdapter }, without);
  const adapter = new GPUAdapter();
  return { asked, request: (descriptor) => adapter.requestDevice(descriptor) };
}

describe('askForSubgroups', () => {
  it('adds what the adapter has, and keeps the rest of the wish', async () => {
    const { asked, request } = scopeWith(['subgroups', 'timestamp-query']);
    expect(await request({ label: 'engine', requiredFeatures: ['timestamp-query'] })).toBe('a device');
    expect(asked).toEqual([{ label: 'engine', requiredFeatures: ['timestamp-query', 'subgroups'] }]);
  });

  it('asks for nothing that the adapter lacks, and for nothing twice', async () => {
    const bare = scopeWith([]);
    await bare.request();
    expect(bare.asked).toEqual([{ requiredFeatures: [] }]);
    const twice = scopeWith(['subgroups', 'chromium-experimental-subgroup-matrix']);
    await twice.request({ requiredFeatures: ['subgroups'] });
    expect(twice.asked).toEqual([{ requiredFeatures: ['subgroups', 'chromium-experimental-subgroup-matrix'] }]);
  });

  it('leaves out what shall not be used', async () => {
    const { asked, request } = scopeWith(['subgroups', 'chromium-experimental-subgroup-matrix'], ['subgroups']);
    await request();
    expect(asked).toEqual([{ requiredFeatures: ['chromium-experimental-subgroup-matrix'] }]);
  });

  it('does nothing where there is no WebGPU', () => {
    const scope = {};
    askForSubgroups(scope);
    expect(scope).toEqual({});
  });
});

describe('describeAdapter', () => {
  /** A scope whose GPU has one adapter, or whatever else it answers. */
  function scopeOf(adapter: unknown, ...language: string[]): object {
    const requestAdapter = (): Promise<unknown> =>
      adapter instanceof Error ? Promise.reject(adapter) : Promise.resolve(adapter);
    return { navigator: { gpu: { wgslLanguageFeatures: new Set(language), requestAdapter } } };
  }

  it('names the adapter and what wgpu does not see', async () => {
    const adapter = {
      features: new Set(['shader-f16', 'subgroups']),
      info: { vendor: 'acme', architecture: 'road-runner', description: '' },
    };
    expect(await describeAdapter(scopeOf(adapter, 'packed_4x8_integer_dot_product', 'subgroup_id'))).toEqual({
      name: 'Acme Road Runner',
      features: ['subgroups', 'packed_4x8_integer_dot_product'],
    });
  });

  it('does not tell of what shall not be used', async () => {
    const scope = scopeOf({ features: new Set(['subgroups']) });
    expect(await describeAdapter(scope, ['subgroups'])).toEqual({ name: '', features: [] });
  });

  it('tells of matrices only if they are those that the engine has a use for', async () => {
    const features = new Set(['chromium-experimental-subgroup-matrix']);
    const tell = (...subgroupMatrixConfigs: object[]): Promise<unknown> =>
      describeAdapter(scopeOf({ features, info: { subgroupMatrixConfigs } }));
    expect(await tell({ ...HALVES, N: 8 }, HALVES)).toEqual({ name: '', features: [...features] });
    for (const other of [{ M: 8 }, { N: 8 }, { K: 8 }, { resultComponentType: 'f16' }, { componentType: 'u8' }]) {
      expect(await tell({ ...HALVES, ...other })).toEqual({ name: '', features: [] });
    }
    expect(await tell()).toEqual({ name: '', features: [] });
  });

  it('prefers the name that the adapter has itself', async () => {
    const adapter = { features: new Set(), info: { vendor: 'acme', description: 'Acme Anvil 100' } };
    expect(await describeAdapter(scopeOf(adapter))).toEqual({ name: 'Acme Anvil 100', features: [] });
  });

  it('says nothing of what a browser hides', async () => {
    expect(await describeAdapter(scopeOf({ features: new Set() }))).toEqual({ name: '', features: [] });
    expect(await describeAdapter(scopeOf(null))).toBeUndefined();
    expect(await describeAdapter(scopeOf(new Error('no driver')))).toBeUndefined();
    expect(await describeAdapter({})).toBeUndefined();
  });
});
