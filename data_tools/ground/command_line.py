"""What the command lines share: commands and groups that end a mistake with exit status 2."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from data_tools.ground.errors import UserError
from data_tools.ground.options.terminal import message_text
from data_tools.ground.version import VERSION

# Operating-system refusals that the user can lift, with what to do about each.
_NEXT_STEP_OF_ERRNO = {
    errno.ENOSPC: "free some space on that disk, or choose another output folder",
    errno.EDQUOT: "your quota is used up: free some space, or choose another output folder",
    errno.EACCES: "check the permissions, or choose another folder",
    errno.EPERM: "check the permissions, or choose another folder",
    errno.EROFS: "that file system is read-only: choose another folder",
    errno.ENOENT: "check the spelling of the path",
    errno.EISDIR: "give a file, not a folder",
    errno.EEXIST: "a file stands where a folder is needed: move it, or choose another path",
    errno.ENOTDIR: "a file stands where a folder is needed: move it, or choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EFBIG: "files may not grow that large here: see `ulimit -f`, or choose another disk",
    errno.ELOOP: "a link leads back to itself: give the file that is meant",
    errno.EMFILE: "too few files may be open at once: raise `ulimit -n`, or use fewer --workers",
    errno.ENFILE: "the system has too many files open: end other programs, then try again",
    errno.EIO: "the disk does not answer rightly: check it, then try again from a copy",
    errno.EBUSY: "another program holds it: end that program, then try again",
    errno.ETXTBSY: "another program holds it: end that program, then try again",
    errno.ESTALE: "the network disk lost it: mount it again, then try again",
    errno.ENOTCONN: "the network disk lost it: mount it again, then try again",
    errno.ENODEV: "the disk is gone: mount it again, then try again",
    errno.ENXIO: "give a file, not a pipe or a device that nobody serves",
    errno.ENOTEMPTY: "something else writes into that folder: end it, then try again",
    errno.EXDEV: "choose an output folder on the same disk",
    errno.ENOMEM: "give it more memory: end other programs, or use smaller batches and --workers",
    errno.EAGAIN: "the system is out of processes or memory: end other programs, then try again",
}
INTERRUPTED_STATUS = 130
TERMINATED_STATUS = 143


def user_error_from(error: BaseException) -> UserError | None:
    """Return the message for what the system refuses, or ran out of; None for any other error."""
    if isinstance(error, MemoryError):
        return UserError(
            f"memory ran out ({error})" if str(error) else "memory ran out",
            next_step=_NEXT_STEP_OF_ERRNO[errno.ENOMEM],
        )
    if isinstance(error, RecursionError):
        return UserError(
            "something in the input is nested too deeply",
            expected="files as they are usually written, a few levels deep",
        )
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop from "):
        # `Path.resolve` before Python 3.13.
        where = str(error).removeprefix("Symlink loop from ").strip("'\"")
        return user_error_from(OSError(errno.ELOOP, "too many levels of links", where))
    if not isinstance(error, OSError):
        return None
    next_step = _NEXT_STEP_OF_ERRNO.get(error.errno or 0)
    if next_step is None:
        return None
    return UserError(
        (error.strerror or str(error)).capitalize(), where=error.filename, next_step=next_step
    )


def advance(bar: Any) -> Callable[[int], None]:
    """Return a callback that moves a click progress bar by one of a total it is told."""

    def tick(total: int) -> None:
        bar.length = total
        bar.update(1)

    return tick


class _Terminated(BaseException):
    """SIGTERM came; like `KeyboardInterrupt`, nothing but tidying up should catch it."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM end the block as Ctrl-C does, so that temporary files are removed.

    Commands that answer it in their own way, such as training, set their own handler inside.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    me = os.getpid()

    def end(number: int, frame: object) -> None:
        if os.getpid() == me:
            raise _Terminated
        # A process that was forked meanwhile has nothing to tidy up.
        os._exit(TERMINATED_STATUS)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class UserErrorExit(click.ClickException):
    """Prints a `UserError` as it is and ends with status 2."""

    exit_code = 2

    def __init__(self, error: UserError) -> None:
        super().__init__(message_text(str(error)))


COMMANDLINE = click.core.ParameterSource.COMMANDLINE
# Options that are read as text, because what they name has several forms.
TEXTS_THAT_ARE_PATHS = frozenset({"images", "members", "out", "picture", "settings", "truth"})


class Command(click.Command):
    """A click command that answers an option's former name with its present one.

    Args:
        renamed: former name -> present name. A former `--json FILE`, which is a flag now, is
            written as such: `{"--json FILE": "--json-out FILE"}`.
    """

    def __init__(
        self, *arguments: Any, renamed: Mapping[str, str] | None = None, **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.renamed = dict(renamed or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; a former name ends with status 2 and the name that replaces it."""
        words = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            present = self.renamed.get(error.option_name)
            if present is None:
                raise
            raise click.UsageError(f"{error.option_name} is called {present} now", ctx) from None
        except click.UsageError as error:
            self._refuse_value_of_flag(ctx, words, error)
            raise
        self._refuse_value_of_flag(ctx, words, None)
        self._refuse_empty_paths(ctx, words)
        return rest

    def _refuse_empty_paths(self, ctx: click.Context, words: list[str]) -> None:
        """Refuse an empty text for a file or folder, which would mean the current folder.

        It comes from a variable of a script that is not set: `--out "$OUT"`.
        """
        here_is_given = any(word.endswith((".", "/")) for word in words)
        for parameter in self.params:
            value = ctx.params.get(parameter.name or "")
            for entry in value if isinstance(value, tuple) else (value,):
                is_empty_path = isinstance(entry, Path) and entry == Path() and not here_is_given
                is_empty_text = entry == "" and parameter.name in TEXTS_THAT_ARE_PATHS
                given = ctx.get_parameter_source(parameter.name or "") is COMMANDLINE
                if given and (is_empty_path or is_empty_text):
                    raise click.UsageError(f"{parameter.get_error_hint(ctx)} is an empty path", ctx)

    def _refuse_value_of_flag(
        self, ctx: click.Context, words: list[str], error: click.UsageError | None
    ) -> None:
        """Refuse a value behind an option that took one formerly and is a flag now."""
        takes_any = any(
            isinstance(parameter, click.Argument) and parameter.nargs == -1
            for parameter in self.params
        )
        surplus = error is not None and "unexpected extra argument" in error.message
        for former, present in self.renamed.items():
            option, _, _ = former.partition(" ")
            if option == former or option not in words[:-1]:
                continue
            value = words[words.index(option) + 1]
            if surplus or (takes_any and value.endswith(".json")):
                raise click.UsageError(f"{former} is called {present} now", ctx) from None


class CommandGroup(click.Group):
    """A click group whose commands report `UserError` as one message with exit status 2.

    Unknown commands and options are click's own usage errors: they exit 2 too, and an unknown
    command is answered with the list of those that exist.
    """

    command_class = Command

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        click.version_option(VERSION, prog_name="boxcamp")(self)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, turning mistakes into messages and leaving bugs their traceback.

        Ctrl-C ends it with status 130, SIGTERM with 143, a reader that left, as `| head` does,
        with status 1.
        """
        try:
            with _ended_by_sigterm():
                result = super().invoke(ctx)
            # What is still held back may meet a full disk, or a reader that left.
            sys.stdout.flush()
            return result
        except UserError as error:
            raise UserErrorExit(error) from error
        except KeyboardInterrupt:
            click.echo("stopped by Ctrl-C", err=True)
            raise click.exceptions.Exit(INTERRUPTED_STATUS) from None
        except _Terminated:
            click.echo("stopped by SIGTERM", err=True)
            raise click.exceptions.Exit(TERMINATED_STATUS) from None
        except (OSError, MemoryError, RecursionError, RuntimeError) as error:
            user_error = user_error_from(error)
            if user_error is None:
                raise
            raise UserErrorExit(user_error) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is answered with the valid ones."""
        name = args[0] if args else ""
        if name and self.get_command(ctx, name) is None and not name.startswith("-"):
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no command {name!r}; the commands are: {known}", ctx)
        return super().resolve_command(ctx, args)
