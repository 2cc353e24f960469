/** Features that some browsers' adapters have and that wgpu's browser backend does not know how to ask for. */
const EXTRA_FEATURES = ['subgroups', 'chromium-experimental-subgroup-matrix'];

/** Optional parts of WGSL that the engine has a use for. */
const LANGUAGE_FEATURES = ['packed_4x8_integer_dot_product'];

/** The one feature of these that is of use only with some sizes. */
const MATRICES = 'chromium-experimental-subgroup-matrix';

/** What the engine cannot find out by itself: see `PageAdapter` in engine/src/device/gpu/page.rs. */
export interface PageAdapter {
  readonly name: string;
  readonly features: readonly string[];
}

/** Of matrices that a subgroup multiplies. */
interface MatrixSizes {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

interface AdapterLike {
  readonly features: ReadonlySet<string>;
  readonly info?: {
    readonly vendor?: string;
    readonly architecture?: string;
    readonly description?: string;
    readonly subgroupMatrixConfigs?: Iterable<MatrixSizes>;
  };
}

interface GpuLike {
  readonly wgslLanguageFeatures?: ReadonlySet<string>;
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<AdapterLike | null>;
}

type RequestDevice = (this: AdapterLike, descriptor?: { requiredFeatures?: Iterable<string> }) => Promise<unknown>;

/**
 * Makes every device that is asked for from now on come with the subgroup features its adapter has. wgpu hands WGSL
 * to the browser as it is, so a device with the feature is all that a shader with `enable subgroups` needs.
 */
export function askForSubgroups(scope: object, without: readonly string[] = []): void {
  const adapter = (scope as { GPUAdapter?: { prototype: { requestDevice: RequestDevice } } }).GPUAdapter;
  if (adapter === undefined) return;
  const requestDevice = adapter.prototype.requestDevice;
  adapter.prototype.requestDevice = function (descriptor = {}) {
    const extra = extraFeatures(this, without);
    const requiredFeatures = [...new Set([...(descriptor.requiredFeatures ?? []), ...extra])];
    return requestDevice.call(this, { ...descriptor, requiredFeatures });
  };
}

function extraFeatures(adapter: AdapterLike, without: readonly string[]): string[] {
  const isOfUse = (feature: string): boolean => feature !== MATRICES || hasMatrices(adapter);
  return EXTRA_FEATURES.filter(
    (feature) => adapter.features.has(feature) && !without.includes(feature) && isOfUse(feature),
  );
}

/** Whether there are the matrices that the engine's kernels use: 16 by 16, of halves, with sums in F32. */
function hasMatrices({ info }: AdapterLike): boolean {
  return [...(info?.subgroupMatrixConfigs ?? [])].some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16,
  );
}

/** Describes the adapter that the engine will get; undefined where there is none. */
export async function describeAdapter(
  scope: object,
  without: readonly string[] = [],
): Promise<PageAdapter | undefined> {
  const gpu = (scope as { navigator?: { gpu?: GpuLike } }).navigator?.gpu;
  try {
    // The same wish as the engine's, so that it is the same adapter.
    const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
    if (gpu === undefined || adapter === undefined || adapter === null) return undefined;
    const language = LANGUAGE_FEATURES.filter((feature) => gpu.wgslLanguageFeatures?.has(feature));
    return { name: nameOf(adapter.info ?? {}), features: [...extraFeatures(adapter, without), ...language] };
  } catch {
    // Then the engine finds no adapter either, and says why.
    return undefined;
  }
}

/** Browsers rarely give a GPU's own name away: a vendor and an architecture are what Chromium tells of one. */
function nameOf({ vendor, architecture, description }: NonNullable<AdapterLike['info']>): string {
  if (description) return description;
  const words = [vendor, architecture].flatMap((words) => words?.split(/[\s-]+/) ?? []).filter((word) => word !== '');
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ');
}
