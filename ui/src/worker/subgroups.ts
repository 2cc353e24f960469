/** Features that Chromium's adapters have and that wgpu's browser backend does not know how to ask for. */
const EXTRA_FEATURES = ['subgroups', 'chromium-experimental-subgroup-matrix'];

interface AdapterLike {
  readonly features: ReadonlySet<string>;
}

type RequestDevice = (this: AdapterLike, descriptor?: { requiredFeatures?: Iterable<string> }) => Promise<unknown>;

/**
 * Makes every device that is asked for from now on come with the subgroup features its adapter has. wgpu hands WGSL
 * to the browser as it is, so a device with the feature is all that a shader with `enable subgroups` needs.
 */
export function askForSubgroups(scope: object): void {
  const adapter = (scope as { GPUAdapter?: { prototype: { requestDevice: RequestDevice } } }).GPUAdapter;
  if (adapter === undefined) return;
  const requestDevice = adapter.prototype.requestDevice;
  adapter.prototype.requestDevice = function (descriptor = {}) {
    const extra = EXTRA_FEATURES.filter((feature) => this.features.has(feature));
    const requiredFeatures = [...new Set([...(descriptor.requiredFeatures ?? []), ...extra])];
    return requestDevice.call(this, { ...descriptor, requiredFeatures });
  };
}
