import type { Conversation } from '../state/conversation';

/** An answer with every kind of block, to see them all. */
export const STORY = `The lane was white with frost when **Martha Quill** came to the gate, and not a window showed a light.

> "You are late," said a voice behind the hedge, "and the kettle is *cold*."

She had brought three things:

1. a lantern with \`no oil\` in it,
2. the letter, still sealed,
3. and a key that fitted nothing she knew.

| Room | Lamp | Fire |
|:-----|:----:|-----:|
| Hall | out | none |
| Kitchen | lit | low |

\`\`\`text
Come by the garden door.
Knock twice, and then once more; say nothing of the lantern to anyone you meet on the way.
\`\`\`

So she went round by the garden, as the letter told her, and knocked. Nobody came. She knocked again, and somewhere deep in the house a chair was pushed back from a table.

Then the bolt was drawn.`;

export const TALK: Conversation = {
  contextStart: 0,
  messages: [
    { id: 1, role: 'user', mode: 'chat', content: "I'm looking for a good Italian restaurant in San Jose." },
    {
      id: 2,
      role: 'assistant',
      state: 'complete',
      content: 'Sure. There are **10** restaurants that you might like. How about *71 Saint Peter* in San Jose?',
      stats: {
        route: 'native-gpu',
        adapter: 'Example Graphics 9000',
        prompt_tokens: 24,
        cached_tokens: 0,
        tokens: 27,
        first_token_ms: 61,
        decode_tokens_per_s: 212.4,
        stop_reason: 'end_of_turn',
      },
    },
    { id: 3, role: 'user', mode: 'chat', content: 'Can you book a table for two at half past six?' },
    {
      id: 4,
      role: 'assistant',
      state: 'stopped',
      content: 'Please confirm the following: a table for two people at 71 Saint Peter today at 6:30 pm.',
      stats: {
        route: 'native-gpu',
        adapter: 'Example Graphics 9000',
        prompt_tokens: 71,
        cached_tokens: 51,
        tokens: 22,
        first_token_ms: 18,
        decode_tokens_per_s: 207.9,
        stop_reason: 'cancelled',
      },
    },
    { id: 5, role: 'user', mode: 'text', content: 'It was a dark evening in November, and the old house stood silent.' },
    {
      id: 6,
      role: 'assistant',
      state: 'complete',
      content: STORY,
    },
  ],
};
