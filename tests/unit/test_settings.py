from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai import settings
from serai.roles.connection import app_url, walled
from serai.settings import Settings, SettingsError, environment_of, load


def test_without_any_variable_everything_has_its_default() -> None:
    assert load({}) == Settings()
    assert load({"PATH": "/bin", "XSERAI_PORT": "1"}) == Settings()


def test_variables_are_read_by_their_types() -> None:
    own = load({"SERAI_PORT": "81", "SERAI_DRAIN_S": "2.5", "SERAI_METRICS": "false"})
    assert (own.port, own.drain_s, own.metrics) == (81, 2.5, False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERAI_PORTS", "1"),
        ("SERAI_PORT", ""),
        ("SERAI_PORT", "0"),
        ("SERAI_PORT", "65536"),
        ("SERAI_PORT", "80.5"),
        ("SERAI_METRICS", "perhaps"),
        ("SERAI_DRAIN_S", "nan"),
        ("SERAI_DRAIN_S", "0"),
        ("SERAI_POOL_MAX", "1"),
        ("SERAI_PAYMENT_PROVIDER", "ftp://x"),
        ("SERAI_LOG_LEVEL", "loud"),
        ("SERAI_CLOCK_OFFSET_S", "86401"),
        ("SERAI_CLOCK_OFFSET_S", "nan"),
        ("SERAI_IDENTITY_KEY", "too-short"),
        ("SERAI_IDENTITY_KEY", "A" * 42 + "!"),
        ("SERAI_IDENTITY_ISSUER", ""),
        ("SERAI_PUBLIC_URL", "shop.example"),
        ("SERAI_PUBLIC_URL", "https://shop.example/"),
        ("SERAI_ARGON2_MEMORY_KIB", "100"),
        ("SERAI_ARGON2_PASSES", "0"),
        ("SERAI_PASSWORD_HASHES_MAX", "0"),
        ("SERAI_LOGINS_PER_ADDRESS", "-1"),
    ],
)
def test_what_cannot_be_run_with_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load({variable: value})
    name = variable.removeprefix("SERAI_")
    assert name in str(refusal.value) or name.lower() in str(refusal.value)


@given(
    st.builds(
        Settings,
        port=st.integers(1, 65535),
        drain_s=st.floats(0.1, 600),
        metrics=st.booleans(),
        data_dir=st.text(st.characters(blacklist_categories=["Cs", "Cc"])),
    )
)
def test_settings_survive_their_way_to_a_child_process(own: Settings) -> None:
    assert load(environment_of(own)) == own


def test_options_stand_above_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERAI_PORT", "81")
    monkeypatch.setenv("SERAI_HOST", "0.0.0.0")  # noqa: S104 - nothing listens
    own = settings.load_with(port=82, host=None)
    assert (own.port, own.host) == (82, "0.0.0.0")  # noqa: S104


@pytest.mark.parametrize(
    ("owner", "app"),
    [
        (
            "postgresql://u:p%40@h:1/d",
            "postgresql://u:p%40@h:1/d?options=-c%20role%3Dserai_app",
        ),
        (
            "postgresql://u@/d?host=%2Ftmp%2Fx&port=5",
            "postgresql://u@/d?host=%2Ftmp%2Fx&port=5&options=-c%20role%3Dserai_app",
        ),
        (
            "postgresql://h/d?options=-c%20geqo%3Doff",
            "postgresql://h/d?options=-c%20geqo%3Doff%20-c%20role%3Dserai_app",
        ),
    ],
)
def test_the_walled_url_is_the_owners_with_another_role(owner: str, app: str) -> None:
    assert walled(owner).replace("%2F", "/") == app.replace("%2F", "/")


def test_a_url_that_is_given_is_not_derived() -> None:
    assert app_url(Settings(database_url="postgresql://a/b", database_app_url="x")) == "x"
    with pytest.raises(SettingsError):
        app_url(Settings())


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t word\n", "utf-8")
    own = load({"SERAI_CALLBACK_SECRET_FILE": str(secret)})
    assert own.callback_secret == "s3cr3t word"
    assert load(environment_of(own)) == own
    for variable in (
        "SERAI_DATABASE_URL_FILE",
        "SERAI_DATABASE_APP_URL_FILE",
        "SERAI_SMTP_URL_FILE",
    ):
        name = variable.removeprefix("SERAI_").removesuffix("_FILE").lower()
        assert getattr(load({variable: str(secret)}), name) == "s3cr3t word"


@pytest.mark.parametrize("content", [b"s3cr3t" * 20_000, b"s3cr3t\xff"])
def test_a_file_that_does_not_fit_is_refused_and_nothing_of_it_told(
    tmp_path: Path, content: bytes
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    with pytest.raises(SettingsError, match="SERAI_CALLBACK_SECRET_FILE") as refusal:
        load({"SERAI_CALLBACK_SECRET_FILE": str(secret)})
    assert "s3cr3t" not in str(refusal.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"SERAI_CALLBACK_SECRET_FILE": "/nowhere/at/all"},
        {"SERAI_CALLBACK_SECRET_FILE": "/", "SERAI_CALLBACK_SECRET": "x"},
        {"SERAI_NO_SUCH_THING_FILE": "/dev/null"},
        {"SERAI_TLS_CERTIFICATE": "/dev/null"},
        {"SERAI_TLS_KEY": "/dev/null"},
        {"SERAI_TLS_KEY": "/nowhere/key", "SERAI_TLS_CERTIFICATE": "/nowhere/certificate"},
    ],
)
def test_files_that_are_not_there_or_belong_together_are_refused(
    environment: dict[str, str],
) -> None:
    with pytest.raises(SettingsError, match="SERAI_"):
        load(environment)


def test_hsts_follows_tls(tmp_path: Path) -> None:
    for name in ("pem", "key"):
        (tmp_path / name).write_text("x")
    files = {
        "SERAI_TLS_CERTIFICATE": str(tmp_path / "pem"), "SERAI_TLS_KEY": str(tmp_path / "key")
    }  # fmt: skip
    own = load(files)
    assert (own.tls, own.has_tls) == ((tmp_path / "pem", tmp_path / "key"), True)
    assert (load({}).tls, load({}).has_tls) == (None, False)
    assert load({"SERAI_TLS_IN_FRONT": "true"}).has_tls
