"""Renders chat templates with Hearth and with transformers, and compares.

    python tests/conformance/chat_templates.py FOLDER [--renderer PROGRAM] [--verbose]

FOLDER holds `*.jinja` files. Each is rendered for every conversation below: with and without a system's text, over
several turns, with tools, calls and their results, with thinking on and off, with and without the generation prompt.
Both sides must give the same text, or both must refuse. The reference is transformers' own environment
(`render_jinja_template`). PROGRAM is the built example `render_templates`; without it cargo runs it.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys

from transformers.utils import chat_template_utils

NOW = [2026, 3, 5, 9, 7, 8]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class FixedDate(datetime.datetime):
    """The moment that both sides take for now."""

    @classmethod
    def now(cls, tz=None):
        return cls(*NOW, tzinfo=tz)


def function(name, description, properties, required):
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **rest):
    return {"role": "assistant", "content": content, **rest}


SYSTEM = {"role": "system", "content": "You are terse & <kind>. \"Quotes\", 'apostrophes', \\ and é 漢 👩‍🚀.\n"}
TOOLS = [
    function(
        "get_weather",
        "Current weather in a \"city\" — with é.",
        {
            "city": {"type": "string", "description": "The city's name"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
            "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 1e16},
        },
        ["city"],
    ),
    function(
        "order",
        "Orders things",
        {
            "items": {"type": "array", "items": {"type": "string"}, "description": "What to order"},
            "options": {"type": "object", "properties": {"gift": {"type": "boolean", "description": "Wrap it?"}}},
            "tip": {"type": "number", "default": 0.15},
        },
        ["items", "options"],
    ),
]
BARE_TOOL = [{"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}]


def call(name, arguments, call_id="abcdef123"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(content, call_id="abcdef123", name="get_weather"):
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": content}


WEATHER = call("get_weather", {"city": "Zürich", "days": 3, "exact": True, "offset": -0.5, "note": None})
ORDER = call("order", {"items": ["tea", "\"cake\""], "options": {"gift": False}}, "abcdef124")
TURNS = [user("Hi"), assistant("Hello."), user("  Tell me more \n")]
CALLED = [user("Weather?"), assistant("", tool_calls=[WEATHER]), result('{"temperature": 21.5}')]
THOUGHT = [user("2+2?"), assistant("4.", reasoning_content="Simple.\nTwo and two."), user("And 3+3?")]


def conversations():
    """Names and what the template is given."""
    parts = [{"type": "text", "text": "Look: "}, {"type": "text", "text": "this"}]
    yield "user", {"messages": [user("Hi there")]}
    yield "system", {"messages": [SYSTEM, user("Hi there")]}
    yield "turns", {"messages": TURNS}
    yield "system turns", {"messages": [SYSTEM, *TURNS]}
    yield "answered", {"messages": [SYSTEM, *TURNS, assistant("More.")]}
    yield "parts", {"messages": [user(parts)]}
    yield "system parts", {"messages": [{"role": "system", "content": parts}, user(parts), assistant(parts), user("x")]}
    yield "tools", {"messages": [user("Weather?")], "tools": TOOLS}
    yield "system tools", {"messages": [SYSTEM, user("Weather?")], "tools": TOOLS}
    yield "bare tool", {"messages": [user("Time?")], "tools": BARE_TOOL}
    yield "no tools", {"messages": [user("Time?")], "tools": []}
    yield "call", {"messages": CALLED, "tools": TOOLS}
    yield "call without tools", {"messages": CALLED}
    yield "call answered", {"messages": [SYSTEM, *CALLED, assistant("It is 21.5 °C."), user("Thanks")], "tools": TOOLS}
    two = [user("Both!"), assistant("Sure.", tool_calls=[WEATHER, ORDER]), result("sun"), result("done", "abcdef124", "order")]
    yield "two calls", {"messages": two, "tools": TOOLS}
    yield "two calls answered", {"messages": [*two, assistant("Done.")], "tools": TOOLS}
    null = [user("Weather?"), assistant(None, tool_calls=[WEATHER]), result("sun")]
    yield "call with null", {"messages": null, "tools": TOOLS}
    text = call("get_weather", json.dumps({"city": "Bern"}))
    yield "call with text", {"messages": [user("Weather?"), assistant("", tool_calls=[text]), result("sun")], "tools": TOOLS}
    yield "call with thought", {"messages": [user("W?"), assistant("", tool_calls=[WEATHER], reasoning_content="Hm."), result("sun")], "tools": TOOLS}
    yield "thought", {"messages": THOUGHT}
    yield "thought last", {"messages": THOUGHT[:2]}
    inline = [user("2+2?"), assistant("<think>\nSimple.\n</think>\n\n4."), user("And 3+3?")]
    yield "thought inline", {"messages": inline}
    yield "thought inline last", {"messages": inline[:2]}
    for name in ("enable_thinking", "thinking"):
        for value in (True, False):
            variables = {name: value}
            yield f"{name} {value}", {"messages": [SYSTEM, user("Hi")], "variables": variables}
            yield f"{name} {value} turns", {"messages": THOUGHT, "variables": variables}
            yield f"{name} {value} tools", {"messages": CALLED, "tools": TOOLS, "variables": variables}
    yield "effort", {"messages": [SYSTEM, user("Hi")], "variables": {"reasoning_effort": "high"}}
    functions = {"functions": json.dumps(TOOLS), "datetime": "2026-03-05", "builtin_tools": ["brave_search"]}
    yield "functions", {"messages": [SYSTEM, user("Hi")], "variables": functions}
    yield "functions turns", {"messages": TURNS, "variables": functions}
    yield "functions call", {"messages": CALLED, "tools": TOOLS, "variables": functions}
    yield "developer", {"messages": [{"role": "developer", "content": "Be brief."}, user("Hi")]}
    yield "documents", {"messages": [user("Who?")], "documents": [{"title": "T", "text": "He."}, {"title": "U", "text": "She."}]}
    yield "two users", {"messages": [user("a"), user("b")]}
    yield "assistant first", {"messages": [assistant("a"), user("b")]}
    yield "strange role", {"messages": [{"role": "narrator", "content": "Once"}, user("b")]}
    yield "empty", {"messages": []}
    yield "continued", {"messages": [user("Hi"), assistant("Well, ")], "continue_final_message": True}


def reference(request):
    """What transformers renders, or None where it refuses."""
    variables = {**TOKENS, **request.get("variables", {})}
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            [json.loads(json.dumps(request["messages"]))],
            tools=request.get("tools"),
            documents=request.get("documents"),
            chat_template=request["template"],
            continue_final_message=request.get("continue_final_message", False),
            add_generation_prompt=request["add_generation_prompt"],
            **variables,
        )
        return rendered[0], ""
    except Exception as error:  # Templates raise whatever Python raises.
        return None, f"{type(error).__name__}: {error}"


def requests(source):
    for name, given in conversations():
        for add_generation_prompt in (True, False):
            if given.get("continue_final_message") and add_generation_prompt:
                continue
            prompt = {"add_generation_prompt": add_generation_prompt, "now": NOW, "template": source}
            yield f"{name}{' +' if add_generation_prompt else ''}", {**TOKENS, **given, **prompt}


def render(command, lines):
    """What Hearth renders for each line."""
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--renderer", help="the built example render_templates")
    parser.add_argument("--verbose", action="store_true", help="show each difference")
    arguments = parser.parse_args()
    cargo = ["cargo", "run", "--quiet", "-p", "hearth-tests", "--example", "render_templates"]
    command = [arguments.renderer] if arguments.renderer else cargo
    chat_template_utils.datetime = FixedDate
    files = sorted(arguments.folder.rglob("*.jinja"))
    cases = [(file, name, request) for file in files for name, request in requests(file.read_text(encoding="utf-8"))]
    answers = render(command, [json.dumps(request) for _, _, request in cases])
    assert len(answers) == len(cases), (len(answers), len(cases))
    table = {file: [0, 0, 0] for file in files}
    for (file, name, request), answer in zip(cases, answers):
        expected, reason = reference(request)
        row = table[file]
        row[0] += 1
        row[1] += expected is None
        if answer.get("text") == expected:
            continue
        row[2] += 1
        if arguments.verbose:
            print(f"--- {file.name}: {name}\nexpected {expected!r} {reason}\nfound    {answer}")
    for file, (count, refused, wrong) in table.items():
        print(f"{file.stem:60} {count:4} cases {refused:3} refused by both {wrong:3} different")
    right = sum(wrong == 0 for _, _, wrong in table.values())
    print(f"{right} of {len(files)} templates agree in all of {len(cases)} cases")
    sys.exit(right != len(files))


if __name__ == "__main__":
    main()
