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
}

export function readAddress(search: string): Address {
  const query = new URLSearchParams(search);
  const route = query.get('route');
  return {
    model: query.get('model') ?? '',
    route: isRoute(route) ? route : undefined,
    allowGpu: query.get('webgpu') !== 'off',
  };
}
