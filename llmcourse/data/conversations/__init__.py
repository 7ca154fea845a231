"""Conversations: what they are, how they are kept, and how the course's own are made. Chapter 08."""

from __future__ import annotations

from .message import Conversation, Message, Part, check

__all__ = ["Conversation", "Message", "Part", "check"]
