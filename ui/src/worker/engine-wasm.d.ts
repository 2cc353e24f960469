// The shape of the engine as WebAssembly. The module itself is built from engine/src/web.rs by `./hearth build wasm`
// into src/worker/wasm/; this declaration stands whether or not it has been built.
declare module 'hearth-engine-wasm/hearth_engine.js' {
  export interface WebEngineOptions {
    /** Whether the engine may look for a GPU; without it only the CPU is probed and used. */
    readonly allowGpu: boolean;
    /** Files of a model are read from `modelBase/model/file`, in ranges. */
    readonly modelBase: string;
    /** What the engine cannot see of the adapter. */
    readonly adapter: { readonly name: string; readonly features: readonly string[] } | undefined;
  }

  export class WebEngine {
    private constructor();
    static create(options: WebEngineOptions): Promise<WebEngine>;
    /** Answers one request envelope with event envelopes, each as JSON. Resolves after the last. */
    handle(request: string, onEvent: (event: string) => void): Promise<void>;
    /** Takes in chosen files; `add_model` with the key as its path lists them, a name lists them at once. */
    offerFiles(key: string, name: string | undefined, paths: string[], files: Blob[]): void;
    free(): void;
  }

  /** Fetches and compiles the module at an address. */
  export default function init(options: { module_or_path: string | WebAssembly.Module }): Promise<unknown>;

  /** Makes another instance in the same memory. Only in the module with threads, as what follows. */
  export function initSync(options: { module: WebAssembly.Module; memory: WebAssembly.Memory }): unknown;
  /** Makes room for so many threads, the caller's among them, and gives the memory that the others have to share. */
  export function shareMemory(threads: number): WebAssembly.Memory;
  /** Makes the calling worker one of the threads. Returns only if the engine was given up. */
  export function serveEngine(): void;
  /** Says that one of the threads is gone. */
  export function giveUpEngine(): void;
}
