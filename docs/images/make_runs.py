"""The pictures of docs/runs.md: two trainings of one tiny model, at two rates, looked at while the second goes on."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "rewards"))

from tiny_llama import make_tiny_llama  # noqa: E402 - found by the line above

from palaestra.learn import trainer as training  # noqa: E402
from palaestra.learn.backbone import conversation_text, encode, libraries  # noqa: E402
from palaestra.learn.generation import Sampling, sample  # noqa: E402
from palaestra.learn.language_model import load_trainable, write_model  # noqa: E402
from palaestra.learn.showing import Shown, showing  # noqa: E402
from palaestra.schema import Message  # noqa: E402
from palaestra.store.runs import RunFolder  # noqa: E402

STEPS, BATCH, EVERY = 600, 32, 50
DOMAINS = {
    "next": lambda a, _b, _c: (f"next {a}", chr(ord(a) + 1)),
    "repeat": lambda a, b, c: (f"repeat {a}{b}{c}", f"{a}{b}{c}"),
    "reverse": lambda a, b, c: (f"reverse {a}{b}{c}", f"{c}{b}{a}"),
}


def questions(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Domain, question and answer."""
    letters = "abcdefghijklmnopqrstuvwxy"
    return [
        (name, *DOMAINS[name](*(rng.choice(letters) for _ in range(3)))) for name in rng.choices(list(DOMAINS), k=count)
    ]


def train(folder: Path, base: str, rate: float, steps: int) -> RunFolder:
    """Teach the model, and measure on held-out questions."""
    torch, transformers = libraries()
    model, tokenizer = load_trainable(base)
    run = RunFolder(folder, "train sft", {"base": "tiny", "learning_rate": rate, "steps": steps}, seed=0)
    rng = random.Random(0)  # noqa: S311 - questions, no secrets
    rows = []
    for _, question, answer in questions(rng, steps * BATCH):
        tokens, start = encode(tokenizer, conversation_text(tokenizer, [Message.of("user", question)], answer), 64)
        rows.append((tokens, [-100] * start + tokens[start:]))
    held = questions(random.Random(1), 150)  # noqa: S311 - the same

    def collate(batch: list[Any]) -> dict[str, Any]:
        longest = max(len(tokens) for tokens, _ in batch)
        wide = [(t + [0] * (longest - len(t)), o + [-100] * (longest - len(o)), len(t)) for t, o in batch]
        return {
            "input_ids": torch.tensor([t for t, _, _ in wide]),
            "labels": torch.tensor([o for _, o, _ in wide]),
            "attention_mask": torch.tensor([[1] * n + [0] * (longest - n) for _, _, n in wide]),
        }

    class Scores(transformers.TrainerCallback):
        """Shares of right answers, by domain."""

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            if state.global_step % EVERY:
                return
            texts = [conversation_text(tokenizer, [Message.of("user", question)]) for _, question, _ in held]
            prompts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
            said = sample(model, prompts, Sampling(6, temperature=0.0), ends=(tokenizer.eos_token_id,))
            letters = ["".join(tokenizer.convert_ids_to_tokens(one.tokens[:-1])) for one in said]
            right = {name: [] for name in DOMAINS}
            for (name, _asked, answer), reply in zip(held, letters, strict=True):
                right[name].append(reply == answer)
            run.measure(step=state.global_step, **{f"right/{k}": sum(v) / len(v) for k, v in right.items()})

    args = training.arguments(
        transformers.TrainingArguments, folder / "work", batch=BATCH, epochs=1, steps=steps, learning_rate=rate,
        save_every=10 * STEPS, seed=0,
    )  # fmt: skip
    trainer = transformers.Trainer(model=model, args=args, train_dataset=rows, data_collator=collate)
    shown = [Shown((Message.of("user", q),), name, a) for name, q, a in held[:3]]
    trainer.add_callback(showing(tokenizer, shown, 2 * EVERY, run.sample, max_tokens=6))
    trainer.add_callback(Scores())
    training.train(trainer, folder / "work", run.measure, lambda _done, _of: None)
    write_model(folder / "model", model, tokenizer)
    return run


def main() -> None:
    """Train twice, and look."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("no Chromium on the path; install it with: make test-system")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "letters"
        base = str(make_tiny_llama(Path(temporary) / "base", width=64))
        train(folder / "rate-0.01", base, 0.01, STEPS).finish({"steps": STEPS}, [], "# rate-0.01\n")
        going = train(folder / "rate-0.002", base, 0.002, STEPS // 2)
        for words in (["list", str(folder)], ["show", str(folder / "rate-0.01"), "--samples", "1"]):
            subprocess.run([sys.executable, "-m", "palaestra", "run", *words], check=True)  # noqa: S603
        command = [sys.executable, "-m", "palaestra", "run", "watch", str(folder), "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:  # noqa: S603
            said = server.stderr.readline() if server.stderr else ""
            address = re.findall(r"http://\S+", said)[0]
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1100, "height": 1500})
            page.goto(address)
            page.screenshot(path=HERE / "runs-watch.png")
            browser.close()
            server.terminate()
        going.end("interrupted")


if __name__ == "__main__":
    main()
