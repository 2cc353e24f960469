// A page with the interface, and what a person does with it.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import axe from 'axe-core';

/** The longest that anything awaited may take: only a page that hangs ever meets it. */
const PATIENCE_MS = 90_000;

/** Selects by test id. */
export const byId = (id) => `[data-testid="${id}"]`;

export class Page {
  #violations = [];

  /** Opens the interface; `query` is the address's. `prepare` may change the browser's context before that. */
  static async open(browser, url, { query = '', scheme = 'light', prepare = () => {} } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: scheme });
    context.setDefaultTimeout(PATIENCE_MS);
    const self = new Page();
    self.context = context;
    // Whatever the policy refuses is reported to the page before any of its own code runs.
    await context.exposeFunction('reportViolation', (text) => self.#violations.push(text));
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        window.reportViolation(`${event.violatedDirective}: ${event.blockedURI}`);
      });
    });
    await prepare(context);
    self.tab = await context.newPage();
    await self.tab.goto(`${url}/${query}`);
    return self;
  }

  /** What the page's policy refused so far. */
  get violations() {
    return this.#violations;
  }

  find(id) {
    return this.tab.locator(byId(id));
  }

  /** Waits until the window's status is one of these, and gives it. */
  async status(...names) {
    const wanted = names.map((name) => `${byId('app')}[data-status="${name}"]`).join(', ');
    await this.tab.locator(wanted).waitFor();
    return this.tab.locator(byId('app')).getAttribute('data-status');
  }

  /** Waits until the model is there, on that route. */
  async ready(route) {
    const app = byId('app');
    await this.tab.locator(`${app}[data-status="ready"][data-route="${route}"], ${app}[data-status="failed"]`).waitFor();
    if ((await this.find('failure').count()) > 0) throw new Error(await this.find('failure').innerText());
  }

  /** What the person said so far. */
  questions() {
    return this.find('message-user').locator('p').allTextContents();
  }

  route() {
    return this.find('app').getAttribute('data-route');
  }

  /** Types a message and sends it with the Enter key. */
  async say(text) {
    await this.find('composer').fill(text);
    await this.find('composer').press('Enter');
  }

  /** Lets answers have at most so many tokens. */
  async limit(tokens) {
    await this.find('settings').click();
    await this.find('setting-max-tokens').fill(String(tokens));
    await this.find('setting-max-tokens').blur();
    await this.find('settings').click();
  }

  /** Lets the model continue a story, which it does for as long as it is let: a chat's answer may be two words. */
  async tell(text) {
    await this.find('mode-text').click();
    await this.say(text);
  }

  /** Waits until the last answer has begun and gives it. */
  async answer() {
    await this.tab.locator(`${byId('message-assistant')}[data-state="streaming"] p:not(.activity)`).first().waitFor();
    return this.find('message-assistant').last();
  }

  /** Waits until the last answer has ended and gives its text. */
  async ended() {
    await this.tab.locator(`${byId('message-assistant')}:not([data-state="streaming"])`).last().waitFor();
    await this.status('ready', 'failed');
    return this.answerText();
  }

  /** The last answer, without its tools. */
  answerText() {
    return this.find('message-assistant').last().evaluate((answer) => {
      const copy = answer.cloneNode(true);
      copy.querySelectorAll('footer, h2, .activity').forEach((part) => part.remove());
      return copy.textContent.trim();
    });
  }

  /** What axe-core finds that keeps someone out. */
  async barriers() {
    await this.tab.evaluate(axe.source);
    const { violations } = await this.tab.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.target.join(' ')).join(', ')})`);
  }

  /** Keeps a picture where HEARTH_SCREENSHOTS says. */
  async picture(name) {
    const folder = process.env.HEARTH_SCREENSHOTS;
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    await this.tab.screenshot({ path: join(folder, `${name}.png`) });
  }

  close() {
    return this.context.close();
  }
}
