// Decoding on the CPU beside llama.cpp's WebAssembly, in one Chromium, on one file, in turns.
//   node wllama.mjs FILE.gguf WLLAMA_FOLDER [--threads 1,2] [--tokens 48] [--rounds 3] [--prompt WORDS]
// WLLAMA_FOLDER is npm's @wllama/wllama, installed anywhere. HEARTH_CHROMIUM names the browser, HEARTH_UI the built
// interface. One JSON object a measurement goes to standard output; both sides tell their own time, and the browser how much
// of its processors' time a token took in all, with its share of the prompt: that says more on a busy machine.
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, extname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { openChromium } from './browsers.mjs';
import { generate, lastEvent, startEngine } from './in_page.mjs';
import { ui } from './server.mjs';

const text = { type: 'string' };
const { values: asked, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { ...text, default: '1,2' },
    tokens: { ...text, default: '48' },
    rounds: { ...text, default: '3' },
    prompt: { ...text, default: 'It was a dark and stormy night' },
  },
});
const [file, wllama] = positionals;
if (wllama === undefined) throw new Error('usage: node wllama.mjs FILE.gguf WLLAMA_FOLDER [OPTION...]');
const tokens = Number(asked.tokens);

const TYPES = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.svg': 'image/svg+xml' };
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/** The page's files, wllama's under /wllama, and the model as one of ours. */
function locate(path) {
  if (path === `/models/peer/${basename(file)}`) return resolve(file);
  return path.startsWith('/wllama/') ? join(resolve(wllama), path.slice(8)) : join(ui, path);
}

const server = createServer((request, response) => {
  const path = locate(new URL(request.url, 'http://here').pathname);
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  const headers = { ...ISOLATION, 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream' };
  if (size === undefined) {
    response.writeHead(404, headers).end();
    return;
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [start, end] = range === null ? [0, size - 1] : [Number(range[1]), Math.min(Number(range[2]), size - 1)];
  const part = range === null ? {} : { 'Content-Range': `bytes ${start}-${end}/${size}` };
  response.writeHead(range === null ? 200 : 206, { ...headers, ...part, 'Content-Length': end - start + 1 });
  createReadStream(path, { start, end }).pipe(response);
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const url = `http://127.0.0.1:${server.address().port}`;
const worker = `/assets/${readdirSync(join(ui, 'assets')).find((name) => /^engine\.worker.*\.js$/.test(name))}`;

/** Runs in a page: loads the file with wllama and keeps it. */
async function startPeer({ model, threads }) {
  const { Wllama, LoggerWithoutDebug } = await import('/wllama/esm/index.js');
  const peer = new Wllama({ default: '/wllama/esm/wasm/wllama.wasm' }, { logger: LoggerWithoutDebug });
  const blob = await (await fetch(model)).blob();
  await peer.loadModel([blob], { n_threads: threads, n_ctx: 512, n_gpu_layers: 0, seed: 1 });
  window.peer = peer;
}

async function runPeer({ prompt, max_tokens }) {
  const { timings, usage } = await window.peer.createCompletion({ prompt, max_tokens, temperature: 0, top_k: 1 });
  return { tokens: usage.completion_tokens, decode_tokens_per_s: timings.predicted_per_second };
}

async function ours(browser, threads) {
  const page = await browser.newPage();
  await page.goto(`${url}/favicon.svg`);
  await page.evaluate(startEngine, { worker, allowGpu: false, modelBase: '/models', threads });
  const request = { type: 'load', model: `peer/${basename(file)}`, device: 'cpu', context_tokens: 512 };
  const loaded = await page.evaluate(lastEvent, request);
  if (loaded.type !== 'loaded') throw new Error(`${loaded.message} (${loaded.hint})`);
  const sampling = { repetition_penalty: 1, temperature: 0, top_k: 0, top_p: 1, min_p: 0, seed: null };
  const prompt = { kind: 'text', text: asked.prompt };
  const run = async () => {
    const { end } = await page.evaluate(generate, { prompt, max_tokens: tokens, sampling, stop: [] });
    if (end.type !== 'done') throw new Error(`${end.message} (${end.hint})`);
    return { tokens: end.tokens, decode_tokens_per_s: end.decode_tokens_per_s, on: loaded.adapter };
  };
  return { page, run };
}

async function theirs(browser, threads) {
  const page = await browser.newPage();
  await page.goto(`${url}/favicon.svg`);
  await page.evaluate(startPeer, { model: `/models/peer/${basename(file)}`, threads });
  const run = () => page.evaluate(runPeer, { prompt: asked.prompt, max_tokens: tokens });
  return { page, run };
}

const version = JSON.parse(await readFile(join(wllama, 'package.json'), 'utf8')).version;
const browser = await openChromium();
const processes = await browser.newBrowserCDPSession();

/** Seconds of processor time that the browser has had. */
async function cpuSeconds() {
  const { processInfo } = await processes.send('SystemInfo.getProcessInfo');
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

try {
  for (const threads of asked.threads.split(',').map(Number)) {
    const sides = { hearth: await ours(browser, threads), [`wllama ${version}`]: await theirs(browser, threads) };
    for (let round = 0; round <= Number(asked.rounds); round += 1) {
      for (const [side, { run }] of Object.entries(sides)) {
        const before = await cpuSeconds();
        const result = await run();
        const cpu_ms_per_token = ((await cpuSeconds()) - before) * 1000 / result.tokens;
        // The first round warms caches and compilers up.
        if (round > 0) console.log(JSON.stringify({ file: basename(file), side, threads, round, ...result, cpu_ms_per_token }));
      }
    }
    for (const { page } of Object.values(sides)) await page.close();
  }
} finally {
  await browser.close();
  server.close();
}
