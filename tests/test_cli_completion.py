"""Completion in a shell: commands, options and names."""

import pytest

from ran.cli.main import main


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ran li", ["list"]),
        ("ran list rece", ["receivers"]),
        ("ran sim 6gr", ["6gr-sparse-dmrs", "6gr-uplink-waveform"]),
        ("ran sim pusch-rec", ["pusch-receivers"]),
        ("ran csi csi-mun", ["csi-munich"]),
        ("ran beams beams-uma-30ghz-t", ["beams-uma-30ghz-temporal"]),
        ("ran adapt tdlc", ["tdlc300-4x2"]),
        ("ran train pusch-real", ["pusch-realtime"]),
        ("ran export model beams-m", ["beams-mlp"]),
        ("ran sim x --js", ["--json"]),
    ],
)
def test_words_are_completed(line, found, monkeypatch, capsys):
    monkeypatch.setenv("_RAN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit) as ended:  # as shells call it: typer answers and leaves
        main([])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == found


SCRIPTS = {"bash": "complete -o default", "zsh": "#compdef ran", "fish": "--command ran"}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_of_shells(shell, capsys, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    with pytest.raises(SystemExit) as ended:
        main(["--show-completion", shell])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert SCRIPTS[shell] in out
    assert "_RAN_COMPLETE" in out
