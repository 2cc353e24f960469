/** Tokens that the rate looks back on: enough to be calm, few enough to follow a change. */
const WINDOW_TOKENS = 32;

/** The rate of the latest tokens. */
export class SpeedMeter {
  #times: number[] = [];

  reset(): void {
    this.#times = [];
  }

  /** Notes a token and returns tokens per second, or nothing while there are too few to tell. */
  tick(nowMs: number): number | undefined {
    this.#times.push(nowMs);
    if (this.#times.length > WINDOW_TOKENS) this.#times.shift();
    const spanMs = nowMs - (this.#times[0] ?? nowMs);
    if (this.#times.length < 2 || spanMs <= 0) return undefined;
    return ((this.#times.length - 1) * 1000) / spanMs;
  }
}
