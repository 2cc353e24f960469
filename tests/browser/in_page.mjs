// Functions that run in a page: they may use nothing but their arguments and the page. The page's own worker, as it was
// built for the interface, does the work; only the interface itself is left out.

/** Starts the engine's worker and keeps it in `window.engine`. Says why it did not get its threads, if it did not. */
export function startEngine({ worker, allowGpu, modelBase, ...more }) {
  const port = new Worker(new URL(worker, location.href), { type: 'module', name: 'hearth-engine' });
  const waiting = new Map();
  let number = 0;
  const opened = new Promise((resolve, reject) => {
    const die = (words) => {
      reject(new Error(words));
      for (const { fail } of waiting.values()) fail(new Error(words));
    };
    port.addEventListener('error', (error) => die(`the worker failed: ${error.message}`));
    port.addEventListener('message', ({ data }) => {
      if (data.kind === 'opened') resolve(data.refusal);
      else if (data.kind === 'died') die(`${data.failure.message} (${data.failure.hint})`);
      else waiting.get(data.envelope.id)?.take(data.envelope.event);
    });
  });
  const ends = new Set(['probed', 'loaded', 'done', 'benched', 'unloaded', 'cancelling', 'failed']);
  window.engine = {
    /** Sees every event, if it is there. */
    watch: undefined,
    /** Of the newest request. */
    get number() {
      return number;
    },
    /** All events of a request. */
    ask(request) {
      number += 1;
      const id = number;
      return new Promise((resolve, reject) => {
        const events = [];
        waiting.set(id, {
          fail: reject,
          take(event) {
            events.push(event);
            window.engine.watch?.(event);
            if (!ends.has(event.type)) return;
            waiting.delete(id);
            resolve(events);
          },
        });
        port.postMessage({ kind: 'request', envelope: { id, request } });
      });
    },
  };
  port.postMessage({ kind: 'open', allowGpu, modelBase: new URL(modelBase, location.href).href, ...more });
  return opened;
}

/** The last event of a request. */
export async function lastEvent(request) {
  return (await window.engine.ask(request)).at(-1);
}

/** A generation's tokens, text and end. */
export async function generate(request) {
  const events = await window.engine.ask({ type: 'generate', ...request });
  const tokens = events.filter((event) => event.type === 'token');
  return {
    ids: tokens.map((event) => event.id),
    text: tokens.map((event) => event.text).join(''),
    end: events.at(-1),
  };
}
