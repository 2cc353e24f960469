import { describe, expect, it } from 'vitest';

import { fakeAdapter, fakeReport } from '../link/fake';
import { linkFailure } from '../link/failure';
import type { ProbeReport, Route } from '../link/protocol.gen';
import { chooseRoute, nextBest, routeOptions } from './route';
import type { ProbeOutcome, RouteOption, Verdict } from './route';

const real = fakeAdapter();
const software = fakeAdapter({ name: 'llvmpipe', is_software: true });
const ok = (change: Partial<ProbeReport> = {}): ProbeOutcome => ({ state: 'ok', report: fakeReport(change) });
const ABSENT: ProbeOutcome = { state: 'absent', reason: 'there is no native engine' };
const BROKEN: ProbeOutcome = { state: 'failed', failure: linkFailure('the worker died', 'try again') };
const PENDING: ProbeOutcome = { state: 'pending' };
const GPU = ok({ adapters: [real] });
const SOFT = ok({ adapters: [software] });
const BARE = ok({ no_adapter_reason: 'the browser has no WebGPU' });

function verdicts(webview: ProbeOutcome, native: ProbeOutcome): Partial<Record<Route, Verdict>> {
  return Object.fromEntries(routeOptions({ webview, native }).map(({ route, verdict }) => [route, verdict]));
}

function option(options: readonly RouteOption[], route: Route): RouteOption | undefined {
  return options.find((candidate) => candidate.route === route);
}

describe('routeOptions', () => {
  it('tells the possible from the impossible, and why', () => {
    expect(verdicts(BARE, SOFT)).toEqual({
      'webview-gpu': 'impossible',
      'webview-cpu': 'possible',
      'native-gpu': 'software',
      'native-cpu': 'possible',
    });
    const options = routeOptions({ webview: BARE, native: ABSENT });
    expect(option(options, 'webview-gpu')?.why).toBe('This web view offers no WebGPU adapter: the browser has no WebGPU');
    expect(option(options, 'native-cpu')?.why).toBe('there is no native engine');
  });

  it('says what failed, and what is still being looked at', () => {
    expect(verdicts(BROKEN, PENDING)).toEqual({
      'webview-gpu': 'impossible',
      'webview-cpu': 'impossible',
      'native-gpu': 'pending',
      'native-cpu': 'pending',
    });
    expect(option(routeOptions({ webview: BROKEN, native: PENDING }), 'webview-cpu')?.why).toBe('the worker died');
  });

  it('names the real adapter, wherever it stands in the list', () => {
    const options = routeOptions({ webview: BARE, native: ok({ adapters: [software, real] }) });
    expect(option(options, 'native-gpu')).toMatchObject({ verdict: 'possible', device: real.name });
  });
});

describe('chooseRoute', () => {
  const choose = (webview: ProbeOutcome, native: ProbeOutcome, asked?: Route): ReturnType<typeof chooseRoute> =>
    chooseRoute(routeOptions({ webview, native }), asked);

  it.each([
    ['a real GPU on both sides', GPU, GPU, 'webview-gpu'],
    ['a real GPU in the page only', GPU, ABSENT, 'webview-gpu'],
    ['a real GPU outside only', BARE, GPU, 'native-gpu'],
    ['a software GPU in the page, a real one outside', SOFT, GPU, 'native-gpu'],
    ['software GPUs on both sides', SOFT, SOFT, 'native-cpu'],
    ['no GPU at all, a native engine', BARE, BARE, 'native-cpu'],
    ['a software GPU in the page and nothing else', SOFT, ABSENT, 'webview-cpu'],
    ['nothing but the page', BARE, ABSENT, 'webview-cpu'],
    ['a broken page and a native engine', BROKEN, BARE, 'native-cpu'],
  ] as const)('with %s takes the right one', (_, webview, native, route) => {
    const choice = choose(webview, native);
    expect(choice?.route).toBe(route);
    expect(choice?.reason).not.toBe('');
  });

  it('finds nothing where nothing runs', () => {
    expect(choose(BROKEN, ABSENT)).toBeUndefined();
    expect(choose(PENDING, PENDING)).toBeUndefined();
  });

  it.each(['webview-gpu', 'native-gpu', 'native-cpu', 'webview-cpu'] as const)('takes %s when asked', (route) => {
    expect(choose(SOFT, SOFT, route)).toEqual({ route, reason: 'you chose it' });
  });

  it('explains why it cannot take the one that was asked for', () => {
    const choice = choose(BARE, BARE, 'webview-gpu');
    expect(choice?.route).toBe('native-cpu');
    expect(choice?.reason).toContain("webview-gpu can't run here");
    expect(choice?.reason).toContain('the browser has no WebGPU');
  });
});

describe('nextBest', () => {
  it('leads away from what failed', () => {
    const options = routeOptions({ webview: GPU, native: BARE });
    expect(nextBest(options, 'webview-gpu')?.route).toBe('native-cpu');
    expect(nextBest(options, 'native-cpu')?.route).toBe('webview-gpu');
  });

  it('takes a software GPU before nothing', () => {
    const options = routeOptions({ webview: SOFT, native: ABSENT });
    expect(nextBest(options, 'webview-cpu')?.route).toBe('webview-gpu');
  });

  it('finds nothing where there is no other way', () => {
    expect(nextBest(routeOptions({ webview: BROKEN, native: ABSENT }), 'webview-cpu')).toBeUndefined();
  });
});
