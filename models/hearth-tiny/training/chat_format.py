"""The chat format: the special tokens, the template that ships, and the same thing in Python.

There are no newlines between turns: every boundary is one special token, so no
byte-pair merge can ever straddle it and every runtime cuts a chat into the same ids.
"""

BOS, SYSTEM, USER, ASSISTANT, END = (
    "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
# Reserved ones keep the vocabulary at a round number and leave room to grow without a new shape.
SPECIAL_TOKENS = [BOS, SYSTEM, USER, ASSISTANT, END, "<|pad|>", "<|reserved_0|>", "<|reserved_1|>"]

TEMPLATE = (
    "{{ bos_token }}"
    "{%- for message in messages -%}"
    "{{ '<|' + message['role'] + '|>' + (message['content'] | trim) + '<|end|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def render(messages, add_generation_prompt=False):
    """What TEMPLATE renders; prepare.py checks that the two agree."""
    text = BOS + "".join(f"<|{m['role']}|>{m['content'].strip()}{END}" for m in messages)
    return text + ASSISTANT if add_generation_prompt else text
