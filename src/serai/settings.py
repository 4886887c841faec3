"""Settings come from the environment only, are checked once at start and never change after."""

import logging
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import msgspec

PREFIX = "SERAI_"


class SettingsError(Exception):
    """The environment holds a value that Serai cannot run with; the message says which and why."""


class Settings(msgspec.Struct, frozen=True):
    """Everything that can be set; the variable of `data_dir` is SERAI_DATA_DIR, and so on."""

    data_dir: str = ".serai"
    """Where the embedded PostgreSQL and local files live."""
    postgres_bin: str = ""
    """The folder with the programs of the PostgreSQL to embed; empty: the wheel's."""
    database_url: str = ""
    """A PostgreSQL 15+ server, as the owner of the schemas; empty: the embedded one."""
    database_app_url: str = ""
    """The same database as the walled role `serai_app`; empty: derived from `database_url`."""
    databases: str = ""
    """Where single tenants' databases are: a JSON object from names to owners' URLs (or to
    `{"owner": URL, "app": URL}`), or a file with it. One that is not named is beside the main."""
    connections_max: int = 40
    """Connections that the pools of one process may hold to all databases together."""
    host: str = "127.0.0.1"
    port: int = 8000
    worker_port: int = 8001
    """Where a worker answers /livez, /readyz and /metrics."""
    pool_max: int = 10
    """Connections that one process may hold to the main database."""
    body_bytes_max: int = 2 * 1024 * 1024
    queue_max: int = 4096
    """Commands that may wait in one batch queue before the edge answers 503."""
    drain_s: float = 10.0
    """How long a process may take to finish what it began after SIGTERM."""
    drain_notice_s: float = 0.0
    """How long /readyz says 503 before the API stops accepting: what a load balancer needs."""
    payment_provider: str = "direct"
    """`direct`: the sandbox in this process; else the URL of a sandbox server."""
    payment_deadline_s: float = 900.0
    """How long an order may stay unpaid before it expires and frees its stock."""
    payment_timeout_s: float = 5.0
    callback_secret: str = "sandbox-callback-secret"  # noqa: S105 - the sandbox moves no money
    smtp_url: str = ""
    """smtp://user:password@host:port; empty: mails are printed on the console."""
    mail_from: str = "shop@serai.example"
    log_level: str = "info"
    metrics: bool = True
    clock_offset_s: float = 0.0
    """How far the clock of this process is wrong, on purpose: for `serai prove`, never for a shop.

    It moves what a process takes for the present (deadlines, time stamps, ages of signatures);
    leases go by the clock of PostgreSQL, and are not moved.
    """

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir).absolute()


def version() -> str:
    """The version that is installed; of a tree that is merely on the path nobody knows it."""
    try:
        return metadata.version("serai")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads SERAI_* variables; refuses unknown names and values of the wrong type."""
    environment = os.environ if environment is None else environment
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    given: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            raise SettingsError(f"{variable} is not a setting; known: {', '.join(sorted(known))}")
        given[name] = value
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"the environment does not fit: {error}") from error
    _check(settings)
    return settings


def load_with(**given: object) -> Settings:
    """The environment's settings, some of them given anew, as by options; None gives nothing."""
    chosen = {f"{PREFIX}{name.upper()}": str(v) for name, v in given.items() if v is not None}
    return load({**os.environ, **chosen})


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make these settings again, for a process of ours."""
    values = msgspec.structs.asdict(settings).items()
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in values}


def _check(settings: Settings) -> None:
    bounds = {
        "port": (1, 65535), "worker_port": (1, 65535), "pool_max": (2, 500),
        "connections_max": (2, 5000),
        "body_bytes_max": (1024, 64 * 1024 * 1024), "queue_max": (1, 1_000_000),
        "drain_s": (0.1, 600), "drain_notice_s": (0, 120), "payment_deadline_s": (0.1, 90 * 86400),
        "payment_timeout_s": (0.05, 120), "clock_offset_s": (-86400, 86400),
    }  # fmt: skip
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            variable = f"{PREFIX}{name.upper()}"
            raise SettingsError(f"{variable} is {value}; it must be within {low} and {high}")
    provider = settings.payment_provider
    if provider != "direct" and not provider.startswith(("http://", "https://")):
        raise SettingsError(f"SERAI_PAYMENT_PROVIDER is {provider!r}; it must be `direct` or a URL")
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        raise SettingsError(f"SERAI_LOG_LEVEL is {settings.log_level!r}; `info` is a usual one")
