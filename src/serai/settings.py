"""Settings come from the environment only, are checked once at start and never change after."""

import logging
import os
import re
from collections.abc import Mapping
from importlib import metadata
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import msgspec

PREFIX = "SERAI_"
_DNS_SERVER = r"[0-9a-fA-F:.]{2,45}(?:#[0-9]{1,5})?"
_DNS_SERVERS = re.compile(rf"{_DNS_SERVER}(?:, *{_DNS_SERVER})*", re.ASCII)
_IDENTITY_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?", re.ASCII)
_PUBLIC_URL = re.compile(r"https?://[a-z0-9.\[\]:-]+", re.ASCII)
QUIET_POOL_MAX = 2
"""Connections to the main database for looking after homes at rest there. A session remembers every
schema that it has met, so that few sessions are to meet those of hundreds of quiet homes."""
MAIN_SESSIONS = 4
"""Sessions that last which one process has in the main database beside its pool: the API's to hear
of keys and of rights, a worker's to listen and to show that it lives."""
FILE_SUFFIX = "_FILE"
"""SERAI_CALLBACK_SECRET_FILE names a file that holds the value; the same for every setting."""
FILE_BYTES_MAX = 64 * 1024


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
    """Connections that one process may hold to all databases together: its pools, and the sessions
    that last, of which a worker has two in each database of a home."""
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
    identity_key: str = ""
    """The installation's own key, 32 bytes in base64: it seals the signing keys, and the tokens in
    mails are made by it. The same for every process; empty: from `identity_key_file`."""
    identity_key_file: str = ""
    """A file that holds `identity_key`; empty: one that is made in `data_dir`."""
    identity_issuer: str = "serai"
    """The `iss` of access tokens: what others know this installation by, best its URL."""
    public_url: str = ""
    """Where browsers and apps reach the API, such as https://api.shop.example: a scheme and a host,
    no path. The issuer of a tenant's apps begins with it; empty: http(s)://host:port."""
    privacy_key: str = ""
    """What wraps the keys of personal data: 32 bytes in base64, or several, the newest first. The
    same for every process; empty: a file `privacy.key` that is made in `data_dir`."""
    privacy_vault_url: str = ""
    """A HashiCorp Vault whose transit engine wraps them instead, such as https://vault:8200."""
    privacy_vault_key: str = "serai"
    """The name of the key in its transit engine."""
    privacy_vault_token: str = ""
    argon2_memory_kib: int = 65_536
    """Memory of one password's hash; with another value each is made anew when it is next used."""
    argon2_passes: int = 3
    argon2_lanes: int = 1
    password_hashes_max: int = 2
    """Passwords that one process hashes at the same time; the others wait, or are told to."""
    dns_servers: str = ""
    """Where records that prove domains are asked for: addresses with commas between, `#port` after
    one that is not 53; empty: this machine's resolvers."""
    plans: str = ""
    """The plans that tenants may be put on: `ready-made`, or a JSON file with a list of them;
    empty: nothing is limited, metered or billed."""
    sign_up: bool = False
    """Whether anyone may sign up a shop of her own (`POST /v1/sign-ups`); needs a mail server."""
    logins_per_address: int = 60
    """Tries to sign in that one network address has, and one more every two seconds; 0: any number,
    for where a proxy hides the addresses. The tries of one account are always counted."""
    trusted_proxies: str = ""
    """The networks of the proxies before us, such as 10.0.0.0/8,192.0.2.7: whoever they say in
    `X-Forwarded-For` that they were called by is who calls. Empty: whoever connects is."""
    providers_at_home: bool = False
    """Whether OpenID Connect providers may be inside: at private addresses, and on this machine
    without TLS. For development, and for an installation whose provider is in its own network."""
    smtp_url: str = ""
    """smtp://user:password@host:port; empty: mails are printed on the console."""
    mail_from: str = "shop@serai.example"
    tls_certificate: str = ""
    """A PEM file; with `tls_key` the API itself speaks TLS, and no plain HTTP."""
    tls_key: str = ""
    tls_in_front: bool = False
    """Whether TLS is spoken by a proxy before us; then browsers are told to insist on it (HSTS)."""
    log_level: str = "info"
    metrics: bool = True
    clock_offset_s: float = 0.0
    """How far the clock of this process is wrong, on purpose: for `serai prove`, never for a shop.

    It moves what a process takes for the present (deadlines, time stamps, ages of signatures);
    leases go by the clock of PostgreSQL, and are not moved.
    """

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """The files of the certificate and its key, where the API speaks TLS itself."""
        if not self.tls_certificate:
            return None
        return Path(self.tls_certificate), Path(self.tls_key)

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the proxies whose word is taken."""
        return tuple(ip_network(part.strip()) for part in self.trusted_proxies.split(",") if part)

    @property
    def has_tls(self) -> bool:
        return self.tls_in_front or self.tls is not None

    @property
    def public_address(self) -> str:
        """`public_url`, or where the API listens."""
        return self.public_url or f"{self.scheme}://{self.host}:{self.port}"

    @property
    def scheme(self) -> str:
        """What the API itself speaks."""
        return "http" if self.tls is None else "https"

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
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name, value = variable.removeprefix(PREFIX).lower(), text
        if name not in known and variable.endswith(FILE_SUFFIX):
            name = name.removesuffix(FILE_SUFFIX.lower())
            if variable.removesuffix(FILE_SUFFIX) in environment:
                raise SettingsError(f"{variable} and the same without {FILE_SUFFIX} are both set")
            value = _read_secret(variable, text)
        if name not in known:
            raise SettingsError(f"{variable} is not a setting; known: {', '.join(sorted(known))}")
        given[name] = value
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"the environment does not fit: {error}") from error
    _check(settings)
    return settings


def _read_secret(variable: str, path: str) -> str:
    """What a file holds, without the line break at its end; nothing of it is ever in a message."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise SettingsError(f"{variable}: the file is larger than {FILE_BYTES_MAX} bytes")
        return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SettingsError(f"{variable}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{variable}: the file is not text in UTF-8") from error


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
        "argon2_memory_kib": (8192, 4 * 1024 * 1024), "argon2_passes": (1, 64),
        "argon2_lanes": (1, 16), "password_hashes_max": (1, 64),
        "logins_per_address": (0, 1_000_000),
    }  # fmt: skip
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            variable = f"{PREFIX}{name.upper()}"
            raise SettingsError(f"{variable} is {value}; it must be within {low} and {high}")
    least = settings.pool_max + QUIET_POOL_MAX + MAIN_SESSIONS
    if settings.connections_max < least:
        raise SettingsError(
            f"SERAI_CONNECTIONS_MAX is {settings.connections_max}, and the main database alone "
            f"takes {least}: SERAI_POOL_MAX ({settings.pool_max}), {QUIET_POOL_MAX} for homes at "
            f"rest and {MAIN_SESSIONS} sessions that last"
        )
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("SERAI_TLS_CERTIFICATE and SERAI_TLS_KEY belong together")
    for file in settings.tls or ():
        if not file.is_file():
            raise SettingsError(f"SERAI_TLS_CERTIFICATE or SERAI_TLS_KEY: there is no file {file}")
    if bool(settings.privacy_vault_url) != bool(settings.privacy_vault_token):
        raise SettingsError("SERAI_PRIVACY_VAULT_URL and SERAI_PRIVACY_VAULT_TOKEN belong together")
    _check_words(settings)
    _check_identity(settings)


def _check_words(settings: Settings) -> None:
    provider = settings.payment_provider
    if provider != "direct" and not provider.startswith(("http://", "https://")):
        raise SettingsError(f"SERAI_PAYMENT_PROVIDER is {provider!r}; it must be `direct` or a URL")
    if settings.dns_servers and not _DNS_SERVERS.fullmatch(settings.dns_servers):
        raise SettingsError(
            "SERAI_DNS_SERVERS must be IP addresses, like 192.0.2.53,192.0.2.54#5353"
        )
    try:
        trusts_all = any(network.prefixlen == 0 for network in settings.proxies)
    except ValueError as error:
        raise SettingsError(
            f"SERAI_TRUSTED_PROXIES must be networks, like 10.0.0.0/8,192.0.2.7: {error}"
        ) from error
    if trusts_all:
        raise SettingsError("SERAI_TRUSTED_PROXIES must not trust everybody: name your proxies")
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        raise SettingsError(f"SERAI_LOG_LEVEL is {settings.log_level!r}; `info` is a usual one")


def _check_identity(settings: Settings) -> None:
    if settings.identity_key and not _IDENTITY_KEY.fullmatch(settings.identity_key):
        raise SettingsError("SERAI_IDENTITY_KEY must be 32 bytes in base64url (43 characters)")
    if not settings.identity_issuer:
        raise SettingsError("SERAI_IDENTITY_ISSUER must not be empty")
    if settings.public_url and not _PUBLIC_URL.fullmatch(settings.public_url):
        raise SettingsError(
            f"SERAI_PUBLIC_URL is {settings.public_url!r}; it must be like https://api.shop.example"
        )
