"""What can be chosen for a service, and who chose it: flags, the environment, one TOML file, or nobody.

`ServiceSettings` is the declaration, as `core.settings.Settings` is that of how a model learns: options, names in the
environment, names in the file and what ``serve --show-config`` prints are made from its fields.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_origin

import msgspec

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.knobs import Knob, knob, knobs
from llm_as_rnn.core.records import Record
from llm_as_rnn.engines.naming import DEFAULT_MODEL

PREFIX = "LLM_AS_RNN_"
"""What names in the environment begin with."""

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""Names the TOML file in the environment."""

FILE = "service.toml"
"""The file's name in the folder of the user's settings, where none is named."""

DATABASE = "service.db"
"""The database's name in the folder of the user's data, where none is named."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that nobody reaches from another machine."""

ADDRESSES = ("database", "base_url")
"""Settings that may hold a login."""


def require_seconds(seconds: float) -> None:
    """Refuse a time span that is none.

    Raises
    ------
    UsageError
        If it is not above 0, or has no end.
    """
    if not 0 < seconds < math.inf:
        raise UsageError(f"{seconds:g} is no number of seconds above 0", "write 30, say")


def require_port(port: int) -> None:
    """Refuse a port that no machine has.

    Raises
    ------
    UsageError
        If it is too large.
    """
    if port > 65_535:  # noqa: PLR2004 - there are so many
        raise UsageError(f"there is no port {port}", "choose one up to 65535, or 0 for any that is free")


class ServiceSettings(Record, frozen=True):
    """What can be chosen for a service.

    Attributes
    ----------
    host : str
        The address that it listens at.
    port : int
        The port; 0 for any that is free.
    database : str or None
        Where sessions are kept; None for an SQLite file in the folder of the user's data.
    model : str
        As for ``run``.
    base_url : tuple of str
        Servers that serve the model, for ``openai:`` models.
    context, cache_reuse, timeout, patience
        As `engines.resolve.resolve` takes them; times are in seconds.
    prices : str or None
        The path of a table of prices (see `engines.spending.read_prices`).
    body_bytes : int
        The largest body of a request, in bytes.
    request_seconds : float
        Seconds from a request's first byte until its answer begins.
    longest_wait : float
        Seconds that ``?wait=`` may ask for.
    most_requests : int
        Requests that are under way at the same time.
    batch_concurrency : int
        Sessions of one batch that are worked on at the same time.
    shutdown_seconds : float
        Seconds that requests have to end when the service is told to stop.
    log_requests : bool
        Whether a line is written for each request.
    """

    host: Annotated[str, knob("Address to listen at.")] = "127.0.0.1"
    port: Annotated[int, knob("Port to listen at; 0 for any that is free.", least=0, check=require_port)] = 8000
    database: Annotated[
        str | None,
        knob(
            "Where sessions are kept: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
            default=f"{DATABASE} in the folder of the user's data, by SQLite",
        ),
    ] = None
    model: Annotated[str, knob("The model that is asked, named as for `run`.")] = DEFAULT_MODEL
    base_url: Annotated[
        tuple[str, ...],
        knob("URL of an OpenAI-compatible server; several times for several.", default="OPENAI_BASE_URL"),
    ] = ()
    context: Annotated[
        int | None, knob("Context window in tokens, for the embedded engine.", least=1, default="the model's")
    ] = None
    cache_reuse: Annotated[
        int, knob("Tokens from which on the embedded engine reuses a stretch of a prompt that has moved.", least=0)
    ] = 0
    timeout: Annotated[
        float | None,
        knob(
            "Seconds for one attempt of a call.",
            default="120 on a server, 300 on this machine",
            check=require_seconds,
        ),
    ] = None
    patience: Annotated[
        float | None, knob("Seconds to wait for a model's server that cannot serve.", least=0, default="600")
    ] = None
    prices: Annotated[
        str | None, knob("A TOML file of what models cost, as for `run`.", default="nothing costs money")
    ] = None
    body_bytes: Annotated[int, knob("Largest body of a request, in bytes.", least=1)] = 8 * 2**20
    request_seconds: Annotated[
        float, knob("Seconds from the beginning of a request until its answer begins.", check=require_seconds)
    ] = 300.0
    longest_wait: Annotated[float, knob("Seconds that ?wait= may ask for at most.", check=require_seconds)] = 60.0
    most_requests: Annotated[
        int, knob("Requests under way at the same time; further ones are told to come back.", least=1)
    ] = 1024
    batch_concurrency: Annotated[int, knob("Sessions of one batch that are worked on at the same time.", least=1)] = 32
    shutdown_seconds: Annotated[
        float, knob("Seconds that requests have to end when the service stops.", check=require_seconds)
    ] = 30.0
    log_requests: Annotated[bool, knob("Write a line for each request.", default="on")] = True

    @property
    def loopback(self) -> bool:
        """Whether nobody reaches it from another machine."""
        return self.host in LOOPBACK


class Configuration(NamedTuple):
    """Settings, and who chose each of them.

    Attributes
    ----------
    settings : ServiceSettings
        What holds.
    sources : dict of str to str
        By setting: the option, the variable, the file, or ``default``.
    """

    settings: ServiceSettings
    sources: dict[str, str]


def gather(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None, default: Path | None = None
) -> Configuration:
    """Bring together what was chosen: flags win over the environment, it over the file, and that over defaults.

    Parameters
    ----------
    flags : mapping
        By setting; None, and no servers, count as nothing chosen.
    environment : mapping
        As `os.environ`: ``LLM_AS_RNN_PORT`` is the setting ``port``.
    file : Path, optional
        The TOML file; else the one that the environment names.
    default : Path, optional
        The file that is read where none is named, if it is there.

    Raises
    ------
    UsageError
        If the file cannot be read or names what is no setting, or a value does not fit. It says where that stands.

    Examples
    --------
    >>> found = gather({"port": 1234}, {"LLM_AS_RNN_PORT": "99", "LLM_AS_RNN_BASE_URL": "http://a/v1 http://b/v1"})
    >>> found.settings.port, found.settings.base_url
    (1234, ('http://a/v1', 'http://b/v1'))
    >>> found.sources["port"], found.sources["base_url"], found.sources["host"]
    ('--port', 'LLM_AS_RNN_BASE_URL', 'default')
    """
    if file is None and (named := environment.get(CONFIG_VARIABLE)):
        file = Path(named)
    if file is None and default is not None and default.is_file():
        file = default
    written = {} if file is None else read_settings(file)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, known in knobs(ServiceSettings).items():
        variable = f"{PREFIX}{name.upper()}"
        flag = flags.get(name)
        if flag is not None and flag != ():
            values[name], sources[name] = known.read(flag), f"--{name.replace('_', '-')}"
        elif variable in environment:
            values[name], sources[name] = _read(known, _plain(known, environment[variable]), variable), variable
        elif name in written:
            values[name], sources[name] = _read(known, written[name], f"{name} in {file}"), str(file)
        else:
            sources[name] = "default"
    return Configuration(ServiceSettings(**values), sources)


def read_settings(file: Path) -> dict[str, Any]:
    """Read what a TOML file chooses.

    Raises
    ------
    UsageError
        If it cannot be read, is no TOML, or has a name that is no setting.
    """
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "check the path") from error
    except ValueError as error:
        raise UsageError(f"{file} is no TOML: {error}", "write a line for each setting: port = 8000") from error
    for name in found:
        if name not in knobs(ServiceSettings):
            # Help reads no file, and this brings a reader of YAML with it.
            from llm_as_rnn.core.documents import did_you_mean  # noqa: PLC0415

            raise UsageError(f"{file}: there is no setting {name!r}", did_you_mean(name, knobs(ServiceSettings)))
    return found


def _plain(known: Knob, text: str) -> Any:
    """Read a text of the environment as the kind of value that a setting has; as it is, where it is none."""
    if get_origin(known.type) is tuple:
        return text.replace(",", " ").split()
    if known.type is bool:
        return {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}.get(text.lower(), text)
    try:
        return msgspec.convert(text, known.type, strict=False)
    except msgspec.ValidationError:
        return text


def _read(known: Knob, value: Any, where: str) -> Any:
    """Check a value that does not come from an option; the message says where it stands."""
    if get_origin(known.type) is tuple and isinstance(value, str):
        value = [value]
    try:
        return known.read(value)
    except UsageError as error:
        shown = HIDES if known.name in ADDRESSES else error.message
        raise UsageError(f"{where}: {shown}", f"correct {where}") from None


HIDES = "it is no text, or no list of texts"
"""What is said of an address that does not fit, which may hold a login."""


def shown(configuration: Configuration) -> str:
    """Show settings as a TOML file that could be read again, each with who chose it, and without secrets.

    Examples
    --------
    >>> print(shown(gather({"database": "postgresql://ann:pa55@db/learners"}, {})).splitlines()[2])
    database = "postgresql://ann:***@db/learners"  # --database
    """
    return "\n".join(
        _line(known, getattr(configuration.settings, name), configuration.sources[name])
        for name, known in knobs(ServiceSettings).items()
    )


def _line(known: Knob, value: Any, source: str) -> str:
    if value is None or value == ():
        return f"# {known.name}: {known.default_in_words}  # {source}"
    if known.name in ADDRESSES:
        value = without_secrets(value) if isinstance(value, str) else tuple(map(without_secrets, value))
    return f"{known.name} = {msgspec.json.encode(value).decode()}  # {source}"


def without_secrets(url: str) -> str:
    """Show an address without its password and what stands behind its question mark.

    Examples
    --------
    >>> without_secrets("postgresql://ann:secret@db:5432/learners?sslmode=require")
    'postgresql://ann:***@db:5432/learners?***'
    >>> without_secrets("sqlite:////var/lib/service.db")
    'sqlite:////var/lib/service.db'
    """
    # Help shows no address.
    from llm_as_rnn.engines.secrecy import HIDDEN, address  # noqa: PLC0415

    found = address(url)
    scheme, separator, rest = found.url.rpartition("://")
    user, password = found.login or ("", "")
    login = "" if found.login is None or HIDDEN in rest else f"{user}:{HIDDEN}@" if password else f"{HIDDEN}@"
    return f"{scheme}{separator}{login}{rest}{f'?{HIDDEN}' if found.query else ''}"
