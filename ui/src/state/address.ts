import type { Route } from '../link/protocol.gen';
import { isRoute } from './route';

/** What the page's address asks for. */
export interface Address {
  /** `?model=`: a name from the registry; empty for the bundled model. */
  readonly model: string;
  /** `?route=`: a route, for this visit only. */
  readonly route: Route | undefined;
  /** `?webgpu=off`: the engine in this page looks for no GPU, as if the browser had none. */
  readonly allowGpu: boolean;
  /** `?threads=`: so many threads for CPU work in this page, as far as the browser has them. */
  readonly threads: number | undefined;
}

export function readAddress(search: string): Address {
  const query = new URLSearchParams(search);
  const route = query.get('route');
  const threads = Number(query.get('threads'));
  return {
    model: query.get('model') ?? '',
    route: isRoute(route) ? route : undefined,
    allowGpu: query.get('webgpu') !== 'off',
    threads: Number.isInteger(threads) && threads > 0 ? threads : undefined,
  };
}
