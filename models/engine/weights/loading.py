"""First weights: which file `--init` means, and how it fills a whole network or a part of one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from data_tools.ground.errors import UserError
from models.engine.weights.published import COCO_FILES, IMAGENET_FILES, WeightFile, fetch


@dataclass(frozen=True)
class LoadReport:
    """What became of the weights.

    Attributes:
        path: file that was read.
        loaded: names of the tensors taken over.
        fresh: names of the model's tensors that keep their random initialisation.
        unused: names in the file that the model does not have.
    """

    path: Path
    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """Return one line for the terminal."""
        layers = sorted({name.rpartition(".")[0] for name in self.fresh})
        fresh = f"fresh: {', '.join(layers)}" if layers else "nothing fresh"
        return f"{len(self.loaded)} tensors from {self.path.name}; {fresh}"


def initial_file(config: Mapping[str, Any]) -> Path | None:
    """Return the file that a config's `init` means, fetched where it is published; None for none.

    Args:
        config: resolved config; `init` is "none", "imagenet", "coco" or the path of a checkpoint.

    Raises:
        UserError: nothing is published for this model, or there is neither network nor a file in
            the cache.
    """
    init = config["init"]
    if init == "none":
        return None
    published = {"imagenet": IMAGENET_FILES, "coco": COCO_FILES}
    if init in published:
        return fetch(_published(published[init], config, init))
    return Path(init).expanduser()


def _published(files: Mapping[str, WeightFile], config: Mapping[str, Any], name: str) -> WeightFile:
    model, scale = config["model"], config["scale"]
    if scale == "full" and model in files:
        return files[model]
    reason = "weights are published for full scale only" if model in files else "there are none"
    raise UserError(
        f"no published {name} weights for {model} at {scale} scale: {reason}",
        where="init",
        expected=f"--init none, a checkpoint file, or {name} with "
        f"{', '.join(f'{each} (full)' for each in files)}",
    )


def fill_whole(
    module: nn.Module, given: Mapping[str, Tensor], path: Path, *, class_layers: str
) -> LoadReport:
    """Fill a network; only layers that the number of classes sizes may stay fresh.

    Args:
        module: the network.
        given: named tensors.
        path: the file that they are from, for messages.
        class_layers: what the names of those layers begin with.

    Raises:
        UserError: the tensors are of another architecture; the message names the first of them.
    """
    own = module.state_dict()
    resized = {
        name
        for name, value in given.items()
        if name in own and own[name].shape != value.shape and name.startswith(class_layers)
    }
    usable = {name: value for name, value in given.items() if name not in resized}
    return _fill(module, usable, path, may_be_missing=resized.__contains__)


def fill_part(
    module: nn.Module,
    given: Mapping[str, Tensor],
    path: Path,
    *,
    may_be_missing: Callable[[str], bool],
) -> LoadReport:
    """Fill a part of a network, such as its backbone, from a file that holds more than that.

    Args:
        module: the part.
        given: named tensors; those that the part does not have are reported as unused.
        path: the file that they are from, for messages.
        may_be_missing: tells of a name whether that tensor may stay fresh.

    Raises:
        UserError: the tensors are of another architecture.
    """
    own = module.state_dict()
    usable = {name: value for name, value in given.items() if name in own}
    report = _fill(module, usable, path, may_be_missing=may_be_missing)
    unused = tuple(name for name in given if name not in own)
    return LoadReport(path, report.loaded, report.fresh, unused)


def _fill(
    module: nn.Module,
    given: Mapping[str, Tensor],
    path: Path,
    *,
    may_be_missing: Callable[[str], bool],
) -> LoadReport:
    _refuse_other_shapes(module.state_dict(), given, path)
    result = module.load_state_dict(dict(given), strict=False)
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    wrong = [name for name in missing if not may_be_missing(name)]
    if wrong:
        _refuse_missing(wrong, module.state_dict(), path)
    loaded = tuple(name for name in module.state_dict() if name in given)
    return LoadReport(path, loaded, tuple(missing), tuple(result.unexpected_keys))


def _refuse_other_shapes(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path
) -> None:
    wrong = [
        name for name, value in given.items() if name in own and own[name].shape != value.shape
    ]
    if wrong:
        first = wrong[0]
        raise UserError(
            f"{len(wrong)} tensors have another shape, the first is {first}: "
            f"{tuple(given[first].shape)} in the file, {tuple(own[first].shape)} in the model",
            where=path,
            expected="weights of the same architecture; only the class layers may differ",
            next_step="check the model's name and --scale",
        )


def _refuse_missing(wrong: Collection[str], own: Collection[str], path: Path) -> None:
    raise UserError(
        f"{len(wrong)} of the model's {len(own)} tensors are not in the file, "
        f"the first is {next(iter(wrong))}",
        where=path,
        expected="weights of the same architecture",
        next_step="check the model's name and --scale",
    )
