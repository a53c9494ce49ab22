"""What the command lines share: commands and groups that end a mistake with exit status 2."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any

import click

from data_tools.ground.errors import UserError
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
}


def user_error_from_os_error(error: OSError) -> UserError | None:
    """Return the message for a refusal of the operating system; None if it is no user's mistake."""
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


class UserErrorExit(click.ClickException):
    """Prints a `UserError` as it is and ends with status 2."""

    exit_code = 2

    def __init__(self, error: UserError) -> None:
        super().__init__(str(error))


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
        return rest

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
        """Run the command, turning mistakes into messages and leaving bugs their traceback."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise UserErrorExit(error) from error
        except OSError as error:
            user_error = user_error_from_os_error(error)
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
