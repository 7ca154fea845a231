"""The inference engine: tokens out of a model, fast, many streams at once. Taught in chapter 05."""

from .cache import KVCache
from .engine import Engine
from .fast import FastModel
from .naive import generate_naive
from .sampling import Sampling
from .stream import Event, Generation, Request, Stream

__all__ = [
    "Engine", "Event", "FastModel", "Generation", "KVCache", "Request", "Sampling", "Stream", "generate_naive",
]  # fmt: skip
