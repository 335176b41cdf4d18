"""Examples of the documentation: experiments load, commands exist with the options that are written, code compiles."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ran.cli.main import app
from ran.link.catalogue import build_channel, build_impairments, build_receiver
from ran.reference.kinds import KINDS, registries
from ran.studies.sweep.request import load_any

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES += [*sorted(ROOT.glob("docs/howto/*.md")), *sorted(ROOT.glob("docs/explain/*.md"))]


def blocks(language):
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, text in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL))
    ]


def test_there_are_examples():
    assert len(blocks("yaml")) >= 8
    assert len(blocks("python")) >= 4


@pytest.mark.parametrize("text", blocks("yaml"))
def test_experiments_load_and_their_blocks_can_be_built(tmp_path, text):
    file = tmp_path / "example.yaml"
    file.write_text(text)
    loaded = load_any(file)
    experiments = [part.experiment for part in loaded.parts] if hasattr(loaded, "parts") else [loaded]
    for experiment in experiments:
        given = experiment.channel if isinstance(experiment.channel, tuple) else (experiment.channel,)
        for channel in given:
            build_channel(channel.block())
        for receiver in experiment.receivers:
            build_receiver({key: value for key, value in receiver.block().items() if key != "label"})
        if experiment.waveform is not None:
            build_impairments(experiment.waveform.transmit_impairments, "transmit_impairments")
            build_impairments(experiment.waveform.receive_impairments, "receive_impairments")


@pytest.mark.parametrize("text", blocks("python"))
def test_code_compiles(text):
    compile(text, "example.py", "exec")


@pytest.mark.slow
def test_the_quick_start_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/quickstart.md").read_text(), re.DOTALL).group(1)
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("ls-linear", "lmmse", "blind", "neural", "perfect-csi"))


def commands():
    """Command lines of all pages: of indented blocks and of code spans that begin with `ran`, comments taken off."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        indented = re.findall(r"^    (?:.*\bdo )?(ran (?:.*\\\n)*.*)$", text, re.MULTILINE)
        for line in [*indented, *re.findall(r"`(ran [^`]+)`", text)]:
            line = line.replace("\\\n", " ").split(";")[0]
            yield pytest.param(line, id=f"{page.relative_to(ROOT)}: {line[:50]}")


TREE = typer.main.get_command(app)


@pytest.mark.parametrize("line", list(commands()))
def test_commands_and_their_options_exist(line):
    words = shlex.split(line.replace("[", " ").replace("]", " "), comments=True)[1:]
    node = TREE
    while hasattr(node, "commands"):
        if words and words[0] in node.commands:
            node = node.commands[words.pop(0)]
        elif node is not TREE and not {"--help"} & set(words) and words:
            node = node.commands[getattr(node, "default", None) or next(iter(node.commands))]
        else:
            break
    assert node is not TREE or not words or words == ["--help"] or words == ["COMMAND", "--help"], line
    known = {option for parameter in node.params for option in parameter.opts + parameter.secondary_opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known, line


def test_command_lines_are_set_as_code():
    """A line that begins with a command and is not indented is shown as running text."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        bare = [line for line in text.splitlines() if re.match(r"(ran|pip|make) \S+ .*(--|#)", line)]
        assert bare == [], page.name


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text()
    named = set(re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE))
    written = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    generated = {f"reference/{name}.md" for name in [*KINDS, *registries(), "blocks-of-channels"]}
    assert named == written | generated


def test_files_that_pages_name_exist():
    for page in PAGES:
        for path in re.findall(r"`((?:ran|channels|receivers|notebooks|tests|docs)/[\w./-]+)`", page.read_text()):
            assert (ROOT / path).exists(), (page.name, path)


def command_paths(node=TREE, path=()):
    """Every command that is not hidden, as the words that call it."""
    for name, command in getattr(node, "commands", {}).items():
        if not command.hidden:
            yield from command_paths(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]


def test_every_command_is_in_the_list_of_commands():
    text = (ROOT / "docs/commands.md").read_text()
    lines = re.findall(r"^\| `ran (.*?)` \| (.*) \|$", text, re.MULTILINE)
    for path in command_paths():
        # the command of a group that is called without its name, as `ran data EXPERIMENT`
        parent = TREE
        for name in path[:-1]:
            parent = parent.commands[name]
        words = path[:-1] if getattr(parent, "default_command", None) == path[-1] else path
        assert any(
            line.split()[: len(words)] == list(words)
            or (line.split()[:1] == [words[0]] and words[-1] in also.split("also ")[-1])
            for line, also in lines
        ), path


def test_every_study_and_answer_is_named_for_automation():
    text = (ROOT / "docs/howto/automation.md").read_text()
    missing = [name for name in {path[0] for path in command_paths()} if f"ran {name}" not in text]
    assert missing == []


def test_every_log_of_measurements_is_among_the_results():
    text = (ROOT / "docs/results.md").read_text()
    assert [path.name for path in ROOT.glob("docs/lab/*.md") if f"docs/lab/{path.name}" not in text] == []


@pytest.mark.parametrize("page", ["docs/quickstart.md", "CONTRIBUTING.md"])
def test_every_notebook_is_named(page):
    text = (ROOT / page).read_text()
    assert [path.name for path in ROOT.glob("notebooks/*.ipynb") if path.name not in text] == []


def test_every_package_is_named_to_contributors():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    packages = [path.parent for path in [*ROOT.glob("ran/*/__init__.py"), *ROOT.glob("ran/studies/*/__init__.py")]]
    names = [str(path.relative_to(ROOT)) for path in packages if path.name != "studies"]
    assert [name for name in names if name not in text] == []


def test_files_that_pages_show_are_as_they_are():
    """Lines of a file that a page shows with its name are in the file, in that order."""
    shown = 0
    for page in PAGES:
        for name, text in re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', page.read_text(), re.DOTALL):
            assert text in (ROOT / name).read_text(), (page.name, name)
            shown += 1
    assert shown
