// @vitest-environment happy-dom
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { setUp } from '../state/session.rig';
import type { Rig } from '../state/session.rig';
import BenchPanel from './BenchPanel.svelte';

let rig: Rig;
let panel: ReturnType<typeof mount>;

function find(testid: string): HTMLElement {
  const element = document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (element === null) throw new Error(`there is no ${testid} in ${document.body.innerHTML}`);
  return element;
}

async function settle(): Promise<void> {
  for (let at = 0; at < 12; at += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  flushSync();
}

beforeEach(async () => {
  rig = setUp();
  panel = mount(BenchPanel, { target: document.body, props: { session: rig.session } });
  await rig.session.start();
  await settle();
});

afterEach(async () => {
  await unmount(panel);
  document.body.replaceChildren();
});

describe('the bench', () => {
  it('measures, and shows speeds, what was skipped, and the time of kernels', async () => {
    find('bench-start').click();
    await settle();
    const table = find('bench-table').textContent;
    expect(table).toContain('41.8 tok/s');
    expect(table).toContain('72 %');
    expect(table).toContain('skipped: it needs 2080 tokens of context');
    expect(document.body.textContent).toContain('matvec');
    expect(rig.session.loaded).toBeDefined();
  });

  it('can be stopped while it runs', async () => {
    rig.gates.token.close();
    find('bench-start').click();
    await settle();
    expect(find('bench-progress').textContent).toContain('Making room');
    find('bench-stop').click();
    rig.gates.token.open();
    await settle();
    expect(find('bench-start').textContent).toBe('Measure');
    expect(rig.session.loaded).toBeDefined();
  });
});
