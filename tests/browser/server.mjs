// Runs `hearth serve` for the tests: the built interface, the models and the engine behind one address.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../..', import.meta.url));
/** The built interface. */
export const ui = process.env.HEARTH_UI ?? join(repository, 'ui/dist');

/** The command line: HEARTH_CLI names it, otherwise cargo builds it. */
function commandLine() {
  if (process.env.HEARTH_CLI) return process.env.HEARTH_CLI;
  const args = ['build', '--quiet', '--package', 'hearth-host', '--bin', 'hearth', '--message-format=json'];
  const built = spawnSync('cargo', args, { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (built.status !== 0) throw new Error('`hearth` could not be built');
  const messages = built.stdout.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
  const found = messages.findLast((message) => message.executable && message.target.name === 'hearth');
  if (found === undefined) throw new Error('cargo built no `hearth`');
  return found.executable;
}

let binary;

/** A running server. */
export class Server {
  #process;
  #data;

  constructor(process, url, data) {
    this.#process = process;
    this.#data = data;
    this.url = url;
  }

  /**
   * Starts one and resolves when it listens: on a free port, unless one is given. `models` are folders of further ones.
   * What the person who runs the tests has kept stays out of them.
   */
  static async start({ port = 0, models = {} } = {}) {
    binary ??= commandLine();
    const data = await mkdtemp(join(tmpdir(), 'hearth-server-'));
    const added = Object.entries(models).map(([name, folder]) => ({ name, folder }));
    await writeFile(join(data, 'models.json'), JSON.stringify({ models: added }));
    const args = ['serve', '--json', '--port', String(port), '--device', 'cpu', '--ui', ui];
    const env = { ...process.env, HEARTH_DATA: data };
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
    const ended = new Promise((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`hearth serve ended with ${code}`)));
    });
    ended.catch(() => {});
    const listening = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const message = JSON.parse(line);
        if (message.type === 'listening') resolve(new URL(message.url).origin);
      });
    });
    const url = await Promise.race([listening, ended]);
    return new Server(child, url, data);
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Ends it, at once: as a crash would. */
  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
    await rm(this.#data, { recursive: true, force: true });
  }
}
