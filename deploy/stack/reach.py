"""What another user than root can reach."""

import hashlib
import stat
from pathlib import Path

OUTSIDE = Path("/var/lib/pointstream")
"""Where data go that must be reachable when the checkout is not. Root's own, and kept when the machine restarts."""


def reachable(path: Path) -> bool:
    """Whether any user can read `path`, or enter it when it is a folder, going by the permissions alone."""
    resolved = path.resolve()
    needed = stat.S_IXOTH if resolved.is_dir() else stat.S_IROTH | stat.S_IXOTH
    return _allows(resolved, needed) and all(_allows(parent, stat.S_IXOTH) for parent in resolved.parents)


def outside_place(root: Path) -> Path:
    """The folder outside that belongs to the stack in `root`."""
    return OUTSIDE / hashlib.sha256(str(root).encode()).hexdigest()[:16]


def make_enterable(folder: Path) -> None:
    """Make `folder`, and its parents, such that others can reach what is in it but not list it."""
    if not folder.exists():
        make_enterable(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)


def _allows(path: Path, needed: int) -> bool:
    return path.stat().st_mode & needed == needed
