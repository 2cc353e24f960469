// The browsers, and the flags that they need on a machine without a GPU. Where there is one, HEARTH_CHROMIUM_GPU_FLAGS
// takes the place of the flags for Chromium's own software adapter.
import { existsSync } from 'node:fs';

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

const QUIET = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
];
const SOFTWARE_GPU = '--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader';

function find(what, named, places) {
  const found = [named, ...places].find((path) => path && existsSync(path));
  if (found === undefined) throw new Error(`${what} is not installed: looked for ${places.join(', ')}`);
  return found;
}

/** Chromium; without WebGPU unless it is asked for, and with an empty profile unless there is a folder with one. */
export function openChromium({ webgpu = false, profile } = {}) {
  const executablePath = find('Chromium', process.env.HEARTH_CHROMIUM, [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ]);
  const gpu = webgpu ? (process.env.HEARTH_CHROMIUM_GPU_FLAGS ?? SOFTWARE_GPU).split(' ') : [];
  // Tests often run as root in a container, where Chromium's sandbox cannot.
  const options = { executablePath, headless: true, args: ['--no-sandbox', ...QUIET, ...gpu] };
  return profile === undefined ? chromium.launch(options) : chromium.launchPersistentContext(profile, options);
}

/** Firefox with WebGPU. */
export function openFirefox() {
  const executablePath = find('Firefox', process.env.HEARTH_FIREFOX, [
    '/usr/bin/firefox-esr',
    '/usr/bin/firefox',
    '/Applications/Firefox.app/Contents/MacOS/firefox',
  ]);
  return puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    // A software adapter takes its time.
    protocolTimeout: 900_000,
    extraPrefsFirefox: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
  });
}
