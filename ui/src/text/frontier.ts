import type { FrontierPoint, RecipeReport, RecipesReport } from '../link/protocol.gen';
import { formatBytes } from './format';

/** A model or a recipe on the chart. */
export interface Dot {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly kind: 'recipe' | 'other';
  readonly isChosen: boolean;
  readonly fits: boolean;
}

/** A line across the chart, and what is written at its end. */
export interface Tick {
  readonly at: number;
  readonly text: string;
}

export interface Chart {
  readonly dots: readonly Dot[];
  /** Corners of the line that joins the recipes. */
  readonly line: string;
  readonly xs: readonly Tick[];
  readonly ys: readonly Tick[];
  /** Where the memory ends that there is; none if that is beyond the chart, or not known. */
  readonly limit: number | undefined;
}

export const SIZE = { width: 520, height: 250, left: 46, right: 34, top: 16, bottom: 40 } as const;

/** A model's name without the ending that says nothing. */
export function pointName({ model }: FrontierPoint): string {
  return model.replace(/\.gguf$/, '');
}

/** What others made of the model, measured in the same run. */
export function otherPoints(report: RecipesReport): FrontierPoint[] {
  return (report.frontier?.points ?? []).filter(({ quantizer }) => quantizer === 'gguf');
}

/** A loss for a person: nats with as many figures as say something. */
export function formatLoss(kl: number): string {
  return kl >= 1 ? kl.toFixed(2) : kl >= 0.01 ? kl.toFixed(3) : kl.toPrecision(2);
}

/** "+4.5 %". */
export function formatRise(rise: number): string {
  const percent = 100 * rise;
  const text = Math.abs(percent) >= 10 ? percent.toFixed(0) : percent.toFixed(1);
  return `${percent < 0 ? '' : '+'}${text} %`;
}

/** Bytes of weights across, the loss upwards on a scale of powers; none if too little is known for a picture. */
export function chartOf(report: RecipesReport, chosen: string): Chart | undefined {
  const recipes = report.recipes.flatMap((recipe) => {
    const kl = recipe.loss?.kl_mean ?? 0;
    return kl > 0 ? [{ recipe, kl }] : [];
  });
  if (recipes.length < 2) return undefined;
  const sizes = recipes.map(({ recipe }) => recipe.weights_bytes);
  const most = Math.max(...sizes) * 1.03;
  // What takes far more than any recipe would leave them no room.
  const others = otherPoints(report).filter((point) => point.weights_bytes <= most && point.kl_mean > 0);
  const [low, high] = bounds([...sizes, ...others.map((point) => point.weights_bytes)], 0.06);
  const losses = [...recipes.map(({ kl }) => kl), ...others.map((point) => point.kl_mean)];
  const [least, largest] = bounds(losses.map(Math.log10), 0.08);
  const { width, height, left, right, top, bottom } = SIZE;
  const x = (bytes: number): number => left + ((bytes - low) / (high - low)) * (width - left - right);
  const y = (kl: number): number => height - bottom - ((Math.log10(kl) - least) / (largest - least)) * (height - top - bottom);
  const dots: Dot[] = recipes.map(({ recipe, kl }) => ({
    name: recipe.name,
    x: x(recipe.weights_bytes),
    y: y(kl),
    kind: 'recipe',
    isChosen: recipe.name === chosen,
    fits: recipe.fit !== 'too_large',
  }));
  const line = dots.map((dot) => `${dot.x.toFixed(1)},${dot.y.toFixed(1)}`).join(' ');
  const beside = others.map((point): Dot => {
    const place = { x: x(point.weights_bytes), y: y(point.kl_mean) };
    return { name: pointName(point), ...place, kind: 'other', isChosen: false, fits: true };
  });
  const limit = limitOf(report);
  return {
    dots: [...dots, ...beside],
    line,
    xs: byteTicks(low, high).map((bytes) => ({ at: x(bytes), text: formatBytes(bytes) })),
    ys: powerTicks(least, largest).map((kl) => ({ at: y(kl), text: String(kl) })),
    limit: limit !== undefined && limit > low && limit < high ? x(limit) : undefined,
  };
}

/** Bytes of weights that the memory leaves room for. */
function limitOf({ recipes, memory_bytes }: RecipesReport): number | undefined {
  const [first] = recipes;
  if (first === undefined || memory_bytes === null) return undefined;
  return memory_bytes - (first.needed_bytes - first.weights_bytes);
}

/** The least and the greatest, with room around them. */
function bounds(values: readonly number[], room: number): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max((high - low) * room, 1e-9);
  return [low - margin, high + margin];
}

/** Round numbers of bytes. */
function byteTicks(low: number, high: number): number[] {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log(Math.max(high, 1)) / Math.log(1024)));
  const rough = (high - low) / unit / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10) * power * unit;
  const ticks: number[] = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) ticks.push(at);
  return ticks;
}

/** 0.01, 0.1, 1; with their halves and fifths where that leaves fewer than three. */
function powerTicks(least: number, largest: number): number[] {
  const powers: number[] = [];
  for (let power = Math.floor(least); power <= Math.ceil(largest); power += 1) powers.push(power);
  const within = (kl: number): boolean => Math.log10(kl) >= least && Math.log10(kl) <= largest;
  const of = (factors: readonly number[]): number[] =>
    powers.flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`))).filter(within);
  const tens = of([1]);
  return tens.length >= 3 ? tens : of([1, 2, 5]);
}

/** The chart in words. */
export function chartText(report: RecipesReport): string {
  const known = report.recipes.filter(({ loss }) => loss !== null);
  const words = known.map((recipe) => `${recipe.name}: ${formatBytes(recipe.weights_bytes)}, ${formatLoss(recipe.loss?.kl_mean ?? 0)} nats`);
  return `Loss over size. ${words.join('; ')}. The table below has the same figures.`;
}

/** Whose losses these are. */
export function lossNote({ recipes }: RecipesReport): string {
  const losses = recipes.flatMap(({ loss }) => loss ?? []);
  const [first] = losses;
  if (first === undefined) return 'What each loses has not been measured on this model or on any other at hand.';
  if (losses.every(({ is_own }) => is_own)) return 'Measured on this model.';
  return `Losses are those of ${first.model}, not of this model: larger models lose less. Sizes are predicted from this model’s shapes.`;
}

/** Whether there is room for it, in a word. */
export function fitWord({ fit }: RecipeReport): string {
  if (fit === 'fits') return 'fits';
  return fit === 'too_large' ? 'too large' : '';
}
