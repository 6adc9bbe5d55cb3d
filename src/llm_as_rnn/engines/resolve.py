"""From a model string to an engine: ours, or one that another package brings by an entry point."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llm_as_rnn.core.engine import Engine, EngineFactory, EngineOptions
from llm_as_rnn.core.errors import LlmAsRnnError, ModelError, UsageError
from llm_as_rnn.core.files import require_file
from llm_as_rnn.core.plugins import REPAIR, Plugins
from llm_as_rnn.engines.cache import CachedEngine, CacheMode
from llm_as_rnn.engines.llamacpp import LlamaCppEngine
from llm_as_rnn.engines.models import REGISTRY, ModelEntry, pull, registered
from llm_as_rnn.engines.naming import KINDS
from llm_as_rnn.engines.openai_compatible import DEFAULT_SLOTS, OpenAICompatibleEngine, chosen_url
from llm_as_rnn.engines.patience import PATIENCE, OnPause, PatientEngine
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.secrecy import account, address
from llm_as_rnn.engines.sources import Progress
from llm_as_rnn.engines.spending import Meter

GROUP = "llm_as_rnn.engines"


def _flaw(name: str, found: Any) -> str:
    return "" if callable(found) else "it is no function that makes an engine"


PLUGINS: Plugins[EngineFactory] = Plugins("engine", GROUP, lambda: KINDS, _flaw, ModelError)
"""Engines that other packages bring, by the kind that stands before the colon of a model string."""


def resolve(  # noqa: PLR0913 - a keyword each for what a user may say of an engine
    model: str,
    *,
    base_url: str | None = None,
    slots: int | None = None,
    context: int | None = None,
    cache_reuse: int = 0,
    cache_mode: CacheMode = "off",
    cache_folder: Path | None = None,
    timeout: float | None = None,
    patience: float | None = None,
    on_pause: OnPause | None = None,
    progress: Progress | None = None,
    meter: Meter | None = None,
) -> Engine:
    """Make the engine that a model string names; it is not open yet.

    Parameters
    ----------
    model : str
        ``llamacpp:NAME`` (a registered model, fetched if it is not there), ``llamacpp:FILE.gguf``, ``openai:MODEL``,
        ``scripted:FILE.jsonl``, or what another package has an engine for (`PLUGINS`).
    base_url : str, optional
        The server's address; for ``openai:`` and engines of other packages only.
    slots, context : int, optional
        Calls at the same time, and tokens that one call may hold; else the engine's own.
    cache_reuse : int
        Tokens from which on the embedded engine takes a stretch of a prompt from its cache that stands elsewhere now; 0
        for never. What was computed there knows what stood before it then, so answers may differ slightly.
    cache_mode : str
        ``off``, ``record`` or ``replay`` (see `CachedEngine`). To replay, the model itself is not needed.
    cache_folder : Path, optional
        Where the cache lies; needed unless it is off.
    timeout : float, optional
        Seconds for one attempt of a call; else 120 on a server and 300 here.
    patience : float, optional
        Seconds for which a server that cannot serve is waited for (see `PatientEngine`); else 600.
    on_pause : callable, optional
        Told when such a wait begins, and when it is over.
    progress : callable, optional
        Told how far a download is.
    meter : Meter, optional
        Counts what is spent, and stops at its limits; answers from a cache cost nothing.

    Raises
    ------
    ModelError
        If the string names nothing, or its file is missing and cannot be fetched.
    UsageError
        If a cache is asked for without a folder.
    """
    kind, name = split_model(model)
    if base_url and kind in KINDS and kind != "openai":
        raise ModelError(f"{model} is not on a server, so it has no base URL", f"write {KINDS['openai']}")
    if cache_reuse and kind != "llamacpp":
        raise ModelError(f"{model} keeps its cache itself", "leave --cache-reuse out, or tell the server")
    if cache_mode != "off" and cache_folder is None:
        raise UsageError("a cache needs a folder", "give one, or turn the cache off")
    place = address(chosen_url(base_url)) if kind == "openai" else address(base_url or "")
    kept_as = account(place) if cache_mode != "off" else ""
    if cache_folder is not None and cache_mode == "replay":
        return CachedEngine(model, cache_folder, cache_mode, endpoint=place.url, account=kept_as)
    engine: Engine
    if kind == "llamacpp":
        path, entry = _model_file(name, progress)
        engine = LlamaCppEngine(
            path,
            model=model,
            entry=entry,
            slots=slots or DEFAULT_SLOTS,
            context=context,
            cache_reuse=cache_reuse,
            timeout=timeout or 300.0,
        )
    elif kind == "openai":
        server = OpenAICompatibleEngine(name, base_url=base_url, slots=slots, context=context, timeout=timeout or 120.0)
        engine = PatientEngine(server, PATIENCE if patience is None else patience, on_pause)
    elif kind == "scripted":
        engine = ScriptedEngine.from_file(Path(name))
    else:
        foreign = _foreign(kind, name, EngineOptions(model, base_url, slots, context, timeout))
        engine = PatientEngine(foreign, PATIENCE if patience is None else patience, on_pause)
    if meter is not None:
        engine = meter.watch(engine)
    if cache_folder is not None and cache_mode == "record":
        return CachedEngine(model, cache_folder, cache_mode, engine, endpoint=place.url, account=kept_as)
    return engine


def split_model(model: object) -> tuple[str, str]:
    """Split a model string into its kind and its name, whether there is such a model or not.

    Raises
    ------
    ModelError
        If it is of no kind that there is.

    Examples
    --------
    >>> split_model("llamacpp:smollm2-135m")
    ('llamacpp', 'smollm2-135m')
    """
    given = str(model)
    kind, _, name = given.partition(":")
    if isinstance(model, str) and kind in KINDS and name:
        return kind, name
    others = PLUGINS.names()
    if isinstance(model, str) and kind in others and name:
        return kind, name
    near = get_close_matches(kind, [*KINDS, *others, *REGISTRY], n=1)
    meant = ""
    if near:
        meant = f"llamacpp:{near[0]}" if near[0] in REGISTRY else f"{near[0]}:{name or '...'}"
    elif given.endswith(".gguf"):
        meant = f"llamacpp:{given}"
    ways = [*KINDS.values(), *(f"{one}:NAME" for one in others)]
    question = f"did you mean {meant}? " if meant else ""
    raise ModelError(f"{model!r} names no model", f"{question}write {', '.join(ways)}")


def _foreign(kind: str, name: str, options: EngineOptions) -> Engine:
    """Make an engine of another package.

    Raises
    ------
    ModelError
        If it cannot be made, or calls itself otherwise: what it answers could not be told apart from others' answers.
    """
    factory = PLUGINS.get(kind)
    assert factory is not None  # noqa: S101 - `split_model` has found it
    try:
        engine = factory(name, options)
        called = engine.info.model
    except LlmAsRnnError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ModelError(f"the engine of {options.model} cannot be made: {said}", REPAIR) from error
    if called != options.model:
        raise ModelError(f"the engine of {options.model} calls itself {called!r}", REPAIR)
    return engine


def _model_file(name: str, progress: Progress | None) -> tuple[Path, ModelEntry | None]:
    if name not in REGISTRY and (name.endswith(".gguf") or Path(name).name != name):
        path = Path(name).expanduser()
        try:
            require_file(path)
        except FileNotFoundError:
            raise ModelError(f"there is no file {path}", "check the path") from None
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}", "check the path") from error
        return path, None
    return pull(name, progress), registered(name)
