import type { AdapterReport, DeviceChoice, Failure, ProbeReport, Route } from '../link/protocol.gen';

/** What came of asking one engine what it can do. */
export type ProbeOutcome =
  | { readonly state: 'pending' }
  | { readonly state: 'absent'; readonly reason: string }
  | { readonly state: 'failed'; readonly failure: Failure }
  | { readonly state: 'ok'; readonly report: ProbeReport };

/** Both engines: the one in this page, and the one in Rust outside of it. */
export interface Probes {
  readonly webview: ProbeOutcome;
  readonly native: ProbeOutcome;
}

/** `software`: it works, but a program on the CPU plays the GPU, which only helps to test. */
export type Verdict = 'possible' | 'software' | 'impossible' | 'pending';

export interface RouteOption {
  readonly route: Route;
  readonly verdict: Verdict;
  /** The adapter or the CPU, where it is known. */
  readonly device: string;
  /** Why it is possible, or why not, in words for a person. */
  readonly why: string;
}

export interface RouteChoice {
  readonly route: Route;
  readonly reason: string;
}

export const ROUTES: readonly Route[] = ['webview-gpu', 'native-gpu', 'native-cpu', 'webview-cpu'];

/** What each route is called in the window, and what it is. */
export const ROUTE_TEXT: Readonly<Record<Route, { readonly title: string; readonly about: string }>> = {
  'webview-gpu': { title: 'GPU, in this page', about: 'WebGPU, driven by WebAssembly in a worker' },
  'webview-cpu': { title: 'CPU, in this page', about: 'WebAssembly with SIMD in a worker' },
  'native-gpu': { title: 'GPU, native', about: 'Vulkan, Metal or Direct3D 12, driven by Rust' },
  'native-cpu': { title: 'CPU, native', about: 'Rust with SIMD' },
};

export function isRoute(value: unknown): value is Route {
  return ROUTES.some((route) => route === value);
}

/** Which of the two engines a route belongs to. */
export function sideOf(route: Route): keyof Probes {
  return route.startsWith('webview') ? 'webview' : 'native';
}

/** What to ask that engine for. */
export function deviceOf(route: Route): DeviceChoice {
  return route.endsWith('gpu') ? 'gpu' : 'cpu';
}

/** The adapter that the engine would take: the best real one, otherwise the best of any kind. */
function bestAdapter(report: ProbeReport): AdapterReport | undefined {
  return report.adapters.find((adapter) => !adapter.is_software) ?? report.adapters[0];
}

function gpuOption(route: Route, report: ProbeReport): RouteOption {
  const adapter = bestAdapter(report);
  if (adapter === undefined) {
    const none = route === 'webview-gpu' ? 'This web view offers no WebGPU adapter' : 'No GPU was found';
    const reason = report.no_adapter_reason;
    return { route, verdict: 'impossible', device: '', why: `${none}${reason === null ? '' : `: ${reason}`}` };
  }
  const device = adapter.name || adapter.backend;
  if (adapter.is_software) {
    const why = 'Works, but a program on the CPU plays the GPU here: right answers, slowly';
    return { route, verdict: 'software', device, why };
  }
  return { route, verdict: 'possible', device, why: `A real GPU, through ${adapter.backend}` };
}

function cpuOption(route: Route, report: ProbeReport): RouteOption {
  const { name, simd, threads } = report.cpu;
  const workers = threads === 1 ? 'one thread' : `${threads} threads`;
  const device = name === '' ? simd : `${name} (${simd})`;
  return { route, verdict: 'possible', device, why: `Always possible here: ${workers}, ${simd} instructions` };
}

function optionOf(route: Route, outcome: ProbeOutcome): RouteOption {
  switch (outcome.state) {
    case 'pending':
      return { route, verdict: 'pending', device: '', why: 'Still being looked at' };
    case 'absent':
      return { route, verdict: 'impossible', device: '', why: outcome.reason };
    case 'failed':
      return { route, verdict: 'impossible', device: '', why: outcome.failure.message };
    case 'ok':
      return deviceOf(route) === 'gpu' ? gpuOption(route, outcome.report) : cpuOption(route, outcome.report);
  }
}

/** The four routes, which of them can be taken here, and why or why not. */
export function routeOptions(probes: Probes): RouteOption[] {
  return ROUTES.map((route) => optionOf(route, probes[sideOf(route)]));
}

export function canRun(option: RouteOption): boolean {
  return option.verdict === 'possible' || option.verdict === 'software';
}

const REASONS: Readonly<Record<Route, string>> = {
  'webview-gpu': 'this page reaches a real GPU through WebGPU, so nothing has to leave it',
  'native-gpu': 'this page reaches no real GPU, but the native engine does',
  'native-cpu': 'there is no real GPU to use, and native code is the fastest on a CPU',
  'webview-cpu': 'there is no real GPU and no native engine, so WebAssembly does the work',
};

/**
 * Chooses a route. A route that was asked for is taken if it can run; otherwise the order of preference decides, and
 * a GPU that is only played by the CPU is never taken unasked.
 */
export function chooseRoute(
  options: readonly RouteOption[],
  asked?: Route,
  askedBecause = 'you chose it',
): RouteChoice | undefined {
  const wanted = options.find((option) => option.route === asked);
  if (wanted !== undefined && canRun(wanted)) return { route: wanted.route, reason: askedBecause };
  const best = options.find((option) => option.verdict === 'possible');
  if (best === undefined) return undefined;
  const reason = REASONS[best.route];
  if (wanted === undefined) return { route: best.route, reason };
  return { route: best.route, reason: `${wanted.route} can't run here (${wanted.why}); ${reason}` };
}

/** Why nothing can run: in words, with the reason of each engine. */
export function noRoute(options: readonly RouteOption[]): Failure {
  const why = (route: Route): string => options.find((option) => option.route === route)?.why ?? 'unknown';
  return {
    code: 'no_device',
    message: `no engine could be started. In this page: ${why('webview-cpu')}. Outside of it: ${why('native-cpu')}`,
    hint: 'Reload the page or update the browser; if neither helps, start the Hearth app or `hearth serve`.',
  };
}

/** Where to go when a route has failed: the best other one. */
export function nextBest(options: readonly RouteOption[], failed: Route): RouteOption | undefined {
  return (
    options.find((option) => option.route !== failed && option.verdict === 'possible') ??
    options.find((option) => option.route !== failed && canRun(option))
  );
}
