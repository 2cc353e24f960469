import { mount } from 'svelte';

import '../app.css';
import type { Links } from '../link/links';
import type { Address } from '../state/address';
import { Session } from '../state/session.svelte';
import type { Store } from '../state/store';
import App from './App.svelte';
import { ThemeKeeper } from './theme';

/** Calls back with the next picture, or soon if none is drawn: a page in the background must not stand still. */
function onNextFrame(act: () => void): void {
  if (document.visibilityState === 'visible') requestAnimationFrame(act);
  else setTimeout(act, 0);
}

/** Puts the window together. */
export function mountApp(target: Element, links: Links, store: Store, address: Address): Session {
  const session = new Session({
    links,
    store,
    ...address,
    nowMs: () => performance.now(),
    onNextFrame,
  });
  const theme = new ThemeKeeper(document.documentElement, matchMedia('(prefers-color-scheme: dark)'));
  $effect.root(() => {
    $effect(() => {
      theme.set(session.settings.theme);
    });
  });
  mount(App, { target, props: { session, links } });
  return session;
}
