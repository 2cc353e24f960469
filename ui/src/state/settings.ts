import type { Route, Sampling } from '../link/protocol.gen';
import type { Mode } from './conversation';
import { isRoute } from './route';

export type Theme = 'system' | 'light' | 'dark';

/** What the person has set; kept between visits. */
export interface Settings {
  readonly theme: Theme;
  /** The route the person chose; none lets the window choose. */
  readonly route: Route | undefined;
  /** How the next message is meant. */
  readonly mode: Mode;
  readonly greedy: boolean;
  readonly temperature: number;
  readonly maxTokens: number;
  /** None: a new one each time. */
  readonly seed: number | undefined;
}

export const TEMPERATURE = { min: 0.1, max: 2, step: 0.1 } as const;
export const MAX_TOKENS = { min: 1, max: 4096 } as const;
export const SEED = { min: 0, max: 0xffff_ffff } as const;

/**
 * Small models fall into loops when they tell a story, and this much leads them out. In a chat it would keep them from
 * saying again what they were told: a place, a name.
 */
const STORY_REPETITION_PENALTY = 1.1;

export const DEFAULTS: Settings = {
  theme: 'system',
  route: undefined,
  mode: 'chat',
  greedy: false,
  temperature: 0.7,
  maxTokens: 256,
  seed: undefined,
};

function within(value: unknown, { min, max }: { min: number; max: number }): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Math.min(max, Math.max(min, value));
}

function whole(value: unknown, range: { min: number; max: number }): number | undefined {
  const number = within(value, range);
  return number === undefined ? undefined : Math.round(number);
}

/** Settings out of anything: what is missing or impossible falls back to its default. */
export function readSettings(stored: unknown): Settings {
  const { theme, route, mode, greedy, temperature, maxTokens, seed } = (
    typeof stored === 'object' && stored !== null ? stored : {}
  ) as Partial<Record<keyof Settings, unknown>>;
  return {
    theme: theme === 'light' || theme === 'dark' ? theme : DEFAULTS.theme,
    route: isRoute(route) ? route : undefined,
    mode: mode === 'text' ? 'text' : DEFAULTS.mode,
    greedy: typeof greedy === 'boolean' ? greedy : DEFAULTS.greedy,
    temperature: within(temperature, TEMPERATURE) ?? DEFAULTS.temperature,
    maxTokens: whole(maxTokens, MAX_TOKENS) ?? DEFAULTS.maxTokens,
    seed: whole(seed, SEED),
  };
}

/** The settings in the engine's words. */
export function samplingOf(settings: Settings, mode: Mode): Sampling {
  return {
    repetition_penalty: mode === 'text' && !settings.greedy ? STORY_REPETITION_PENALTY : 1,
    temperature: settings.greedy ? 0 : settings.temperature,
    top_k: 40,
    top_p: 0.95,
    min_p: 0.05,
    seed: settings.seed ?? null,
  };
}
