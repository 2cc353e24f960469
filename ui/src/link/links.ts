import type { Link } from './link';
import { NativeLink, nativeModelBase } from './native';
import { SocketLink, socketUrl } from './socket';
import { WorkerLink } from './worker';

/** The engines that this page can try to reach. */
export interface Links {
  /** WebAssembly in this page. */
  readonly webview: Link;
  /** Rust outside of it, where there is any. */
  readonly native: Link;
}

/** Finds out where the page lives: in the app's window, or in a browser. */
export function createLinks(page: string, allowGpu: boolean, threads?: number): Links {
  const inApp = NativeLink.available();
  const modelBase = inApp ? nativeModelBase() : new URL('models', page).href;
  return {
    webview: new WorkerLink({ allowGpu, modelBase, ...(threads === undefined ? {} : { threads }) }),
    native: inApp ? new NativeLink() : new SocketLink({ url: socketUrl(page) }),
  };
}
