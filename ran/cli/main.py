"""The command line `ran`: thin verbs over the library."""

from __future__ import annotations

import signal
import sys
import types
from typing import Any, cast

import typer
from typer.core import TyperGroup

from ran import __version__
from ran.cli import (
    adapt,
    beams,
    bench,
    calibrate,
    check,
    conformance,
    csi,
    data,
    decode,
    doctor,
    export,
    listing,
    monitor,
    report,
    robustness,
    schema,
    sim,
    status,
    study,
    train,
)
from ran.cli.answer import with_json
from ran.cli.plain_output import take_every_character
from ran.errors import InputError, unknown_name
from ran.sim.allocator import keep_freed_memory


class _Verbs(TyperGroup):
    """The commands, with the nearest one named for one that does not exist."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]  # click's own types
        if self.get_command(ctx, args[0]) is None:
            shown = [name for name, command in self.commands.items() if not command.hidden]
            raise unknown_name("command", args[0], shown)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="ran",
    cls=_Verbs,
    help="Simulate, train and compare receivers on a 3GPP link.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ran {__version__}")
        raise typer.Exit


@app.callback()
def _ran(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", callback=_print_version),
) -> None:
    """Simulate, train and compare receivers on a 3GPP link."""


app.command("sim")(sim.sim)
app.command("list")(listing.list_)
app.command("report")(report.report)
app.command("status")(status.status)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(bench.app, name="bench")
app.command("conformance")(conformance.conformance)
app.command("robustness")(robustness.robustness)
app.command("generalise", hidden=True)(robustness.robustness)  # the name of the verb up to version 0.1
app.command("study")(study.study)
app.command("adapt")(adapt.adapt)
app.command("beams")(beams.beams)
app.command("csi")(csi.csi)
app.command("train")(train.train)
app.add_typer(data.app, name="data")
app.command("decode")(decode.decode)
app.add_typer(monitor.app, name="monitor")
app.add_typer(export.app, name="export")
app.command("schema")(schema.schema)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
with_json(app)

_RESUMES = "the same command goes on from what is stored once the disk takes it"
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# Typer's own copy of click has moved between versions; this is the base of its complaints about the command line.
_UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done. 1: the run stopped before its end, by a full disk for instance (`ran: stopped: ...`). 2: input that does
    not fit (`ran: error: ...`, one line). 130: interrupted. Any other exception is a bug and shows its traceback.
    """
    if sys.platform == "win32":
        return _complain("error", "system: got Windows; allowed: Linux, macOS, or WSL 2 on Windows", 2)
    for stream in (sys.stdout, sys.stderr):
        take_every_character(stream)
    signal.signal(signal.SIGTERM, _interrupt)
    keep_freed_memory()
    command = typer.main.get_command(app)
    try:
        status = command.main(args=arguments, prog_name="ran", standalone_mode=False)
    except InputError as error:
        if _is_of_storage(error):
            return _complain("stopped", f"{error}; {_RESUMES}", 1)
        return _complain("error", error, 2)
    except _UsageError as error:
        message = cast(Any, error).format_message()  # empty when only the help was to be shown
        return _complain("error", message, 2) if message else 2
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except BrokenPipeError:
        return 1  # whoever read our output has left
    except Exception as error:
        if _is_stop(error):
            return _complain("stopped", error, 1)
        if _is_of_storage(error):
            return _complain("stopped", f"{type(error).__name__}: {error}; {_RESUMES}", 1)
        if refusal := _in_user_code(error):
            return _complain("error", refusal, 2)
        raise
    if status == _INTERRUPTED:  # typer turns KeyboardInterrupt into this
        return _complain("stopped", "the same command resumes", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _is_stop(error: Exception) -> bool:
    # Looked up only when something was raised: the module is not needed for most commands.
    from ran.sim.executor import RunStopped

    return isinstance(error, RunStopped)


def _is_of_storage(error: Exception) -> bool:
    from ran.config.storage import is_storage_failure

    return is_storage_failure(error)


def _in_user_code(error: Exception) -> Exception | None:
    from ran.registry.user_file import refusal_of_user_code

    return refusal_of_user_code(error)


def _complain(kind: str, text: object, status: int) -> int:
    print(f"ran: {kind}: {' '.join(str(text).split())}", file=sys.stderr)
    return status


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
