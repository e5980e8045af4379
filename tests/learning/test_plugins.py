import sys

import pytest
from commenv_baselines.dql import DQL

from commenv.cli import main
from commenv.errors import PluginError, UnknownNameError
from commenv.learning import Always, make_algorithm, make_scheme, plugin_names
from commenv.learning.plugins import (
    ALGORITHMS,
    SCHEMES,
    find,
    is_registered,
    reference_of,
    usable_plugins,
)


def test_the_installed_plugins_are_found_by_their_short_names():
    assert "dql" in plugin_names(ALGORITHMS)
    assert "always" in plugin_names(SCHEMES)
    assert make_algorithm("dql", {}) == DQL()
    assert make_scheme("always", {}) == Always()


def test_a_class_is_found_by_module_and_name():
    made = make_algorithm("commenv_baselines.dql:DQL", {"alpha": 0.5})
    assert made == DQL(alpha=0.5)
    assert find(reference_of(made), ALGORITHMS) is DQL


def test_whole_numbers_stand_for_reals():
    assert make_algorithm("dql", {"alpha": 1}) == DQL(alpha=1.0)


@pytest.mark.parametrize(
    ("reference", "settings", "message"),
    [
        ("dqn", {}, "unknown algorithm 'dqn'; did you mean 'dql'"),
        ("dql", {"alhpa": 1}, "unknown setting of dql 'alhpa'; did you mean 'alpha'"),
        ("dql", {"alpha": "high"}, "alpha of dql must be a number or None, got 'high'"),
        ("dql", {"alpha": 0}, r"alpha 0.* is outside \(0, 1\]"),
        ("dql", {"exploration": 1.5}, r"exploration 1.5 is outside \[0, 1\]"),
        ("dql", {"initial_value": float("inf")}, "initial_value inf is not finite"),
        ("no_such_module:X", {}, "cannot import 'no_such_module'"),
        ("commenv_baselines.dql:DQI", {}, "did you mean 'DQL'"),
        ("commenv.learning.schemes:Always", {}, "is not an Algorithm; derive it from"),
    ],
)
def test_what_cannot_be_made_is_explained(reference, settings, message):
    with pytest.raises(ValueError, match=message):
        make_algorithm(reference, settings)


def test_an_unknown_scheme_is_called_a_scheme():
    with pytest.raises(UnknownNameError, match="unknown scheme 'alway'; did you mean"):
        make_scheme("alway", {})


def test_registered_are_the_classes_of_installed_packages_and_no_others():
    for name in plugin_names(SCHEMES):  # by where they are written, not re-exported
        assert is_registered(reference_of_class(find(name, SCHEMES)), SCHEMES)
    assert is_registered("commenv.learning.schemes:Always", SCHEMES)
    assert is_registered(reference_of(DQL()), ALGORITHMS)
    assert not is_registered("commenv.learning.schemes:Always", ALGORITHMS)
    assert not is_registered("commenv_baselines.dql:QLearner", ALGORITHMS)


def test_asking_whether_a_class_is_registered_imports_nothing_new():
    assert not is_registered("antigravity:Class", ALGORITHMS)
    assert "antigravity" not in sys.modules


def reference_of_class(cls):
    return f"{cls.__module__}:{cls.__qualname__}"


BROKEN = {
    "raises": "raise RuntimeError('half installed')",
    "leaves": "import sys; sys.exit(3)",
    "lacks": "import no_such_module",
    "no_class": "Thing = 3",
    "another": "class Thing: pass",
    "empty": "",
}


@pytest.fixture(params=BROKEN)
def broken(request, tmp_path, monkeypatch):
    """An installed package whose algorithm and scheme cannot be used."""
    module = f"broken_{request.param}"
    (tmp_path / f"{module}.py").write_text(BROKEN[request.param])
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half-done\n")
    groups = "".join(
        f"[{one}]\nbad = {module}:Thing\n" for one in (ALGORITHMS, SCHEMES)
    )
    (info / "entry_points.txt").write_text(groups)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "bad"
    sys.modules.pop(module, None)


@pytest.mark.parametrize("group", [ALGORITHMS, SCHEMES])
def test_a_broken_package_is_named(broken, group):
    words = "'bad' of the package 'half-done' .*; mend that package, or uninstall it"
    with pytest.raises(PluginError, match=words):
        find(broken, group)


def test_a_broken_package_stops_nobody_else(broken, capsys, caplog):
    assert make_algorithm("dql", {}) == DQL()
    assert not is_registered("no_such_module:Thing", ALGORITHMS)
    assert "'bad' of the package 'half-done'" in caplog.text
    assert is_registered(reference_of(DQL()), ALGORITHMS)
    names = [name for name, _ in usable_plugins(SCHEMES)]
    assert "always" in names
    assert "bad" not in names
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert said.count("of the package 'half-done'") == 2
    assert "cost profiles" in said
    assert main(["list", "bad"]) == 1
    assert "half-done" in capsys.readouterr().err


def test_a_name_of_two_packages_is_refused_and_both_are_named(tmp_path, monkeypatch):
    for package in ("one", "other"):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
        value = "commenv.learning.schemes:Always"
        (info / "entry_points.txt").write_text(f"[{SCHEMES}]\nshared = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = r"'shared' is registered .*; uninstall one of them"
    with pytest.raises(PluginError, match=words):
        find("shared", SCHEMES)
    assert "shared" not in [name for name, _ in usable_plugins(SCHEMES)]
    assert "always" in [name for name, _ in usable_plugins(SCHEMES)]
