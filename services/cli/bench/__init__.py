"""`pointstream bench`: how fast all of it is on this machine, beside a bare pipeline of the same servers."""

from services.cli.bench.command import bench

__all__ = ["bench"]
