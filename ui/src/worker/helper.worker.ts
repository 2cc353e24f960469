// One more thread of the engine: it waits in the shared memory for parts of the work, and never comes back from there.
import { describe } from '../link/failure';
import type { FromHelper, ToHelper } from './messages';
import { loadThreaded } from './threads';

const scope = globalThis as unknown as {
  postMessage(message: FromHelper): void;
  addEventListener(type: 'message', listener: (message: MessageEvent<ToHelper>) => void): void;
};

async function serve({ module, memory }: ToHelper): Promise<void> {
  const engine = (await loadThreaded())?.engine;
  if (engine === undefined) throw new Error('the engine was built without threads');
  engine.initSync({ module, memory });
  scope.postMessage({ kind: 'at work' });
  try {
    engine.serveEngine();
  } finally {
    // The others wait for this thread's part: they have to hear of it in the memory, since they hear nothing else.
    engine.giveUpEngine();
  }
}

scope.addEventListener('message', ({ data }) => {
  serve(data).catch((thrown: unknown) => {
    scope.postMessage({ kind: 'died', words: describe(thrown) });
  });
});
