"""A tiny trained model behind an endpoint: batches say what single requests say, and any client can ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import make_tiny_llama

from palaestra.errors import InputError, ModelError, ModelsFileError
from palaestra.gateway import Completion, Gateway, Sampling
from palaestra.gateway.endpoints import load_models
from palaestra.gateway.local import LocalWorker
from palaestra.learn.backbone import Backbone, load_backbone
from palaestra.learn.generation import end_tokens
from palaestra.posttrain.decoding import Batch, Request, drawn_token
from palaestra.posttrain.serve import ServedModel
from palaestra.posttrain.spoken import Spoken
from palaestra.schema import Message, ModelSpec

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of letters that writes one letter a token, and ends its turn by itself now and then."""
    return make_tiny_llama(tmp_path_factory.mktemp("tiny") / "tiny-llama")


@pytest.fixture(scope="session")
def backbone(tiny: Path) -> Backbone:
    return load_backbone(str(tiny))


def alone(backbone: Backbone, prompt: Sequence[int], count: int) -> list[int]:
    """The oracle: the likeliest tokens, the whole text read anew for each, without a cache."""
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            token = int(backbone.model(torch.tensor([tokens])).logits[0, -1].argmax())
            tokens.append(token)
            if token in set(end_tokens(backbone.model, backbone.tokenizer)):
                break
    return tokens[len(prompt) :]


def heard(
    backbone: Backbone,
    asked: Sequence[tuple[Sequence[int], int, int]],
    temperature: float = 0.0,
    seed: int | None = None,
) -> list[list[int]]:
    """What a batch draws for (prompt, most tokens, joins after so many steps)."""
    said: list[list[int | None]] = [[] for _ in asked]
    requests = [
        Request(prompt, most, lambda token, own=said[number]: bool(own.append(token)), temperature, seed)
        for number, (prompt, most, _) in enumerate(asked)
    ]
    batch, now = Batch(backbone.model, set(end_tokens(backbone.model, backbone.tokenizer))), 0
    while batch.rows or any(joins >= now for _, _, joins in asked):
        new = [request for request, (_, _, joins) in zip(requests, asked, strict=True) if joins == now]
        if new:
            batch.join(new)
        batch.step()
        now += 1
    assert all(tokens[-1] is None for tokens in said)
    assert all(request.end == "stop" or request.tokens == request.max_tokens for request in requests)
    return [[token for token in tokens if token is not None] for tokens in said]


@settings(max_examples=15, deadline=None)
@given(
    asked=st.lists(
        st.tuples(st.lists(st.integers(3, 90), min_size=1, max_size=20), st.integers(1, 12), st.integers(0, 9)),
        min_size=1,
        max_size=6,
    )
)
def test_whoever_joins_and_leaves_each_hears_what_it_would_hear_alone(
    backbone: Backbone, asked: list[tuple[list[int], int, int]]
) -> None:
    expected = [alone(backbone, prompt, most) for prompt, most, _ in asked]
    ends = set(end_tokens(backbone.model, backbone.tokenizer))
    assert heard(backbone, asked) == [[token for token in tokens if token not in ends] for tokens in expected]


def test_a_seed_says_the_same_in_any_company(backbone: Backbone) -> None:
    prompt = [20, 30, 40]
    others = [([9, 8, 7, 6, 5], 12, 0), ([50] * 15, 4, 2)]
    single = heard(backbone, [(prompt, 10, 1)], temperature=1.0, seed=5)[0]
    assert heard(backbone, [*others, (prompt, 10, 1)], temperature=1.0, seed=5)[-1] == single
    assert heard(backbone, [(prompt, 10, 1)], temperature=1.0, seed=6)[0] != single


def test_tokens_are_drawn_by_their_chances() -> None:
    request = Request([1], 1, lambda _: False, temperature=2.0)
    request.generator = torch.Generator().manual_seed(0)
    logits_V = torch.tensor([0.0, 2.0, -1.0])
    counts_V = torch.bincount(torch.tensor([drawn_token(request, logits_V) for _ in range(4000)]), minlength=3)
    assert torch.allclose(counts_V / 4000, torch.softmax(logits_V / 2, 0), atol=0.03)
    for cold in (0.0, 1e-40):
        request.temperature = cold
        assert drawn_token(request, logits_V) == 1


def test_a_model_whose_cache_slides_is_served_batch_by_batch(tmp_path: Path, tiny: Path) -> None:
    config = transformers.MistralConfig(
        vocab_size=98, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=4, eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.MistralForCausalLM(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path)
    found = load_backbone(str(tmp_path))
    batch = Batch(found.model, set(end_tokens(found.model, found.tokenizer)))
    batch.join([Request([9, 8, 7], 5, lambda _: False, temperature=0.0)])
    assert not batch.joins
    asked = [([9, 8, 7, 6, 5, 4, 3], 8, 0), ([50] * 2, 6, 0)]
    assert heard(found, asked) == [alone(found, prompt, most) for prompt, most, _ in asked]


class Bytes:
    """A tokenizer whose tokens are bytes: half of a character is U+FFFD, as with byte-level tokenizers."""

    @staticmethod
    def decode(tokens: Sequence[int], **_: object) -> str:
        return bytes(tokens).decode(errors="replace")


@given(text=st.text(max_size=30), stop=st.lists(st.text(min_size=1, max_size=4), max_size=3))
def test_pieces_are_whole_and_end_before_a_stop_string(text: str, stop: list[str]) -> None:
    spoken, pieces = Spoken(Bytes(), stop), []
    for token in text.encode():
        pieces.append(spoken.push(token))
        if spoken.stopped:
            break
    pieces.append(spoken.rest())
    places = [text.find(one) for one in stop if one in text]
    if "\ufffd" not in text:
        if not places:
            assert "".join(pieces) == text
            assert not spoken.stopped
        else:
            said = "".join(pieces)
            assert spoken.stopped
            assert text.startswith(said)
            assert not any(one in said for one in stop)
            assert any(text.startswith(one, len(said)) for one in stop)


@pytest.fixture(scope="module")
def worker_url(tiny: Path) -> Iterator[str]:
    """The worker of a folder, as the gateway starts it."""
    loop = asyncio.new_event_loop()
    worker = LocalWorker(str(tiny))
    yield loop.run_until_complete(worker.url())
    loop.run_until_complete(worker.close())
    loop.close()


@pytest.fixture
def client(worker_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=worker_url, api_key="none", max_retries=0) as opened:
        yield opened


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_client_streams_counts_and_stops(client: openai.OpenAI, tiny: Path, backbone: Backbone) -> None:
    name = str(tiny)
    assert [model.id for model in client.models.list()] == [name]
    done = client.chat.completions.create(model=name, messages=say("hello"), temperature=0, max_tokens=12)
    prompt = backbone.tokenizer("<turn>user hello<end><turn>assistant ", add_special_tokens=False)["input_ids"]
    said = done.choices[0].message.content or ""
    assert done.usage is not None
    assert done.usage.prompt_tokens == len(prompt)
    assert done.choices[0].finish_reason == ("length" if done.usage.completion_tokens == 12 else "stop")
    assert said == backbone.tokenizer.decode(alone(backbone, prompt, 12), skip_special_tokens=True)
    chunks = list(
        client.chat.completions.create(
            model=name, messages=say("hello"), temperature=0, max_tokens=12, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert len(chunks) > 5
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == said
    assert chunks[-1].usage == done.usage
    stop = said[4:6]
    cut = client.chat.completions.create(model=name, messages=say("hello"), temperature=0, max_tokens=12, stop=stop)
    assert cut.choices[0].message.content == said[: said.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_many_at_once_hear_what_each_would_hear_alone(client: openai.OpenAI, tiny: Path) -> None:
    def ask(number: int) -> str:
        done = client.chat.completions.create(
            model=str(tiny), messages=say("x" * number), temperature=1.0, seed=number, max_tokens=20
        )
        return str(done.choices[0].message.content)

    one_by_one = [ask(number) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == one_by_one
    assert len(set(one_by_one)) > 6


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "x" * 3000}]}, "expected 1 to 2047"),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n:"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_400(
    worker_url: str, tiny: Path, more: dict[str, object], words: str
) -> None:
    body = {"model": str(tiny), "messages": say("x")} | more
    answer = httpx2.post(
        f"{worker_url}/chat/completions", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


class Failing:
    """A model that computes nothing while it is broken."""

    def __init__(self, model: Any) -> None:
        self.model, self.broken = model, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **inputs: Any) -> Any:
        if self.broken:
            raise RuntimeError("out of memory")
        return self.model(**inputs)


def test_who_leaves_makes_room(backbone: Backbone) -> None:
    async def story() -> None:
        with ServedModel(backbone) as served:
            served.ends.clear()
            served.ends.add(10**9)  # it never ends by itself
            pieces = served.complete("", [Message.of("user", "hi")], Sampling(max_tokens=2000))
            await anext(pieces)
            assert served.busy == 1
            await pieces.aclose()
            for _ in range(200):
                if served.busy == 0:
                    return
                await asyncio.sleep(0.01)
            pytest.fail("nobody listens, and it goes on")

    asyncio.run(story())


def test_a_fault_in_computing_ends_the_request_and_not_the_server(backbone: Backbone) -> None:
    model = Failing(backbone.model)

    async def story() -> None:
        with ServedModel(replace(backbone, model=model)) as served:
            with pytest.raises(ModelError, match="server_error: computing failed: out of memory"):
                async for _ in served.complete("", [Message.of("user", "hi")], Sampling()):
                    pass
            model.broken = False
            found = [piece async for piece in served.complete("", [Message.of("user", "hi")], Sampling(max_tokens=3))]
            assert isinstance(found[-1], Completion)

    asyncio.run(story())


def test_a_folder_stands_in_models_toml_and_a_broken_one_is_one_clear_line(tmp_path: Path, tiny: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_text(f'[[model]]\nname = "a"\nendpoint = "local:{tiny}"\nmax_tokens = 5\n')
    assert load_models(models)[0].endpoint == f"local:{tiny}"
    models.write_text(f'[[model]]\nname = "a"\nendpoint = "local:{tiny}"\ntemplate = "x"\n')
    with pytest.raises(ModelsFileError, match="a folder has its own"):
        load_models(models)
    models.write_text(f'[[model]]\nname = "a"\nendpoint = "local:{tmp_path}"\n')
    with pytest.raises(ModelsFileError, match=r"/path/to/a/folder with a config.json"):
        load_models(models)
    (tmp_path / "config.json").write_text((tiny / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")

    async def start() -> None:
        async with Gateway([ModelSpec(name="a", endpoint=f"local:{tmp_path}")]):
            pass

    with pytest.raises(InputError, match=r"cannot read the model in .*; expected config.json, safetensors and a token"):
        asyncio.run(start())
