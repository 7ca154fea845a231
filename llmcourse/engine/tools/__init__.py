"""Tools in the engine: the model writes a call, the engine makes it and pastes the result. Chapter 10."""

from .protocol import Budget, Tool, ToolCall, ToolError
from .python import PythonTool
from .runner import Turn, generate_with_tools
from .search import Passage, SearchIndex, SearchTool

__all__ = [
    "Budget", "Passage", "PythonTool", "SearchIndex", "SearchTool", "Tool", "ToolCall", "ToolError", "Turn",
    "generate_with_tools",
]  # fmt: skip
