"""Renders the templates of `../fixtures/chat` with transformers' own Jinja environment. The file is committed.

    pip install transformers jinja2
    python tests/golden/templates.py

It writes `templates.json`: for each conversation what a template is given, and for each template what it makes of it:
a text, or null where it refuses. The conversations are some of those of `../conformance/chat_templates.py`, which
renders whole collections of templates.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "conformance"))

import chat_templates as conformance  # noqa: E402

TEMPLATES = HERE.parent / "fixtures" / "chat"
NAMES = [
    "user", "system", "turns", "system turns", "answered", "parts", "tools", "system tools", "no tools", "call",
    "call answered", "two calls", "call with text", "thought", "thought last", "thought inline", "thought inline last",
    "enable_thinking False", "thinking True turns", "thinking False tools", "documents", "two users", "strange role",
    "empty", "continued",
]  # fmt: skip


def main():
    conformance.chat_template_utils.datetime = conformance.FixedDate
    known = dict(conformance.conversations())
    sources = {path.parent.name: path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*/chat_template.jinja"))}
    rendered = {template: {} for template in sources}
    refused = 0
    for name in NAMES:
        for prompt in (False,) if known[name].get("continue_final_message") else (False, True):
            for template, source in sources.items():
                text, _ = conformance.reference({**known[name], "template": source, "add_generation_prompt": prompt})
                rendered[template][f"{name} +" if prompt else name] = text
                refused += text is None
    whole = {
        "now": conformance.NOW,
        "tokens": conformance.TOKENS,
        "conversations": {name: known[name] for name in NAMES},
        "rendered": rendered,
    }
    (HERE / "templates.json").write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(map(len, rendered.values()))} texts of {len(sources)} templates, {refused} of them refused")
    for template, texts in rendered.items():
        print(template, "refuses", [name for name, text in texts.items() if text is None])


if __name__ == "__main__":
    main()
