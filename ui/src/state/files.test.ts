// @vitest-environment happy-dom
import { describe, expect, it } from 'vitest';

import { droppedFiles, pickedFiles } from './files';

type Tree = File | { readonly [name: string]: Tree };

/** What a browser says of a file or folder that is dropped; a folder gives two entries at a time. */
function entryOf(name: string, tree: Tree): FileSystemEntry {
  const base = { name, isFile: tree instanceof File, isDirectory: !(tree instanceof File) };
  if (tree instanceof File) {
    const file = (resolve: (file: File) => void, reject: (error: Error) => void): void => {
      if (name === 'gone') reject(new Error('it went away'));
      else resolve(tree);
    };
    return { ...base, file } as unknown as FileSystemEntry;
  }
  const createReader = (): unknown => {
    const waiting = Object.entries(tree).map(([inner, content]) => entryOf(inner, content));
    return {
      readEntries: (resolve: (entries: FileSystemEntry[]) => void): void => {
        resolve(waiting.splice(0, 2));
      },
    };
  };
  return { ...base, createReader } as unknown as FileSystemEntry;
}

function dropOf(trees: Readonly<Record<string, Tree>>): DataTransfer {
  const items = Object.entries(trees).map(([name, tree]) => ({ kind: 'file', webkitGetAsEntry: () => entryOf(name, tree) }));
  return { items, files: [] } as unknown as DataTransfer;
}

const file = (name: string): File => new File(['x'], name);
const paths = (files: readonly { readonly path: string }[]): string[] => files.map(({ path }) => path).sort();

describe('dropped files', () => {
  it('are those of a folder too, but neither hidden nor deep ones', async () => {
    const model = {
      'config.json': file('config.json'),
      'a.safetensors': file('a.safetensors'),
      'b.safetensors': file('b.safetensors'),
      '1_Pooling': { 'config.json': file('config.json'), deep: { 'x.bin': file('x.bin') } },
      '.git': { HEAD: file('HEAD') },
    };
    const found = await droppedFiles(dropOf({ model, 'notes.txt': file('notes.txt') }));
    const inModel = ['1_Pooling/config.json', 'a.safetensors', 'b.safetensors', 'config.json'];
    expect(paths(found)).toEqual([...inModel.map((path) => `model/${path}`), 'notes.txt']);
    expect(found.every(({ file: one, path }) => path.endsWith(one.name))).toBe(true);
  });

  it('that went away are a failure in words', async () => {
    await expect(droppedFiles(dropOf({ model: { gone: file('gone') } }))).rejects.toMatchObject({
      failure: { code: 'io', message: 'gone could not be read: it went away' },
    });
  });

  it('are refused where they are too many for a model', async () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`${at}`, file(`${at}`)]));
    await expect(droppedFiles(dropOf({ many }))).rejects.toMatchObject({ failure: { code: 'invalid_request' } });
  });
});

describe('picked files', () => {
  it('lie where the folder that was chosen has them', () => {
    const inFolder = (path: string): File => {
      const one = file(path.split('/').at(-1) ?? '');
      Object.defineProperty(one, 'webkitRelativePath', { value: path });
      return one;
    };
    const chosen = ['m/config.json', 'm/.cache/lock', 'm/training/logs/1.txt', 'm/1_Pooling/config.json'].map(inFolder);
    expect(paths(pickedFiles(chosen))).toEqual(['m/1_Pooling/config.json', 'm/config.json']);
    expect(paths(pickedFiles([file('a.gguf')]))).toEqual(['a.gguf']);
    expect(pickedFiles(null)).toEqual([]);
  });
});
