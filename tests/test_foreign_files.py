"""Nothing that is loaded runs code, and every reader refuses what it cannot read."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import commenv_baselines
import numpy as np
import pytest

import commenv
from commenv.channel import (
    HEADER,
    BitErrors,
    Channel,
    Decoder,
    Delta,
    Encoder,
    Float16,
    Identity,
    Int8,
    Messages,
    Packets,
    Uniform,
)
from commenv.channel.shapes import uplink_wiring
from commenv.cli import main
from commenv.cli.values import value_of
from commenv.errors import MalformedMessage, ResultsError, shown
from commenv.importing import imported, registered, search
from commenv.learning import make_scheme
from commenv.rng import Draws
from commenv.study.storage import safe_parquet
from commenv.study.storage.store import Store
from commenv.study.storage.stored_block import ENDINGS
from tests.study.storage.seals import reseal

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SOURCES = [
    path
    for package in (commenv, commenv_baselines)
    for path in sorted(Path(package.__path__[0]).rglob("*.py"))
]
NEVER = {
    *("eval", "exec", "compile", "os.system", "os.popen", "input"),
    *("pickle.load", "pickle.Unpickler", "marshal.load", "marshal.loads"),
    *("shelve.open", "dill.load", "dill.loads", "joblib.load", "pandas.read_pickle"),
    *("pd.read_pickle", "cloudpickle.load", "cloudpickle.loads", "yaml.unsafe_load"),
    *("yaml.load", "yaml.full_load", "runpy.run_path", "code.interact"),
}
ONLY_WITH = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
COPIES = {"algorithm.py", "codec.py", "link.py", "scheme.py"}
"""Of commenv.testing: they copy the objects of their caller, and read no file."""


def spelt(node):
    """``a.b.c`` of a call's function; empty for anything else."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def misuses(tree):
    """Calls that could run what they read, as lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in (
            *("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"),
        ):
            yield f"{node.lineno}: from {node.module} import"
        if not isinstance(node, ast.Call):
            continue
        name = spelt(node.func)
        if name in NEVER or name == "pickle.loads":
            yield f"{node.lineno}: {name}"
        if name in ONLY_WITH:
            keyword, value = ONLY_WITH[name]
            given = {one.arg: one.value for one in node.keywords}
            constant = given.get(keyword)
            if not isinstance(constant, ast.Constant) or constant.value is not value:
                yield f"{node.lineno}: {name} without {keyword}={value}"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle\npickle.load(f)", True),
        ("from pickle import loads", True),
        ("eval('1')", True),
        ("np.load(f)", True),
        ("np.load(f, allow_pickle=True)", True),
        ("np.load(f, allow_pickle=False)", False),
        ("torch.load(f)", True),
        ("torch.load(f, weights_only=True)", False),
        ("model.eval()", False),
        ("yaml.load(f)", True),
    ],
)
def test_the_search_for_such_calls_finds_them(code, found):
    assert bool(list(misuses(ast.parse(code)))) == found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_reads_what_could_run(path):
    found = list(misuses(ast.parse(path.read_text())))
    if path.parent.name == "testing" and path.name in COPIES:
        found = [line for line in found if not line.endswith("pickle.loads")]
    assert found == []


EVIL = "from pathlib import Path\nPath({here!r}, 'ran').touch()\nclass Class: pass\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("foreign") / "study"
    how = {"num_agents": 2, "num_trials": 2, "num_episodes": 3, "progress": False}
    commenv.run("SimpleGrid-v0", ["dql", "es"], out=out, **how)
    return out


@pytest.fixture
def foreign(study, tmp_path, monkeypatch):
    """A results folder with modules beside it, in which somebody stands."""
    folder = shutil.copytree(study, tmp_path / "study")
    code = EVIL.format(here=str(tmp_path))
    for name in ("evil", "xgboost", "ray", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(code)
    packed = tmp_path / "evil-1.0.dist-info"
    packed.mkdir()
    (packed / "METADATA").write_text("Name: evil\nVersion: 1.0\n")
    entries = (
        "[commenv.algorithms]\nother = evil:Class\n[commenv.schemes]\nx = evil:Class"
    )
    (packed / "entry_points.txt").write_text(entries)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    assert not (tmp_path / "ran").exists()
    sys.modules.pop("evil", None)


def named(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["study"])
    path.write_text(json.dumps(manifest))
    reseal(folder)


CHANGES = (
    lambda study: study["arms"][0]["algorithm"].update({"class": "evil:Class"}),
    lambda study: study["arms"][0]["scheme"].update({"class": "evil:Class"}),
    lambda study: study["arms"][0].update(environment="evil:SimpleGrid-v0"),
    lambda study: study["arms"][0].update(env_kwargs={"a": {"class": "evil:Class"}}),
    lambda study: study["arms"][0]["uplink"]["codec"].update({"class": "evil:Class"}),
    lambda study: study["arms"][0]["downlink"].update({"class": "evil:Class"}),
    lambda study: study["arms"][0]["algorithm"].update(features="evil:Class"),
)
COMMANDS = (
    *(["show", "study"], ["show", "study", "--link", "lora"], ["plot", "study"]),
    *(["verify", "study", "--quiet"], ["evaluate", "study", "--episodes", "1"]),
    *(["evaluate", "study", "--label", "dql", "--episodes", "1"], ["report", "study"]),
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_class_that_a_foreign_manifest_names_is_never_imported(foreign, change):
    named(foreign, change)
    for words in COMMANDS:
        main(words)
    assert "evil" not in sys.modules


def test_packages_that_lie_beside_a_foreign_study_register_nothing(foreign):
    main(["verify", "study", "--quiet"])
    main(["list"])
    with pytest.raises(ValueError, match="cannot be imported"):
        imported("nowhere:Class", "codec")
    search(str(Path.cwd()))  # what a module:Name on the command line leads to
    assert "other" not in [entry.name for entry in registered("commenv.algorithms")]


def test_modules_that_lie_beside_a_foreign_study_are_no_missing_packages(foreign):
    before = list(sys.path)
    main(["show", "study"])
    assert sys.path == before


def test_the_current_folder_is_searched_where_an_argument_names_a_module(tmp_path):
    (tmp_path / "own.py").write_text("from commenv.learning import Always as Own\n")
    words = [
        "run",
        "--env",
        "SimpleGrid-v0",
        "--algorithm",
        "dql",
        "--scheme",
        "own:Own",
    ]
    words += ["--agents", "1", "--trials", "1", "--episodes", "1", "--quiet"]
    code = f"from commenv.cli import main; raise SystemExit(main({words}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_whatever_a_module_raises_is_said_in_words(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("def :")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        ValueError, match=r"cannot import 'broken' .SyntaxError: .*path"
    ):
        make_scheme("broken:Class", {})


@pytest.mark.parametrize("name", ["commenv.learning:Scheme", "argparse:Action"])
def test_classes_that_cannot_be_made_are_refused(name):
    with pytest.raises(ValueError, match=r"is abstract|is not a Scheme"):
        make_scheme(name, {})


# What was found by fuzzing, each with the smallest input that shows it.

ROW = np.dtype([("x", "<f4", (3,))])
SIGNALLING = np.array([0x7FA0_0000] * 3, "<u4").tobytes()
INFINITE = np.array([np.inf, -np.inf], "<f4").tobytes()


def decoded(codec, payloads):
    channel = Channel(codec, link=BitErrors(0.1), acknowledgements=True)
    decoder = Decoder(channel, uplink_wiring(Draws(0, [0], 1)))
    decoder.begin(ROW)
    headers = np.zeros(len(payloads), HEADER)
    headers["sequence"] = np.arange(len(payloads))
    sizes = np.array([len(one) for one in payloads])
    packets = Packets(
        np.zeros(len(payloads), np.intp),
        headers,
        np.frombuffer(b"".join(payloads), np.uint8),
        np.cumsum(sizes) - sizes,
        sizes,
    )
    return decoder.decode(packets)


@pytest.mark.parametrize(
    ("codec", "payloads"),
    [
        (Int8(), [SIGNALLING[:4] + bytes(4)]),
        (Uniform(bits=8), [INFINITE + bytes(3)]),
        (Uniform(bits=8), [SIGNALLING[:8] + bytes(3)]),
        (Float16(), [b"\0\x7d" * 3]),
        (Delta(Identity()), [b"\xff\xff\xff\xff" + SIGNALLING]),
        (
            Delta(Identity()),
            [
                b"\xff\xff\xff\xff" + np.full(3, np.inf, "<f4").tobytes(),
                b"\0\0\0\0" + np.full(3, -np.inf, "<f4").tobytes(),
            ],
        ),
    ],
)
def test_what_adds_up_to_no_number_is_malformed_without_a_warning(codec, payloads):
    with pytest.raises(MalformedMessage):
        decoded(codec, payloads)


def test_a_message_still_reads_after_these_checks():
    records = np.zeros(1, ROW)
    records["x"] = [1, 2, 3]
    messages = Messages(records, np.ones((1, 1), np.int64))
    channel = Channel(Delta(Identity()), acknowledgements=True)
    encoded = Encoder(channel, uplink_wiring(Draws(0, [0], 1))).encode(messages)
    read = decoded(Delta(Identity()), [encoded.data.tobytes()])
    assert read.records["x"].tolist() == [[1, 2, 3]]


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "copy")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda study: study.pop("num_trials"), "missing required field `num_trials`"),
        (lambda study: study.update(num_trials="two"), "Expected `int`, got `str`"),
        (lambda study: study.update(num_episodes=10**9), "`int` <= 10000000"),
        (lambda study: study["arms"][0].update(label="\x1b"), "and optima differ"),
        (lambda study: study["arms"][0].pop("scheme"), "required field `scheme`"),
    ],
)
def test_settings_that_readers_rely_on_are_checked_with_the_manifest(
    copy, change, words
):
    named(copy, change)
    with pytest.raises(ResultsError, match=f"damaged or not ours .*{words}"):
        commenv.load(copy)


def test_a_stop_that_is_no_dictionary_is_refused(copy):
    named(copy, lambda study: study.update(stop=3))
    with pytest.raises(ResultsError, match=r"damaged or not ours .*`\$.study.stop`"):
        commenv.study.storage.reconstruction.study_of(Store(copy))


def test_foreign_text_in_errors_is_short_and_printable(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text()) | {"format": "\x1b[31m" + "x" * 9000}
    path.write_text(json.dumps(manifest))
    with pytest.raises(ResultsError) as seen:
        Store(copy).manifest()
    assert "\x1b" not in str(seen.value)
    assert len(str(seen.value)) < 1000
    assert shown("a\tb\x07\n" + "c" * 500, 10) == "a b cccccc ..."


def block_of(folder):
    return next(folder.glob("blocks/00-*/trials-*.parquet"))


@pytest.mark.parametrize(
    "name", ["00000-999999999", "00000-00099", "00001-00000", "999999998-999999999"]
)
def test_a_name_cannot_claim_more_trials_than_the_block_has_rows(copy, name):
    block = Store(copy).block(block_of(copy))
    for path in (block.path, *map(block.beside, ENDINGS)):
        path.rename(path.with_stem(f"trials-{name}"))
    with pytest.raises(ResultsError, match=r"not a block of ours .see its name"):
        Store(copy).finished(0)


def test_a_few_bytes_that_stand_for_very_many_rows_are_refused(copy, monkeypatch):
    monkeypatch.setattr(safe_parquet, "_ALWAYS_BYTES", 2**20)
    monkeypatch.setattr(safe_parquet, "_BYTES_PER_BYTE", 16)
    path = block_of(copy)
    row = pq.read_table(path).slice(0, 1)
    rows = 20_000
    pq.write_table(row.take(pa.array(np.zeros(rows, np.int64))), path)
    reseal(copy)
    with pytest.raises(ResultsError, match=r"would take [\d,]+ bytes of memory"):
        Store(copy).block(path).table()


def test_one_long_text_in_many_rows_is_refused(copy, monkeypatch):
    monkeypatch.setattr(safe_parquet, "_BYTES_PER_BYTE", 16)
    path = block_of(copy)
    row = pq.read_table(path).slice(0, 1)
    long = row.set_column(0, "label", pa.array(["x" * 1_000_000]))
    pq.write_table(long.take(pa.array(np.zeros(400, np.int64))), path)
    reseal(copy)
    with pytest.raises(ResultsError, match=r"would take 400,\d+,\d+ bytes of memory"):
        Store(copy).block(path).table()


ENDLESS = ("manifest.json", "blocks", "sizes", "policies", "checksums")


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("kind", ["device", "pipe"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_never_ends_is_not_read(copy, name, kind, capsys):
    path = copy / name
    if path.is_dir():
        path = next(path.glob("00-*/trials-*"))
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert main(["verify", str(copy), "--all", "--quiet"]) == 1
    outcome = main(["evaluate", str(copy), "--episodes", "1"])
    assert outcome == (name != "sizes")
    said = "".join(capsys.readouterr())
    assert f"{path.name}" in said
    assert ("regular file" if kind == "pipe" else "is a symbolic link") in said


def changed(path, name, values):
    table = pq.read_table(path)
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, name, pa.array(values(table))), path)
    reseal(path.parents[2])


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("label", lambda t: ["other"] * len(t), "its label is not 'dql' throughout"),
        ("scheme", lambda t: ["\x1b[31m"] * len(t), "'scheme' holds control charact"),
        ("label", lambda t: [None] * len(t), "holds null, not str"),
        ("reward", lambda t: [[1.0]] * len(t), "holds list.*not float64"),
        ("episode", lambda t: [0.5] * len(t), "holds double, not int64"),
    ],
)
def test_a_block_of_other_types_or_labels_is_refused(copy, name, values, words):
    changed(block_of(copy), name, values)
    with pytest.raises(ResultsError, match=words):
        commenv.load(copy)


def test_a_label_is_no_formula(copy, tmp_path):
    label = r"$\frac{$"
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["study"]["arms"][0]["label"] = label
    manifest["optima"][label] = manifest["optima"].pop("dql")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    for path in copy.glob("blocks/00-*/trials-*.parquet"):
        changed(path, "label", lambda t: [label] * len(t))
    assert main(["plot", str(copy), "--out", str(tmp_path / "curves.svg")]) == 0


def test_numbers_beyond_any_sum_are_no_warning(copy, capsys):
    changed(block_of(copy), "reward", lambda t: [1.7e308] * len(t))
    changed(block_of(copy), "episode_length", lambda t: [1.7e308] * len(t))
    assert "inf" in str(commenv.load(copy))
    assert main(["verify", str(copy), "--block", "es:0", "--quiet"]) == 1
    assert "env_steps is not the sum" in capsys.readouterr().out


def figure(tmp_path, run='{"scale": {"samples": 10}, "seconds": 1}', claims=None):
    folder = tmp_path / "4.5"
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_bytes(run.encode("utf-8", "surrogateescape"))
    if claims is not None:
        (folder / "claims.csv").write_bytes(claims)
    return tmp_path


@pytest.mark.parametrize(
    "run",
    [
        *('{"scale": 3, "seconds": 1}', '{"scale": {"samples": "x"}, "seconds": 1}'),
        *('{"scale": {}, "seconds": 1e999}', '{"scale": {}, "seconds": "nan"}'),
        *('{"scale": {}, "seconds": 1, "named": []}', "[" * 10_000, "\udcff"),
    ],
)
def test_a_damaged_record_of_a_figure_is_named(tmp_path, run):
    with pytest.raises(ResultsError, match=r"run.json is damaged .*reproduce"):
        report(figure(tmp_path, run))


@pytest.mark.parametrize(
    "claims", [b"claim\nx\n", b"\xff\n", b'a\n"x', b"claim,p\nx,y\n"]
)
def test_damaged_claims_of_a_figure_are_named(tmp_path, claims):
    with pytest.raises(ResultsError, match=r"claims.csv is damaged"):
        report(figure(tmp_path, claims=claims))


@pytest.mark.parametrize("cut", [4, 20, 40])
def test_a_damaged_picture_of_a_figure_is_named(tmp_path, cut):
    image = pytest.importorskip("PIL.Image")
    root = figure(tmp_path)
    image.new("RGB", (9, 9)).save(root / "4.5" / "figure.png")
    whole = (root / "4.5" / "figure.png").read_bytes()
    (root / "4.5" / "figure.png").write_bytes(whole[:cut] + b"\x7f" + whole[cut + 1 :])
    with pytest.raises(ResultsError, match=r"figure.png is damaged"):
        report(root)


def report(root):
    from commenv_baselines.thesis.page import report

    return report(root, root / "page.md", root / "images")


def test_a_value_nested_too_deeply_is_a_mistake_in_the_usage():
    with pytest.raises(ValueError, match="nested too deeply"):
        value_of("[" * 100_000)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "{}", "--link", "lora,payload=1" + "0" * 400], "setting"),
        (
            ["show", "{}", "--link", "lora,spreading_factor=1" + "0" * 400],
            "whole number",
        ),
        (["evaluate", "{}", "--episodes", "1" + "0" * 13], "at most 10,000,000"),
    ],
)
def test_numbers_far_too_large_are_a_mistake_in_the_usage(copy, capsys, words, said):
    assert main([word.format(copy) for word in words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("delta+sparse,codec=1", "unknown setting of codec"),
        ("feedback+top_k,codec=x", "unknown setting of codec"),
        ("delta+top_k,key_every", "k of codec top_k must be an integer"),
        ("delta+sparse,key_every", "has no name"),
    ],
)
def test_the_codec_within_another_has_one_name(capsys, codec, said):
    words = ["run", "--env", "SimpleGrid-v0", "--algorithm", "es", "--codec", codec]
    assert main(words) == 2
    assert said in capsys.readouterr().err
