"""From Alertmanager's notification to one dispatch: the decision, what is remembered, and the HTTP answers."""

import asyncio
import json
import logging
from datetime import UTC, datetime

import httpx
import pytest

from fraud.errors import SettingsError
from monitoring.receiver.memory import STATE_FILE, Memory, State, Tried
from monitoring.receiver.webhook import (
    CAUSE,
    MAX_BODY_BYTES,
    MAX_TEXT,
    Notification,
    Receiver,
    application,
    decide,
)
from tests.components.github import REPOSITORY, TOKEN, api, invalid
from training.shipping import summary

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
EVERY = 6 * 3600.0


def alert(name="FraudScoreDrift", status="firing", retrain="true", starts="2026-03-02T11:00:00.5Z", **more):
    """As Alertmanager sends it."""
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "warning", "retrain": retrain, **more},
        "annotations": {"summary": f"{name} is so", "description": "long"},
        "startsAt": starts,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "0123456789abcdef",
    }


def payload(*alerts):
    """Version 4, with everything that is in it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="FraudScoreDrift"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "retrain",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    }


def decided(*alerts, state=None, now=NOW):
    return decide(Notification.model_validate(payload(*alerts)), state or State(), now, EVERY)


@pytest.mark.parametrize("feature", ["V14", "entry_mode", "Kwota (zł)"])
def test_a_firing_alert_that_asks_for_it_starts_a_retrain(feature):
    """GitHub is told which alert, of which model and feature, of whichever schema, and since when."""
    assert decided(alert(model_version="abc", feature=feature)).cause == {
        "alert": "FraudScoreDrift",
        "model_version": "abc",
        "feature": feature,
        "severity": "warning",
        "summary": "FraudScoreDrift is so",
        "starts_at": "2026-03-02T11:00:00.500000+00:00",
    }


def test_the_labels_of_the_service_go_with_it():
    """Of several in one Prometheus: whose alert it is."""
    cause = decided(alert(namespace="shop", environment="production", cluster="eu")).cause
    assert [cause[name] for name in ("namespace", "environment", "cluster")] == ["shop", "production", "eu"]


@pytest.mark.parametrize(
    "alerts", [[], [alert(status="resolved")], [alert(retrain="false")], [alert(retrain="")], [alert(retrain="True")]]
)
def test_nothing_else_starts_one(alerts):
    """Resolved ones and those without the label are no reason."""
    decision = decided(*alerts)
    assert (decision.cause, decision.later) == (None, False)
    assert 'retrain="true"' in decision.reason


def test_the_longest_firing_alert_is_the_cause_and_others_are_named():
    """One retrain for all of a notification; resolved alerts and other alerts are not among them."""
    old = alert("FraudModelTooOld", starts="2026-03-01T00:00:00+02:00")
    others = [alert(feature="V3"), alert("FraudFeatureDrift", feature="V4"), alert("FraudServiceDown", retrain="")]
    cause = decided(*others, old, alert("FraudLivePrecisionFell", status="resolved")).cause
    assert cause["alert"] == "FraudModelTooOld"
    assert cause["also"] == "FraudFeatureDrift, FraudScoreDrift"


def test_what_is_sent_is_small_and_plain():
    """Hostile texts become short single lines; GitHub's limit of 10 properties and 64 KiB holds."""
    hostile = alert("A\n::error::x\x1b[31m\u202e", model_version="v" * 100_000)
    cause = decided(hostile, *(alert(f"B{number}") for number in range(5000))).cause
    assert cause["alert"] == "A ::error::x [31m"
    assert set(cause) <= set(CAUSE)
    assert len(CAUSE) <= 10
    assert max(map(len, cause.values())) <= MAX_TEXT
    assert invalid(json.dumps({"event_type": "retrain", "client_payload": cause}).encode()) is None


def test_the_raw_payload_would_be_refused():
    """That is why there is a receiver at all."""
    status, message = invalid(json.dumps(payload(alert())).encode())
    assert status == 422
    assert "not permitted keys" in message


@pytest.mark.parametrize(
    ("after", "starts"), [(0, False), (1, False), (EVERY - 1, False), (EVERY, True), (-1, True), (-EVERY, True)]
)
def test_one_retrain_in_a_while(after, starts):
    """Until the time is over, whichever alert fires; a clock that was set back blocks nothing."""
    state = State(dispatched_at=NOW, alert="FraudModelTooOld")
    decision = decided(alert(), state=state, now=NOW + after)
    assert (decision.cause is not None) is starts
    assert starts or decision.reason.startswith("debounced: FraudModelTooOld started a retrain at 2026-03-02T12:00:00")
    assert not decision.later


def test_while_github_wants_to_be_left_alone_it_is():
    """Alertmanager is asked to come again, and after that time the retrain starts."""
    state = State(not_before=NOW + 60)
    assert decided(alert(), state=state).later
    assert decided(alert(), state=state, now=NOW + 60).cause


def test_a_restart_remembers(tmp_path):
    """The file holds what the next process needs, and nothing half-written lies beside it."""
    Memory(tmp_path / "new").keep(State(dispatched_at=NOW, alert="A"))
    assert Memory(tmp_path / "new").state == State(dispatched_at=NOW, alert="A")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [STATE_FILE]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"dispatched_at": "soon"}', '{"dispatched_at": Infinity}'])
def test_a_damaged_memory_is_no_reason_to_stop(tmp_path, content, caplog):
    """It is said, and taken for empty."""
    (tmp_path / STATE_FILE).write_text(content)
    assert Memory(tmp_path).state == State()
    assert "is damaged" in caplog.text


def test_a_folder_that_cannot_be_written_is_a_stated_error(tmp_path):
    """Found at the start, not after the first retrain."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="expected a folder to write to"):
        Memory(tmp_path / "file")


def test_a_disk_that_fails_later_does_not_forget_in_this_process(tmp_path, caplog):
    """The retrain was started: doing it again would be worse."""
    memory = Memory(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    memory.keep(State(dispatched_at=NOW))
    assert memory.state.dispatched_at == NOW
    assert "cannot be written" in caplog.text


class Driven:
    """The receiver with a stand-in for GitHub, all in this process; ``github`` may be replaced, ``now`` moved."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.now, self.github = folder, NOW, api()
        for name, value in {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN}.items():
            monkeypatch.setenv(name, value)
        for name in ("GITHUB_API_URL", "GITHUB_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)
        self.restart()

    def restart(self):
        receiver = Receiver(EVERY, Memory(self.folder), httpx.ASGITransport(self._github), lambda: self.now)
        self.app = application(receiver)

    async def _github(self, scope, receive, send):
        await asyncio.sleep(0.01)  # as a network takes time, in which others are served
        await self.github(scope, receive, send)

    def post(self, *bodies, path="/alerts", **options):
        """The answers to as many calls at the same time."""

        async def calls():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://webhook") as client:
                return await asyncio.gather(*(client.post(path, **{"json": body, **options}) for body in bodies))

        return asyncio.run(calls())

    def one(self, body=None, **options):
        (answer,) = self.post(payload(alert()) if body is None else body, **options)
        return answer.status_code, answer.json()

    def taken(self):
        async def ask():
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self.github), base_url="http://github"
            ) as client:
                return (await client.get("/taken")).json()

        return asyncio.run(ask())


@pytest.fixture
def driven(tmp_path, monkeypatch):
    return Driven(tmp_path, monkeypatch)


def failing(status, headers=()):
    """A GitHub that refuses each call, and counts them."""

    async def app(scope, receive, send):
        app.calls += 1
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"{}"})

    app.calls = 0
    return app


def test_an_alert_reaches_github(driven):
    """The event that retrain.yml listens to, with its cause."""
    status, answer = driven.one()
    assert (status, answer["dispatched"]) == (200, True)
    [body] = driven.taken()
    assert body["event_type"] == "retrain"
    assert body["client_payload"]["alert"] == "FraudScoreDrift"


def test_repeats_start_nothing_also_after_a_restart_until_the_time_is_over(driven):
    """Alertmanager repeats what still fires."""
    driven.one()
    assert driven.one()[1]["dispatched"] is False
    driven.restart()
    status, answer = driven.one()
    assert (status, answer["dispatched"]) == (200, False)
    assert answer["reason"].startswith("debounced: FraudScoreDrift")
    driven.now += EVERY
    assert driven.one()[1]["dispatched"] is True
    assert len(driven.taken()) == 2


HOUR, DAY = 3600, 86400


def hours_of_starts(driven, hours, body):
    """In which of so many hours, in each of which ``body(hour)`` is told, a retrain started."""
    starts = []
    for hour in range(hours):
        starts += [hour] if driven.one(body(hour))[1]["dispatched"] else []
        driven.now += HOUR
    return starts


def test_an_alert_that_goes_on_starts_retrains_ever_more_seldom(driven):
    """Each hour told anew for 14 days, through a restart each day: twice the pause after each, up to a week."""

    def told(hour):
        if hour % 24 == 0:
            driven.restart()
        return payload(alert("FraudModelTooOld"))

    assert hours_of_starts(driven, 14 * 24, told) == [0, 6, 18, 42, 90, 186]
    reason = driven.one(payload(alert("FraudModelTooOld")))[1]["reason"]
    assert reason == "not cured: FraudModelTooOld fires on after 6 retrains, next at 2026-03-17T06:00:00+00:00"


@pytest.mark.parametrize(("retrains", "every", "days"), [(6, EVERY, 7), (500, EVERY, 7), (3, 9 * DAY, 9)])
def test_it_is_tried_once_a_week_all_the_same(retrains, every, days):
    """Or as seldom as is asked for."""
    assert Tried(retrains=retrains, at=NOW, seen_at=NOW).due_at(every) == NOW + days * DAY


def test_several_alerts_that_go_on_wait_together(driven):
    """One retrain answers all that fires; each is told in a notification of its own."""
    names = ("FraudScoreDrift", "FraudFeatureDrift", "FraudModelTooOld")
    starts = []
    for hour in range(3 * 24):
        starts += [hour for name in names if driven.one(payload(alert(name)))[1]["dispatched"]]
        driven.now += HOUR
    assert starts == [0, 6, 18, 42]


def test_an_alert_that_was_quiet_for_a_while_is_a_new_one(driven):
    """It starts a retrain at once; one that flickers, quiet for less than that, goes on waiting."""
    hours_of_starts(driven, 60, lambda _: payload(alert()))
    driven.now += 3 * HOUR

    def since_now():
        return datetime.fromtimestamp(driven.now, UTC).isoformat()

    status, answer = driven.one(payload(alert(starts=since_now())))
    assert (status, answer["dispatched"]) == (200, False)
    assert answer["reason"].startswith(
        "not cured: FraudScoreDrift fires on after 4 retrains, next at 2026-03-06T06:00:00"
    )
    driven.now += EVERY + HOUR
    assert driven.one(payload(alert(starts=since_now())))[1]["dispatched"] is True


def test_another_alert_does_not_wait_with_one_that_is_not_cured(driven):
    """Another model version, feature or service is another alert; the cause is the one that is new."""
    hours_of_starts(driven, 60, lambda _: payload(alert()))
    for more in ({"model_version": "v2"}, {"feature": "V3"}, {"environment": "production"}):
        status, answer = driven.one(payload(alert(), alert(starts="2026-03-04T20:00:00Z", **more)))
        assert (status, answer["dispatched"]) == (200, True)
        assert more.items() <= driven.taken()[-1]["client_payload"].items()
        driven.now += EVERY


def test_a_disabled_workflow_is_a_failure_and_no_retrain(driven):
    """Alertmanager comes again, and counts the notification as failed; once enabled it starts."""
    works, driven.github = driven.github, api("disabled_inactivity")
    status, answer = driven.one()
    assert (status, answer["dispatched"]) == (502, False)
    assert "after 60 days" in answer["reason"]
    driven.github = works
    assert driven.one()[1]["dispatched"] is True


def test_what_is_remembered_is_bounded(driven, tmp_path):
    """Whoever reaches the receiver may tell it of any alerts."""
    driven.one(payload(*(alert(feature=f"f{number}") for number in range(3000))))
    assert len(Memory(tmp_path).state.alerts) == 1000


def test_two_notifications_at_once_start_one(driven):
    """The second waits for what GitHub says to the first."""
    answers = driven.post(*[payload(alert(f"A{number}")) for number in range(8)])
    assert sorted(answer.json()["dispatched"] for answer in answers) == [False] * 7 + [True]
    assert len(driven.taken()) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 422, 500, 503])
def test_a_failed_call_is_not_counted(driven, status):
    """502, so that Alertmanager comes again; the next one then starts the retrain."""
    works, driven.github = driven.github, failing(status)
    code, answer = driven.one()
    assert (code, answer["dispatched"]) == (502, False)
    assert f"GitHub answered {status}" in answer["reason"]
    driven.github = works
    assert driven.one()[1]["dispatched"] is True


def test_a_rate_limit_is_respected_also_after_a_restart(driven):
    """Until Retry-After is over GitHub is not called; Alertmanager is told to come again."""
    works, driven.github = driven.github, failing(429, [(b"retry-after", b"90")])
    assert driven.one()[0] == 502
    driven.restart()
    driven.now += 89
    assert driven.one()[0] == 503
    assert driven.github.calls == 1
    driven.github = works
    driven.now += 1
    assert driven.one()[1]["dispatched"] is True


def test_a_rate_limit_does_not_forget_the_retrain_before(driven, tmp_path):
    """The time of the last one stays beside the time to wait until."""
    driven.one()
    before = Memory(tmp_path).state
    assert (before.dispatched_at, before.alert, before.not_before) == (NOW, "FraudScoreDrift", 0)
    driven.now += EVERY
    driven.github = failing(429)
    driven.one()
    after = Memory(tmp_path).state
    [tried] = after.alerts.values()
    assert (tried.retrains, tried.at, tried.seen_at) == (1, NOW, driven.now)
    assert after == before.model_copy(update={"not_before": driven.now + 60, "alerts": after.alerts})


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_without_a_token_or_repository_it_says_what_it_would_have_sent(driven, monkeypatch, name, caplog):
    """200: a stack that was not set up for it has no failing notifications."""
    monkeypatch.delenv(name)
    caplog.set_level(logging.INFO, "monitoring")
    status, answer = driven.one()
    assert (status, answer["dispatched"]) == (200, False)
    assert '"alert": "FraudScoreDrift"' in caplog.text
    assert driven.taken() == []


def test_a_token_file_that_is_gone_is_a_failure(driven, monkeypatch):
    """Alertmanager comes again until the file is back."""
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv("GITHUB_TOKEN_FILE", str(driven.folder / "none"))
    assert driven.one()[0] == 502


def test_the_token_is_in_no_log_line_and_no_answer(driven, monkeypatch, caplog):
    """Neither when it works nor when it does not."""
    caplog.set_level(logging.DEBUG)
    said = [driven.one()]
    driven.now += EVERY
    monkeypatch.setenv("GITHUB_TOKEN", f"{TOKEN}-expired")
    said.append(driven.one())
    driven.github = failing(500)
    said.append(driven.one())
    assert [status for status, _ in said] == [200, 502, 502]
    assert TOKEN not in caplog.text + json.dumps(said)


def test_each_notification_is_one_log_line(driven, caplog):
    """What a label says cannot start another."""
    caplog.set_level(logging.INFO, "monitoring")
    driven.one(payload(alert("A\nERROR forged")))
    assert [record.getMessage() for record in caplog.records if record.name == "monitoring.receiver.webhook"] == [
        f"retraining of {REPOSITORY} started, by A ERROR forged"
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "version"),
        ({**payload(), "version": "5"}, "version"),
        ({"version": "4"}, "alerts"),
        (payload("text"), "alerts.0"),
        (payload({**alert(), "status": "maybe"}), "alerts.0.status"),
        (payload({**alert(), "labels": {"alertname": 1}}), "alerts.0.labels.alertname"),
        (payload({**alert(), "startsAt": "2026-03-02T11:00:00"}), "alerts.0.startsAt"),
        ([payload(alert())], ""),
    ],
)
def test_another_payload_is_refused_with_the_field(driven, body, field):
    """400, which Alertmanager does not repeat, in the service's one shape of error."""
    status, answer = driven.one(body)
    assert status == 400
    assert answer["error"] == "expected Alertmanager's webhook payload, version 4"
    assert field in [detail["field"] for detail in answer["details"]]
    assert driven.taken() == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'"\\ud800"'])
def test_what_is_no_json_is_refused(driven, content):
    """400 as well."""
    assert driven.one(json=None, content=content, headers={"content-type": "application/json"})[0] == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(driven, kind):
    """A web page that is open in a browser on this machine can send these, and no JSON."""
    content = json.dumps(payload(alert())).encode()
    assert driven.one(json=None, content=content, headers={"content-type": kind})[0] == 415
    assert driven.taken() == []


def test_a_huge_body_is_refused(driven):
    """Before it is read to its end."""
    headers = {"content-type": "application/json"}
    status, answer = driven.one(json=None, content=b" " * (MAX_BODY_BYTES + 1), headers=headers)
    assert (status, answer["details"]) == (413, [])


def test_it_tells_that_it_lives(driven):
    """For compose's and Kubernetes' health checks; what does not exist is answered in the one shape."""

    async def ask(path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(driven.app), base_url="http://webhook") as client:
            return await client.get(path)

    assert asyncio.run(ask("/healthz")).json() == {"status": "ok"}
    for path, status in (("/", 404), ("/alerts", 405)):
        answer = asyncio.run(ask(path))
        assert (answer.status_code, answer.json()["details"]) == (status, [])


def test_the_summary_of_the_run_knows_what_is_sent():
    """Sender and workflow agree on the names."""
    assert summary.CAUSE == CAUSE
