import type { FitReport, ListedModel, ModelReport, TemplateReport } from '../link/protocol.gen';
import { formatBytes, formatCount, formatNumber } from './format';
import { sentence } from './words';

/** A fact about a model: what it is called, and what it is. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

function shapeText({ shape }: ModelReport): string {
  const parts: string[] = [];
  if (shape.layers !== null) parts.push(`${shape.layers} layers`);
  if (shape.heads !== null) {
    const shared = shape.kv_heads !== null && shape.kv_heads !== shape.heads;
    parts.push(`${shape.heads} heads${shared ? `, ${shape.kv_heads} for keys and values` : ''}`);
  }
  if (shape.hidden !== null) parts.push(`${formatNumber(shape.hidden)} wide`);
  return parts.join(' · ');
}

function templateText(template: TemplateReport | null): string {
  if (template === null) return 'none: it was hardly made to chat; its turns are written as User: and Assistant:';
  const known = [
    ...(template.has_system ? ['standing instructions'] : []),
    ...(template.has_tools ? ['tools'] : []),
    ...(template.has_thinking ? ['thinking'] : []),
  ];
  return known.length === 0 ? 'yes' : `yes, with ${known.join(', ')}`;
}

/** What a person may want to know, in the order of importance; what is not known is left out. */
export function facts(report: ModelReport): Fact[] {
  const { about, shape, tokenizer } = report;
  const tokens = tokenizer.tokens ?? shape.vocab_size;
  const files = `${report.files.length} ${report.layout === 'gguf' ? 'GGUF' : 'safetensors'} ${report.files.length === 1 ? 'file' : 'files'}`;
  const rows: [string, string | null][] = [
    ['Calls itself', about.name],
    ['Made by', about.author],
    ['Made from', about.base_model],
    ['Licence', about.license],
    ['Architecture', report.architecture],
    ['Parameters', formatCount(report.parameters)],
    ['Size', `${formatBytes(report.weights_bytes)} in ${files}`],
    ['Shape', shapeText(report)],
    ['Made for', shape.context_tokens === null ? '' : `${formatNumber(shape.context_tokens)} tokens of context`],
    ['Tokenizer', `${tokenizer.kind}${tokens === null ? '' : `, ${formatNumber(tokens)} tokens`}`],
    ['Chat template', report.tasks.includes('embed') ? '' : templateText(report.template)],
  ];
  return rows.flatMap(([name, value]) => (value === null || value === '' ? [] : [{ name, value }]));
}

/** Whether a device can hold the model, in a few words. */
export function fitTitle(fit: FitReport): string {
  switch (fit.fit) {
    case 'fits':
      return 'Fits';
    case 'too_large':
      return 'Does not fit';
    case 'unknown':
      return 'Probably fits; loading shows it';
    case 'no_device':
      return 'There is no such device';
  }
}

/** The same with its figures: what is needed, what is free, and what would help. */
export function fitText(fit: FitReport, report: ModelReport): string {
  const needed = formatBytes(fit.needed_bytes);
  const freed = fit.freed_bytes > 0 ? ' once the model in use has made room' : '';
  const free = `${formatBytes(fit.available_bytes)} are free${freed}`;
  if (fit.fit === 'fits') return `${needed} are needed, and ${free}.`;
  if (fit.fit === 'unknown') return `${needed} are needed. How much is free is not told here.`;
  if (fit.fit === 'no_device' || fit.available_bytes === 0) return sentence(fit.reason);
  const most = report.context_tokens_max;
  const way =
    most === null
      ? 'Even a short context would not fit: choose a smaller model.'
      : `Up to ${formatNumber(most)} tokens of context would fit.`;
  return `${needed} are needed, but ${free}. ${way}`;
}

/** Why a model cannot be loaded for a conversation; empty if it can. */
export function obstacle(report: ModelReport): string {
  if (report.unsupported !== null) return `${sentence(report.unsupported.message)} ${sentence(report.unsupported.hint)}`;
  if (!report.tasks.includes('generate')) {
    return 'This model turns texts into vectors for searching. It cannot hold a conversation: choose one that writes text.';
  }
  return '';
}

/** What is said of a model on the list: where it lies, or what it is. */
export function aboutText(model: ListedModel, way: keyof typeof WAYS): string {
  if (model.is_added && way === 'files') return 'From this page, for as long as it is open.';
  return model.place ?? model.description;
}

/** How a model can be brought here. */
export const WAYS = {
  paths: 'Drop a model’s file or folder on this window, choose it, or type where it lies.',
  files: 'Drop files here, or choose them. They are read where they are: nothing is uploaded.',
  server: 'This model runs outside of the page, where models are chosen on the server, with its command line.',
} as const;
