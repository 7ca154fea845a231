"""FineWeb from a hub: a folder that plays the hub, a server that does, and all that can go wrong."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from llmcourse import cli, presets
from llmcourse.assets import download
from llmcourse.data import hub as module
from llmcourse.data import hub_tokens
from llmcourse.data.hub import fetch_fineweb, prepare_fineweb
from llmcourse.data.hub_client import HuggingFaceHub
from llmcourse.data.hub_request import parse_count, sample_of
from llmcourse.data.hub_tokens import DamagedFile, documents, encoding, tokenizer_for
from llmcourse.data.shards import ShardSet
from llmcourse.errors import CourseError
from llmcourse.tokenizer import Tokenizer

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

REPOSITORY, FOLDER = "HuggingFaceFW/fineweb-edu", "sample/10BT"
END = 100_257
TEXTS = [
    [f"Document {n} of file {f}: the cat sat on the mat, and {'then ' * (n % 7)}left. É ✓ \n" for n in range(60)]
    for f in range(3)
]  # fmt: skip


def ids_of(texts):
    """What the tokens must be, by the course's own encoder."""
    from llmcourse.tokenizer.pretrained import gpt4

    return [i for text in texts for i in (*gpt4().encode(text), END)]


ALL_IDS = ids_of([text for file in TEXTS for text in file])
ONE_FILE = len(ids_of(TEXTS[0]))


class FolderHub:
    """A folder that answers like the hub; notes what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fetched, self.listed = folder, [], 0
        self.break_at: str | None = None

    def files(self, repository, folder, revision):
        self.listed += 1
        found = sorted((self.folder / repository / folder).glob("*.parquet"))
        names = [str(f.relative_to(self.folder / repository)) for f in found]
        return f"exactly-{revision}-{self.listed}", names

    def fetch(self, repository, file, revision, into, again=False):
        if self.break_at and file.endswith(self.break_at):
            raise CourseError("cannot reach the hub: it is raining", hint="run it again")
        self.fetched.append((file.rsplit("/", 1)[1], revision, again))
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(self.folder / repository / file, into))


def write_parquet(path, texts, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"text": texts, "id": [str(n) for n in range(len(texts))], **columns})
    parquet.write_table(table, path, row_group_size=16)


@pytest.fixture
def hub(tmp_path):
    for n, texts in enumerate(TEXTS):
        write_parquet(tmp_path / "hub" / REPOSITORY / FOLDER / f"{n:03}_00000.parquet", texts)
    return FolderHub(tmp_path / "hub")


def fetch(out, hub, tokens=100, valid_tokens=50, **settings):
    settings = {"tokenizer": "cl100k", "workers": 1, "progress": False, **settings}
    return fetch_fineweb("fineweb-edu", out, tokens=tokens, valid_tokens=valid_tokens, hub=hub, **settings)  # fmt: skip


# --------------------------------------------------------------------------------- what comes of it


def test_the_tokens_are_those_of_the_text_in_its_order(hub, tmp_path):
    """Held out: the beginning, to the end of a document. Then exactly as many as were asked for."""
    fetch(tmp_path / "out", hub, tokens=2000, valid_tokens=100)
    valid = list(ShardSet.open(tmp_path / "out" / "valid"))
    train = list(ShardSet.open(tmp_path / "out" / "train"))
    assert valid + train == ALL_IDS[: len(valid) + 2000]
    assert len(train) == 2000
    assert valid[-1] == END
    assert 100 <= len(valid) < 100 + 60
    assert END not in valid[99:-1]  # the first document that ends there or later


def test_no_more_files_are_fetched_than_are_needed(hub, tmp_path):
    fetch(tmp_path / "few", hub, tokens=ONE_FILE - 200, valid_tokens=50)
    assert [name for name, *_ in hub.fetched] == ["000_00000.parquet"]
    hub.fetched.clear()
    fetch(tmp_path / "more", hub, tokens=ONE_FILE + 10, valid_tokens=50)
    assert [name for name, *_ in hub.fetched] == ["000_00000.parquet", "001_00000.parquet"]


def test_a_document_that_is_held_out_may_need_one_more_file(hub, tmp_path):
    """The tokens of one file suffice to the number, but the validation set ends later than asked."""
    fetch(tmp_path / "out", hub, tokens=ONE_FILE - 50, valid_tokens=50)
    assert len(hub.fetched) == 2
    assert len(ShardSet.open(tmp_path / "out" / "train")) == ONE_FILE - 50


def test_nothing_is_left_but_the_result(hub, tmp_path):
    fetch(tmp_path / "out", hub)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"train", "valid", "tokenizer.json", "fetched.json"}


def test_the_tokenizer_lies_beside_the_tokens(hub, tmp_path):
    out = fetch(tmp_path / "out", hub)
    text = Tokenizer.load(out).decode(list(ShardSet.open(out / "valid")))
    assert text.startswith("Document 0 of file 0: the cat sat on the mat")


def test_no_validation_set_if_none_is_asked_for(hub, tmp_path):
    out = fetch(tmp_path / "out", hub, valid_tokens=0)
    assert not (out / "valid").exists()
    assert list(ShardSet.open(out / "train")) == ALL_IDS[:100]


def test_what_was_fetched_is_written_down(hub, tmp_path):
    out = fetch(tmp_path / "out", hub)
    record = json.loads((out / "fetched.json").read_text())
    assert record["repository"] == REPOSITORY
    assert record["revision"] == "exactly-main-1"
    assert record["tokens"] == 100


def test_a_second_call_fetches_nothing(hub, tmp_path):
    fetch(tmp_path / "out", hub)
    before = ShardSet.open(tmp_path / "out" / "train").fingerprint
    hub.fetched.clear()
    fetch(tmp_path / "out", hub)
    assert hub.fetched == []
    assert ShardSet.open(tmp_path / "out" / "train").fingerprint == before


@pytest.mark.slow
def test_several_processes_give_the_same_tokens(hub, tmp_path):
    one = fetch(tmp_path / "one", hub, tokens=4000)
    three = fetch(tmp_path / "three", hub, tokens=4000, workers=3)
    assert ShardSet.open(one / "train").fingerprint == ShardSet.open(three / "train").fingerprint


def test_empty_documents_are_left_out(tmp_path):
    write_parquet(tmp_path / "a.parquet", ["one", "", None, "two"])
    assert list(documents(tmp_path / "a.parquet")) == [["one", "two"]]


def test_a_document_that_spells_the_separator_stays_one_document():
    with encoding("cl100k", 1) as encode:
        (ids,) = encode([["a <|endoftext|> b"]])
    assert list(ids).count(END) == 1


def test_a_hundred_thousand_spaces():
    with encoding("cl100k", 1) as encode:
        (ids,) = encode([["a" + " " * 300_000 + "b"]])
    assert ids.dtype == np.uint32
    assert ids[-1] == END


# ------------------------------------------------------------------------------------- interruptions


def test_an_interrupted_fetch_goes_on_after_its_last_part(hub, tmp_path):
    whole = fetch(tmp_path / "whole", hub, tokens=2 * ONE_FILE)
    hub.fetched.clear()
    hub.break_at = "001_00000.parquet"
    with pytest.raises(CourseError, match="raining"):
        fetch(tmp_path / "out", hub, tokens=2 * ONE_FILE)
    assert not (tmp_path / "out" / "train").exists()
    hub.break_at = None
    fetch(tmp_path / "out", hub, tokens=2 * ONE_FILE)
    assert [name[:3] for name, *_ in hub.fetched] == ["000", "001", "002"]  # none of them twice
    for part in ("train", "valid"):
        assert (
            ShardSet.open(tmp_path / "out" / part).fingerprint
            == ShardSet.open(whole / part).fingerprint
        )


def test_it_goes_on_with_the_revision_it_began_with(hub, tmp_path):
    """The data set may change in between; half of each would be neither."""
    hub.break_at = "001_00000.parquet"
    with pytest.raises(CourseError):
        fetch(tmp_path / "out", hub, tokens=ONE_FILE + 10)
    hub.break_at = None
    fetch(tmp_path / "out", hub, tokens=ONE_FILE + 10)
    assert hub.listed == 1
    assert {revision for _, revision, _ in hub.fetched} == {"exactly-main-1"}


@pytest.mark.parametrize("moment", ["a part", "valid", "train"])
def test_killed_while_writing(hub, tmp_path, monkeypatch, moment):
    """The program dies in the middle of a set of shards; the next call makes it whole."""
    original, calls = module.write_shards, []

    def dying(tokens, folder, **settings):
        calls.append(folder)
        if folder.name == moment or (moment == "a part" and len(calls) == 2):
            blocks = iter(tokens)
            first = next(blocks)

            def cut_short():
                yield first[: len(first) // 2]
                raise KeyboardInterrupt

            return original(cut_short(), folder, **settings)
        return original(tokens, folder, **settings)

    monkeypatch.setattr(module, "write_shards", dying)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "out", hub, tokens=ONE_FILE + 10)
    monkeypatch.undo()
    fetch(tmp_path / "out", hub, tokens=ONE_FILE + 10)
    valid = list(ShardSet.open(tmp_path / "out" / "valid"))
    assert (
        valid + list(ShardSet.open(tmp_path / "out" / "train"))
        == ALL_IDS[: len(valid) + ONE_FILE + 10]
    )


@pytest.mark.parametrize(
    "changes", [{"tokens": 101}, {"valid_tokens": 0}, {"tokens_per_shard": 2000}]
)
def test_a_folder_is_not_mixed_with_another_request(hub, tmp_path, changes):
    fetch(tmp_path / "out", hub)
    (name,) = changes
    with pytest.raises(CourseError, match=f"was fetched with {name}"):
        fetch(tmp_path / "out", hub, **changes)


def test_a_folder_with_other_shards_is_left_alone(hub, tmp_path):
    (tmp_path / "out" / "train").mkdir(parents=True)
    with pytest.raises(CourseError, match="not fetched"):
        fetch(tmp_path / "out", hub)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 1, "revision": 2}'])
def test_a_damaged_record(hub, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fetched.json").write_text(text)
    with pytest.raises(CourseError, match=r"fetched\.json cannot be read"):
        fetch(tmp_path / "out", hub)


# ------------------------------------------------------------------------------------ damaged files


def truncate(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def test_a_truncated_file_is_fetched_once_more(hub, tmp_path):
    """The first copy is cut short on its way, the second is whole."""
    original = hub.fetch

    def flaky(repository, file, revision, into, again=False):
        path = original(repository, file, revision, into, again)
        if not again:
            truncate(path, 0.7)
        return path

    hub.fetch = flaky
    out = fetch(tmp_path / "out", hub, valid_tokens=0)
    assert [again for *_, again in hub.fetched] == [False, True]
    assert list(ShardSet.open(out / "train")) == ALL_IDS[:100]


def test_a_file_that_is_truncated_on_the_hub(hub, tmp_path):
    path = hub.folder / REPOSITORY / FOLDER / "001_00000.parquet"
    truncate(path, 0.7)
    with pytest.raises(DamagedFile, match=r"001_00000\.parquet is cut short or damaged.*later"):
        fetch(tmp_path / "out", hub, tokens=2 * ONE_FILE)
    assert list((tmp_path / "out" / "files").iterdir()) == []  # a damaged file is not kept
    write_parquet(path, TEXTS[1])  # mended
    fetch(tmp_path / "out", hub, tokens=2 * ONE_FILE)
    assert [name[:3] for name, *_ in hub.fetched] == ["000", "001", "001", "001", "002"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_wherever_it_is_cut(tmp_path, share):
    write_parquet(tmp_path / "a.parquet", TEXTS[0])
    truncate(tmp_path / "a.parquet", share)
    with pytest.raises(DamagedFile):
        list(documents(tmp_path / "a.parquet"))


def test_bytes_that_were_overwritten(tmp_path):
    """The footer is whole, so the damage shows only when the text is read."""
    write_parquet(tmp_path / "a.parquet", TEXTS[0])
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:200] = bytes(196)
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(DamagedFile):
        list(documents(tmp_path / "a.parquet"))


def test_a_file_without_text(tmp_path):
    parquet.write_table(pyarrow.table({"image": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(CourseError, match="no column text") as error:
        list(documents(tmp_path / "a.parquet"))
    assert not isinstance(error.value, DamagedFile)  # fetching it again would not help


# ----------------------------------------------------------------------------------------- requests


def test_too_few_tokens_on_the_hub(hub, tmp_path):
    with pytest.raises(CourseError, match=f"has {len(ALL_IDS):,} tokens, fewer than the 1,000,050"):
        fetch(tmp_path / "out", hub, tokens=1_000_000)


def test_an_unknown_data_set_and_an_unknown_tokenizer(hub, tmp_path):
    with pytest.raises(CourseError, match=r"'c4'.*fineweb-edu"):
        fetch_fineweb("c4", tmp_path, tokens=10, hub=hub)
    with pytest.raises(CourseError, match=r"'bert'.*gpt2"):
        fetch(tmp_path / "out", hub, tokenizer="bert")


@pytest.mark.parametrize("changes", [{"tokens": 0}, {"valid_tokens": -1}])
def test_numbers_that_make_no_sense(hub, tmp_path, changes):
    with pytest.raises(CourseError, match="tokens"):
        fetch(tmp_path / "out", hub, **changes)


def test_the_smallest_sample_that_suffices():
    assert sample_of(9_000_000_000) == "sample/10BT"
    assert sample_of(33_600_000_000) == "sample/100BT"
    with pytest.raises(CourseError, match="340B"):
        sample_of(10**12)


def test_a_disk_that_is_too_small(hub, tmp_path):
    with pytest.raises(CourseError, match=r"GB are needed in .*free"):
        fetch(tmp_path / "out", hub, tokens=300_000_000_000)
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("10B", 10**10), ("1.5M", 1_500_000), ("300k", 300_000), ("4_096", 4096), (" 7 ", 7)],
)
def test_numbers_as_people_write_them(text, number):
    assert parse_count(text) == number


@pytest.mark.parametrize("text", ["", "B", "10Q", "-5", "1e9", "ten", "1.5.5M", "10b"])
def test_what_is_no_number(text):
    with pytest.raises(CourseError, match="no number"):
        parse_count(text)


# --------------------------------------------------------------------------------- presets, tokenizers


def test_the_tokenizer_follows_from_the_vocabulary():
    assert tokenizer_for(50_257) == "gpt2"
    assert tokenizer_for(50_304) == "gpt2"  # padded to a multiple of 64
    assert tokenizer_for(100_277) == "cl100k"
    with pytest.raises(CourseError, match=r"49,152.*50,257 \(gpt2\)"):
        tokenizer_for(49_152)


PRESET = """
description = "a small run on text from the hub"
[shards]
tokens_per_shard = 1000
dtype = "uint32"
[model]
config = "nano"
vocab_size = 100_277
[train]
data = "fineweb-edu"
batch_tokens = 110
micro_batch = 1
context = 11
steps = 20
lr = 1e-3
eval_every = 10
eval_tokens = 220
"""


def test_a_presets_data(hub, tmp_path):
    preset = presets.parse("small", PRESET)
    out = prepare_fineweb(preset, tmp_path / "out", hub=hub, progress=False)
    train = ShardSet.open(out / "train")
    assert out == tmp_path / "out"
    assert len(train) == 110 * 20 + 1
    assert len(train.names) == 3  # tokens_per_shard
    assert train.vocab_size == 100_277
    assert len(ShardSet.open(out / "valid")) > 220


def test_a_preset_without_evaluation_holds_nothing_out(hub, tmp_path):
    preset = presets.parse("small", PRESET.replace("eval_every = 10", "eval_every = 0"))
    out = prepare_fineweb(preset, tmp_path / "out", hub=hub, progress=False)
    assert not (out / "valid").exists()


def test_gpt2s_tokenizer_without_a_network(tmp_path, monkeypatch):
    def unreachable(url, *_, **__):
        raise CourseError(f"cannot download {url}: no network", hint="check the network")

    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(hub_tokens, "download", unreachable)
    hub_tokens.tokenizer_named.cache_clear()
    with pytest.raises(CourseError, match=r"GPT-2's tokenizer is missing.*r50k_base.*cl100k"):
        hub_tokens.tokenizer_named("gpt2")


def test_gpt2s_tokenizer_from_its_ranks(tmp_path, monkeypatch):
    """Its file is a list of ranks; here one with the 256 bytes and a word, under a checksum of its own."""
    import base64

    from llmcourse.assets import sha256_of

    ranks = [bytes([b]) for b in range(256)] + [b"th", b"the"]
    (tmp_path / "source").write_bytes(
        b"".join(base64.b64encode(t) + b" %d\n" % n for n, t in enumerate(ranks))
    )
    monkeypatch.setenv("LLMCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_tokens, "GPT2_SHA256", sha256_of(tmp_path / "source"))
    monkeypatch.setattr(hub_tokens, "GPT2_URL", (tmp_path / "source").as_uri())
    monkeypatch.setattr(hub_tokens, "download", lambda *a: download(*a, progress=False))
    hub_tokens.tokenizer_named.cache_clear()
    tokenizer = hub_tokens.tokenizer_named("gpt2")
    hub_tokens.tokenizer_named.cache_clear()
    assert tokenizer.encode("the") == [257]
    assert tokenizer.n_vocab == hub_tokens.TOKENIZERS["gpt2"]


# ----------------------------------------------------------------------------------- the real client


class Handler(BaseHTTPRequestHandler):
    """As much of the hub's language as its client needs to list a folder and fetch a file."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer()

    def answer(self, head=False):
        self.server.asked.append((self.command, self.path))
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        api = f"/api/datasets/{REPOSITORY}"
        if self.server.status:
            return self.send(self.server.status, b"{}")
        if path.startswith(f"{api}/revision/") or path == api:
            if path.endswith("/nowhere"):
                return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return self.send(200, json.dumps({"id": REPOSITORY, "sha": "a" * 40}).encode())
        if path.startswith(f"{api}/tree/{'a' * 40}/"):
            folder = self.server.folder / REPOSITORY / path.split("/", 7)[7]
            entries = [
                {"type": "file", "path": f"{path.split('/', 7)[7]}/{f.name}", "size": f.stat().st_size,
                 "oid": f.name}
                for f in sorted(folder.iterdir(), reverse=True)
            ]  # fmt: skip
            return self.send(200, json.dumps(entries).encode())
        resolve = f"/datasets/{REPOSITORY}/resolve/{'a' * 40}/"
        file = self.server.folder / REPOSITORY / path.removeprefix(resolve)
        if path.startswith(resolve) and file.is_file():
            headers = {"ETag": f'"{file.name}"', "X-Repo-Commit": "a" * 40}
            return self.send(200, file.read_bytes(), headers, head)
        code = "EntryNotFound" if path.startswith(resolve) else "RepoNotFound"
        return self.send(404, b"{}", {"X-Error-Code": code})

    def send(self, status, data, headers=None, head=False):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if not head and self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def server(hub):
    pytest.importorskip("huggingface_hub")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.folder, httpd.asked, httpd.status = hub.folder, [], 0
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        httpd.address = f"http://127.0.0.1:{httpd.server_address[1]}"
        yield httpd
        httpd.shutdown()


def test_the_real_client_lists_and_fetches(server, tmp_path):
    real = HuggingFaceHub(server.address)
    exact, files = real.files(REPOSITORY, FOLDER, "main")
    assert exact == "a" * 40
    assert files == [f"{FOLDER}/{n:03}_00000.parquet" for n in range(3)]  # in their order
    path = real.fetch(REPOSITORY, files[1], exact, tmp_path / "files")
    assert path.read_bytes() == (server.folder / REPOSITORY / files[1]).read_bytes()


def test_a_whole_fetch_through_the_real_client(server, tmp_path):
    out = fetch(tmp_path / "out", HuggingFaceHub(server.address), tokens=ONE_FILE, valid_tokens=0)
    assert list(ShardSet.open(out / "train")) == ALL_IDS[:ONE_FILE]


def test_a_file_that_is_there_is_not_fetched_again_unless_damaged(server, tmp_path):
    real = HuggingFaceHub(server.address)
    file = f"{FOLDER}/000_00000.parquet"

    def downloads():
        return sum(c == "GET" and "/resolve/" in p for c, p in server.asked)

    real.fetch(REPOSITORY, file, "a" * 40, tmp_path / "files")
    real.fetch(REPOSITORY, file, "a" * 40, tmp_path / "files")
    assert downloads() == 1
    real.fetch(REPOSITORY, file, "a" * 40, tmp_path / "files", again=True)
    assert downloads() == 2


def test_a_missing_file(server, tmp_path):
    """It was listed, and is gone."""
    with pytest.raises(CourseError, match=r"no such file: .*009_00000\.parquet") as error:
        HuggingFaceHub(server.address).fetch(
            REPOSITORY, f"{FOLDER}/009_00000.parquet", "a" * 40, tmp_path
        )
    assert "\n" not in str(error.value)


def test_a_missing_data_set_and_a_missing_revision(server):
    real = HuggingFaceHub(server.address)
    with pytest.raises(CourseError, match="no such data set: a/b"):
        real.files("a/b", FOLDER, "main")
    with pytest.raises(CourseError, match=r"no such revision: .*nowhere"):
        real.files(REPOSITORY, FOLDER, "nowhere")


def test_a_folder_without_parquet_files(server):
    (server.folder / REPOSITORY / "empty").mkdir()
    with pytest.raises(CourseError, match="no Parquet files in empty"):
        HuggingFaceHub(server.address).files(REPOSITORY, "empty", "main")


def test_a_server_that_is_out_of_order(server):
    server.status = 501
    with pytest.raises(CourseError, match="the hub answered 501"):
        HuggingFaceHub(server.address).files(REPOSITORY, FOLDER, "main")


def test_no_network(tmp_path):
    """Port 9 of this machine: nobody listens."""
    pytest.importorskip("huggingface_hub")
    with pytest.raises(CourseError, match=r"cannot reach the hub.*run it again") as error:
        fetch(tmp_path / "out", HuggingFaceHub("http://127.0.0.1:9"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_while_fetching(server, tmp_path, monkeypatch):
    import errno
    import os

    real = HuggingFaceHub(server.address)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(real._api, "hf_hub_download", full)
    with pytest.raises(CourseError, match="the disk is full"):
        fetch(tmp_path / "out", real)


# ---------------------------------------------------------------------------------------- the command


def test_the_command(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HuggingFaceHub", lambda: hub)
    arguments = ["data", "fetch", "fineweb-edu", "--tokens", "2k", "--valid", "100", "--tokenizer", "cl100k",
                 "--workers", "1", "--out", str(tmp_path / "out")]  # fmt: skip
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert "train: 2,000 tokens in 1 shards" in result.output
    assert "next: llmcourse pretrain --data" in result.output


def test_the_command_needs_to_know_how_much(tmp_path):
    result = CliRunner().invoke(cli.app, ["data", "fetch", "fineweb-edu", "--out", str(tmp_path)])
    assert result.exit_code == 2
