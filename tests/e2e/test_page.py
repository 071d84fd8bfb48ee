"""The first page in a browser: it shows the API, calls it, and fetches nothing from elsewhere."""

import json
import re

import httpx
import pytest

from fraud import keys
from tests.components import require_browser, wait_until
from tests.components.browser import Browser

pytestmark = pytest.mark.e2e

PREDICT = "#operations-scoring-predict"
STATUS = f"{PREDICT} .live-responses-table tbody .response-col_status"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(require_browser(), tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(browser):
    with browser.page() as page:
        yield page


@pytest.fixture(scope="module")
def guarded(start):
    """The address of a server that wants a key, and the key."""
    key, digest = keys.make()
    return start(FRAUD_API_KEYS=digest).url, key


def open_page(page, url):
    """The first page, once it shows the API."""
    page.tell("Page.navigate", url=url)
    wait_until(lambda: page.text(PREDICT), 30)


def try_out(page):
    """The status of the sample request, sent as a person does; what was there before is cleared."""
    if not page.text(f"{PREDICT} .execute"):
        page.click(f"{PREDICT} .opblock-summary-control")
        page.click(f"{PREDICT} .try-out__btn")
    page.click(f"{PREDICT} .execute")
    return wait_until(lambda: page.text(STATUS), 30).split()[0]


def test_the_page_calls_the_service_and_nothing_else(page, server):
    """ "Try it out" is answered with 200; every request goes to the service, and the browser complains of nothing."""
    open_page(page, server.url)
    assert "Fraud detector" in page.text(".info .title")
    assert try_out(page) == "200"
    assert "fraud_probability" in page.text(f"{PREDICT} .live-responses-table")
    assert f"{server.url}/predict" in page.requests
    assert [url for url in page.requests if not url.startswith((f"{server.url}/", "data:", "blob:"))] == []
    assert page.complaints == []


def test_a_key_is_asked_for_and_sent(page, guarded):
    """With keys set a call is refused until the page was given one."""
    url, key = guarded
    open_page(page, url)
    assert try_out(page) == "401"
    page.click(".auth-wrapper .authorize")
    page.click(".auth-container input")
    page.write(".auth-container input", key)
    page.click(".auth-btn-wrapper .authorize")
    page.click(".auth-btn-wrapper .btn-done")
    page.click(f"{PREDICT} .btn-clear")
    wait_until(lambda: not page.text(STATUS))
    assert try_out(page) == "200"


def test_the_browser_refuses_what_comes_from_elsewhere(page, server):
    """A script of another host, an inline one and a call to another host are not let through."""
    open_page(page, server.url)
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    add = "{{const script = document.createElement('script'); script.{} = '{}'; document.body.append(script)}}"
    page.evaluate(add.format("textContent", "window.taken = 1"))
    page.evaluate(add.format("src", f"{elsewhere}/static_content/swagger-ui-bundle.js"))
    assert page.evaluate(f"fetch('{elsewhere}/livez').then(() => 'sent', () => 'refused')") == "refused"
    assert page.evaluate("window.taken === undefined")
    for words in ("inline script", "swagger-ui-bundle.js", "livez"):
        wait_until(lambda words=words: page.evaluate("1") and refusals_of(page, words), 30)


def refusals_of(page, words):
    """What the console says of something that the policy did not let through."""
    return [one for one in page.complaints if "Content Security Policy" in one and words in one]


@pytest.mark.parametrize("path", ["/", "/docs.json", "/schema.json"])
def test_no_page_names_another_host(server, path):
    """Neither page nor documents hold an address of elsewhere, as a badge, a contact or a tracker has."""
    text = httpx.get(f"{server.url}{path}", trust_env=False).text
    assert re.findall(r"(?:https?:)?//[\w.-]+|[\w.]+@[\w.]+", json.dumps(text)) == []
