// A thin client of W3C WebDriver (https://www.w3.org/TR/webdriver2/): what the window's tests say to WebKitWebDriver.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The longest that anything awaited may take: only a window that hangs ever meets it. */
const PATIENCE_MS = 120_000;
/** How WebDriver marks an element in JSON. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
const KEYS = { Enter: '\uE007', Escape: '\uE00C', Shift: '\uE008' };

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts the driver, and resolves when it listens. */
async function startDriver(home) {
  const port = await freePort();
  const driver = spawn('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // A group of its own, so that nothing it has started outlives the test.
    detached: true,
    env: {
      ...process.env,
      TAURI_AUTOMATION: 'true',
      TAURI_WEBVIEW_AUTOMATION: 'true',
      // What the person who runs the tests has kept stays out of them, and stays as it is.
      XDG_DATA_HOME: join(home, 'data'),
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_CACHE_HOME: join(home, 'cache'),
    },
  });
  const gone = new Promise((_, reject) => {
    driver.once('error', (error) => reject(new Error(`WebKitWebDriver cannot be started (package webkit2gtk-driver): ${error.message}`)));
    driver.once('exit', (code) => reject(new Error(`WebKitWebDriver ended with ${code}`)));
  });
  gone.catch(() => {});
  const base = `http://127.0.0.1:${port}`;
  await Promise.race([gone, listens(base)]);
  return { driver, base };
}

async function listens(base) {
  const giveUp = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await fetch(`${base}/status`);
      return;
    } catch (error) {
      // The driver says nothing when it is ready: it can only be asked.
      if (Date.now() > giveUp) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The app's window. */
export class Window {
  #base;
  #driver;
  #home;
  #open = false;

  /** Starts the app `binary` and resolves when its page is there. `models` are folders of models on its list, by name. */
  static async open(binary, args = [], models = {}) {
    const home = await mkdtemp(join(tmpdir(), 'hearth-window-'));
    const data = join(home, 'data/org.hearth.Hearth');
    const added = Object.entries(models).map(([name, folder]) => ({ name, folder }));
    await mkdir(data, { recursive: true });
    await writeFile(join(data, 'models.json'), JSON.stringify({ models: added }));
    const { driver, base } = await startDriver(home);
    const window = new Window();
    window.#driver = driver;
    window.#home = home;
    window.#base = base;
    const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': { binary, args } } };
    try {
      const { sessionId } = await window.#say('POST', '/session', { capabilities });
      window.#base = `${base}/session/${sessionId}`;
      window.#open = true;
      await window.#say('POST', '/timeouts', { script: PATIENCE_MS });
    } catch (error) {
      await window.close();
      throw error;
    }
    return window;
  }

  async close() {
    const ended = new Promise((resolve) => this.#driver.once('exit', resolve));
    if (this.#open) await this.#say('DELETE', '').catch(() => {});
    process.kill(-this.#driver.pid);
    await ended;
    await rm(this.#home, { recursive: true, force: true });
  }

  /** What `script`, a function, gives for `args` in the page. */
  run(script, ...args) {
    return this.#say('POST', '/execute/sync', { script: `return (${script})(...arguments)`, args });
  }

  /** The first true value that `condition`, a function, gives in the page: asked now and at each change of the page. */
  async until(what, condition, ...args) {
    const script = `
      const done = arguments[arguments.length - 1];
      const given = Array.from(arguments).slice(0, -1);
      const condition = ${condition};
      const look = () => {
        const found = condition(...given);
        if (!found) return;
        observer.disconnect();
        done(found);
      };
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
      look();`;
    try {
      return await this.#say('POST', '/execute/async', { script, args });
    } catch (error) {
      const seen = await this.run('() => document.body.innerText').catch(() => '(nothing)');
      throw new Error(`waited in vain for ${what}: ${error.message}\nThe window shows:\n${seen}`);
    }
  }

  /** Waits until the app's status is one of these. */
  status(...names) {
    return this.until(
      `the status ${names.join(' or ')}`,
      `(names) => { const now = document.querySelector('[data-testid=app]')?.dataset.status; return names.includes(now) && now; }`,
      names,
    );
  }

  /** The texts of all elements with this test id, in the page's order. */
  texts(testid) {
    return this.run(`(id) => [...document.querySelectorAll('[data-testid="' + id + '"]')].map((e) => e.textContent.trim())`, testid);
  }

  /** Clicks the last element with this test id, as a person would: it has to be there, and in view. */
  async click(testid) {
    await this.#say('POST', `/element/${await this.#find(testid)}/click`, {});
  }

  /** Types into the element; `\n` in it is the Enter key. */
  async type(testid, text) {
    const keys = text.replaceAll('\n', KEYS.Enter);
    await this.#say('POST', `/element/${await this.#find(testid)}/value`, { text: keys });
  }

  /** Loads the page again. */
  reload() {
    return this.#say('POST', '/refresh', {});
  }

  /** Keeps a picture of the page in the folder HEARTH_SCREENSHOTS, if that is set. */
  async picture(name) {
    const folder = process.env.HEARTH_SCREENSHOTS;
    if (folder === undefined) return;
    // What the page shows is painted with the second frame from now at the latest.
    const painted = 'const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)));';
    await this.#say('POST', '/execute/async', { script: painted, args: [] });
    const png = await this.#say('GET', '/screenshot');
    await writeFile(join(folder, `${name}.png`), Buffer.from(png, 'base64'));
  }

  async #find(testid) {
    const value = `[data-testid="${testid}"]`;
    const found = await this.#say('POST', '/elements', { using: 'css selector', value });
    if (found.length === 0) throw new Error(`the window has no ${value}`);
    return found[found.length - 1][ELEMENT];
  }

  async #say(method, path, body) {
    const response = await fetch(this.#base + path, {
      method,
      signal: AbortSignal.timeout(2 * PATIENCE_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value?.error}: ${value?.message}`);
    return value;
  }
}
