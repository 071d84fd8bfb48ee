"""The document of the API is valid, and says what the schema, the settings and the Edge say."""

import tomllib
from pathlib import Path

import pytest
import yaml
from openapi_spec_validator import validate

from fraud.schema import ID_PATTERN
from fraud.settings import Settings
from serving import openapi, pages
from serving.edge import BATCH, OPEN, PREDICT
from tests.serving.decoding import CONTRACT
from tests.ulb import COLUMNS, ID_COLUMN, bounds

ROOT = Path(__file__).parents[2]
EXAMPLE = dict.fromkeys(COLUMNS, 0.5)
PLAIN = Settings(max_batch_rows=77)
GUARDED = Settings(api_keys="a" * 64, database_url="sqlite:////tmp/labels.sqlite")


@pytest.fixture(params=[PLAIN, GUARDED], ids=["plain", "guarded"])
def read(request):
    return request.param


@pytest.fixture
def document(read):
    return openapi.document(read, CONTRACT, EXAMPLE)


def operations(document):
    """Path and operation of each."""
    return [(path, one) for path, methods in document["paths"].items() for one in methods.values()]


def schema_of(document, path, method="post"):
    """Of what the operation takes."""
    reference = document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return document["components"]["schemas"][reference.rsplit("/", 1)[-1]]


def test_it_is_valid_openapi(document):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_path_is_in_it(read, document):
    """All that the Edge lets pass, and the methods of the service; feedback only where there is any."""
    feedback = {pages.FEEDBACK} if read.takes_feedback else set()
    assert set(document["paths"]) == OPEN | {PREDICT, BATCH, pages.MODEL} | feedback


def test_open_paths_need_no_key_and_others_do():
    """As the Edge has it; a 401 is told of where a key is needed, and nowhere else."""
    for path, operation in operations(openapi.document(GUARDED, CONTRACT, EXAMPLE)):
        assert operation["security"] == ([] if path in OPEN else [{"key": []}])
        assert ("401" in operation["responses"]) == (path not in OPEN)


def test_without_keys_none_is_asked_for():
    document = openapi.document(PLAIN, CONTRACT, EXAMPLE)
    assert "securitySchemes" not in document["components"]
    assert not any("security" in one or "401" in one["responses"] for _, one in operations(document))


def test_each_column_has_its_bounds(document):
    """Those that the service holds callers to; no other field is taken."""
    schema = schema_of(document, PREDICT)
    told = {
        name: (field["minimum"], field["maximum"]) for name, field in schema["properties"].items() if name in COLUMNS
    }
    assert told == {column: bounds(column) for column in COLUMNS}
    assert schema["required"] == list(COLUMNS)
    assert schema["additionalProperties"] is False


def test_an_id_may_be_null(document):
    choices = schema_of(document, PREDICT)["properties"][ID_COLUMN]["anyOf"]
    assert choices == [{"type": "string", "pattern": ID_PATTERN}, {"type": "null"}]


def test_an_answer_has_an_id_or_none_at_all(document):
    """It is never null there."""
    prediction = document["components"]["schemas"]["Prediction"]
    assert prediction["properties"][ID_COLUMN]["type"] == "string"
    assert ID_COLUMN not in prediction["required"]


def test_a_batch_has_the_bounds_of_the_settings(read, document):
    rows = schema_of(document, BATCH)["properties"]["transactions"]
    assert (rows["minItems"], rows["maxItems"]) == (1, read.max_batch_rows)
    assert str(read.max_body_bytes) in document["paths"][BATCH]["post"]["description"]


def test_the_model_card_is_whole_where_keys_are_set(read, document):
    card = document["components"]["schemas"]["ModelCard"]
    model = pages.WholeCard if read.api_keys else pages.ShortCard
    assert set(card["properties"]) == set(card["required"]) | {"format", "refit", "transaction_schema"} & set(
        card["properties"]
    )
    assert set(card["properties"]) == set(model.model_fields)


def test_metrics_have_a_key_of_their_own():
    """Where one is set: no other opens them, and it opens nothing else."""
    document = openapi.document(Settings(metrics_keys="b" * 64), CONTRACT, EXAMPLE)
    asked = {path: one["security"] for path, one in operations(document) if one["security"]}
    assert asked == {"/metrics": [{"metrics_key": []}]}
    assert set(document["components"]["securitySchemes"]) == {"metrics_key"}
    assert "401" in document["paths"]["/metrics"]["get"]["responses"]


def test_every_refusal_has_the_shape_of_errors(document):
    """Field by field; where a retry helps its header is there."""
    error, detail = (document["components"]["schemas"][name] for name in ("Error", "ErrorDetail"))
    assert (set(error["required"]), set(detail["required"])) == ({"error", "details"}, {"field", "message"})
    for name, response in document["components"]["responses"].items():
        assert response["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        assert ("Retry-After" in response.get("headers", {})) == (name in ("TooManyRequests", "Unavailable"))


def test_it_can_be_made_again_word_for_word(read, document):
    assert openapi.document(read, CONTRACT, EXAMPLE) == document


def test_the_example_is_taken_as_it_is(document):
    """Its own values; the caller of ``document`` keeps his."""
    content = document["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
    assert EXAMPLE.items() <= content["example"].items()
    assert ID_COLUMN not in EXAMPLE


def test_its_version_is_the_products(document):
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert document["info"]["version"] == facts["project"]["version"]


def test_the_bundle_describes_itself_likewise(document):
    """In three lines, which stand in bentofile.yaml too."""
    assert yaml.safe_load((ROOT / "bentofile.yaml").read_text())["description"] == document["info"]["description"]
    assert len(document["info"]["description"].splitlines()) == 3


def test_kinds_of_keys_are_told_where_there_are_some():
    """Which kind an operation needs, and 403 where a key may be of another; without kinds neither."""
    told = Settings(api_keys=f"a[label]:{'a' * 64},b:{'b' * 64}", database_url="sqlite:////tmp/labels.sqlite")
    asked = {
        path: (operation["security"], "403" in operation["responses"])
        for path, operations in openapi.document(told, CONTRACT, EXAMPLE)["paths"].items()
        for operation in operations.values()
    }
    needed = {"/predict": "score", "/predict_batch": "score", "/feedback": "label", "/model": "read"}
    assert asked == {path: ([{"key": [needed[path]]}], True) if path in needed else ([], False) for path in asked}
    plain = openapi.document(GUARDED, CONTRACT, EXAMPLE)
    assert not [one for path in plain["paths"].values() for one in path.values() if "403" in one["responses"]]
