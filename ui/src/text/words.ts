import type { Done, Failure, FailureCode, LoadStage, StopReason } from '../link/protocol.gen';
import type { EngineStatus, LoadProgress } from '../state/engine';
import { formatBytes, formatDuration, formatSpeed } from './format';

const TITLES: Partial<Record<FailureCode, string>> = {
  truncated: "The model's files are not whole",
  malformed: "The model's files are damaged",
  missing_file: 'A file of the model is missing',
  unknown_model: 'There is no such model',
  unknown_architecture: 'This kind of model is not known',
  prompt_too_long: "The conversation no longer fits the model's memory",
  out_of_memory: 'There is not enough memory',
  no_device: 'No device can run the model',
  device_lost: 'The device went away',
  device_fault: 'The device refused the work',
  io: 'Reading the model failed',
  busy: 'The engine is busy',
  bad_config: "The model's configuration can't be used",
  unsupported_format: 'The weights are stored in a way that is not read',
  missing_tensor: 'A part of the model is missing',
  wrong_shape: "The model's parts don't fit together",
  unexpected_tensor: 'The model has a part that is not known',
  tokenizer: "The model's tokenizer can't be used",
  wrong_task: 'The model is made for something else',
  not_allowed: 'That is not allowed here',
  no_library: 'There are no documents here',
  link: 'The engine stopped answering',
  cancelled: 'Stopped, as you asked',
};

/** What went wrong, in a few words. */
export function failureTitle({ code }: Failure): string {
  return TITLES[code] ?? 'Something went wrong';
}

/** A text as a sentence: engines write their messages without capitals and full stops. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  // A file's name or a setting's stays as it is written.
  const isWord = /^\p{L}+(?:['’]\p{L}+)?(?![\p{L}\d._/\\-])/u.test(trimmed);
  const first = isWord ? trimmed.charAt(0).toUpperCase() : trimmed.charAt(0);
  return `${first}${trimmed.slice(1)}${/[.!?…]$/.test(trimmed) ? '' : '.'}`;
}

const STAGES: Readonly<Record<LoadStage, string>> = {
  opening: 'Opening the model',
  weights: 'Loading the weights',
  compiling: 'Preparing the device',
};

/** "Loading the weights": what a load is at. */
export function stageText(progress: LoadProgress | undefined): string {
  return progress === undefined ? 'Starting the engine' : STAGES[progress.stage];
}

/** "12.4 MB of 20.1 MB · 35.0 MB/s · 0.4 s". */
export function progressText(progress: LoadProgress | undefined): string {
  if (progress === undefined || progress.totalBytes === 0) return '';
  const { doneBytes, totalBytes, bytesPerS, elapsedMs } = progress;
  const parts = [`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`];
  if (bytesPerS > 0) parts.push(`${formatBytes(bytesPerS)}/s`);
  parts.push(formatDuration(elapsedMs));
  return parts.join(' · ');
}

const STOPS: Partial<Record<StopReason, string>> = {
  max_tokens: 'cut at the length that is set',
  context_full: "the model's memory is full",
  cancelled: 'stopped',
};

/** "64 tokens · 41.8 tok/s · first after 210 ms · native-cpu". */
export function statsText(done: Done): string {
  const parts = [`${done.tokens} ${done.tokens === 1 ? 'token' : 'tokens'}`];
  if (done.decode_tokens_per_s > 0) parts.push(formatSpeed(done.decode_tokens_per_s));
  if (done.tokens > 0) parts.push(`first after ${formatDuration(done.first_token_ms)}`);
  parts.push(done.route);
  const stop = STOPS[done.stop_reason];
  if (stop !== undefined) parts.push(stop);
  return parts.join(' · ');
}

/** What the speed is now, or was for the last answer. */
export function speedText(status: EngineStatus): string {
  if (status.name === 'generating' && status.tokensPerS !== undefined) return formatSpeed(status.tokensPerS);
  if (status.name === 'ready' && status.last !== undefined && status.last.decode_tokens_per_s > 0) {
    return formatSpeed(status.last.decode_tokens_per_s);
  }
  return '– tok/s';
}

/** What the engine does, for the eye and for screen readers. */
export function statusText(status: EngineStatus): string {
  switch (status.name) {
    case 'idle':
      return 'Nothing is loaded';
    case 'probing':
      return 'Looking at this device';
    case 'loading':
      return stageText(status.progress);
    case 'ready':
      return 'Ready';
    case 'generating':
      if (status.stopping) return 'Stopping';
      if (status.tokens > 0) return 'Writing';
      return status.prefill === undefined ? 'Thinking' : `Reading ${status.prefill.promptTokens} tokens`;
    case 'failed':
      return failureTitle(status.failure);
  }
}
