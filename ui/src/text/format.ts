const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** "23.2 MiB": as the engine's own messages and `hearth inspect` write it. */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? 'B'}`;
}

/** "380 ms", "2.4 s", "1 min 5 s". */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** "41.8 tok/s". */
export function formatSpeed(tokensPerS: number): string {
  return `${tokensPerS >= 100 ? Math.round(tokensPerS) : tokensPerS.toFixed(1)} tok/s`;
}

/** "1 234 567": figures in threes, apart by a narrow space. */
export function formatNumber(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** "96 576", "9.4 million", "1.2 billion". */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} billion`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} million`;
  return formatNumber(count);
}
