"""Durable jobs on DBOS: submitted as rows, run by workers, each in a process of its own."""

from .submit import submit
from .worker_process import ensure_worker

__all__ = ["ensure_worker", "submit"]
