"""Language models for agents: `from layby.models import anthropic`."""

from __future__ import annotations

from .actors.models.anthropic import anthropic
from .actors.models.attachment import Document, Image
from .actors.models.combined import fallback, with_timeout
from .actors.models.model import (
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
from .actors.models.openai import openai
from .actors.models.pydantic_ai import pydantic_ai
from .runtime.price import Price, cost

__all__ = [
    "Document",
    "Image",
    "Message",
    "Model",
    "ModelError",
    "ModelRequest",
    "ModelResponse",
    "Opaque",
    "Price",
    "Text",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "Usage",
    "anthropic",
    "cost",
    "fallback",
    "openai",
    "pydantic_ai",
    "with_timeout",
]
