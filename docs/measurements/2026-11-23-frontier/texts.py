"""Cuts the two texts of the measurement out of the collection that the bundled model was trained on.

    python texts.py FOLDER_WITH_BOOKS OUT_FOLDER

`calibrate.txt` is 10,000 characters of each of 72 books that the model has read, spread over the collection;
`measure.txt` 4,500 of each of the ten that it has not (models/hearth-tiny/training/held_out.txt). Both are cleaned as
the training text was, and each piece begins a quarter into its book.
"""

import sys
from pathlib import Path

TRAINING = Path(__file__).resolve().parents[3] / "models" / "hearth-tiny" / "training"
sys.path.insert(0, str(TRAINING))
import corpus  # noqa: E402


def piece(folder, name, length):
    """So many characters of a book, in whole paragraphs at the start; None if it is too short or not English."""
    text = "\n\n".join(corpus.read_book(folder, name))
    if len(text) < 2 * length:
        return text if text else None
    start = text.index("\n\n", len(text) // 4) + 2
    return text[start : start + length]


def main():
    folder, out = sys.argv[1], Path(sys.argv[2])
    held_out = corpus.read_list(TRAINING / "held_out.txt")
    read = [name for name in corpus.book_names(folder) if name not in held_out]
    chosen = [read[at * len(read) // 72] for at in range(72)]
    for name, books, length in (("calibrate.txt", chosen, 10_000), ("measure.txt", held_out, 4_500)):
        pieces = [piece(folder, book, length) for book in books]
        (out / name).write_text("\n\n".join(part for part in pieces if part), "utf-8")


if __name__ == "__main__":
    main()
