#!/usr/bin/env python3
"""Asks a running `lithe serve demo` with OpenAI's own Python package: chat, stream, picture, plan, errors.

  tests/serve/openai_client.py [URL]    default http://127.0.0.1:8080/v1; needs `pip install openai`. It is not part of `make test`.
"""

import base64
import sys
from pathlib import Path

import openai

MODELS = Path(__file__).parents[2] / "models"
QUESTION = "what is the color of the rectangle?"


def picture(name="901.png"):
    data = base64.b64encode((MODELS / "images" / name).read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}}


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.body["message"], error
        return
    raise AssertionError("it was not refused")


def check(client):
    model = client.models.list().data[0].id
    messages = user(picture(), {"type": "text", "text": QUESTION})
    whole = client.chat.completions.create(model=model, messages=messages, max_tokens=16, temperature=0)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason == "stop", whole
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    stream = client.chat.completions.create(
        model=model, messages=messages, max_tokens=16, temperature=0, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert chunks[-1].usage == whole.usage
    dense = client.chat.completions.create(model=model, messages=messages, extra_body={"plan": "dense"})
    details = dense.usage.prompt_tokens_details
    assert details.kept_tokens == details.image_tokens > whole.usage.prompt_tokens_details.kept_tokens
    raw = client.completions.create(model=model, prompt="is there a circle?", max_tokens=4)
    assert raw.object == "text_completion"
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    refused(openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=messages, tools=[tool]))
    refused(openai.NotFoundError, lambda: client.chat.completions.create(model="another", messages=messages))
    return text


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"
    print(check(openai.OpenAI(base_url=url, api_key="none", max_retries=0)))


if __name__ == "__main__":
    main()
