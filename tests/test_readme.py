"""The README's Python: every block runs when it is pasted alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_runs_alone(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    session = {"__name__": "readme"}
    exec(compile(BLOCKS[number], "README.md", "exec"), session)
    drawn = re.findall(r'path="(.*?)"', BLOCKS[number])
    assert all((tmp_path / path).stat().st_size > 10_000 for path in drawn)


def test_the_channels_of_many_agents_print_what_their_comments_say(capsys):
    (block,) = (block for block in BLOCKS if "Messages(visits" in block)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert "[ True  True  True]" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)h][^)]*)\)", README))))
def test_what_the_readme_points_to_exists(path):
    assert (ROOT / path).exists()
