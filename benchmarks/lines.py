"""Lines of code by room: what there is to read, without blank lines, comments and docstrings.

    python benchmarks/lines.py

Data files (``.toml``, ``.yaml``, templates) are no code and are not counted. The last line is what a reader of one step
needs: core, cases, recurrence and `runs/walk.py`.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src" / "llm_as_rnn"
A_STEP = ("core", "cases", "recurrence")
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(text: str) -> int:
    """Count the lines of a module that hold code; texts that stand alone as statements are docstrings.

    >>> lines_of_code('x = 1  # one' + chr(10) + chr(10) + '# none' + chr(10) + '"It is one."' + chr(10))
    1
    """
    told = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    held = {line for token in tokens if token.type not in _NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return len(held - told)


def main() -> None:
    """Print the lines of each room, and of all that a step takes."""
    rooms: Counter[str] = Counter()
    for path in sorted(SOURCES.rglob("*.py")):
        place = path.relative_to(SOURCES)
        rooms[place.parts[0] if len(place.parts) > 1 else "(root)"] += lines_of_code(path.read_text(encoding="utf-8"))
    walk = lines_of_code((SOURCES / "runs" / "walk.py").read_text(encoding="utf-8"))
    for room, lines in sorted(rooms.items()):
        print(f"{room:<12} {lines:>7,}")
    print(f"{'all':<12} {rooms.total():>7,}")
    print(f"{'a step':<12} {sum(rooms[room] for room in A_STEP) + walk:>7,}")


if __name__ == "__main__":
    main()
