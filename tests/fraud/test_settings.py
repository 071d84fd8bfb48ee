"""FRAUD_* variables: read when asked for, checked, explained."""

import pytest
from pydantic import ValidationError

from fraud.errors import SettingsError
from fraud.inputs.keys import KeyHasher
from fraud.settings import PREFIX, SECRETS, Settings

OTHER = {
    "FRAUD_HISTORY_URL": ("file:///data/history", "file:///data/history"),
    "FRAUD_HISTORY_DEADLINE_MS": ("5", 5.0),
    "FRAUD_HISTORY_SKEW_SECONDS": ("60", 60.0),
    "FRAUD_HISTORY_MAX_KEYS": ("5000", 5_000),
    "FRAUD_HISTORY_MAX_IDS": ("4000", 4_000),
    "FRAUD_HISTORY_IDS_SECONDS": ("30", 30.0),
    "FRAUD_HISTORY_MAX_PENDING": ("300", 300),
    "FRAUD_MODEL": ("fraud_detector:abc123", "fraud_detector:abc123"),
    "FRAUD_S3_URI": ("s3://bucket/some/prefix", "s3://bucket/some/prefix"),
    "FRAUD_ACTOR": ("risk@bank", "risk@bank"),
    "FRAUD_RETRAIN_APPROVAL": ("manual", "manual"),
    "FRAUD_SCHEMA": ("shop.toml", "shop.toml"),
    "FRAUD_WORKERS": ("7", 7),
    "FRAUD_MAX_BATCH_SIZE": ("64", 64),
    "FRAUD_MAX_LATENCY_MS": ("250", 250),
    "FRAUD_MAX_BODY_BYTES": ("1048576", 1_048_576),
    "FRAUD_MAX_BATCH_ROWS": ("12", 12),
    "FRAUD_MAX_BATCH_CALLS": ("3", 3),
    "FRAUD_REQUEST_TIMEOUT_SECONDS": ("2.5", 2.5),
    "FRAUD_MAX_HEADER_BYTES": ("16384", 16_384),
    "FRAUD_MAX_HEADERS": ("50", 50),
    "FRAUD_HEADER_TIMEOUT_SECONDS": ("2.5", 2.5),
    "FRAUD_KEEP_ALIVE_SECONDS": ("30", 30.0),
    "FRAUD_MAX_CONNECTIONS": ("500", 500),
    "FRAUD_DRAIN_SECONDS": ("12.5", 12.5),
    "FRAUD_HANG_SECONDS": ("0", 0.0),
    "FRAUD_RATE_WINDOW_SECONDS": ("60", 60),
    "FRAUD_SHORT_CUT": ("false", False),
    "FRAUD_BATCHING": ("0", False),
    "FRAUD_API_KEYS": (f"{'a' * 64},{'0' * 64}", f"{'a' * 64},{'0' * 64}"),
    "FRAUD_METRICS_KEYS": ("b" * 64, "b" * 64),
    "FRAUD_REQUIRE_KEYS": ("true", True),
    "FRAUD_KEY_SECRET": ("s" * 32, "s" * 32),
    "FRAUD_DATABASE_URL": ("sqlite:////data/fraud.sqlite", "sqlite:////data/fraud.sqlite"),
    "FRAUD_LOG_FEATURES": ("false", False),
    "FRAUD_LOG_MAX_PENDING": ("500", 500),
    "FRAUD_LABEL_DELAY_DAYS": ("0.5", 0.5),
    "FRAUD_LIVE_WINDOW_DAYS": ("60", 60.0),
    "FRAUD_UNLABELLED": ("unknown", "unknown"),
    "FRAUD_LOG_FORMAT": ("json", "json"),
    "FRAUD_LOG_REFUSED": ("true", True),
}

FILES = {f"{name}_FILE": name for name in SECRETS}
"""Variable of a secret's file, and of the secret."""


def field(name):
    """The field that a variable sets: ``schema`` is pydantic's own name."""
    return name.removeprefix(PREFIX).lower().replace("schema", "schema_file")


def test_no_variables_give_the_defaults():
    """Without FRAUD_* variables every setting has its default; other variables are not looked at."""
    assert Settings.from_env({"PATH": "/bin", "AWS_REGION": "x", "BENTOML_HOME": "/"}) == Settings()


def test_every_variable_is_tried_here():
    """The table of this test names each setting once; a secret may stand in a file as well."""
    assert [name for name in Settings.env_names() if name not in FILES] == list(OTHER)
    assert {name for name in Settings.env_names() if name not in OTHER} == set(FILES)


@pytest.mark.parametrize(("name", "text", "value"), [(name, *pair) for name, pair in OTHER.items()])
def test_each_variable_sets_its_field(name, text, value):
    """A good value lands in its field, in its type, and differs from the default."""
    settings = Settings.from_env({name: text})
    assert getattr(settings, field(name)) == value != getattr(Settings(), field(name))
    assert type(getattr(settings, field(name))) is type(value)


@pytest.mark.parametrize("name", OTHER)
def test_an_empty_value_is_the_default(name):
    """Compose files pass unset variables as empty ones."""
    assert Settings.from_env({name: ""}) == Settings()


@pytest.mark.parametrize("name", OTHER)
def test_the_process_environment_is_read_when_asked(monkeypatch, name):
    """A variable set after import counts."""
    monkeypatch.setenv(name, OTHER[name][0])
    assert getattr(Settings.from_env(), field(name)) == OTHER[name][1]


@pytest.mark.parametrize("name", ["FRAUD_WORKER", "FRAUD_", "FRAUD_MODEL_", "FRAUD_S3_BUCKET", "FRAUD_SELF"])
def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(name):
    """A typing error is an error, not a silent default, and the message helps."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: "1"})
    assert str(caught.value).startswith(f"{name} is not a setting; there are ")
    assert all(known in str(caught.value) for known in OTHER)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FRAUD_WORKER", "FRAUD_WORKERS"),
        ("FRAUD_APIKEYS", "FRAUD_API_KEYS"),
        ("FRAUD_DATABASE_URI", "FRAUD_DATABASE_URL"),
        ("FRAUD_API_KEY_FILE", "FRAUD_API_KEYS_FILE"),
    ],
)
def test_a_name_that_is_near_a_setting_is_told_which(name, meant):
    """A letter too few or too many: the one that was meant stands at the end."""
    with pytest.raises(SettingsError, match=rf"; did you mean {meant}\?$"):
        Settings.from_env({name: "1"})


def test_a_name_that_is_near_no_setting_is_not_guessed_at():
    """A wrong guess would lead astray."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"FRAUD_REGION": "eu"})
    assert "did you mean" not in str(caught.value)


def links(service):
    """What Kubernetes sets in every pod of a namespace with a Service of this name: kubelet/envvars/envvars.go."""
    port = f"{service}_PORT_5432"
    return {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "5432",
        f"{service}_SERVICE_PORT_HTTP_ADMIN": "5432",
        f"{service}_PORT": "tcp://10.0.0.1:5432",
        **{f"{port}_{protocol}": "tcp://10.0.0.1:5432" for protocol in ("TCP", "UDP", "SCTP")},
        f"{port}_TCP_PROTO": "tcp",
        f"{port}_TCP_PORT": "5432",
        f"{port}_TCP_ADDR": "10.0.0.1",
    }


@pytest.mark.parametrize("service", ["FRAUD_DB", "FRAUD_DETECTOR", "FRAUD", "FRAUD_A_SERVICE_HOST"])
def test_what_kubernetes_makes_of_services_is_not_ours(service):
    """A Service named fraud-db, our own, and one named fraud: the start goes on with our settings."""
    assert Settings.from_env({**links(service), "FRAUD_WORKERS": "7"}) == Settings(workers=7)


@pytest.mark.parametrize("name", [name for name in links("FRAUD_DB") if not name.endswith("_HOST")])
def test_the_shape_alone_excuses_no_name(name):
    """Without the Service's host, and beside that of another Service, it is a stranger."""
    other = {"FRAUD_DBS_SERVICE_HOST": "10.0.0.1", "FRAUD_D_SERVICE_HOST": "10.0.0.1"}
    for environ in ({name: "1"}, {name: "1", **other}):
        with pytest.raises(SettingsError, match=rf"^{name} is not a setting"):
            Settings.from_env(environ)


@pytest.mark.parametrize("name", ["FRAUD_DB_USER", "FRAUD_DB_PORTS", "FRAUD_DB_PORT_X_TCP", "FRAUD_DB_PORT_1_TCP_X"])
def test_a_stranger_beside_a_service_is_still_one(name):
    """Only what Kubernetes makes is left alone, not all that begins alike."""
    with pytest.raises(SettingsError, match=rf"^{name} is not a setting"):
        Settings.from_env({**links("FRAUD_DB"), name: "1"})


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "  {}\t"])
def test_white_space_around_a_value_is_none_of_it(name, around):
    """As files of secrets, Windows and shells hand it on."""
    text, value = OTHER[name]
    assert getattr(Settings.from_env({name: around.format(text)}), field(name)) == value


@pytest.mark.parametrize("name", OTHER)
def test_a_value_of_white_space_alone_is_the_default(name):
    """As an empty one."""
    assert Settings.from_env({name: " \n"}) == Settings()


@pytest.mark.parametrize("between", [",", ", ", " ,\n", "\n"])
def test_keys_are_taken_as_people_write_them(between):
    """In either case, with white space after the comma, or each in a line of its own."""
    given = f"{'AB' * 32}{between}{'cd' * 32}"
    settings = Settings.from_env({"FRAUD_API_KEYS": given, "FRAUD_METRICS_KEYS": f"{given}\n"})
    assert settings.key_names == settings.metrics_key_names == {b"\xab" * 32: "abababab", b"\xcd" * 32: "cdcdcdcd"}


BAD = [
    ("FRAUD_MODEL", "other:latest"),
    ("FRAUD_MODEL", "fraud_detector"),
    ("FRAUD_MODEL", "fraud_detector:"),
    ("FRAUD_MODEL", "fraud_detector:Über"),
    ("FRAUD_MODEL", "fraud_detector:a b"),
    ("FRAUD_MODEL", "fraud_detector:late\nst"),
    ("FRAUD_S3_URI", "bucket/prefix"),
    ("FRAUD_S3_URI", "https://bucket"),
    ("FRAUD_S3_URI", "s3://"),
    ("FRAUD_S3_URI", "s3://Bucket"),
    ("FRAUD_S3_URI", "s3://_bucket"),
    ("FRAUD_S3_URI", "s3://ab"),
    ("FRAUD_WORKERS", "0"),
    ("FRAUD_WORKERS", "257"),
    ("FRAUD_WORKERS", "two"),
    ("FRAUD_WORKERS", "1.5"),
    ("FRAUD_MAX_BATCH_SIZE", "1"),
    ("FRAUD_MAX_LATENCY_MS", "9"),
    ("FRAUD_MAX_BODY_BYTES", "4095"),
    ("FRAUD_MAX_BATCH_ROWS", "0"),
    ("FRAUD_REQUEST_TIMEOUT_SECONDS", "0"),
    ("FRAUD_REQUEST_TIMEOUT_SECONDS", "nan"),
    ("FRAUD_REQUEST_TIMEOUT_SECONDS", "inf"),
    ("FRAUD_RATE_WINDOW_SECONDS", "1"),
    ("FRAUD_RATE_WINDOW_SECONDS", "-300"),
    ("FRAUD_HISTORY_IDS_SECONDS", "0"),
    ("FRAUD_HISTORY_DEADLINE_MS", "-1"),
    ("FRAUD_HISTORY_SKEW_SECONDS", "nan"),
    ("FRAUD_HISTORY_MAX_KEYS", "0"),
    ("FRAUD_LOG_FEATURES", "perhaps"),
    ("FRAUD_LOG_MAX_PENDING", "0"),
    ("FRAUD_LABEL_DELAY_DAYS", "-1"),
    ("FRAUD_LABEL_DELAY_DAYS", "nan"),
    ("FRAUD_LIVE_WINDOW_DAYS", "0"),
    ("FRAUD_UNLABELLED", "fraud"),
]
SECRET = [
    ("FRAUD_API_KEYS", "the-key-itself"),
    ("FRAUD_API_KEYS", "G" * 64),
    ("FRAUD_API_KEYS", f"{'a' * 64} {'b' * 64}"),
    ("FRAUD_API_KEYS", "a" * 63),
    ("FRAUD_API_KEYS", ",\n,"),
    ("FRAUD_API_KEYS", f"shop:{'a' * 64},shop:{'b' * 64}"),
    ("FRAUD_KEY_SECRET", "s" * 31),
    ("FRAUD_METRICS_KEYS", "the-key-itself"),
    ("FRAUD_METRICS_KEYS", f"{'a' * 64},{'b' * 63}"),
    ("FRAUD_DATABASE_URL", "user:password@host/name"),
    ("FRAUD_DATABASE_URL", "/data/fraud.sqlite"),
    ("FRAUD_HISTORY_URL", "/data/history"),
    ("FRAUD_HISTORY_URL", "http://host"),
    ("FRAUD_HISTORY_URL", "rediss:///0"),
    ("FRAUD_HISTORY_URL", "redis://me:pass/word@host"),
    ("FRAUD_HISTORY_URL", "redis://me:12/34@host"),
    ("FRAUD_HISTORY_URL", "redis://me:12?34@host"),
    ("FRAUD_HISTORY_URL", "redis://me:12#34@host"),
    ("FRAUD_HISTORY_URL", "redis://host/name"),
    ("FRAUD_HISTORY_URL", "redis://host/0?socket_timeout=60"),
    ("FRAUD_HISTORY_URL", "redis://host/0?ssl_ca_certs=/ca.crt"),
    ("FRAUD_HISTORY_URL", "rediss://host/0?ssl_cert_reqs=perhaps"),
    ("FRAUD_HISTORY_URL", "redis://host:65536/0"),
    ("FRAUD_HISTORY_URL", "rediss://host/0?ssl_ca_cert=/ca.crt"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name_and_value(name, value):
    """The message says which variable, what came, and what is expected."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: ")
    assert "\n" not in str(caught.value)


def test_words_and_an_example_are_said_in_place_of_a_pattern():
    """For each setting that a pattern checks."""
    checked = {
        PREFIX + name.upper()
        for name, given in Settings.model_fields.items()
        if any(getattr(one, "pattern", None) for one in given.metadata)
    }
    assert checked == {"FRAUD_HISTORY_URL", "FRAUD_MODEL", "FRAUD_S3_URI", "FRAUD_DATABASE_URL"}
    for name, value in [*BAD, *SECRET]:
        if name in checked | set(SECRETS):
            with pytest.raises(SettingsError, match=": expected ") as caught:
                Settings.from_env({name: value})
            assert "pattern" not in str(caught.value)
            assert not {"^", "$", "[", "\\"} & set(str(caught.value).partition("expected")[2])


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://:password@127.0.0.1:6379/0",
        "redis://me:p%40s%2Fs@cache.example:6379/15",
        "rediss://me:password@[fd00::1]:6380/0?ssl_ca_certs=/etc/ca.crt&ssl_check_hostname=false",
        "rediss://host?ssl_certfile=/a.crt&ssl_keyfile=/a.key&ssl_cert_reqs=none",
        "redis://host:65535/0",
        "unix:///run/redis.sock?db=1",
        "unix://me:password@/run/redis.sock",
    ],
)
def test_addresses_of_redis_are_taken(url):
    """With a user and a password or without, by name or number, with what TLS needs."""
    assert Settings.from_env({"FRAUD_HISTORY_URL": url}).history_url == url


def test_a_bucket_with_an_underscore_is_taken():
    """AWS allows none in new names; other servers do."""
    assert Settings.from_env({"FRAUD_S3_URI": "s3://my_bucket/fraud"}).s3_uri == "s3://my_bucket/fraud"


@pytest.mark.parametrize(("name", "value"), SECRET)
def test_a_secret_is_not_shown(name, value):
    """Whoever puts the key itself where its hash belongs does not find it in a log."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    assert str(caught.value).startswith(f"{name}: expected ")
    assert value not in str(caught.value)
    assert value not in repr(Settings.model_construct(**{field(name): value}))


def test_each_key_has_a_name():
    """By its digest of 32 bytes; none without keys."""
    assert Settings(api_keys=f"shop:{'0a' * 32},{'ff' * 32}").key_names == {
        b"\n" * 32: "shop",
        b"\xff" * 32: "ffffffff",
    }
    assert Settings().key_names == Settings().metrics_key_names == {}


def test_a_secret_makes_a_hasher():
    """The same for the same secret, whatever stands around it; none without one."""
    hasher = Settings.from_env({"FRAUD_KEY_SECRET": f" {'s' * 32}\r\n"}).key_hasher
    assert hasher.fingerprint == KeyHasher("s" * 32).fingerprint
    assert Settings().key_hasher is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, None),
        ({"require_keys": False}, None),
        ({"api_keys": "0" * 64, "metrics_keys": "1" * 64}, "FRAUD_API_KEYS"),
        ({"metrics_keys": "1" * 64}, "FRAUD_METRICS_KEYS"),
    ],
)
def test_what_asks_for_keys_is_named(given, name):
    """For those who must not serve where nobody looks at them."""
    assert Settings(**given).asks_for_keys == name


@pytest.mark.parametrize("keys", [None, "0" * 64])
@pytest.mark.parametrize("database", [None, "sqlite:///x"])
def test_feedback_needs_keys_and_a_database(keys, database):
    """Nobody anonymous writes labels, and there must be somewhere to keep them."""
    assert Settings(api_keys=keys, database_url=database).takes_feedback is bool(keys and database)


def test_all_mistakes_are_told_at_once():
    """Two mistakes are two parts of one message."""
    with pytest.raises(SettingsError, match=r"FRAUD_WORKERS='x': .*; FRAUD_NOPE is not a setting"):
        Settings.from_env({"FRAUD_WORKERS": "x", "FRAUD_NOPE": "1"})


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_is_explained(name):
    """Each field has a sentence that the documentation takes over."""
    assert Settings.model_fields[field(name)].description.endswith(".")


def test_settings_are_frozen():
    """What was read at the start holds until the end."""
    with pytest.raises(ValidationError):
        Settings().workers = 3


@pytest.mark.parametrize(("variable", "name"), FILES.items())
def test_each_secret_may_stand_in_a_file(tmp_path, variable, name):
    """As Docker, Kubernetes and systemd hand it on, with what editors add around it."""
    text, value = OTHER[name]
    (tmp_path / "secret").write_bytes(f"\ufeff {text}\r\n".encode())
    assert getattr(Settings.from_env({variable: f"{tmp_path}/secret\n"}), field(name)) == value


@pytest.mark.parametrize("name", SECRETS)
def test_what_is_wrong_with_a_secret_of_a_file_is_told_and_not_shown(tmp_path, name):
    """By the name of the secret, as ever."""
    (tmp_path / "secret").write_text("short")
    with pytest.raises(SettingsError, match=rf"^{name}: expected ") as caught:
        Settings.from_env({f"{name}_FILE": str(tmp_path / "secret")})
    assert "short" not in str(caught.value)


def test_a_secret_is_not_set_twice(tmp_path):
    """Nobody knows which is meant."""
    (tmp_path / "secret").write_text("s" * 32)
    with pytest.raises(SettingsError, match=r"^FRAUD_KEY_SECRET and FRAUD_KEY_SECRET_FILE are both set"):
        Settings.from_env({"FRAUD_KEY_SECRET": "s" * 32, "FRAUD_KEY_SECRET_FILE": str(tmp_path / "secret")})


def test_what_is_no_secret_stands_in_no_file():
    """The list of what there is says which may."""
    with pytest.raises(SettingsError, match=r"^FRAUD_MODEL_FILE is not a setting"):
        Settings.from_env({"FRAUD_MODEL_FILE": "/x"})


def test_approval_is_also_asked_for_as_a_repository_says_it():
    """Without the prefix, so that nobody promotes what was to wait; ours goes before it."""
    assert Settings.from_env({"RETRAIN_APPROVAL": "manual"}).retrain_approval == "manual"
    both = {"RETRAIN_APPROVAL": "manual", "FRAUD_RETRAIN_APPROVAL": "auto"}
    assert Settings.from_env(both).retrain_approval == "auto"
    assert Settings.from_env({"RETRAIN_APPROVAL": ""}).retrain_approval == "auto"
