// Models as a person might bring them, good and bad, laid into a folder: for the tests of the page and of the window.
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const BUNDLED = path('../models/hearth-tiny');
const FIXTURES = path('fixtures');
/** What of the bundled model a publisher would lay into its folder. */
const BUNDLED_FILES = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

/** A model that can hold a conversation, as a folder from Hugging Face. Gives the folder. */
export async function folderModel(place, name) {
  const folder = join(place, name);
  await mkdir(join(folder, '.cache'), { recursive: true });
  for (const file of BUNDLED_FILES) await copyFile(join(BUNDLED, file), join(folder, file));
  await writeFile(join(folder, 'README.md'), '# A model\n');
  await writeFile(join(folder, '.cache/lock'), '');
  return folder;
}

/** A random model in one GGUF file; gives the file. */
export async function ggufModel(place, name) {
  const file = join(place, name);
  await copyFile(join(FIXTURES, 'tiny-llama-q8_0.gguf'), file);
  return file;
}

/** The same in three parts; gives the files. */
export async function splitModel(place) {
  const names = [1, 2, 3].map((part) => `tiny-llama-split-0000${part}-of-00003.gguf`);
  for (const name of names) await copyFile(join(FIXTURES, name), join(place, name));
  return names.map((name) => join(place, name));
}

/** Files that are no models. Gives them by what is wrong with them. */
export async function badFiles(place) {
  const whole = await readFile(join(FIXTURES, 'tiny-llama-q8_0.gguf'));
  const files = { text: 'notes.txt', cut: 'cut.gguf', empty: 'empty.gguf', renamed: 'renamed.gguf' };
  await writeFile(join(place, files.text), 'Nothing but words.\n');
  await writeFile(join(place, files.cut), whole.subarray(0, whole.length - 4096));
  await writeFile(join(place, files.empty), '');
  await writeFile(join(place, files.renamed), 'Nothing but words.\n');
  return Object.fromEntries(Object.entries(files).map(([what, name]) => [what, join(place, name)]));
}

/** A folder in which two models lie. */
export async function twoModels(place, name) {
  const folder = join(place, name);
  await mkdir(folder);
  await ggufModel(folder, 'one.gguf');
  await ggufModel(folder, 'two.gguf');
  return folder;
}

/** A model of a hundred gigabytes and more, of which nothing but the headers takes room on the disk. */
export async function hugeModel(place, name) {
  const folder = join(place, name);
  await mkdir(folder);
  const [hidden, inner, layers, vocabulary] = [16384, 65536, 16, 272];
  const tiny = join(FIXTURES, 'tiny-llama');
  const config = {
    ...JSON.parse(await readFile(join(tiny, 'config.json'), 'utf8')),
    ...{ hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers, head_dim: 128 },
    ...{ num_attention_heads: hidden / 128, num_key_value_heads: hidden / 128, max_position_embeddings: 4096 },
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(tiny, file), join(folder, file));
  const square = ['q', 'k', 'v', 'o'].map((part) => [`self_attn.${part}_proj`, [hidden, hidden]]);
  const layer = [
    ...square,
    ...[['mlp.gate_proj', [inner, hidden]], ['mlp.up_proj', [inner, hidden]], ['mlp.down_proj', [hidden, inner]]],
    ...[['input_layernorm', [hidden]], ['post_attention_layernorm', [hidden]]],
  ];
  const tensors = [
    ...[['model.embed_tokens', [vocabulary, hidden]], ['lm_head', [vocabulary, hidden]], ['model.norm', [hidden]]],
    ...Array.from({ length: layers }, (_, at) => layer.map(([part, shape]) => [`model.layers.${at}.${part}`, shape])).flat(),
  ];
  let end = 0;
  const header = {};
  for (const [tensor, shape] of tensors) {
    const bytes = 2 * shape.reduce((product, length) => product * length, 1);
    header[`${tensor}.weight`] = { dtype: 'BF16', shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = await open(join(folder, 'model.safetensors'), 'w');
  try {
    await file.write(Buffer.concat([length, text]));
    await file.truncate(8 + text.length + end);
  } finally {
    await file.close();
  }
  return folder;
}
