"""A real judge, and a weak one: SmolLM2-135M by single letters on answers that a crowd has judged; `make bench-judge`.

The answers are those of dustalov/llmfao (CC-BY-4.0), which lie beside the project; without them nothing is done.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).parents[4] / "shared" / "data" / "judgments" / "llmfao"
CONTESTANTS = ("Alpaca (7B)", "Claude v2", "GPT 4")


def palaestra(folder: Path, *words: str) -> str:
    """What a command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "palaestra", *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    """Have the answers judged, and the judge audited."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if not DATA.is_dir():
        sys.stderr.write(f"the answers are not beside the project ({DATA.name}): nothing done\n")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = [json.loads(line) for line in (DATA / "prompts.jsonl").read_text().splitlines()]
        rows = [{"question_id": str(row["id"]), "prompt": row["text"]} for row in asked]
        (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with gzip.open(DATA / "results.jsonl.gz", "rt") as file:
            said = [row for row in map(json.loads, file) if row["name"] in CONTESTANTS and row["result"].strip()]
        ids = {row["question_id"] for row in rows}
        answers = [
            {"question_id": str(row["prompt"]), "model": row["name"], "text": row["result"]}
            for row in said
            if str(row["prompt"]) in ids
        ]
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
        (folder / "models.toml").write_text('[[model]]\nname = "smollm2"\nendpoint = "local:smollm2"\n')
        plan = ("--answers", "a.jsonl", "--judge", "smollm2", "--protocol", "letter", "--schedule", "all")
        parts = [
            palaestra(folder, "judge", "run", "q.jsonl", *plan, "--out", "run"),
            palaestra(folder, "judge", "audit", "run"),
            palaestra(folder, "judge", "board", "run", "--covariates", "position", "--by-preference"),
        ]
    text = (
        "# A weak judge\n\nSmolLM2-135M by single letters (`make bench-judge`).\n\n```\n" + "\n".join(parts) + "```\n"
    )
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
