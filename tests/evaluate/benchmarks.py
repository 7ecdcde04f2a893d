"""Benchmarks as tests need them: any condition, without the command line."""

from restorekit.tasks import get_task
from restorekit.tasks.base import Benchmark


def benchmark(task_name: str, **options: object) -> Benchmark:
    """The benchmark of a task; options are those of `restorekit eval TASK`."""
    task = get_task(task_name)
    assert task.benchmark is not None
    made = task.benchmark(task.benchmark.Options(**options))
    made.task = task
    return made


def noise(*sigmas: float) -> Benchmark:
    """That of denoising, at levels on the scale 0..255."""
    return benchmark("denoise", sigma=[str(sigma) for sigma in sigmas])
