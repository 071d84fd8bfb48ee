"""Callers of large batches who heed Retry-After: each calls again when it is answered, a second later when refused.

python -m benchmarks.serving.batches http://127.0.0.1:3000/predict_batch batch.json 64 10
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

RETRY_SECONDS = 1.0


async def call(client: httpx.AsyncClient, url: str, body: bytes, until: float) -> Counter[str]:
    """One caller, until ``until``; how often it got which status."""
    answers = Counter[str]()
    while time.monotonic() < until:
        try:
            status = (await client.post(url, content=body, headers={"content-type": "application/json"})).status_code
        except httpx.HTTPError as error:
            answers[type(error).__name__] += 1
            status = 0
        else:
            answers[str(status)] += 1
        if status != 200:
            await asyncio.sleep(RETRY_SECONDS)
    return answers


async def main() -> None:
    """Print one JSON object: how many answers of each status, of all callers."""
    url, body, callers, seconds = sys.argv[1], Path(sys.argv[2]).read_bytes(), int(sys.argv[3]), float(sys.argv[4])
    limits = httpx.Limits(max_connections=callers)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        until = time.monotonic() + seconds
        counts = await asyncio.gather(*(call(client, url, body, until) for _ in range(callers)))
    print(json.dumps(sum(counts, Counter())))


if __name__ == "__main__":
    asyncio.run(main())
