"""Bring a published model from the Hugging Face hub, when asked; nothing else here opens a connection."""

import hashlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturbloop import progress
from perturbloop.errors import ModelError, some
from perturbloop.models.published import Published


def fetch(entry: Published, to: Path | None = None) -> Path:
    """Download the files of a published model that are not here yet, and check the hash of each.

    Parameters
    ----------
    entry
        The model.
    to
        Folder to put them in, as they lie in their repository; the hub's cache by default, where `--model NAME` finds them.

    Returns
    -------
    The model's folder.

    Raises
    ------
    ModelError
        If the hub cannot be reached or does not have a file, or a file is not the one that is known.

    Notes
    -----
    The revision is pinned. A file's hash is the one that is known here, else the one that the hub declares of it. A download
    that was cut off goes on where it stopped.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    title, paths = f"fetch {entry.name}", [path for path, _ in entry.files]
    try:
        found: Any = api.get_paths_info(entry.repository, paths, revision=entry.revision)
        declared = {one.path: one for one in found}
        missing = [path for path in paths if path not in declared]
        if missing:
            msg = (
                f"`{entry.source}` must hold all files of `{entry.name}`; it lacks {some(missing)}. Give the folder of a copy with "
                "`--model`."
            )
            raise ModelError(msg)
        total = sum(one.size for one in declared.values())
        done, folder = 0, Path()
        for path, sha256 in entry.files:
            heard = _Heard(title, done, total)
            place = Path(
                api.hf_hub_download(
                    entry.repository, path, revision=entry.revision, local_dir=to, **heard.options()
                )
            )
            _require_hash(place, sha256, declared[path], entry)
            folder = place.parent if path == paths[0] else folder
            done += declared[path].size
        progress.tell(title, done, total)
    except ModelError:
        raise
    except Exception as error:  # the hub's client and the one below it raise many kinds
        raise _unreached(entry, error) from error
    return folder


@dataclass
class _Heard:
    """Bytes as they come, told as everything else is that takes long; the hub's own bars would print by themselves."""

    title: str
    done: int
    total: int

    def __post_init__(self) -> None:
        progress.tell(self.title, self.done, self.total)

    def options(self) -> dict[str, Any]:
        """What makes the hub's client count here; versions that cannot are silenced."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import disable_progress_bars
        from tqdm.auto import tqdm

        heard = self

        class Bar(tqdm):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options | {"disable": True})
                heard.came(int(options.get("initial") or 0))

            def update(self, n: float | None = 1) -> None:
                heard.came(int(n or 0))

        if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
            return {"tqdm_class": Bar}
        disable_progress_bars()
        return {}

    def came(self, n: int) -> None:
        """Tell that so many bytes came."""
        self.done = min(self.done + n, self.total - 1)  # done once the hash is checked
        progress.tell(self.title, self.done, self.total)


def _require_hash(place: Path, sha256: str, declared: Any, entry: Published) -> None:
    """Refuse a file that is not the one of its hash, and take it away."""
    large = declared.lfs is not None
    expected = sha256 or (declared.lfs.sha256 if large else declared.blob_id)
    came = _sha256(place) if sha256 or large else _git_digest(place)
    if came != expected:
        real = place.resolve()
        place.unlink()
        real.unlink(missing_ok=True)
        msg = (
            f"`{declared.path}` of `{entry.source}` must have the hash {expected}; what came has {came}, and was deleted. Run the same "
            "command again; if it happens twice, the file there is not the one that is known."
        )
        raise ModelError(msg)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_digest(path: Path) -> str:
    """Hash by which git, and with it the hub, names a small file."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _unreached(entry: Published, error: Exception) -> Exception:
    """Say why a model could not be fetched; what the computer refuses for reasons of its own is passed on."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # it was not reached
    away = "or fetch it on another machine with `--to DIR` and copy that folder here. What was downloaded is kept."
    if isinstance(error, OfflineModeIsEnabled):
        why, todo = "`HF_HUB_OFFLINE` forbids it", f"Unset it, {away}"
    elif isinstance(error, (EntryNotFoundError, RevisionNotFoundError, RepositoryNotFoundError)):
        why, todo = "the hub does not have it, or not for you", "Give the folder of a copy with `--model`."
    elif isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return error
    else:
        said = str(error).strip().partition("\n")[0]
        why, todo = (
            f"{type(error).__name__}: {said}",
            f"Look at the connection and run the same command again, {away}",
        )
    msg = f"`{entry.name}` must come from {constants.ENDPOINT}/{entry.repository}; {why}. {todo}"
    return ModelError(msg)
