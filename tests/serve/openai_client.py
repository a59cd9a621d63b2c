#!/usr/bin/env python3
"""Asks a running `lithe serve demo` with OpenAI's own Python package, as its users do.

  tests/serve/openai_client.py [URL]    default http://127.0.0.1:8080/v1; needs the packages of requirements/clients.txt
"""

import asyncio
import base64
import json
import math
import sys
from pathlib import Path
from typing import Literal

import openai
import pydantic

MODELS = Path(__file__).parents[2] / "models"
QUESTION = "what is the color of the rectangle?"


def picture_url(name="901.png"):
    return "data:image/png;base64," + base64.b64encode((MODELS / "images" / name).read_bytes()).decode()


def question():
    picture = {"type": "image_url", "image_url": {"url": picture_url()}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": QUESTION}]}]


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.body["message"], error
        return error
    raise AssertionError("it was not refused")


def check_chat(client, model):
    wanted = {"model": model, "messages": question(), "max_tokens": 16, "temperature": 0}
    whole = client.chat.completions.create(**wanted)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason == "stop", whole
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(client.chat.completions.create(**wanted, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    for count in ("prompt_tokens", "completion_tokens", "total_tokens"):  # cached tokens differ
        assert getattr(chunks[-1].usage, count) == getattr(whole.usage, count), chunks[-1]
    dense = client.chat.completions.create(model=model, messages=question(), extra_body={"plan": "dense"})
    details = dense.usage.prompt_tokens_details
    assert details.kept_tokens == details.image_tokens > whole.usage.prompt_tokens_details.kept_tokens
    with client.chat.completions.stream(**wanted) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == text
    return text


def check_choices(client, model, text):
    several = client.chat.completions.create(model=model, messages=question(), n=3, temperature=0)
    assert [choice.message.content for choice in several.choices] == [text] * 3
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    rated = client.chat.completions.create(model=model, messages=question(), temperature=0, logprobs=True, top_logprobs=4)
    content = rated.choices[0].logprobs.content
    assert bytes(b for token in content for b in token.bytes).decode().strip() == text
    for token in content:
        assert len(token.top_logprobs) == 4 and token.top_logprobs[0].token == token.token
        assert token.logprob == token.top_logprobs[0].logprob <= 0
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) < 1.001
    client.chat.completions.create(model=model, messages=question(), presence_penalty=1, frequency_penalty=1, logit_bias={"5": -1})


def check_formats(client, model):
    class Shape(pydantic.BaseModel):
        color: Literal["red", "blue"]
        corners: Literal[3, 4]

    parsed = client.chat.completions.parse(
        model=model, messages=question(), max_tokens=1000, response_format=Shape, temperature=1, seed=3)
    assert isinstance(parsed.choices[0].message.parsed, Shape), parsed
    anything = client.chat.completions.create(
        model=model, messages=question(), max_tokens=60, response_format={"type": "json_object"})
    content = anything.choices[0].message.content
    assert content.startswith("{")
    if anything.choices[0].finish_reason == "stop":
        json.loads(content)


def check_completions(client, model):
    raw = client.completions.create(model=model, prompt="is there a circle?", max_tokens=4, logprobs=2, n=2)
    assert raw.object == "text_completion" and len(raw.choices) == 2
    rated = raw.choices[0].logprobs
    assert len(rated.tokens) == len(rated.token_logprobs) == len(rated.top_logprobs) == len(rated.text_offset)
    prompts = ["is there a circle?", "what is the color"]
    alone = [client.completions.create(model=model, prompt=one, max_tokens=4, temperature=0).choices[0].text for one in prompts]
    both = client.completions.create(model=model, prompt=prompts, max_tokens=4, temperature=0)
    assert [(choice.index, choice.text) for choice in both.choices] == list(enumerate(alone)), both
    refused(openai.BadRequestError, lambda: client.completions.create(model=model, prompt=[[1], [-1]]))


def check_responses(client, model, text):
    parts = [{"type": "input_image", "image_url": picture_url(), "detail": "auto"}, {"type": "input_text", "text": QUESTION}]
    asked = [{"role": "user", "content": parts}]
    whole = client.responses.create(model=model, input=asked, temperature=0)
    assert whole.output_text == text and whole.status == "completed", whole
    counted = client.responses.input_tokens.count(model=model, input=asked)
    assert counted.input_tokens == whole.usage.input_tokens
    with client.responses.stream(model=model, input=asked, temperature=0) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert stream.get_final_response().output_text == "".join(deltas) == text
    again = client.responses.create(
        model=model, instructions="Be short.", input=asked + whole.output + [{"role": "user", "content": "are you sure?"}], max_output_tokens=1)
    assert again.status == "incomplete" and again.incomplete_details.reason == "max_output_tokens"
    refused(openai.BadRequestError, lambda: client.responses.create(model=model, input="hi", store=True))
    refused(openai.BadRequestError, lambda: client.responses.create(model=model, input="hi", previous_response_id=whole.id))


def check_refusals(client, model):
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    refused(openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=question(), tools=[tool]))
    refused(openai.NotFoundError, lambda: client.chat.completions.create(model="another", messages=question()))
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=question(), n=99))
    assert error.body["param"] == "n"


async def check_many(url, model, text):
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        calls = [client.chat.completions.create(model=model, messages=question(), temperature=0) for _ in range(12)]
        for reply in await asyncio.gather(*calls):
            assert reply.choices[0].message.content == text


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).id == model
    text = check_chat(client, model)
    check_choices(client, model, text)
    check_formats(client, model)
    check_completions(client, model)
    check_responses(client, model, text)
    check_refusals(client, model)
    asyncio.run(check_many(url, model, text))
    print(f"openai {openai.__version__}: {text}")


if __name__ == "__main__":
    main()
