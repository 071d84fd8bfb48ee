"""Histories in Redis, what needs no Redis: a reply that is there is heard, however late the event loop is."""

import asyncio
import socket
import time

import pytest

from serving.history.remote import _wait


@pytest.mark.parametrize("answered", [True, False])
def test_a_loop_that_was_busy_hears_what_came_meanwhile(answered):
    """A reply is heard in steps: read, parsed, handed on. Were the time over first, Redis would look slow."""

    async def run():
        loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
        with ours, theirs:
            future = loop.create_future()

            async def hear():
                await loop.sock_recv(ours, 1)
                for _ in range(4):
                    await asyncio.sleep(0)
                future.set_result(None)

            ours.setblocking(False)
            hearing, waiting = asyncio.ensure_future(hear()), asyncio.ensure_future(_wait(future, 0.01))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if answered:
                theirs.send(b"!")
            time.sleep(0.05)  # longer than is waited
            await waiting
            hearing.cancel()
            return future.done()

    assert asyncio.run(run()) == answered
