"""The call to GitHub: its settings, its refusals in clear words, and no token in any of them."""

import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from fraud.errors import SettingsError
from monitoring.receiver import github
from monitoring.receiver.github import Target, dispatch
from tests.components.github import BLIND_TOKEN, READ_ONLY_TOKEN, REPOSITORY, TOKEN, api

GIVEN = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN}
TARGET = Target(REPOSITORY, TOKEN, "https://api.github.com")


def call(target=TARGET, cause=None, app=None):
    transport = httpx.ASGITransport(app or api())
    return asyncio.run(dispatch(target, {"alert": "A"} if cause is None else cause, transport))


def answering(status, headers=None, content="{}"):
    """A GitHub that always gives this answer."""

    async def answer(_):
        return Response(content, status, headers)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


def test_the_target_is_read_from_githubs_own_names():
    """Repository and token are enough; the address is GitHub's own unless another is given."""
    assert Target.from_env(GIVEN) == TARGET
    enterprise = {**GIVEN, "GITHUB_API_URL": "https://github.example.com/api/v3/"}
    assert Target.from_env(enterprise).api_url == "https://github.example.com/api/v3"


@pytest.mark.parametrize("given", [{}, {"GITHUB_REPOSITORY": REPOSITORY}, {"GITHUB_TOKEN": TOKEN}])
def test_without_repository_or_token_there_is_no_target(given):
    """That is a way to run it, no error."""
    assert Target.from_env(given) is None


def test_the_token_may_be_in_a_file(tmp_path):
    """With a newline at its end, as editors leave one; an empty file is no token."""
    path = tmp_path / "token"
    given = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN_FILE": str(path)}
    path.write_text(f"{TOKEN}\n")
    assert Target.from_env(given) == TARGET
    path.write_text("")
    assert Target.from_env(given) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"GITHUB_REPOSITORY": "fraud"}, "expected OWNER/REPOSITORY"),
        ({"GITHUB_REPOSITORY": "a/b/../../user"}, "expected OWNER/REPOSITORY"),
        ({"GITHUB_TOKEN": "two words"}, "expected one word of plain ASCII"),
        ({"GITHUB_TOKEN": "schlüssel"}, "expected one word of plain ASCII"),
        ({"GITHUB_TOKEN": "", "GITHUB_TOKEN_FILE": "/nowhere/token"}, "cannot be read"),
        ({"GITHUB_API_URL": "http://github.example.com"}, "expected https://"),
        ({"GITHUB_API_URL": "api.github.com"}, "expected https://"),
        ({"GITHUB_API_URL": "https://["}, "expected https://"),
    ],
)
def test_a_bad_setting_is_a_stated_error_without_the_token(given, words):
    """What was expected is said; a token is not, also a bad one. It never goes out unencrypted."""
    with pytest.raises(SettingsError, match=words) as caught:
        Target.from_env({**GIVEN, **given})
    assert (given.get("GITHUB_TOKEN") or TOKEN) not in str(caught.value)


def test_the_token_is_not_in_the_targets_text():
    """A log line that shows the target shows no secret."""
    assert TOKEN not in repr(TARGET)


def test_a_good_call_is_accepted():
    """204 is GitHub's word for it."""
    outcome = call()
    assert outcome.accepted
    assert REPOSITORY in outcome.reason


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("disabled_inactivity", "GitHub disabled it after 60 days without a commit"),
        ("disabled_manually", "somebody disabled it"),
        ("deleted", "its state is deleted"),
    ],
)
def test_an_event_that_starts_no_run_is_no_success(state, why):
    """GitHub answers 204 also where the workflow is disabled; what is so, and what to do, is said."""
    outcome = call(app=api(state))
    assert not outcome.accepted
    assert f"starts no retraining: retrain.yml is disabled ({why}); gh workflow enable" in outcome.reason
    assert outcome.wait_seconds == 0


@pytest.mark.parametrize(
    ("token", "app", "words"),
    [
        (BLIND_TOKEN, api(), "GitHub answered 403: Resource not accessible by personal access token; the token needs"),
        (TOKEN, api(None), "GitHub answered 404: Not Found; there is no retrain.yml on the default branch, or"),
    ],
)
def test_where_the_state_cannot_be_seen_that_is_said(token, app, words):
    """The event was taken, and is not sent again; that a run starts is not claimed."""
    outcome = call(Target(REPOSITORY, token, TARGET.api_url), app=app)
    assert outcome.accepted
    assert "started" not in outcome.reason
    assert f"whether retrain.yml is enabled cannot be seen: {words}" in outcome.reason
    assert token not in outcome.reason


def test_a_look_that_gets_no_answer_starts_nothing_anew(monkeypatch):
    """GitHub took the event before: a retry would start a second run."""
    monkeypatch.setattr(github, "LOOK_SECONDS", 0.05)

    async def slow(request):
        if request.method == "POST":
            return httpx.Response(204)
        return await asyncio.sleep(60)

    outcome = asyncio.run(dispatch(TARGET, {}, httpx.MockTransport(slow)))
    assert outcome.accepted
    assert outcome.reason.endswith("cannot be seen: GitHub gave no answer (TimeoutError)")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(REPOSITORY, "wrong", TARGET.api_url), "401: Bad credentials; the token is unknown, expired or revoked"),
        (Target(REPOSITORY, READ_ONLY_TOKEN, TARGET.api_url), "the token needs the permission Contents"),
        (Target("owner/other", TOKEN, TARGET.api_url), "404: Not Found; this token sees no such repository"),
    ],
)
def test_a_refusal_says_what_to_mend(target, words):
    """GitHub's message and our advice, on one line, without the token."""
    outcome = call(target)
    assert not outcome.accepted
    assert words in outcome.reason
    assert target.token not in outcome.reason
    assert outcome.wait_seconds == 0


def test_github_takes_ten_properties_and_no_more():
    """The stand-in is as strict as GitHub, so that a test with it means something."""
    assert call(cause={str(number): "x" for number in range(10)}).accepted
    assert "No more than 10 properties" in call(cause={str(number): "x" for number in range(11)}).reason


@pytest.mark.parametrize("status", [200, 202, 301, 302, 422, 500, 503])
def test_only_204_is_success(status):
    """A proxy's login page, a redirect or an error is none; the token follows no redirect."""
    outcome = call(app=answering(status, {"location": "https://elsewhere.example.com"}))
    assert not outcome.accepted
    assert f"GitHub answered {status}" in outcome.reason


@pytest.mark.parametrize("content", ["", "<html>", "[1]", '{"message": 1}', "\xff"])
def test_an_answer_of_any_shape_is_read(content):
    """An error page is no second error."""
    assert call(app=answering(500, content=content)).reason == "GitHub answered 500"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "30"}, 30),
        (403, {"retry-after": "30"}, 30),
        (503, {"retry-after": "30"}, 30),
        (429, {}, 60),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 60),
        (403, {"retry-after": "99999999"}, 3600),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{in_100_seconds}"}, 100),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}, 1),
        (403, {"x-ratelimit-remaining": "0"}, 0),
        (403, {"x-ratelimit-remaining": "12"}, 0),
        (500, {}, 0),
    ],
)
def test_a_limit_says_how_long_to_wait(status, headers, seconds):
    """Retry-After, the time of the next reset, or a minute; an hour at most."""
    headers = {name: value.format(in_100_seconds=int(time.time()) + 100) for name, value in headers.items()}
    assert call(app=answering(status, headers)).wait_seconds == pytest.approx(seconds, abs=2)


class Broken(httpx.AsyncBaseTransport):
    """A network that does not reach GitHub."""

    def __init__(self, error):
        self.error = error

    async def handle_async_request(self, _):
        if self.error is None:
            await asyncio.sleep(60)
        raise self.error


@pytest.mark.parametrize("error", [httpx.ConnectError("no route"), httpx.ReadTimeout("slow"), None])
def test_no_answer_is_no_success(monkeypatch, error):
    """Refused, broken, or too slow: one line says which."""
    monkeypatch.setattr(github, "CALL_SECONDS", 0.05)
    outcome = asyncio.run(dispatch(TARGET, {}, Broken(error)))
    assert outcome == github.DispatchResult(False, f"GitHub gave no answer ({type(error or TimeoutError()).__name__})")
