import { LinkError } from '../link/link';
import type { ChosenFile } from '../link/link';

/** A model's files lie in its folder, or at most in one folder within it. */
const DEPTH_MAX = 3;
/** More files than the largest model has: whoever drops more has dropped another folder. */
const FILES_MAX = 4096;

/** Files chosen in a dialog; of a folder those that could be a model's. */
export function pickedFiles(list: Iterable<File> | null): ChosenFile[] {
  const all = [...(list ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return checked(all.filter(({ path }) => isOfInterest(path)));
}

/** Files dropped on the page, with what lies in dropped folders. To be called while the event is being handled. */
export function droppedFiles(data: DataTransfer): Promise<ChosenFile[]> {
  const entries = [...data.items].flatMap((item) => (item.kind === 'file' ? [item.webkitGetAsEntry()] : []));
  const known = entries.filter((entry) => entry !== null);
  if (known.length === 0) return Promise.resolve(pickedFiles(data.files));
  return readAll(known);
}

async function readAll(entries: readonly FileSystemEntry[]): Promise<ChosenFile[]> {
  const found: ChosenFile[] = [];
  const waiting = entries.map((entry) => ({ entry, path: entry.name }));
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { entry, path } = next;
    if (isFile(entry)) {
      found.push({ path, file: await fileOf(entry) });
    } else if (isFolder(entry)) {
      for (const inner of await entriesOf(entry)) {
        const innerPath = `${path}/${inner.name}`;
        if (isOfInterest(innerPath)) waiting.push({ entry: inner, path: innerPath });
      }
    }
    checked([...found, ...waiting]);
  }
  return found;
}

/** Hidden files are nobody's model: version control and download tools keep thousands of them. */
function isOfInterest(path: string): boolean {
  const parts = path.split('/');
  return parts.length <= DEPTH_MAX && !parts.slice(1).some((part) => part.startsWith('.'));
}

function checked<T>(files: T[]): T[] {
  if (files.length <= FILES_MAX) return files;
  throw new LinkError({
    code: 'invalid_request',
    message: `more than ${FILES_MAX} files were chosen, and no model has so many`,
    hint: 'Choose the folder that holds the model’s config.json, or its .gguf file.',
  });
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => {
    entry.file(resolve, (error) => {
      reject(unreadable(entry, error));
    });
  });
}

/** All entries of a folder: the browser gives them a hundred at a time, and none at the end. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, (error) => {
        reject(unreadable(folder, error));
      });
    });
    if (some.length === 0) return all;
    all.push(...some);
    checked(all);
  }
}

function unreadable(entry: FileSystemEntry, error: DOMException): LinkError {
  return new LinkError({
    code: 'io',
    message: `${entry.name} could not be read: ${error.message}`,
    hint: 'Check that it is still there and may be read, then choose it again.',
  });
}
