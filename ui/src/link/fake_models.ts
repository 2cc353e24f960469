// Models for the scripted engine of tests. Nothing that is shipped imports this file.
import type {
  Event,
  Fit,
  FrontierPoint,
  InspectRequest,
  MemoryPlan,
  ModelReport,
  Outlook,
  RecipeReport,
  RecipesReport,
  Request,
} from './protocol.gen';

export function fakePlan(context_tokens: number): MemoryPlan {
  const plan = { weights_bytes: 18_800_000, cache_bytes: context_tokens * 1000, scratch_bytes: 500_000, other_bytes: 200_000 };
  const total_bytes = plan.weights_bytes + plan.cache_bytes + plan.scratch_bytes + plan.other_bytes;
  return { context_tokens, ...plan, total_bytes, cache_bytes_per_token: 1000, largest_buffer_bytes: 2_000_000 };
}

function outlook(context_tokens: number, available_bytes: number): Outlook {
  const memory = fakePlan(context_tokens);
  const fit: Fit = available_bytes === 0 ? 'unknown' : memory.total_bytes <= available_bytes ? 'fits' : 'too_large';
  const sizes = { needed_bytes: memory.total_bytes, available_bytes, freed_bytes: 0 };
  const report = { fit, device: 'Example CPU', ...sizes, reason: 'as it is' };
  return { memory, cpu: report, gpu: { ...report, fit: 'no_device', device: '', reason: 'no GPU was found' } };
}

function fakePoint(model: string, bits: number, kl_mean: number, quantizer: FrontierPoint['quantizer']): FrontierPoint {
  const sizes = { weights_bytes: Math.round(1_175_000 * bits), bits_per_weight: bits, linear_bits_per_weight: bits };
  const losses = { kl_mean, top_agreement: 0.9, perplexity: 30, perplexity_rise: kl_mean * 0.8, accuracy_kept: 0.97 };
  return { model, ...sizes, ...losses, pairs_accuracy: null, quantizer };
}

/** Recipes for a model of 18.8 MB with so much memory; measured on it, or on another. */
export function fakeRecipes(memory_bytes: number | null, context_tokens: number, isOwn = true): RecipesReport {
  const plan = fakePlan(context_tokens);
  const fitOf = (bytes: number): Fit => (memory_bytes === null ? 'unknown' : bytes <= memory_bytes ? 'fits' : 'too_large');
  const recipe = (bits: number, kl_mean: number): RecipeReport => {
    const { weights_bytes } = fakePoint('', bits, kl_mean, 'hearth');
    const needed_bytes = plan.total_bytes - plan.weights_bytes + weights_bytes;
    const whole = bits === 16;
    return {
      name: whole ? 'as it is' : `${bits} bits`,
      command: whole ? '' : `hearth quantize hearth-tiny --target-bpw ${bits} --calibrate TEXT.txt -o hearth-tiny-${bits}bit`,
      linear_bits_per_weight: bits,
      bits_per_weight: bits,
      weights_bytes,
      needed_bytes,
      fit: fitOf(needed_bytes),
      loss: whole ? null : { model: 'hearth-tiny', is_own: isOwn, kl_mean, perplexity_rise: kl_mean * 0.8, accuracy_kept: 0.97 },
    };
  };
  const recipes = [recipe(16, 0), recipe(4, 0.03), recipe(3, 0.13), recipe(2, 0.6)];
  const chosen = recipes.find(({ fit }) => fit === 'fits');
  const points = [fakePoint('Q4_K_M.gguf', 4.6, 0.04, 'gguf'), fakePoint('Q2_K.gguf', 3.4, 0.43, 'gguf')];
  return {
    absence: '',
    recipes,
    memory_bytes,
    context_tokens,
    recommended: chosen?.name ?? null,
    advice: chosen === undefined ? 'Nothing fits.' : `${chosen.name} is what fits.`,
    frontier: isOwn ? { version: 1, reference: 'hearth-tiny', text: 'a book', points } : null,
  };
}

/** A model that was made for 4096 tokens, in a machine with so many bytes left. */
export function fakeModel(request: Partial<InspectRequest>, available_bytes = 21_000_000): ModelReport {
  const context_tokens = request.context_tokens ?? 1024;
  const most = Math.max(0, Math.floor((available_bytes - 19_500_000) / 1000));
  return {
    model: request.model === undefined || request.model === '' ? 'hearth-tiny' : request.model,
    layout: 'gguf',
    files: [{ name: 'model.gguf', bytes: 18_900_000 }],
    about: { name: 'Tiny', author: 'A Den', license: 'apache-2.0', base_model: null, description: null },
    architecture: 'llama',
    unsupported: null,
    tasks: ['generate'],
    parameters: 9_400_000,
    weights_bytes: 18_800_000,
    bits_per_weight: 16,
    linear_bits_per_weight: 16,
    formats: [
      { format: 'F16', is_supported: true, tensors: 40, parameters: 9_390_000, bytes: 18_780_000 },
      { format: 'F32', is_supported: true, tensors: 17, parameters: 10_000, bytes: 20_000 },
    ],
    shape: {
      context_tokens: 4096,
      vocab_size: 8192,
      hidden: 256,
      layers: 8,
      heads: 8,
      kv_heads: 4,
      head_dim: 32,
      feed_forward: 768,
    },
    tokenizer: { kind: 'byte-level BPE', tokens: 8192 },
    template: { has_system: true, has_tools: false, has_thinking: false },
    context_tokens,
    outlooks: [outlook(context_tokens, available_bytes)],
    context_tokens_max: most === 0 ? null : most,
    recipes: fakeRecipes(request.memory_bytes ?? (available_bytes === 0 ? null : available_bytes), context_tokens),
    tensors: [],
  };
}

/** The list that a scripted engine keeps. */
export class FakeShelf {
  readonly added: string[] = [];

  /** Answers what is asked about models; nothing if it is about something else. */
  answer(request: Request): Event | undefined {
    switch (request.type) {
      case 'models': {
        const names = ['hearth-tiny', ...this.added];
        const models = names.map((name) => ({
          name,
          description: '',
          is_added: name !== 'hearth-tiny',
          place: null,
          is_missing: false,
        }));
        return { type: 'models', bundled: 'hearth-tiny', models, can_add: true };
      }
      case 'inspect':
        return { type: 'inspected', ...fakeModel(request) };
      case 'add_model': {
        const model = request.path.split('/').at(-1) ?? '';
        this.added.push(model);
        return { type: 'model_added', model };
      }
      case 'remove_model':
        this.added.splice(this.added.indexOf(request.model), 1);
        return { type: 'model_removed', model: request.model };
      default:
        return undefined;
    }
  }
}
