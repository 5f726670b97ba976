"""Language models for agents: `from layby.models import anthropic`."""

from __future__ import annotations

from .actors.model import (
    Message,
    Model,
    ModelError,
    ModelRequest,
    ModelResponse,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from .actors.models.anthropic import anthropic

__all__ = [
    "Message",
    "Model",
    "ModelError",
    "ModelRequest",
    "ModelResponse",
    "Opaque",
    "Text",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "Usage",
    "anthropic",
]
