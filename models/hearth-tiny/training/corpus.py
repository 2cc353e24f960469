"""Reading and cleaning the two public sources: books as Markdown, dialogues as text.

Everything is made plainer on purpose. Eleven million parameters are too few to
spend on two ways of writing a quotation mark.
"""

import glob
import lzma
import os
import re

STRAIGHT = str.maketrans({
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
    "\u00a0": " ", "\u200a": " ", "\ufeff": None, "\u200b": None, "\u00ad": None,
})
ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&auml;": "ä", "&aelig;": "æ"}
BOILERPLATE = re.compile(
    r"project gutenberg|gutenberg-tm|e-?text prepared|transcriber'?s? note|"
    r"all rights reserved|produced by .* proofread|\[illustration|^\[?footnote", re.I)
COMMON = frozenset("the and of to a in that he was it is i".split())
BREAK = "* * *"


def clean_paragraph(block):
    """One Markdown block as plain text, "" to drop it, or BREAK for a heading or rule."""
    if block.startswith("#") or re.fullmatch(r"[\s*_\-=.•]+", block):
        return BREAK
    if BOILERPLATE.search(block) or "---|" in block or "|--" in block:
        return ""
    block = re.sub(r"\[\d{1,3}\]|\{\d{1,3}\}", "", block)      # footnote marks
    block = re.sub(r"(\*\*|\*|_+)(?=\S)(.+?)(?<=\S)\1", r"\2", block)  # emphasis
    block = block.replace("_", "").replace("\\", "")
    block = re.sub(r" ?-{2,} ?", "—", block)
    block = re.sub(r" ?\.( \.){2,}", "...", block).replace("…", "...")
    block = re.sub(r"[ \t]+", " ", block)
    block = "\n".join(line.strip(" >") for line in block.split("\n")).strip()
    letters = sum(c.isalpha() for c in block)
    # Indexes, tables of numbers, price lists.
    if len(block) > 30 and letters < 0.6 * len(block):
        return ""
    return block


def clean_book(text):
    """The paragraphs of one book, headings turned into section breaks; [] if it is not English."""
    text = text.translate(STRAIGHT)
    for entity, char in ENTITIES.items():
        text = text.replace(entity, char)
    # The files open with title, author and year above a rule.
    text = re.sub(r"\A.*?\n-------\n", "", text, count=1, flags=re.S)
    paragraphs = []
    for block in re.split(r"\n\s*\n", text):
        paragraph = clean_paragraph(block.strip())
        if not paragraph or (paragraph == BREAK and paragraphs[-1:] in ([], [BREAK])):
            continue
        paragraphs.append(paragraph)
    words = re.findall(r"[a-z]+", " ".join(paragraphs).lower())
    if sum(w in COMMON for w in words) < 0.12 * len(words):
        return []
    return paragraphs


def book_names(folder):
    """Every book under folder, as author/title.md."""
    return sorted(os.path.relpath(path, folder) for path in glob.glob(os.path.join(glob.escape(folder), "*", "*.md")))


def read_book(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return clean_book(file.read())


def read_dialogues(path):
    """Lists of {role, content}: the file separates dialogues by an empty line, turns by a prefix."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        text = file.read().translate(STRAIGHT)
    roles = {"User": "user", "Assistant": "assistant"}
    for block in re.split(r"\n\s*\n", text):
        turns = []
        for line in block.strip().split("\n"):
            found = re.match(r"(User|Assistant): ?(.*)", line)
            if found:
                turns.append({"role": roles[found[1]], "content": found[2].strip()})
            elif turns:  # a turn of several lines
                turns[-1]["content"] += "\n" + line.strip()
        alternating = all(t["role"] == ("user", "assistant")[i % 2] for i, t in enumerate(turns))
        if len(turns) >= 2 and alternating and all(t["content"] for t in turns):
            yield turns[: len(turns) // 2 * 2]


def read_list(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]
