"""models.toml: what is read, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from palaestra.errors import InputError, ModelsFileError
from palaestra.gateway import load_models
from palaestra.gateway.scripted import Script

ROOT = Path(__file__).parent.parent.parent
GOOD = '[[model]]\nname = "one"\nendpoint = "https://host/v1"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_field_is_read(tmp_path: Path) -> None:
    text = """
        [[model]]
        name = "one"
        endpoint = "http://127.0.0.1:9/v1"
        api_name = "org/one"
        api_key_env = "MY_KEY"
        organization = "Somebody"
        license = "MIT"
        input_price = 0.5
        output_price = 2
        capabilities = ["chat", "image"]
        system = "Be kind."
        template = "{{ messages[0].content }} {{ messages[1].content }}"
        stop = ["END"]
        temperature = 0
        max_tokens = 12
        [[model]]
        name = "two"
        endpoint = "scripted:echo"
    """
    one, two = load_models(write(tmp_path, text))
    assert (one.api_name, one.api_key_env, one.output_price, one.stop, one.temperature) == (
        "org/one",
        "MY_KEY",
        2.0,
        ("END",),
        0.0,
    )
    assert (two.name, two.temperature, two.capabilities) == ("two", None, ("chat",))


def test_the_demo_enrols_at_least_four_of_two_real_models() -> None:
    specs = load_models(ROOT / "models.toml")
    assert len(specs) >= 4
    assert {spec.endpoint for spec in specs} == {"local:smollm2", "local:gemma3-270m"}
    assert all(spec.organization and spec.license for spec in specs)
    assert all("base" in spec.name and spec.template for spec in specs if spec.endpoint == "local:gemma3-270m")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found no [[model]] table"),
        ("model = 3", "found no [[model]] table"),
        ("model = [1, 2]", "found no [[model]] table"),
        ("[[model", "expected TOML"),
        ("[[models]]\nname = 'x'", "found the unknown 'models'"),
        (
            GOOD + "temprature = 0.5",
            "model 1 ('one'): found the unknown field 'temprature', expected one of name, endpoint",
        ),
        ('[[model]]\nname = "one"', "field 'endpoint': Field required"),
        (GOOD + "temperature = 'hot'", "field 'temperature', found 'hot'"),
        (GOOD + "temperature = -1", "field 'temperature', found -1"),
        (GOOD + "max_tokens = 0", "field 'max_tokens', found 0"),
        (GOOD + 'capabilities = ["flying"]', "field 'capabilities.0', found 'flying'"),
        ('[[model]]\nname = ""\nendpoint = "scripted:echo"', "field 'name', found ''"),
        (GOOD + GOOD.replace("one", "ONE"), "two models are named 'ONE' and 'one'"),
        (2 * GOOD.replace('"one"', '"a"'), "two models are named 'a' and 'a'"),
        (GOOD.replace("https://host/v1", "host/v1"), "found 'host/v1', expected local:NAME, or a base URL"),
        (GOOD.replace("https://host/v1", "ftp://host"), "expected local:NAME, or a base URL"),
        (GOOD.replace("host/", "me:pass@host/"), "found a user or password in the URL"),
        (GOOD.replace("https://host/v1", "local:gpt5"), "found 'local:gpt5', expected local:smollm2"),
        (GOOD.replace("https://host/v1", "local:/nowhere.gguf"), "/path/to/an/existing.gguf"),
        (GOOD.replace("https://host/v1", "scripted:sing"), "found the script 'sing', expected one of echo"),
        (GOOD.replace("https://host/v1", "scripted:echo?speed=1"), "found the parameter 'speed'"),
        (GOOD.replace("https://host/v1", "scripted:echo?delay=-1"), "found delay='-1'"),
        (GOOD.replace("https://host/v1", "http://[x"), "field 'endpoint': found 'http://[x', which is no URL"),
        (GOOD.replace("https://host/v1", "http://host:abc/v1"), "which is no URL"),
        (GOOD + 'template = "{% for"', "field 'template': found no Jinja template over `messages`"),
        (GOOD + 'template = "{{ messages[3].content }}"', "field 'template'"),
        (GOOD + 'api_key_env = "not a name"', "holds no name of a variable"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ModelsFileError) as refused:
        load_models(write(tmp_path, text))
    assert words in str(refused.value)
    assert "models.toml" in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "abc"',
        'key = "abc"',
        'API_TOKEN = "abc"',
        'secret = "abc"',
        'password = "abc"',
        'api_key_env = "sk-proj-aaaaaaaaaaaaaaaaaaaaaaaa"',
        'api_name = "gsk_aaaaaaaaaaaaaaaaaaaaaaaaaaaa"',
        'system = "Use hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaa to log in"',
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(ModelsFileError, match="holds a key, which must not stand in this file") as refused:
        load_models(write(tmp_path, GOOD + line))
    assert "aaaa" not in str(refused.value)
    assert "abc" not in str(refused.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelsFileError, match=r"no file .*nowhere\.toml; expected a models\.toml"):
        load_models(tmp_path / "nowhere.toml")


def test_scripts() -> None:
    assert Script.parse("markdown?first=0.5&words=7") == Script("markdown", first=0.5, words=7)
    for wrong in ("echo?words=nan", "echo?words=", "echo?words=1e9"):
        with pytest.raises(InputError):
            Script.parse(wrong)


@pytest.mark.parametrize("price", ["-1", "nan", "inf", "1e400"])
def test_a_price_is_a_finite_number_from_nought_up(tmp_path: Path, price: str) -> None:
    text = f'[[model]]\nname = "m"\nendpoint = "scripted:echo"\noutput_price = {price}\n'
    with pytest.raises(InputError, match="output_price"):
        load_models(write(tmp_path, text))
