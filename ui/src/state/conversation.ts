import type { ChatMessage, Done, Passage, Prompt } from '../link/protocol.gen';
import { withPassages } from '../text/documents';

/** How an answer stands. */
export type AnswerState = 'streaming' | 'complete' | 'stopped' | 'failed';

/** `chat` uses the model's chat template; `text` has the model continue the words as they are. */
export type Mode = 'chat' | 'text';

export interface UserMessage {
  readonly id: number;
  readonly role: 'user';
  readonly content: string;
  readonly mode: Mode;
  /** Passages of the person's documents that shall answer it; numbered from 1 in the order in which they stand. */
  readonly sources?: readonly Passage[];
}

export interface AssistantMessage {
  readonly id: number;
  readonly role: 'assistant';
  readonly content: string;
  /** What the model thought before it answered; none if it did not. */
  readonly reasoning?: string;
  readonly state: AnswerState;
  readonly stats?: Done;
}

export type Message = UserMessage | AssistantMessage;

/** A conversation, which never changes: each step makes a new one. */
export interface Conversation {
  readonly messages: readonly Message[];
  /** Turns before this one are shown, but the model no longer sees them. */
  readonly contextStart: number;
}

export const EMPTY: Conversation = { messages: [], contextStart: 0 };

function nextId({ messages }: Conversation): number {
  return (messages.at(-1)?.id ?? 0) + 1;
}

function withLast(conversation: Conversation, change: (last: AssistantMessage) => AssistantMessage): Conversation {
  const last = conversation.messages.at(-1);
  if (last?.role !== 'assistant') return conversation;
  return { ...conversation, messages: [...conversation.messages.slice(0, -1), change(last)] };
}

export function ask(
  conversation: Conversation,
  content: string,
  mode: Mode = 'chat',
  sources: readonly Passage[] = [],
): Conversation {
  const given = sources.length === 0 ? {} : { sources };
  const message: UserMessage = { id: nextId(conversation), role: 'user', content, mode, ...given };
  return { ...conversation, messages: [...conversation.messages, message] };
}

/** Starts an answer; `append` makes it grow. */
export function beginAnswer(conversation: Conversation): Conversation {
  const message: AssistantMessage = { id: nextId(conversation), role: 'assistant', content: '', state: 'streaming' };
  return { ...conversation, messages: [...conversation.messages, message] };
}

export function append(conversation: Conversation, text: string): Conversation {
  return withLast(conversation, (last) => ({ ...last, content: last.content + text }));
}

/** Adds to what the model thinks before it answers. */
export function think(conversation: Conversation, text: string): Conversation {
  return withLast(conversation, (last) => ({ ...last, reasoning: (last.reasoning ?? '') + text }));
}

export function endAnswer(conversation: Conversation, stats: Done): Conversation {
  const state = stats.stop_reason === 'cancelled' ? 'stopped' : 'complete';
  return withLast(conversation, (last) => ({ ...last, state, stats }));
}

/** Ends an answer where it is, on request and without figures. */
export function stopAnswer(conversation: Conversation): Conversation {
  return withLast(conversation, (last) => ({ ...last, state: 'stopped' }));
}

/** An answer that failed before its first word leaves nothing behind. */
export function failAnswer(conversation: Conversation): Conversation {
  const last = conversation.messages.at(-1);
  if (last?.role === 'assistant' && last.content === '' && last.reasoning === undefined) {
    return { ...conversation, messages: conversation.messages.slice(0, -1) };
  }
  return withLast(conversation, (message) => ({ ...message, state: 'failed' }));
}

/** Takes the last answer back, so that the same question can be asked again. */
export function takeBack(conversation: Conversation): Conversation {
  if (conversation.messages.at(-1)?.role !== 'assistant') return conversation;
  return { ...conversation, messages: conversation.messages.slice(0, -1) };
}

/** Whether there is a question that could be answered, again or for the first time. */
export function canAnswer({ messages }: Conversation): boolean {
  return messages.some((message) => message.role === 'user');
}

/** What the model is given: the turns of the chat, or the text that it shall continue. */
export function promptOf({ messages, contextStart }: Conversation): Prompt {
  const last = messages.findLast((message) => message.role === 'user');
  if (last?.mode === 'text') return { kind: 'text', text: last.content };
  let mode: Mode = 'chat';
  const turns: ChatMessage[] = [];
  for (const message of messages.slice(contextStart)) {
    if (message.role === 'user') mode = message.mode;
    // A continued text is no part of the talk.
    if (mode !== 'chat' || message.content === '') continue;
    // Whether earlier thoughts are read again is the affair of the model's template.
    const thoughts = message.role === 'assistant' && message.reasoning !== undefined ? { reasoning: message.reasoning } : {};
    const content = message.role === 'user' ? withPassages(message.content, message.sources ?? []) : message.content;
    turns.push({ role: message.role, content, ...thoughts });
  }
  return { kind: 'chat', messages: turns };
}

/** Whether older turns could be left out to make room. */
export function canForget({ messages, contextStart }: Conversation): boolean {
  return messages.slice(contextStart + 1).some((message) => message.role === 'user');
}

/** Leaves out the older half of the turns that the model is given; what remains begins with a question. */
export function forgetOldest(conversation: Conversation): Conversation {
  const { messages, contextStart } = conversation;
  const questions = messages.flatMap(({ role }, at) => (role === 'user' && at > contextStart ? [at] : []));
  const start = questions[Math.floor(questions.length / 2)];
  return start === undefined ? conversation : { ...conversation, contextStart: start };
}
