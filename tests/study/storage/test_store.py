from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

import commenv
from commenv.errors import ResultsError
from commenv.study.execution.block import run_block
from commenv.study.storage.manifest import differences
from commenv.study.storage.store import Store
from tests.study.storage.seals import reseal, reseal_manifest
from tests.study.studies import built

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def make_study(**changes):
    settings = {"num_agents": 2, "num_trials": 4, "num_episodes": 3} | changes
    return built("SimpleGrid-v0", "dql", settings={"env.size": 3}, **settings)


STUDY = make_study()
OPTIMA = {"dql": -3.0}


def fill(directory, *blocks):
    store = Store(directory)
    store.begin(STUDY, OPTIMA)
    for trials in blocks:
        sizes = []
        table = run_block(STUDY, STUDY.arms[0], list(trials), count=sizes.append)
        store.write_sizes(0, "dql", list(trials), sizes[0])
        store.write_block(0, "dql", table)
    return store


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A finished study in two blocks; copy it before changing anything."""
    return fill(tmp_path_factory.mktemp("full") / "study", range(3), [3]).directory


@pytest.fixture
def copy(full, tmp_path):
    return Store(shutil.copytree(full, tmp_path / "copy"))


def files(directory):
    return sorted(
        str(path.relative_to(directory)) for path in Path(directory).rglob("*")
    )


def test_the_layout_is_the_documented_one(full):
    assert files(full) == [
        "blocks",
        "blocks/00-dql",
        "blocks/00-dql/trials-00000-00002.parquet",
        "blocks/00-dql/trials-00003-00003.parquet",
        "checksums",
        "checksums/00-dql",
        "checksums/00-dql/trials-00000-00002.json",
        "checksums/00-dql/trials-00003-00003.json",
        "manifest.json",
        "sizes",
        "sizes/00-dql",
        "sizes/00-dql/trials-00000-00002.parquet",
        "sizes/00-dql/trials-00003-00003.parquet",
    ]


def test_the_manifest_holds_settings_optima_and_software(full):
    manifest = Store(full).manifest()
    assert manifest.study.plain() == STUDY.describe()
    assert manifest.optima == OPTIMA
    assert manifest.software["commenv"] == commenv.__version__
    expected = {"python", "numpy", "platform", "machine", "cpu", "simd", "blas", "libc"}
    assert expected <= manifest.software.keys()


def test_a_seed_of_any_size_comes_back(tmp_path):
    for _ in range(2):
        Store(tmp_path / "s").begin(make_study(seed=2**100 + 1), OPTIMA)
    with pytest.raises(ResultsError, match="seed"):
        Store(tmp_path / "s").begin(make_study(seed=2**100), OPTIMA)


def test_a_fresh_folder_has_no_finished_trial_and_no_frame(tmp_path):
    store = fill(tmp_path / "deep" / "down")
    assert store.finished(0) == set()
    with pytest.raises(ResultsError, match="no finished block yet; run the study"):
        store.frame()


def test_finished_trials_and_their_frame(full):
    assert Store(full).finished(0) == {0, 1, 2, 3}
    frame = Store(full).frame()
    expected = run_block(STUDY, STUDY.arms[0], range(4)).to_pandas()
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def test_blocks_that_overlap_count_once(tmp_path):
    store = fill(tmp_path / "s", [0, 1, 2], [1], [2, 3], range(4))
    sizes = []
    expected = run_block(STUDY, STUDY.arms[0], range(4), count=sizes.append)
    found = store.frame(), store.sizes()
    pd.testing.assert_frame_equal(found[0], expected.to_pandas(), check_exact=True)
    frames = (found[1], sizes[0].to_pandas())
    key = ["trial", "direction", "payload"]
    one, other = (frame.sort_values(key, ignore_index=True) for frame in frames)
    pd.testing.assert_frame_equal(one, other)


def test_a_block_without_its_sizes_is_named_with_the_cure(copy):
    (copy.directory / "sizes/00-dql/trials-00003-00003.parquet").unlink()
    assert len(copy.frame()) == 12
    with pytest.raises(ResultsError, match=r"sizes.00-dql.*00003.parquet is missing"):
        copy.sizes()
    reseal(copy.directory)
    words = (
        r"blocks.00-dql.trials-00003-00003.parquet was stored without the sizes of its "
        r"messages.* delete it .* and run the study again"
    )
    with pytest.raises(ResultsError, match=words):
        Store(copy.directory).sizes()


def test_sizes_that_are_damaged_are_named_with_their_block(copy):
    path = copy.directory / "sizes/00-dql/trials-00000-00002.parquet"
    other = copy.directory / "blocks/00-dql/trials-00000-00002.parquet"
    good = pd.read_parquet(path)
    path.write_bytes(path.read_bytes()[:100])
    for change in (None, {"payload": -1}, {"direction": "sideways"}, {"trial": 0.5}):
        if change is not None:
            good.assign(**change).to_parquet(path)
        for prepare in (None, reseal):
            if prepare is not None:
                prepare(copy.directory)
            with pytest.raises(ResultsError, match="is damaged") as seen:
                Store(copy.directory).sizes()
            assert f"delete {path} and {other} and run" in str(seen.value)
    path.write_bytes(other.read_bytes())
    reseal(copy.directory)
    with pytest.raises(ResultsError, match="is damaged"):
        Store(copy.directory).sizes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gamma": 0.5}, ["gamma: 0.9 there, 0.5 asked for"]),
        ({"last_trial": 2}, ["last_trial: None there, 2 asked for"]),
        ({"num_agents": 3, "seed": 7}, ["num_agents: 2", "seed: 0 there, 7"]),
        ({"stop": {"messages": 5}}, ["stop: None there, {'messages': 5}"]),
        ({"trace": True}, ["trace: False there, True asked for"]),
        (
            {"uplink": commenv.Channel(budget=commenv.Budget(messages=1))},
            ["uplink.budget.messages: None there, 1 asked for"],
        ),
        (
            {"downlink": commenv.Channel(link=commenv.BernoulliLoss(0.5))},
            ["downlink.link.class: ", "downlink.link.probability: None there, 0.5"],
        ),
    ],
)
def test_other_settings_are_refused_naming_each(copy, changes, said):
    before = files(copy.directory)
    with pytest.raises(ResultsError, match=r"other settings.*choose another") as seen:
        copy.begin(make_study(**changes), OPTIMA)
    assert all(words in str(seen.value) for words in said)
    assert str(seen.value).count(" asked for") == len(said)
    assert files(copy.directory) == before


def test_differences_are_found_at_any_depth():
    old = {"a": [{"b": 1, "c": 2}], "d": [1, 2], "e": None}
    assert differences(old, old) == []
    assert differences(old, {"a": [{"b": 1, "c": 3}], "d": [1], "e": 0}) == [
        "a[0].c: 2 there, 3 asked for",
        "d: 2 there, 1 asked for",
        "e: None there, 0 asked for",
    ]


def test_a_difference_is_told_briefly():
    deep = []
    for _ in range(400):
        deep = [deep]
    (line,) = differences({"a": deep}, {"a": "x" * 10_000})
    assert len(line) < 200


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        ResultsError, match=r"holds other files .'thesis.txt'. and no man"
    ):
        Store(tmp_path).begin(STUDY, OPTIMA)
    assert files(tmp_path) == ["thesis.txt"]


def test_an_empty_folder_is_taken(tmp_path):
    Store(tmp_path).begin(STUDY, OPTIMA)
    assert files(tmp_path) == ["manifest.json"]


def test_what_a_kill_leaves_behind_is_removed(tmp_path):
    (tmp_path / ".manifest.json.x7").write_text(
        "half"
    )  # killed before the first rename
    store = fill(tmp_path, [0])
    blocks, trace = tmp_path / "blocks" / "00-dql", tmp_path / "trace" / "00-dql"
    (blocks / ".trials-00001-00003.parquet.q1").write_text("half")
    sizes = tmp_path / "sizes" / "00-dql"
    (sizes / ".trials-00001-00003.parquet.q1").write_text("half")
    (sizes / "trials-00001-00003.parquet").write_text("its block was not written")
    checksums = tmp_path / "checksums" / "00-dql"
    (checksums / ".trials-00001-00003.json.q1").write_text("half")
    (checksums / "trials-00001-00003.json").write_text("its block was not written")
    for name in (".draft.z8", "trials-00000-00000", "trials-00001-00003"):
        (trace / name).mkdir(parents=True)
        (trace / name / "steps-0000.parquet").touch()
    assert store.finished(0) == {0}
    assert len(store.frame()) == 3
    store.begin(STUDY, OPTIMA)
    assert files(tmp_path) == [
        "blocks",
        "blocks/00-dql",
        "blocks/00-dql/trials-00000-00000.parquet",
        "checksums",
        "checksums/00-dql",
        "checksums/00-dql/trials-00000-00000.json",
        "manifest.json",
        "sizes",
        "sizes/00-dql",
        "sizes/00-dql/trials-00000-00000.parquet",
        "trace",
        "trace/00-dql",
        "trace/00-dql/trials-00000-00000",  # its block is there, so it is whole
        "trace/00-dql/trials-00000-00000/steps-0000.parquet",
    ]


def manifest_with(full, **changes):
    manifest = json.loads((full / "manifest.json").read_text())
    return json.dumps(manifest | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\ufffd",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"format": "commenv study"}',
    ],
)
def test_a_manifest_that_is_no_manifest_is_refused(copy, text):
    copy.manifest_path.write_text(text)
    for use in (copy.manifest, copy.frame, lambda: copy.begin(STUDY, OPTIMA)):
        with pytest.raises(ResultsError, match=r"damaged or not ours.*new folder"):
            use()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_manifest_is_refused(copy, kept):
    data = copy.manifest_path.read_bytes().rstrip()
    copy.manifest_path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ResultsError, match="damaged"):
        copy.frame()


@pytest.mark.parametrize(
    "changes",
    [
        {"study": {}},
        {"study": []},
        {"study": {"arms": 3}},
        {"study": {"arms": [3]}},
        {"study": {"arms": [{"label": 3}]}},
        {"study": {"arms": [{"label": "other"}]}},
        {"optima": None},
        {"optima": {"dql": "much"}},
        {"optima": {}},
        {"ranges": None},
        {"ranges": {"dql": {"evaluation": [1]}}},
        {"ranges": {"dql": {"evaluation": [1, 0]}}},
        {"ranges": {"dql": {"evaluation": ["low", "high"]}}},
        {"software": {"python": 3}},
        {"version": "1"},
        {"more": 1},
    ],
)
def test_a_manifest_of_wrong_types_is_refused(copy, changes):
    copy.manifest_path.write_text(manifest_with(copy.directory, **changes))
    with pytest.raises(ResultsError, match="damaged or not ours"):
        copy.frame()


@pytest.mark.parametrize("changes", [{"format": "other"}, {"version": 1}])
def test_another_format_is_named(copy, changes):
    copy.manifest_path.write_text(manifest_with(copy.directory, **changes))
    with pytest.raises(ResultsError, match="this commenv reads 'commenv study'") as one:
        copy.frame()
    assert str(next(iter(changes.values()))) in str(one.value)


@pytest.mark.parametrize("depth", [65, 300, 900])
def test_a_manifest_that_is_nested_too_deeply_is_refused(copy, depth):
    study = json.loads(copy.manifest_path.read_text())["study"]
    deep = "[" * depth + "]" * depth
    study["arms"][0]["uplink"]["codec"] = "DEEP"
    text = manifest_with(copy.directory, study=study)
    copy.manifest_path.write_text(text.replace('"DEEP"', deep))
    reseal(copy.directory)
    for use in (copy.frame, lambda: copy.begin(STUDY, OPTIMA)):
        with pytest.raises(ResultsError, match="is nested more than 64 times"):
            use()


def test_a_huge_manifest_is_not_read(copy):
    with copy.manifest_path.open("ab") as file:
        file.truncate(2**40)  # sparse: it takes no room, but reading it would
    with pytest.raises(ResultsError, match="more than the 16,777,216 that are read"):
        copy.manifest()


def test_no_folder_no_manifest_and_a_folder_in_its_place(tmp_path):
    with pytest.raises(ResultsError, match="results folder: it has no manifest"):
        Store(tmp_path / "nowhere").manifest()
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ResultsError, match=r"manifest.json is not a regular file"):
        Store(tmp_path).manifest()


@pytest.mark.parametrize("change", [('"gamma": 0.9', '"gamma": 0.8'), ("-3.0", "-2.0")])
@pytest.mark.parametrize("finished", [False, True])
def test_a_changed_manifest_is_noticed(copy, change, finished):
    text = copy.manifest_path.read_text()
    copy.manifest_path.write_text(text.replace(*change))
    assert text != copy.manifest_path.read_text()
    if not finished:
        shutil.rmtree(copy.directory / "blocks")
    for use in (copy.frame, copy.sizes, lambda: copy.begin(STUDY, OPTIMA)):
        with pytest.raises(ResultsError, match=r"manifest.json is damaged .* changed"):
            use()


def test_a_manifest_that_does_not_belong_to_the_blocks_is_noticed(copy):
    text = copy.manifest_path.read_text()
    copy.manifest_path.write_text(text.replace('"gamma": 0.9', '"gamma": 0.8'))
    reseal_manifest(copy.directory)
    for use in (copy.frame, copy.sizes, lambda: copy.finished(0)):
        with pytest.raises(ResultsError, match=r"is not as it was when .* was written"):
            use()


def test_a_block_without_checksums_is_refused_with_the_cure(copy):
    path = copy.block(a_block(copy)).beside("checksums")
    path.unlink()
    words = rf"has no checksums: {path} is missing.*delete .*parquet and run the study"
    for use in (copy.frame, copy.sizes, lambda: copy.finished(0)):
        with pytest.raises(ResultsError, match=words):
            use()


def a_block(store):
    return store.directory / "blocks" / "00-dql" / "trials-00000-00002.parquet"


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("prepare", [None, reseal])
def test_a_truncated_block_is_refused(copy, kept, prepare):
    path = a_block(copy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    if prepare is not None:
        prepare(copy.directory)
    for use in (copy.frame, lambda: copy.finished(0)):
        with pytest.raises(ResultsError, match=r"00002.parquet is damaged.*delete "):
            use()


def test_a_block_with_a_wrong_byte_is_refused(copy):
    path = a_block(copy)
    data = path.read_bytes()
    for position in range(0, len(data), 97):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        path.write_bytes(bytes(changed))
        with pytest.raises(ResultsError, match="is not as it was written"):
            copy.frame()


def test_a_block_with_wrong_bytes_and_right_checksums_never_fails_otherwise(copy):
    path, refused = a_block(copy), 0
    data = path.read_bytes()
    for position in range(0, len(data), 97):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        path.write_bytes(bytes(changed))
        reseal(copy.directory)
        try:
            Store(copy.directory).frame()
        except ResultsError:
            refused += 1
    assert refused > 10


def test_a_block_without_our_columns_is_refused(copy):
    pd.DataFrame({"trial": [0]}).to_parquet(a_block(copy))
    reseal(copy.directory)
    with pytest.raises(ResultsError, match=r"not a block of ours .it lacks label"):
        copy.frame()


def test_a_block_with_our_columns_and_wrong_types_is_refused(copy):
    frame = pd.read_parquet(a_block(copy)).assign(size="much")
    frame.to_parquet(a_block(copy))
    reseal(copy.directory)
    with pytest.raises(ResultsError, match="column 'size'"):
        copy.frame()


def test_a_block_with_a_name_of_its_own_is_refused(copy):
    for path in (a_block(copy), copy.block(a_block(copy)).beside("checksums")):
        path.rename(path.with_stem("trials-mine"))
    with pytest.raises(ResultsError, match=r"not a block of ours .see its name"):
        copy.frame()


def test_more_columns_and_other_files_do_no_harm(copy):
    before = copy.frame()
    pd.read_parquet(a_block(copy)).assign(mine=1).to_parquet(a_block(copy))
    reseal(copy.directory)
    (copy.directory / "notes.txt").touch()
    (a_block(copy).parent / "notes.txt").touch()
    again = Store(copy.directory)
    pd.testing.assert_frame_equal(again.frame(), before, check_exact=True)
    again.begin(STUDY, OPTIMA)
    assert (a_block(copy).parent / "notes.txt").exists()


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ResultsError, match=r"cannot use .*file.*may write to"):
            Store(path).begin(STUDY, OPTIMA)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_that_cannot_be_written_to_is_refused(copy, monkeypatch, finished):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", "somewhere")

    monkeypatch.setattr("commenv.study.storage.files.Path.open", refuse)
    monkeypatch.setattr("commenv.study.storage.store.tempfile.TemporaryFile", refuse)
    store = copy if finished else Store(copy.directory.parent / "new")
    with pytest.raises(ResultsError, match=r"cannot use .*\(Permission denied\)"):
        store.begin(STUDY, OPTIMA)


def test_a_full_disk_loses_the_block_that_is_written_and_no_other(copy, monkeypatch):
    before, frame = files(copy.directory), copy.frame()
    table = run_block(STUDY, STUDY.arms[0], [0])

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("commenv.study.storage.files.os.fsync", refuse)
    match = r"cannot use .*\(No space left on device\); free some space and repeat"
    with pytest.raises(ResultsError, match=match):
        copy.write_block(0, "dql", table)
    assert files(copy.directory) == before
    pd.testing.assert_frame_equal(copy.frame(), frame)
