"""get.py LIBRARY URL: prints what the URL answers with 200, as one of the usual libraries gets it."""

import sys


def with_urllib(url):
    import urllib.request

    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def with_requests(url):
    import requests

    answer = requests.get(url)
    answer.raise_for_status()
    return answer.text


def with_httpx(url):
    import httpx

    return httpx.get(url).raise_for_status().text


def with_aiohttp(url):
    import asyncio

    import aiohttp

    async def get():
        # the one line that a program needs: aiohttp reads no proxy variable otherwise
        async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:
            async with session.get(url) as answer:
                return await answer.text()

    return asyncio.run(get())


def with_openai(_url):
    import openai

    return openai.OpenAI(max_retries=0).models.list().data[0].id


def with_anthropic(_url):
    import anthropic

    message = anthropic.Anthropic(max_retries=0).messages.create(
        model="claude-sonnet-4-0",
        max_tokens=16,
        messages=[{"role": "user", "content": "Is the key there?"}],
    )
    return message.content[0].text


print(globals()[f"with_{sys.argv[1]}"](sys.argv[2]))
