import { describe, expect, it } from 'vitest';

import { fakeRecipes } from '../link/fake_models';
import { SIZE, chartOf, chartText, fitWord, formatLoss, formatRise, lossNote, otherPoints, pointName } from './frontier';

describe('the frontier as a picture', () => {
  it('sets what takes more further right, and what loses more further up', () => {
    const chart = chartOf(fakeRecipes(1e9, 1024), '3 bits');
    const recipes = chart?.dots.filter(({ kind }) => kind === 'recipe') ?? [];
    expect(recipes.map(({ name }) => name)).toEqual(['4 bits', '3 bits', '2 bits']);
    expect(recipes.map(({ isChosen }) => isChosen)).toEqual([false, true, false]);
    const [four, three, two] = recipes;
    expect(four !== undefined && three !== undefined && two !== undefined && four.x > three.x && three.x > two.x).toBe(true);
    expect((four?.y ?? 0) > (three?.y ?? 0) && (three?.y ?? 0) > (two?.y ?? 0)).toBe(true);
    for (const { x, y } of chart?.dots ?? []) {
      expect(x >= SIZE.left && x <= SIZE.width - SIZE.right && y >= SIZE.top && y <= SIZE.height - SIZE.bottom).toBe(true);
    }
  });

  it('names its axes in round numbers', () => {
    const chart = chartOf(fakeRecipes(1e9, 1024), '');
    expect(chart?.xs.map(({ text }) => text)).toEqual(['2.5 MiB', '3.0 MiB', '3.5 MiB', '4.0 MiB', '4.5 MiB']);
    expect(chart?.ys.map(({ text }) => text)).toEqual(['0.05', '0.1', '0.2', '0.5']);
  });

  it('leaves out what would leave the recipes no room', () => {
    const report = fakeRecipes(1e9, 1024);
    expect(otherPoints(report).map(pointName)).toEqual(['Q4_K_M', 'Q2_K']);
    expect(chartOf(report, '')?.dots.filter(({ kind }) => kind === 'other').map(({ name }) => name)).toEqual(['Q2_K']);
  });

  it('shows where the memory ends, if that is within the picture', () => {
    const beside = 2_000_000;
    const fits = fakeRecipes(3_600_000 + beside, 1300);
    const limit = chartOf(fits, '')?.limit ?? 0;
    const dots = chartOf(fits, '')?.dots ?? [];
    expect(dots.filter(({ kind, fits: isThere, x }) => kind === 'recipe' && isThere !== x <= limit)).toEqual([]);
    expect(chartOf(fakeRecipes(1e9, 1024), '')?.limit).toBeUndefined();
    expect(chartOf(fakeRecipes(null, 1024), '')?.limit).toBeUndefined();
  });

  it('draws nothing of losses that nobody knows', () => {
    const report = fakeRecipes(1e9, 1024);
    const unknown = { ...report, recipes: report.recipes.map((recipe) => ({ ...recipe, loss: null })) };
    expect(chartOf(unknown, '')).toBeUndefined();
    expect(lossNote(unknown)).toContain('has not been measured');
  });
});

describe('a recipe in words', () => {
  it('says whose losses these are', () => {
    expect(lossNote(fakeRecipes(1e9, 1024))).toBe('Measured on this model.');
    expect(lossNote(fakeRecipes(1e9, 1024, false))).toMatch(/those of hearth-tiny, not of this model/);
    expect(chartText(fakeRecipes(1e9, 1024))).toContain('3 bits: 3.4 MiB, 0.130 nats');
  });

  it('gives numbers as many figures as say something', () => {
    expect([2.345, 0.1234, 0.01, 0.00123].map(formatLoss)).toEqual(['2.35', '0.123', '0.010', '0.0012']);
    expect([0.045, 1.26, -0.001, 0.0999].map(formatRise)).toEqual(['+4.5 %', '+126 %', '-0.1 %', '+10.0 %']);
  });

  it('says what fits', () => {
    const words = (memory: number | null): string[] => fakeRecipes(memory, 1024).recipes.map(fitWord);
    expect(words(1e9)).toEqual(['fits', 'fits', 'fits', 'fits']);
    expect(words(null)).toEqual(['', '', '', '']);
    expect(words(5_500_000)).toEqual(['too large', 'too large', 'fits', 'fits']);
  });
});
