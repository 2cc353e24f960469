// @vitest-environment happy-dom
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fakeRecipes } from '../link/fake_models';
import { ModelShelf } from '../state/models.svelte';
import { setUp } from '../state/session.rig';
import RecipesView from './RecipesView.svelte';

let shelf: ModelShelf;
let view: ReturnType<typeof mount> | undefined;

const find = (id: string): HTMLElement | null => document.querySelector(`[data-testid="${id}"]`);
const option = (name: string): HTMLElement | null => document.querySelector(`[data-recipe="${name}"]`);

function show(recipes = fakeRecipes(5_500_000, 1024)): void {
  view = mount(RecipesView, { target: document.body, props: { shelf, recipes } });
  flushSync();
}

beforeEach(() => {
  const { session, webview, native } = setUp({ route: 'webview-cpu' });
  shelf = new ModelShelf(session, { webview, native });
});

afterEach(async () => {
  if (view !== undefined) await unmount(view);
  view = undefined;
});

describe('the recipes of a model', () => {
  it('name the one for the memory at hand, and what to type for it', () => {
    show();
    expect(find('recipe-advice')?.dataset.recommended).toBe('3 bits');
    expect(option('3 bits')?.getAttribute('aria-pressed')).toBe('true');
    expect(find('recipe-command')?.textContent).toContain('--target-bpw 3 ');
    expect(find('recipe-note')?.textContent).toBe('Measured on this model. Text: a book.');
  });

  it('show the command of another that is chosen', () => {
    show();
    option('2 bits')?.click();
    flushSync();
    expect(option('3 bits')?.getAttribute('aria-pressed')).toBe('false');
    expect(find('recipe-command')?.textContent).toContain('--target-bpw 2 ');
    option('as it is')?.click();
    flushSync();
    expect(find('recipe-command')).toBeNull();
  });

  it('say in the table what the picture shows, and what others make of it', () => {
    show();
    const rows = [...(find('recipe-table')?.querySelectorAll('tbody tr') ?? [])].map((row) => row.textContent.replace(/\s+/g, ' ').trim());
    expect(rows).toHaveLength(4);
    expect(rows[2]).toMatch(/^3 bits ?recommended ?3\.4 MiB ?5\.0 MiB ?fits ?0\.130 ?\+10 %$/);
    expect(find('frontier-chart')?.getAttribute('aria-label')).toContain('3 bits: 3.4 MiB, 0.130 nats');
    expect(find('recipe-others')?.textContent).toContain('Q2_K');
  });

  it('say why there are none', () => {
    show({ ...fakeRecipes(null, 1024), recipes: [], absence: 'it is quantised already' });
    expect(find('recipes-absence')?.textContent).toContain('it is quantised already');
    expect(find('recipe-memory')).toBeNull();
  });
});
